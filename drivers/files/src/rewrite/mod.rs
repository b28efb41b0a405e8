//! Writes the files of a table anew in another layout, and puts them in the place of the old ones as one step: beside them, in bounded
//! memory, checked row by row against what was there. What was there is kept for a while, and can be put back.

mod check;
mod manifest;
mod room;
mod tree;
mod write;

use crate::config::{FileFormat, Location};
use crate::error::Names;
use crate::source::{FilesSource, Shared};
use crate::store::listing;
use crate::table::FileTable;
use check::Sum;
use manifest::{Manifest, Version};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::file::metadata::ParquetMetaData;
use querygate_driver_api::layout::Rewrite;
use querygate_types::{Error, ErrorCode, Result};
pub use room::SPARED;
use room::{Kept, Room};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tree::Tree;
use write::Writing;

/// Names of everything that a rewriting works with.
pub(super) struct Task<'a> {
    table: &'a FileTable,
    names: &'a Names,
    room: Room,
    kept: Kept,
    /// What is replaced, on disk.
    place: PathBuf,
    /// What it consists of.
    tree: Tree,
    listed: Vec<ObjectMeta>,
    footers: Vec<Arc<ParquetMetaData>>,
}

/// A condition that is not met; everything is as it was.
fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, message.into())
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, message.into())
}

/// A failure of the file system. Only operators get here, so they are told.
fn failed(what: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            ErrorCode::InsufficientPrivilege
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
        _ => ErrorCode::SourceError,
    };
    Error::new(code, what.to_owned()).with_detail(error.to_string())
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

impl FileTable {
    /// Whether the other table may have some of this one's files.
    #[must_use]
    pub fn may_share_files(&self, other: &Self) -> bool {
        let (mine, others) = (self.pattern.base(), other.pattern.base());
        let together = mine.prefix_matches(others) || others.prefix_matches(mine);
        Arc::ptr_eq(&self.shared, &other.shared) && self.format == other.format && together
    }

    /// Writes the files as wanted and puts them in the place of those that are there, which are kept as number `id`.
    ///
    /// # Errors
    /// 0A000: files that cannot be written so, or are not in a local folder of this table alone; 55000: somebody else changes
    /// them; 42501 and 53100: the folder cannot be written. Everything is as it was.
    pub async fn rewrite(&self, id: i64, wanted: &Rewrite) -> Result<String> {
        let task = self.task(id).await?;
        let done = task.run(wanted).await;
        match &done {
            Ok(_) => self.files.invalidate(),
            // What was written so far is worth nothing. What cannot be removed now is at the next look.
            Err(_) => drop(task.room.discard(&task.kept)),
        }
        done
    }

    async fn task(&self, id: i64) -> Result<Task<'_>> {
        let (root, place) = self.place()?;
        let files = self.files().await?;
        let listed = files.listed.clone();
        let at = place.clone();
        let (room, tree) = blocking(move || Ok((Room::enter(&root)?, tree::walk(&at)?))).await?;
        tree.is_all(&listed, self.pattern.base()).map_err(unsupported)?;
        let reader = self.shared.footers()?;
        let mut footers = Vec::with_capacity(listed.len());
        for meta in &listed {
            footers.push(reader.footer(meta, &self.names).await?);
        }
        let uncompressed = footers.iter().flat_map(|footer| footer.row_groups()).map(|group| group.total_byte_size());
        let uncompressed: u64 = uncompressed.map(|bytes| u64::try_from(bytes).unwrap_or(0)).sum();
        // As much again, and what sorting puts on disk.
        room.has_space(uncompressed + listed.iter().map(|meta| meta.size).sum::<u64>())?;
        let kept = room.begin(&Manifest::begin(id, self.pattern.base(), &listed, tree.inode))?;
        Ok(Task { table: self, names: &self.names, room, kept, place, tree, listed, footers })
    }

    /// The source's folder, and what this table is in it.
    fn place(&self) -> Result<(PathBuf, PathBuf)> {
        let Location::Local { root } = &self.shared.config.location else {
            return Err(unsupported("only files in a local folder are written anew")
                .with_hint("Whoever writes the files can follow the suggestion's ddl."));
        };
        if self.format != FileFormat::Parquet {
            return Err(unsupported("only Parquet files are written anew"));
        }
        if !self.pattern.is_literal() || self.pattern.base().as_ref().is_empty() {
            return Err(unsupported("the table is a pattern of files; only a file or a folder of its own is replaced")
                .with_hint("Whoever writes the files can follow the suggestion's ddl."));
        }
        Ok((root.clone(), self.pattern.base().parts().fold(root.clone(), |path, part| path.join(part.as_ref()))))
    }

    /// As [`FilesSource::tidy`], for the source of this table.
    ///
    /// # Errors
    /// The folder's.
    pub async fn tidy_source(&self) -> Result<()> {
        self.shared.tidy(room::SPARED).await
    }

    /// Puts the files back that the rewriting of this number replaced.
    ///
    /// # Errors
    /// 55000: they are no longer kept, or the files are not those that were written then. Everything is as it was.
    pub async fn restore(&self, id: i64) -> Result<String> {
        let (root, place) = self.place()?;
        let room = blocking(move || Room::enter(&root)).await?;
        let base = self.pattern.base();
        let Some((kept, manifest)) = room.swapped(id, base.as_ref())? else {
            return Err(refused("the files as they were before are not kept")
                .with_hint("They are kept for seven days after the gate wrote others."));
        };
        let store = self.shared.store()?;
        let _alone = self.shared.replacing.write().await;
        if versions(store.as_ref(), base).await? != manifest.new {
            return Err(refused(
                "the files are not those that were written then: putting the old ones back would lose rows",
            ));
        }
        if versions(store.as_ref(), &kept.data_path()).await? != manifest.old {
            return Err(refused("the files that were kept have been changed"));
        }
        self.shared.moved.add(base, &kept.data_path());
        room.exchange(&place, &kept)?;
        self.files.invalidate();
        // What was written is of use to nobody but who still reads it.
        room.note(&kept, &Manifest { since: manifest::now(), ..manifest })?;
        Ok("put the files back as they were before".to_owned())
    }
}

impl FilesSource {
    /// Removes what was kept long enough, and what rewritings left that did not end, except what is younger than `spared`:
    /// statements may read it.
    ///
    /// # Errors
    /// The folder's.
    pub async fn tidy(&self, spared: Duration) -> Result<()> {
        self.shared().tidy(spared).await
    }
}

impl Shared {
    async fn tidy(&self, spared: Duration) -> Result<()> {
        let Location::Local { root } = &self.config.location else { return Ok(()) };
        let root = root.clone();
        let gone = blocking(move || Room::tidied(&root, spared)).await?;
        gone.iter().for_each(|place| self.moved.forget(place));
        Ok(())
    }
}

/// The versions of all files at a place, which is a file or a folder.
async fn versions(store: &dyn ObjectStore, place: &Path) -> Result<Vec<Version>> {
    use futures::TryStreamExt;
    let lost = |error: object_store::Error| refused("the files cannot be listed").with_detail(error.to_string());
    let mut found = Vec::new();
    if let Ok(meta) = store.head(place).await {
        found.push(ObjectMeta { location: place.clone(), ..meta });
    } else {
        found = store.list(Some(place)).try_collect().await.map_err(lost)?;
    }
    let mut versions: Vec<Version> =
        found.iter().filter(|meta| meta.size > 0).map(|meta| Version::of(meta, place)).collect();
    versions.sort();
    Ok(versions)
}

impl Task<'_> {
    /// Whether the values of a column are names of folders already.
    fn is_folder(&self, column: &str) -> bool {
        let first = self.listed.first();
        let folders = first.map(|meta| self.table.pattern.partitions(&meta.location)).unwrap_or_default();
        folders.iter().any(|(key, _)| key == column)
    }

    async fn run(&self, wanted: &Rewrite) -> Result<String> {
        let writing = Writing::new(self, wanted)?;
        let written = writing.write_all().await?;
        let store = self.table.shared.store()?;
        let mut metas = Vec::with_capacity(written.len());
        let data = self.kept.data_path();
        for below in &written {
            let path: Path = data.parts().chain(below.parts()).collect();
            let meta = store.head(&path).await.map_err(|error| self.names.store(&error))?;
            metas.push(ObjectMeta { location: path, ..meta });
        }
        let before = self.sum(&writing).await?;
        let after = writing.sum(&metas).await?;
        if before != after {
            let rows = format!("{} rows before, {} after", before.rows, after.rows);
            return Err(Error::internal(format_args!("files written anew have other rows: {rows}")));
        }
        self.replace(store.as_ref(), &metas).await?;
        let (files, rows) = (self.listed.len(), before.rows);
        Ok(format!(
            "wrote {rows} rows of {files} files anew as {} files; the files as they were are kept for seven days, or until \
             they are put back",
            metas.len()
        ))
    }

    /// All rows as they are now.
    async fn sum(&self, writing: &Writing<'_>) -> Result<Sum> {
        writing.sum_of(&self.listed, self.table.pattern.base(), 0).await
    }

    /// The one step in which readers go from the old files to the new ones.
    async fn replace(&self, store: &dyn ObjectStore, written: &[ObjectMeta]) -> Result<()> {
        let (base, data) = (self.table.pattern.base(), self.kept.data_path());
        let old = Manifest::versions(&self.listed, base);
        let new = Manifest::versions(written, &data);
        let mut manifest = Manifest::begin(self.kept.id, base, &self.listed, self.tree.inode);
        manifest.new = new;
        self.room.note(&self.kept, &manifest)?;
        let shared = &self.table.shared;
        let _alone = shared.replacing.write().await;
        let changed =
            || refused("somebody changed the files meanwhile").with_hint("Try again when nobody writes them.");
        let limits = &shared.config.limits;
        let now = listing::list(store, &self.table.pattern, &self.table.format, limits, self.names).await?;
        if !listing::same(&now, &self.listed) {
            return Err(changed());
        }
        // Before the step: whoever reads on finds the old files at once.
        shared.moved.add(base, &data);
        self.room.exchange(&self.place, &self.kept)?;
        // Somebody may have added a file in the last moment; it is among the old ones then.
        if versions(store, &data).await.ok().as_ref() != Some(&old) {
            self.room.exchange(&self.place, &self.kept)?;
            return Err(changed());
        }
        Ok(())
    }
}
