//! The file of the decision log: what is appended, put on disk, cut off and replaced. Knows no record.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where records are kept.
pub(crate) trait Storage: Send + 'static {
    /// Adds bytes at the end, perhaps not all of them when it fails.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything is on disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off what is behind `length`, on disk too.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Puts other bytes in the place of all that is there, whole or not at all.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), Unreplaced>;
}

/// Why a log was not replaced.
#[derive(Debug)]
pub(crate) enum Unreplaced {
    /// The one before is there, and in use.
    Kept(io::Error),
    /// After a crash, either may be there.
    Unknown(io::Error),
}

/// A file in a folder of its own.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// The file with its bytes. `None`: there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some((Self { path: path.to_path_buf(), file }, bytes)))
    }

    /// A new file, in its place once it is whole.
    pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let file = written(path, bytes)?;
        rename(path)?;
        sync_folder(path)?;
        Ok(Self { path: path.to_path_buf(), file })
    }
}

impl Storage for LogFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.file.sync_all()
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), Unreplaced> {
        let file = written(&self.path, bytes).map_err(Unreplaced::Kept)?;
        rename(&self.path).map_err(Unreplaced::Kept)?;
        self.file = file;
        sync_folder(&self.path).map_err(Unreplaced::Unknown)
    }
}

/// Where the next file is made.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(beside(path))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

fn rename(path: &Path) -> io::Result<()> {
    std::fs::rename(beside(path), path)
}

/// A name is on disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
