//! The files that a rewriting writes: one, or one after the other in folders, each closed and on disk before the next is begun.

use super::{FOLDERS_MAX, NULL_FOLDER, Writing};
use crate::rewrite::room::synced;
use crate::rewrite::{blocking, failed, unsupported};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::partition;
use arrow::util::display::array_value_to_string;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use querygate_types::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

/// A file in a folder is not made much longer.
const FILE_BYTES: usize = 1024 * 1024 * 1024;

/// Where rows go.
pub(super) struct Output<'a> {
    writing: &'a Writing<'a>,
    /// A file for all; otherwise each gets a name of its own.
    alone: Option<PathBuf>,
    /// Below the table's own.
    folder: String,
    /// Folders of the values that the rows have now, below that.
    values: String,
    open: Option<ArrowWriter<File>>,
    folders: usize,
    written: Vec<Path>,
}

impl<'a> Output<'a> {
    /// All in one file, which is there even if there are no rows.
    pub(super) fn file(writing: &'a Writing<'a>, place: PathBuf) -> Result<Self> {
        let mut output = Self { alone: Some(place), ..Self::folder(writing, "") };
        output.begin()?;
        Ok(output)
    }

    pub(super) fn folder(writing: &'a Writing<'a>, folder: &str) -> Self {
        let (folder, values) = (folder.to_owned(), String::new());
        Self { writing, alone: None, folder, values, open: None, folders: 0, written: Vec::new() }
    }

    /// Rows in the order of the folders' columns.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.writing.folders.is_empty() {
            return self.append(batch).await;
        }
        let keys: Vec<ArrayRef> = self.writing.folders.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        for range in partition(&keys).map_err(Error::internal)?.ranges() {
            let values = self.values(&keys, range.start)?;
            if values != self.values || self.folders == 0 {
                self.close().await?;
                self.values = values;
                self.folders += 1;
                if self.folders > FOLDERS_MAX {
                    return Err(unsupported(format!("there would be more than {FOLDERS_MAX} folders")));
                }
            }
            self.append(&batch.slice(range.start, range.len())).await?;
        }
        Ok(())
    }

    /// The folders of a row, as hive names them. Only names that everybody reads alike.
    fn values(&self, keys: &[ArrayRef], row: usize) -> Result<String> {
        let mut folders = Vec::with_capacity(keys.len());
        for (at, key) in self.writing.folders.iter().zip(keys) {
            let name = self.writing.schema.field(*at).name();
            let plain = |text: &str| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                !text.is_empty() && text.len() <= 100 && text.bytes().all(fits)
            };
            let text = match key.is_null(row) {
                true => NULL_FOLDER.to_owned(),
                false => array_value_to_string(key, row).map_err(Error::internal)?,
            };
            if !plain(name) || !plain(&text) || (text == NULL_FOLDER && !key.is_null(row)) {
                return Err(unsupported("a value of the column cannot be the name of a folder")
                    .with_hint("Names of folders have letters, digits, and _ - . only."));
            }
            folders.push(format!("{name}={text}"));
        }
        Ok(folders.join("/"))
    }

    async fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let kept = batch.project(&self.writing.stay).map_err(Error::internal)?;
        if self.open.is_none() {
            self.begin()?;
        }
        let Some(writer) = &mut self.open else { return Err(Error::internal("no file is open")) };
        writer.write(&kept).map_err(|error| unwritten(&error))?;
        if self.alone.is_none() && writer.bytes_written() >= FILE_BYTES {
            self.close().await?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let cannot = |error: std::io::Error| failed("the files cannot be written", &error);
        let (place, below) = match &self.alone {
            Some(place) => (place.clone(), Path::default()),
            None => {
                // A name that no other writing gives: who lists a folder while it is replaced finds no old name with new rows.
                let name = format!("part-{}-{:05}.parquet", self.writing.task.kept.name, self.written.len());
                let parts = self.folder.split('/').chain(self.values.split('/')).filter(|part| !part.is_empty());
                let parts: Vec<&str> = parts.chain([name.as_str()]).collect();
                let place = parts.iter().fold(self.writing.task.kept.data(), |place, part| place.join(part));
                std::fs::create_dir_all(place.parent().unwrap_or(&place)).map_err(cannot)?;
                (place, parts.into_iter().collect())
            }
        };
        let file = File::create_new(&place).map_err(cannot)?;
        if let Some(permissions) = &self.writing.task.tree.permissions {
            file.set_permissions(permissions.clone()).map_err(cannot)?;
        }
        let options = ArrowWriterOptions::new()
            .with_properties(self.writing.properties.clone())
            .with_skip_arrow_metadata(!self.writing.tells_arrow)
            .with_parquet_schema(self.writing.types.clone());
        let schema = Arc::new(self.writing.schema.project(&self.writing.stay).map_err(Error::internal)?);
        self.open = Some(ArrowWriter::try_new_with_options(file, schema, options).map_err(|error| unwritten(&error))?);
        self.written.push(below);
        Ok(())
    }

    /// Ends the file that is open, and sees it on disk.
    async fn close(&mut self) -> Result<()> {
        let Some(writer) = self.open.take() else { return Ok(()) };
        blocking(move || {
            let file = writer.into_inner().map_err(|error| unwritten(&error))?;
            file.sync_all().map_err(|error| failed("the files cannot be written", &error))
        })
        .await
    }

    /// Ends the last file. All of them, by their paths.
    pub(super) async fn end(mut self) -> Result<Vec<Path>> {
        self.close().await?;
        Ok(self.written)
    }
}

fn unwritten(error: &parquet::errors::ParquetError) -> Error {
    let io = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => failed("the files cannot be written", io),
        None => unsupported("the files have a column that cannot be written as it is").with_detail(error.to_string()),
    }
}

/// Leaves the empty files that were there, lets folders be read by whom they were, and puts all names on disk.
pub(super) fn mark_and_sync(data: &FsPath, marks: &BTreeSet<String>, permissions: &Permissions) -> Result<()> {
    let cannot = |error: std::io::Error| failed("the files cannot be written", &error);
    std::fs::create_dir_all(data).map_err(cannot)?;
    for mark in marks {
        let place = data.join(mark);
        std::fs::create_dir_all(place.parent().unwrap_or(data)).map_err(cannot)?;
        File::create(place).map_err(cannot)?;
    }
    sync_folders(data, permissions).map_err(cannot)
}

fn sync_folders(folder: &FsPath, permissions: &Permissions) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path(), permissions)?;
        }
    }
    std::fs::set_permissions(folder, permissions.clone())?;
    synced(folder)
}
