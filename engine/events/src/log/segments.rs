//! The files of the log, by their numbers. Knows no record.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Bytes of whole records.
    pub(crate) bytes: u64,
    /// The greatest sequence in it or in files before it.
    pub(crate) last_sequence: u64,
    /// The greatest sequence of a transaction whose rows are in it.
    pub(crate) last_of_rows: u64,
}

/// Bytes of a record. What is longer is no record.
pub(super) const RECORD_MAX: u32 = 1 << 30;

const SUFFIX: &str = ".events";

pub(crate) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}{SUFFIX}"))
}

/// Numbers of the files, ascending.
pub(crate) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let name = file?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the next file, which outlasts a loss of power from then on.
pub(crate) fn create(directory: &Path, number: u64) -> io::Result<File> {
    let file = File::options().create_new(true).append(true).read(true).open(path_of(directory, number))?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

pub(crate) fn open(directory: &Path, number: u64) -> io::Result<File> {
    File::open(path_of(directory, number))
}

pub(crate) fn remove(directory: &Path, number: u64) -> io::Result<()> {
    std::fs::remove_file(path_of(directory, number))
}
