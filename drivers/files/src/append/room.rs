//! The folder in which one transaction writes its files, as long as it is open. A lock in it, which ends with its process, tells a
//! transaction of somebody else from what a killed one left.

use super::unwritten;
use crate::pattern::KEPT;
use object_store::path::Path;
use querygate_types::Result;
use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FsPath, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const APPENDS: &str = "appends";
const LOCK: &str = "lock";

/// A transaction's own folder. It goes with this.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    name: String,
    _lock: File,
}

/// The folder of all transactions, locked: no other process or task makes or removes one.
struct Lobby {
    folder: PathBuf,
    _lock: File,
}

impl Lobby {
    fn enter(root: &FsPath) -> std::io::Result<Self> {
        let folder = lobby(root)?;
        let lock = File::create(folder.join(LOCK))?;
        // Held for moments only.
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Removes folders whose transactions are not open anywhere.
    fn sweep(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let folder = entry.path();
            if is_left(&folder) {
                match std::fs::remove_dir_all(&folder) {
                    Ok(()) => tracing::info!("rows of a transaction that did not end were removed"),
                    // It has just ended.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Whether the lock of a transaction's folder is held no more. Where that is not known, as when the process has no file to open any more,
/// its rows stay.
fn is_left(folder: &FsPath) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The folder of all transactions of a source.
pub(super) fn lobby(root: &FsPath) -> std::io::Result<PathBuf> {
    let folder = root.join(KEPT).join(APPENDS);
    // Rows that are not committed are for this login of the system alone.
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder)
}

/// Removes what killed processes left in a source.
pub(super) fn sweep(root: &FsPath) -> Result<()> {
    if !root.join(KEPT).join(APPENDS).is_dir() {
        return Ok(());
    }
    Lobby::enter(root).and_then(|lobby| lobby.sweep()).map_err(|error| unwritten(&error))
}

impl Room {
    /// A new one, after what others left is removed.
    pub(super) fn make(root: &FsPath) -> Result<Self> {
        let made = || {
            let lobby = Lobby::enter(root)?;
            lobby.sweep()?;
            let name = name();
            let folder = lobby.folder.join(&name);
            DirBuilder::new().mode(0o700).create(&folder)?;
            let lock = File::create(folder.join(LOCK))?;
            lock.try_lock().map_err(std::io::Error::from)?;
            Ok(Self { folder, name, _lock: lock })
        };
        made().map_err(|error: std::io::Error| unwritten(&error))
    }

    /// A name that no other transaction has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn place(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// As the source's store names it.
    pub(super) fn path(&self, file: &str) -> Path {
        [KEPT, APPENDS, &self.name, file].into_iter().collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            // The next transaction tries again.
            tracing::warn!(%error, "files of a transaction that has ended are not removed now");
        }
    }
}

/// When it was made, and 64 bits of chance.
fn name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let chance = RandomState::new().build_hasher().finish();
    format!("{:015x}-{chance:016x}", since.as_micros())
}

/// Puts the names in a folder on disk.
pub(super) fn synced(folder: &FsPath) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let open = Room::make(root.path()).unwrap();
        let folder = |name: &str| lobby(root.path()).unwrap().join(name);
        for name in ["killed", "begun", "unknown"] {
            std::fs::create_dir(folder(name)).unwrap();
        }
        File::create(folder("killed").join(LOCK)).unwrap();
        // It cannot be opened, though it is there.
        std::os::unix::fs::symlink(LOCK, folder("unknown").join(LOCK)).unwrap();
        sweep(root.path()).unwrap();
        let is_there = |name: &str| folder(name).is_dir();
        assert_eq!(["killed", "begun", "unknown"].map(is_there), [false, false, true]);
        assert!(is_there(open.name()));
        let name = open.name().to_owned();
        drop(open);
        assert!(!is_there(&name));
    }
}
