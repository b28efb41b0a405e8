//! What readers and the writer of the log have in common: which files there are, the last transactions in memory, what came last.

use super::entry::Committed;
use super::reader;
use super::segments::{Place, Segment};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Transactions that a reader is given at once, and bytes of their rows.
const BATCH_MAX: usize = 64;
const BATCH_BYTES: usize = 8 << 20;

/// How far a reader has come.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// The last sequence that it was given.
    pub after: u64,
    /// Where it goes on in the files.
    place: Option<Place>,
}

impl Cursor {
    /// Reads what came after a sequence.
    #[must_use]
    pub fn after(sequence: u64) -> Self {
        Self { after: sequence, place: None }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }
}

/// Transactions of the end of the log, and what is known of its files.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) segments: Vec<Segment>,
    /// What came last, oldest first.
    recent: VecDeque<Arc<Committed>>,
    recent_bytes: usize,
    /// All that came after this sequence is in `recent`.
    recent_after: u64,
    /// What came up to this sequence may be forgotten.
    pub(crate) floor: u64,
    pub(crate) last: u64,
    /// The first sequence that is given and not published yet.
    pub(super) giving: Option<u64>,
    /// The greatest sequence up to which a reader was promised that it has everything.
    pub(super) promised: u64,
}

/// The log as readers and its writer share it.
#[derive(Debug)]
pub(crate) struct SharedLog {
    pub(crate) directory: PathBuf,
    memory_max: usize,
    state: Mutex<State>,
    last: watch::Sender<u64>,
}

/// What a reader finds.
enum Found {
    Ready(Vec<Arc<Committed>>),
    Nothing,
    InFiles(Vec<Segment>),
}

impl SharedLog {
    pub(crate) fn new(directory: PathBuf, memory_max: usize, mut state: State) -> Self {
        state.recent_after = state.last;
        let (last, _) = watch::channel(state.last);
        Self { directory, memory_max, state: Mutex::new(state), last }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sequence of what came last.
    pub(crate) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Gives readers what came. `None`: its rows are in the files alone.
    pub(crate) fn publish(&self, sequence: u64, committed: Option<Committed>) {
        let mut state = self.state();
        state.last = sequence;
        match committed {
            Some(committed) if committed.bytes <= self.memory_max => {
                state.recent_bytes += committed.bytes;
                state.recent.push_back(Arc::new(committed));
                while state.recent_bytes > self.memory_max {
                    let Some(oldest) = state.recent.pop_front() else { break };
                    state.recent_bytes = state.recent_bytes.saturating_sub(oldest.bytes);
                    state.recent_after = oldest.sequence;
                }
            }
            Some(_) | None => {
                state.recent.clear();
                (state.recent_bytes, state.recent_after) = (0, sequence);
            }
        }
        drop(state);
        self.last.send_replace(sequence);
    }

    /// # Errors
    /// 55000: what came after a cursor's sequence is no longer kept.
    pub(crate) fn admits(&self, cursor: &Cursor) -> Result<()> {
        if cursor.after < self.state().floor { Err(forgotten()) } else { Ok(()) }
    }

    /// Moves a reader that has everything to the time of now, up to which nothing will come any more. `None`: something is to be read.
    pub(crate) fn reached(&self, cursor: &mut Cursor, now: u64) -> Option<u64> {
        let mut state = self.state();
        if cursor.after < state.last {
            return None;
        }
        let reached = state.giving.map_or(now, |first| now.min(first.saturating_sub(1))).max(cursor.after);
        state.promised = state.promised.max(reached);
        drop(state);
        *cursor = Cursor::after(reached);
        Some(reached)
    }

    /// The next sequence after one that was given: the time of now, unless that was given or promised.
    pub(super) fn give(&self, last: u64, now: u64) -> u64 {
        let mut state = self.state();
        let given = now.max(last + 1).max(state.promised + 1);
        state.giving.get_or_insert(given);
        given
    }

    /// What was given is published, or will be given anew.
    pub(super) fn given(&self) {
        self.state().giving = None;
    }

    fn find(&self, cursor: &Cursor) -> Result<Found> {
        let state = self.state();
        if cursor.after < state.floor {
            return Err(forgotten());
        }
        if cursor.after >= state.last {
            return Ok(Found::Nothing);
        }
        if cursor.after < state.recent_after {
            return Ok(Found::InFiles(state.segments.clone()));
        }
        let first = state.recent.partition_point(|committed| committed.sequence <= cursor.after);
        let mut bytes = 0;
        let within = |committed: &&Arc<Committed>| {
            let fits = bytes < BATCH_BYTES;
            bytes += committed.bytes;
            fits
        };
        Ok(Found::Ready(state.recent.iter().skip(first).take(BATCH_MAX).take_while(within).cloned().collect()))
    }

    /// What came after a reader's sequence, in order; waits until something does.
    ///
    /// # Errors
    /// 55000: it is no longer kept.
    pub(crate) async fn next(self: &Arc<Self>, cursor: &mut Cursor) -> Result<Vec<Arc<Committed>>> {
        let mut changed = self.last.subscribe();
        loop {
            changed.borrow_and_update();
            match self.find(cursor)? {
                Found::Ready(found) => {
                    if let Some(last) = found.last() {
                        *cursor = Cursor::after(last.sequence);
                        return Ok(found);
                    }
                }
                Found::Nothing => {}
                Found::InFiles(segments) => {
                    let (directory, from) = (self.directory.clone(), *cursor);
                    let read = move || reader::read(&directory, &segments, from, BATCH_MAX, BATCH_BYTES);
                    let read = tokio::task::spawn_blocking(read).await.map_err(Error::internal)?;
                    let (found, place) = match read {
                        Ok(read) => read,
                        // A file may have been forgotten since.
                        Err(error) => {
                            self.find(cursor)?;
                            return Err(error);
                        }
                    };
                    if let Some(last) = found.last() {
                        *cursor = Cursor { after: last.sequence, place };
                        return Ok(found.into_iter().map(Arc::new).collect());
                    }
                    let text = "events that are kept cannot be found";
                    return Err(Error::internal(text));
                }
            }
            if changed.changed().await.is_err() {
                return Err(Error::new(ErrorCode::AdminShutdown, "the gate is shutting down"));
            }
        }
    }
}

/// What a reader hears who comes too late.
fn forgotten() -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, "the sequence is no longer kept")
        .with_hint("Read the rows themselves, and follow changes from now on.")
}
