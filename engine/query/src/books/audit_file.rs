//! The file that audit lines go to, by its name: moved away, as `logrotate` does, it is made anew. Knows no line.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the name is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where lines go.
pub(super) trait Out: Write {
    /// Returns when everything that was written outlasts a loss of power.
    fn sync(&mut self) -> Result<()>;

    /// Asked between lines: goes on in another place, where the one so far is no longer meant.
    fn renew(&mut self) {}
}

/// An open file that follows its name.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    looked: Instant,
}

impl AuditFile {
    /// Appends to the file, which is made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), file: append(path)?, looked: Instant::now() })
    }

    /// Opens what has the name now, where that is another file or none.
    fn follow(&mut self) -> Result<()> {
        let is_same = |there: &Metadata, here: &Metadata| (there.dev(), there.ino()) == (here.dev(), here.ino());
        match std::fs::metadata(&self.path) {
            Ok(there) if is_same(&there, &self.file.metadata()?) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let file = append(&self.path)?;
        // The end of the former file outlasts a loss of power as well.
        self.sync()?;
        self.file = file;
        tracing::info!(file = %self.path.display(), "the audit file was moved; a new one is written");
        Ok(())
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for AuditFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Out for AuditFile {
    fn sync(&mut self) -> Result<()> {
        match self.file.sync_data() {
            // A pipe or a device keeps nothing.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    /// While there can be no new file, lines go on to be kept in the former one.
    fn renew(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        if let Err(error) = self.follow() {
            metrics::counter!("querygate_audit_errors_total").increment(1);
            tracing::error!(%error, "the audit file was moved, and no new one can be made");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_is_made_anew_and_the_former_one_keeps_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        let mut file = AuditFile::open(&at("audit")).unwrap();
        file.write_all(b"1\n").unwrap();
        std::fs::rename(at("audit"), at("audit.1")).unwrap();
        file.renew();
        file.write_all(b"2\n").unwrap();
        assert_eq!((read("audit.1").as_str(), at("audit").exists()), ("1\n2\n", false), "looked at too soon");
        file.looked = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        file.renew();
        file.write_all(b"3\n").unwrap();
        assert_eq!((read("audit.1").as_str(), read("audit").as_str()), ("1\n2\n", "3\n"));
        // As logrotate makes one itself.
        std::fs::rename(at("audit"), at("audit.2")).unwrap();
        std::fs::write(at("audit"), "").unwrap();
        file.follow().unwrap();
        file.write_all(b"4\n").unwrap();
        assert_eq!((read("audit.2").as_str(), read("audit").as_str()), ("3\n", "4\n"));
        // No place for a new one: nothing is lost.
        std::fs::rename(at("audit"), at("audit.3")).unwrap();
        std::fs::create_dir(at("audit")).unwrap();
        assert!(file.follow().is_err());
        file.write_all(b"5\n").unwrap();
        assert_eq!(read("audit.3"), "4\n5\n");
    }
}
