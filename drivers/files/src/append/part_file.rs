//! One file of an open transaction: rows that are written, and rows of files that are copied.

use super::fit::Template;
use super::{unsupported, unwritten};
use crate::buffered::Share;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows and bytes of one group of a file.
const GROUP_ROWS: usize = 1024 * 1024;
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// A file that is complete.
#[derive(Debug, Clone)]
pub(super) struct PartFile {
    pub(super) name: String,
    pub(super) place: PathBuf,
    pub(super) rows: u64,
}

/// A file that rows are added to.
pub(super) struct PartWriter {
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    part: PartFile,
    share: Share,
    /// Whether it cannot be completed: some rows of a group were written, and others were not.
    is_broken: bool,
}

impl PartWriter {
    pub(super) fn begin(name: String, place: PathBuf, template: &Template) -> Result<Self> {
        let file = File::create_new(&place).map_err(|error| unwritten(&error))?;
        if let Some(permissions) = &template.permissions {
            file.set_permissions(permissions.clone()).map_err(|error| unwritten(&error))?;
        }
        let properties = WriterProperties::builder()
            .set_compression(template.compression)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&template.schema), Some(properties));
        let writer = writer.map_err(|error| failed(&error))?;
        let (schema, share) = (Arc::clone(&template.schema), Share::of(&template.buffered));
        Ok(Self { writer, schema, part: PartFile { name, place, rows: 0 }, share, is_broken: false })
    }

    pub(super) const fn rows(&self) -> u64 {
        self.part.rows
    }

    fn refuse_broken(&self) -> Result<()> {
        match self.is_broken {
            true => Err(Error::new(ErrorCode::SourceError, "rows of the transaction could not be written before")),
            false => Ok(()),
        }
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.refuse_broken()?;
        let written = self.writer.write(rows).and_then(|()| match self.share.set(self.writer.memory_size()) {
            true => self.writer.flush(),
            false => Ok(()),
        });
        self.share.set(self.writer.memory_size());
        self.is_broken |= written.is_err();
        written.map_err(|error| failed(&error))?;
        self.part.rows += u64::try_from(rows.num_rows()).map_err(Error::internal)?;
        Ok(())
    }

    /// The first rows of a file.
    pub(super) fn copy(&mut self, from: &PartFile, most: u64) -> Result<()> {
        let file = File::open(&from.place).map_err(|error| unwritten(&error))?;
        let rows = usize::try_from(most.min(from.rows)).map_err(Error::internal)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|reader| reader.with_limit(rows).build());
        for batch in reader.map_err(|error| failed(&error))? {
            let columns = batch.map_err(Error::internal)?.columns().to_vec();
            self.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(Error::internal)?)?;
        }
        Ok(())
    }

    /// The file with its footer.
    pub(super) fn end(self) -> Result<PartFile> {
        self.refuse_broken()?;
        self.writer.into_inner().map_err(|error| failed(&error))?;
        Ok(self.part)
    }
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartWriter").field("part", &self.part).finish_non_exhaustive()
    }
}

fn failed(error: &ParquetError) -> Error {
    let io = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => unwritten(io),
        None => unsupported("the files of the table have a column that cannot be written").with_cause(error),
    }
}
