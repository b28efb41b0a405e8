//! The rows of an open transaction, in files of its own. Each statement of its session reads those that were there when it was
//! planned. All of this waits for the disk.

use super::fit::Template;
use super::part_file::{PartFile, PartWriter};
use super::room::{Room, synced};
use super::{blocking, unsupported, unwritten};
use crate::table::FileTable;
use crate::table::own_files::OwnFiles;
use arrow::array::RecordBatch;
use futures::FutureExt;
use object_store::path::Path;
use querygate_types::{Error, ErrorCode, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::File;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files of one transaction: each read after a change, and each rollback to a savepoint, may end one.
const PARTS_MAX: usize = 10_000;

/// What a transaction has stored and not committed.
#[derive(Debug)]
pub(super) struct Pending {
    table: Arc<FileTable>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    room: Option<Room>,
    parts: Vec<PartFile>,
    open: Option<PartWriter>,
    /// Files that were begun.
    begun: usize,
    has_ended: bool,
}

/// A moment of a transaction: files that were complete, and rows of the one after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    parts: usize,
    rows: u64,
}

/// Why nothing may be stored.
#[derive(Debug)]
pub(super) enum Unstored {
    /// Nothing is.
    Nothing(Error),
    /// All of it is in its place, and may not stay there over a loss of power.
    Unsynced(Error),
}

impl From<Error> for Unstored {
    fn from(error: Error) -> Self {
        Self::Nothing(error)
    }
}

impl Pending {
    pub(super) fn new(table: &Arc<FileTable>) -> Self {
        Self { table: Arc::clone(table), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of these rows, for scans of the table in the same transaction.
    pub(super) fn own_files(self: &Arc<Self>) -> OwnFiles {
        let pending = Arc::clone(self);
        OwnFiles::new(&self.table.shared.identity, example(&self.table), move || {
            let pending = Arc::clone(&pending);
            blocking(move || pending.state().files()).boxed()
        })
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state();
        state.open.as_ref().map_or(0, PartWriter::rows) == 0 && state.parts.iter().all(|part| part.rows == 0)
    }

    /// Adds rows.
    pub(super) fn write(&self, template: &Template, rows: &RecordBatch) -> Result<()> {
        let root = self.table.shared.root().ok_or_else(nowhere)?;
        let mut state = self.state();
        if state.open.is_none() {
            state.begin(&root, template)?;
        }
        state.open.as_mut().ok_or_else(nowhere)?.write(rows)
    }

    pub(super) fn mark(&self) -> Mark {
        let state = self.state();
        Mark { parts: state.parts.len(), rows: state.open.as_ref().map_or(0, PartWriter::rows) }
    }

    /// Forgets what was written since.
    pub(super) fn back_to(&self, mark: Mark, template: Option<&Template>) -> Result<()> {
        self.state().back_to(mark, template)
    }

    /// Puts the rows into the folder of the table, as one file with a name that no other has.
    pub(super) fn store(&self, template: Option<&Template>, folder: &FsPath) -> Result<(), Unstored> {
        let mut state = self.state();
        if state.has_ended {
            return Err(Unstored::Nothing(nowhere()));
        }
        let stored = state.store(template, folder);
        state.end();
        stored
    }

    /// Removes everything.
    pub(super) fn end(&self) {
        self.state().end();
    }
}

fn nowhere() -> Error {
    Error::internal("a transaction that has ended was used")
}

impl State {
    fn begin(&mut self, root: &FsPath, template: &Template) -> Result<()> {
        if self.has_ended {
            return Err(nowhere());
        }
        if self.parts.len() >= PARTS_MAX {
            let text = "the transaction reads too often what it has stored";
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, text));
        }
        let room = match self.room.take() {
            Some(room) => room,
            None => Room::make(root)?,
        };
        let room = self.room.insert(room);
        let name = format!("{}.parquet", self.begun);
        let place = room.place(&name);
        self.begun += 1;
        self.open = Some(PartWriter::begin(name, place, template)?);
        Ok(())
    }

    /// Completes the file that rows are added to.
    fn seal(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let part = open.end()?;
        self.parts.push(part);
        Ok(())
    }

    fn files(&mut self) -> Result<Vec<Path>> {
        self.seal()?;
        let Some(room) = &self.room else { return Ok(Vec::new()) };
        Ok(self.parts.iter().filter(|part| part.rows > 0).map(|part| room.path(&part.name)).collect())
    }

    fn back_to(&mut self, mark: Mark, template: Option<&Template>) -> Result<()> {
        if self.parts.len() == mark.parts && self.open.as_ref().is_some_and(|open| open.rows() == mark.rows) {
            return Ok(());
        }
        if mark.rows == 0 {
            self.open = None;
            self.parts.truncate(mark.parts);
            return Ok(());
        }
        self.seal()?;
        self.parts.truncate(mark.parts + 1);
        let last = self.parts.pop().ok_or_else(nowhere)?;
        if last.rows == mark.rows {
            self.parts.push(last);
            return Ok(());
        }
        // The rows before are written again, without those after.
        let (room, template) = (self.room.as_ref().ok_or_else(nowhere)?, template.ok_or_else(nowhere)?);
        let name = format!("{}.parquet", self.begun);
        self.begun += 1;
        let place = room.place(&name);
        let mut open = PartWriter::begin(name, place, template)?;
        open.copy(&last, mark.rows)?;
        self.parts.push(open.end()?);
        Ok(())
    }

    fn store(&mut self, template: Option<&Template>, folder: &FsPath) -> Result<(), Unstored> {
        self.seal()?;
        self.parts.retain(|part| part.rows > 0);
        let (Some(room), Some(template)) = (&self.room, template) else { return Ok(()) };
        let whole = match self.parts.as_slice() {
            [] => return Ok(()),
            [only] => only.place.clone(),
            several => {
                // Several files would appear one after the other.
                let name = "whole.parquet".to_owned();
                let place = room.place(&name);
                let mut open = PartWriter::begin(name, place, template)?;
                for part in several {
                    open.copy(part, part.rows)?;
                }
                open.end()?.place
            }
        };
        File::open(&whole).and_then(|file| file.sync_all()).map_err(|error| unwritten(&error))?;
        let place = folder.join(file_name(room));
        put(&whole, &place)?;
        // It is there now, whatever happens.
        synced(folder).map_err(|error| Unstored::Unsynced(unwritten(&error)))
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.open = None;
        self.parts.clear();
        self.room = None;
    }
}

/// What a transaction's file is called in its table.
fn file_name(room: &Room) -> String {
    format!("part-{}.parquet", room.name())
}

/// What a file of the table's transactions is called, but for its digits.
pub(super) fn example(table: &FileTable) -> Path {
    table.pattern.base().parts().chain(["part-000000000000000-0000000000000000.parquet".into()]).collect()
}

/// Gives a file its place in one step, and replaces no other.
fn put(file: &FsPath, place: &PathBuf) -> Result<()> {
    let step = renameat_with(CWD, file, CWD, place, RenameFlags::NOREPLACE).map_err(std::io::Error::from);
    step.map_err(|error| match error.kind() {
        std::io::ErrorKind::CrossesDevices => unsupported("the table is on another disk than its source's folder"),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported => {
            unsupported("the file system of the source's folder cannot give a file its place in one step")
        }
        _ => unwritten(&error),
    })
}
