//! The file of autonumbers of rows that are gone: a line of JSON for each that was raised, on disk before its row goes.

use super::{Floors, TableName};
use crate::private_file;
use querygate_catalog::remote::{CounterName, FLOORS_MAX};
use querygate_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Lines that say less than later ones, beyond which the file is written anew when it is opened.
const SPARE_MAX: usize = 1_000;

/// The highest number of a counter's rows that are gone.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    source: Cow<'a, str>,
    table: Cow<'a, str>,
    column: Cow<'a, str>,
    prefix: Cow<'a, str>,
    last: u64,
}

/// Lines of one table.
pub(super) fn lines((source, table): &TableName, floors: &BTreeMap<CounterName, u64>) -> String {
    let line = |((column, prefix), last): (&CounterName, &u64)| {
        let line = Line {
            source: source.as_str().into(),
            table: table.as_str().into(),
            column: column.as_str().into(),
            prefix: prefix.as_str().into(),
            last: *last,
        };
        // Texts and a number are JSON in any case.
        serde_json::to_string(&line).map_or_else(|_| String::new(), |line| line + "\n")
    };
    floors.iter().map(line).collect()
}

/// An open file, which no other process has.
#[derive(Debug)]
pub(super) struct NumberFile {
    state: Mutex<State>,
    /// Held for as long as the process lives.
    _lock: File,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Whether it may end within a line.
    is_torn: bool,
}

impl NumberFile {
    /// Opens a file or makes it, and reads what it holds.
    ///
    /// # Errors
    /// F0000: it cannot be used, or another process uses it.
    pub(super) fn open(path: &Path) -> Result<(Self, Floors)> {
        let unusable = |error: &dyn Display| {
            let text = format!("the file of autonumbers {} cannot be used: {error}", path.display());
            Error::new(ErrorCode::ConfigInvalid, text)
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(beside(path, ".lock"));
        let lock = lock.map_err(|error| unusable(&error))?;
        lock.try_lock().map_err(|_| unusable(&"another process uses it"))?;
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| unusable(&error))?,
        };
        let (floors, lines) = read(&bytes, path);
        let kept: usize = floors.values().map(BTreeMap::len).sum();
        let mut is_torn = bytes.last().is_some_and(|last| *last != b'\n');
        if lines > kept + SPARE_MAX {
            let text: String = floors.iter().map(|(table, floors)| self::lines(table, floors)).collect();
            private_file::replace(path, &text).map_err(|error| unusable(&error))?;
            is_torn = false;
        }
        let file = File::options().create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|error| unusable(&error))?;
        // That the file is there is on disk, too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unusable(&error))?;
        Ok((Self { state: Mutex::new(State { file, is_torn }), _lock: lock }, floors))
    }

    /// Adds lines. They are on disk when it returns.
    ///
    /// # Errors
    /// The disk's: they may be there or not.
    pub(super) fn append(&self, lines: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { file, is_torn } = &mut *state;
        // What a failure left of a line is a line of its own.
        let text: Cow<'_, str> = if *is_torn { format!("\n{lines}").into() } else { lines.into() };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        *is_torn = written.is_err();
        written
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The highest numbers of all lines, and how many lines there are. One that was not written as a whole was never acted on.
fn read(bytes: &[u8], path: &Path) -> (Floors, usize) {
    let (mut floors, mut count) = (Floors::new(), 0);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        let Ok(Line { source, table, column, prefix, last }) = serde_json::from_slice(line) else {
            tracing::warn!(file = %path.display(), line = count, "a line of the file of autonumbers is no line of it");
            continue;
        };
        let of = floors.entry((source.into_owned(), table.into_owned())).or_default();
        let floor = of.entry((column.into_owned(), prefix.into_owned())).or_default();
        *floor = last.max(*floor);
    }
    for floors in floors.values_mut() {
        while floors.len() > FLOORS_MAX {
            floors.pop_first();
        }
    }
    (floors, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floors(last: u64) -> BTreeMap<CounterName, u64> {
        BTreeMap::from([(("number".to_owned(), "T-".to_owned()), last)])
    }

    fn known(path: &Path) -> Floors {
        NumberFile::open(path).unwrap().1
    }

    #[test]
    fn what_was_written_whole_is_read_and_spare_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        let table = ("shop".to_owned(), "main.orders".to_owned());
        let (file, none) = NumberFile::open(&path).unwrap();
        assert!(none.is_empty());
        for last in 1..=1_500 {
            file.append(&lines(&table, &floors(last))).unwrap();
        }
        drop(file);
        let long = std::fs::metadata(&path).unwrap().len();
        let expected = |last| Floors::from([(table.clone(), floors(last))]);
        assert_eq!(known(&path), expected(1_500));
        assert!(std::fs::metadata(&path).unwrap().len() < long / 1_000);
        assert_eq!(known(&path), expected(1_500));

        // A crash leaves a part of a line; what comes then is read.
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{}", lines(&table, &floors(2_000)).trim_end_matches("0}\n"))).unwrap();
        let (file, torn) = NumberFile::open(&path).unwrap();
        assert_eq!(torn, expected(1_500));
        file.append(&lines(&table, &floors(1_600))).unwrap();
        drop(file);
        assert_eq!(known(&path), expected(1_600));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        std::fs::create_dir(&path).unwrap();
        let error = NumberFile::open(&path).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
