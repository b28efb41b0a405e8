//! Folders that one process uses at a time. Knows nothing of what is in them.

use querygate_types::{Error, ErrorCode, Result};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Makes the folder where it is missing, and keeps other processes from it for as long as the file is open. `table`: what names it in the
/// configuration.
///
/// # Errors
/// The folder cannot be used, or another process uses it.
pub(crate) fn claim(folder: &Path, table: &str) -> Result<File> {
    let place = folder.display();
    let unusable = |why: std::io::Error| {
        Error::new(ErrorCode::ConfigInvalid, format!("the folder {place} of [{table}] cannot be used: {why}"))
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let lock = File::create(folder.join("lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another process uses the folder {place} of [{table}]");
            Err(Error::new(ErrorCode::ConfigInvalid, text).with_hint("Give each gate a folder of its own."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("a/b");
        let first = claim(&own, "events").unwrap();
        let error = claim(&own, "events").unwrap_err();
        assert!(error.message().starts_with("another process uses the folder "), "{error:?}");
        assert!(error.message().ends_with("a/b of [events]") && error.hint().is_some(), "{error:?}");
        drop(first);
        claim(&own, "events").unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let error = claim(&folder.path().join("file"), "history").unwrap_err();
        assert!(error.message().contains("file of [history] cannot be used"), "{error:?}");
    }
}
