//! A file that appears when it is whole. Knows no format.

use crate::cli::file_error;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// A file beside the one that is wanted; removed unless it is kept.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl TemporaryFile {
    /// Makes it in the target's folder, so that renaming it is one step of the file system.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::new(ErrorCode::ConfigInvalid, format!("{} is not the name of a file", target.display()))
        })?;
        let path = target.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        made.map_err(|error| file_error("write", &path, &error))?;
        Ok(Self { path, target: target.to_path_buf(), kept: false })
    }

    /// One that is written already, in the same file system.
    pub(super) fn written(path: PathBuf, target: &Path) -> Self {
        Self { path, target: target.to_path_buf(), kept: false }
    }

    /// The file, open for writing.
    pub(super) fn file(&self) -> Result<File> {
        OpenOptions::new().write(true).open(&self.path).map_err(|error| file_error("write", &self.path, &error))
    }

    /// Gives it its name. What was written is on the disk before the name is.
    pub(super) fn keep(mut self) -> Result<()> {
        let failed = |error: &std::io::Error| file_error("write", &self.target, error);
        self.file()?.sync_all().map_err(|error| failed(&error))?;
        std::fs::rename(&self.path, &self.target).map_err(|error| failed(&error))?;
        self.kept = true;
        // Not every file system syncs folders; the file itself is safe.
        if let Some(folder) = self.target.parent()
            && let Ok(folder) = File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        {
            let _synced = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            // A file that cannot be removed is told by its name.
            let _removed = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.csv");
        std::fs::write(&target, "old").unwrap();
        let failed = TemporaryFile::beside(&target).unwrap();
        failed.file().unwrap().write_all(b"half").unwrap();
        drop(failed);
        assert_eq!(
            (names(folder.path()), std::fs::read(&target).unwrap()),
            (vec!["out.csv".to_owned()], b"old".to_vec())
        );
        let whole = TemporaryFile::beside(&target).unwrap();
        whole.file().unwrap().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        whole.keep().unwrap();
        assert_eq!(
            (names(folder.path()), std::fs::read(&target).unwrap()),
            (vec!["out.csv".to_owned()], b"new".to_vec())
        );
    }

    #[test]
    fn what_cannot_be_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(TemporaryFile::beside(&folder.path().join("nowhere").join("out.csv")).is_err());
        assert!(TemporaryFile::beside(Path::new("/")).is_err());
    }
}
