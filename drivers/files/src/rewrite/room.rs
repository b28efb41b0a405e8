//! The folder `.querygate` at the top of a source, where files are written before they are put in their place, and are kept that were
//! replaced. Whatever a killed process leaves there, the tables are whole: a rewriting changes them in one step of the file system.

use super::manifest::{Manifest, now};
use super::{failed, refused, tree, unsupported};
use crate::pattern::KEPT;
use object_store::path::Path;
use querygate_types::{Error, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FsPath, PathBuf};
use std::time::Duration;

/// How long replaced files are kept.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Statements may still read what is younger, though nobody else will.
pub const SPARED: Duration = Duration::from_secs(600);

const REWRITES: &str = "rewrites";
const DATA: &str = "data";
const MANIFEST: &str = "manifest.json";

/// The folder, while nobody else changes anything in it.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// The folder of one rewriting.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) name: String,
    folder: PathBuf,
}

impl Kept {
    /// Files that are written, then those that they replaced.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// The same as the source's store names it.
    pub(super) fn data_path(&self) -> Path {
        [KEPT, REWRITES, &self.name, DATA].into_iter().collect()
    }

    /// Where sorting puts what memory does not hold.
    pub(super) fn spill(&self) -> PathBuf {
        self.folder.join("spill")
    }

    fn manifest(&self) -> Option<Manifest> {
        serde_json::from_slice(&std::fs::read(self.folder.join(MANIFEST)).ok()?).ok()
    }

    /// Whether it holds what was replaced.
    fn is_old(&self, manifest: &Manifest) -> bool {
        tree::inode(&self.data()) == Some(manifest.old_inode)
    }
}

fn unwritten(error: &std::io::Error) -> Error {
    failed("the source's folder cannot be written", error)
}

impl Room {
    /// Makes it where it is missing, and waits for nobody.
    pub(super) fn enter(root: &FsPath) -> Result<Self> {
        let folder = root.join(KEPT);
        // What is kept here is nobody else's to read.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(REWRITES));
        made.map_err(|error| unwritten(&error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| unwritten(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(refused("files of this source are being written anew already")),
            Err(TryLockError::Error(error)) => Err(unwritten(&error)),
        }
    }

    /// # Errors
    /// There is less room on the disk.
    pub(super) fn has_space(&self, bytes: u64) -> Result<()> {
        let space = rustix::fs::statvfs(&self.folder).map_err(|error| unwritten(&error.into()))?;
        if space.f_bavail.saturating_mul(space.f_frsize) < bytes {
            return Err(Error::new(
                querygate_types::ErrorCode::DiskFull,
                format!("writing the files anew may need {} MB on the source's disk", bytes.div_ceil(1_000_000)),
            ));
        }
        Ok(())
    }

    /// A folder for a rewriting, which says what it is about to do.
    pub(super) fn begin(&self, manifest: &Manifest) -> Result<Kept> {
        let mut name = format!("{}-{}", manifest.id, manifest.since);
        while self.folder.join(REWRITES).join(&name).exists() {
            name.push('x');
        }
        let kept = Kept { id: manifest.id, folder: self.folder.join(REWRITES).join(&name), name };
        let made = std::fs::create_dir(&kept.folder).and_then(|()| std::fs::create_dir(kept.spill()));
        made.map_err(|error| unwritten(&error))?;
        self.note(&kept, manifest)?;
        Ok(kept)
    }

    /// Writes what a rewriting is about, as a whole.
    pub(super) fn note(&self, kept: &Kept, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_vec(manifest).map_err(Error::internal)?;
        let (fresh, place) = (kept.folder.join("manifest.new"), kept.folder.join(MANIFEST));
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &place)?;
            synced(&kept.folder)
        });
        written.map_err(|error| unwritten(&error))
    }

    /// Puts what is kept in the place of what is there, and the other way round, in one step.
    pub(super) fn exchange(&self, place: &FsPath, kept: &Kept) -> Result<()> {
        let step = renameat_with(CWD, place, CWD, kept.data(), RenameFlags::EXCHANGE).map_err(std::io::Error::from);
        step.map_err(|error| match error.kind() {
            std::io::ErrorKind::CrossesDevices => unsupported("the table is on another disk than its source's folder"),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported => {
                unsupported("the file system of the source's folder cannot exchange files in one step")
            }
            _ => unwritten(&error),
        })?;
        // It has happened; that it stays so after a loss of power is tried.
        let folders = [Some(kept.folder.as_path()), place.parent()];
        folders.into_iter().flatten().for_each(|folder| drop(synced(folder)));
        Ok(())
    }

    /// The latest rewriting of this number whose old files are kept.
    pub(super) fn swapped(&self, id: i64, path: &str) -> Result<Option<(Kept, Manifest)>> {
        let all = self.all()?.into_iter().filter_map(|kept| Some((kept.manifest()?, kept)));
        let those = all.filter(|(manifest, kept)| manifest.id == id && manifest.path == path && kept.is_old(manifest));
        Ok(those.max_by_key(|(manifest, _)| manifest.since).map(|(manifest, kept)| (kept, manifest)))
    }

    /// Removes the folder of a rewriting that came to nothing; what was replaced stays.
    pub(super) fn discard(&self, kept: &Kept) -> std::io::Result<bool> {
        if kept.manifest().is_some_and(|manifest| kept.is_old(&manifest)) {
            return Ok(false);
        }
        std::fs::remove_dir_all(&kept.folder)?;
        Ok(true)
    }

    /// Removes what nobody needs, but what is younger than `spared`. Says where it was.
    pub(super) fn tidied(root: &FsPath, spared: Duration) -> Result<Vec<Path>> {
        if !root.join(KEPT).is_dir() {
            return Ok(Vec::new());
        }
        let room = Self::enter(root)?;
        let mut gone = Vec::new();
        for kept in room.all()? {
            let manifest = kept.manifest();
            let age = now().saturating_sub(manifest.as_ref().map_or(0, |manifest| manifest.since));
            let needed = match &manifest {
                Some(manifest) if kept.is_old(manifest) => KEPT_FOR,
                // Nobody ever read what was not complete.
                Some(manifest) if manifest.new.is_empty() => Duration::ZERO,
                Some(_) => spared,
                // Another version's, perhaps: what it keeps is not ours to remove.
                None if kept.folder.join(MANIFEST).exists() => continue,
                // Nothing is written before its manifest is.
                None => spared,
            };
            if age < needed.as_secs() {
                continue;
            }
            std::fs::remove_dir_all(&kept.folder).map_err(|error| unwritten(&error))?;
            gone.push(kept.data_path());
        }
        Ok(gone)
    }

    fn all(&self) -> Result<Vec<Kept>> {
        let unread = |error: std::io::Error| failed("the source's folder cannot be read", &error);
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.folder.join(REWRITES)).map_err(unread)? {
            let folder = entry.map_err(unread)?.path();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            let Some(id) = name.split_once('-').and_then(|(id, _)| id.parse().ok()) else { continue };
            all.push(Kept { id, name, folder });
        }
        Ok(all)
    }
}

/// Puts the names in a folder on disk.
pub(super) fn synced(folder: &FsPath) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
