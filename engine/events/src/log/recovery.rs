//! The log as a process finds it at its start: what is whole of it, and transactions whose outcome is not in it.

use super::entry::{Entry, Fated, Id};
use super::reader::{HEAD, Walk, record};
use super::segments::{Place, Segment, numbers, open, path_of};
use super::shared_log::State;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::Path;

/// A transaction that was about to be committed when a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) id: Id,
    pub(crate) place: Place,
}

/// What a process finds.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// In the order in which they were written.
    pub(crate) left: Vec<Left>,
    /// What was published lastly.
    pub(crate) published: VecDeque<Id>,
}

/// What was published lastly, of which it is known what it was.
const PUBLISHED_MAX: usize = 65_536;

/// Looks at the files of a log, and cuts off what was not written whole.
///
/// # Errors
/// The folder cannot be used.
pub(crate) fn recover(directory: &Path) -> Result<Recovered> {
    let unusable = |error: std::io::Error| {
        Error::new(ErrorCode::ConfigInvalid, format!("the folder of [events] cannot be used: {error}"))
    };
    std::fs::create_dir_all(directory).map_err(unusable)?;
    let numbers = numbers(directory).map_err(unusable)?;
    let mut state = State::default();
    let mut left: BTreeMap<Id, Place> = BTreeMap::new();
    let mut of_rows: BTreeMap<u64, u64> = BTreeMap::new();
    let mut published = VecDeque::new();
    for (at, number) in numbers.iter().enumerate() {
        if at + 1 == numbers.len() {
            cut_off(directory, *number).map_err(unusable)?;
        }
        let file = open(directory, *number).map_err(unusable)?;
        let end = file.metadata().map_err(unusable)?.len();
        let mut walk = Walk { file: &file, at: 0, end };
        while let Some((offset, entry)) = walk.next()? {
            let place = Place { segment: *number, offset };
            match entry {
                Entry::Began { before } => {
                    if at == 0 {
                        state.floor = before;
                    }
                    state.last = state.last.max(before);
                }
                Entry::Intent { id } => drop(left.insert(id, place)),
                Entry::Outcome { id, fated, sequence, intent } => {
                    left.remove(&id);
                    if fated != Fated::RolledBack {
                        state.last = state.last.max(sequence);
                        published.push_back(id);
                        if published.len() > PUBLISHED_MAX {
                            published.pop_front();
                        }
                        let last = of_rows.entry(intent.segment).or_default();
                        *last = sequence.max(*last);
                    }
                }
            }
        }
        if walk.at < end {
            tracing::error!(segment = number, "a file of the event log is torn: what comes behind in it is lost");
            state.floor = state.last;
        }
        let last_sequence = state.last;
        state.segments.push(Segment { number: *number, bytes: walk.at, last_sequence, last_of_rows: 0 });
    }
    for segment in &mut state.segments {
        segment.last_of_rows = of_rows.remove(&segment.number).unwrap_or_default();
    }
    // Rows of what is published may have been in files that are gone.
    state.floor = of_rows.values().copied().fold(state.floor, u64::max);
    let mut left: Vec<Left> = left.into_iter().map(|(id, place)| Left { id, place }).collect();
    left.sort_by_key(|left| left.place);
    Ok(Recovered { state, left, published })
}

/// Cuts off the end of a file behind its last whole record.
fn cut_off(directory: &Path, number: u64) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path_of(directory, number))?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while at + HEAD <= length {
        let mut walk = Walk { file: &file, at, end: length };
        // A record that is not there whole is none, however long it says it is.
        let (Ok(Some(_)), Ok(_)) = (walk.next(), record(&file, at)) else { break };
        at = walk.at;
    }
    if at < length {
        tracing::warn!(segment = number, bytes = length - at, "the event log ended within a record, which is cut off");
        file.set_len(at)?;
        file.sync_all()?;
    }
    Ok(())
}
