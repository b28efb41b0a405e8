//! Committed transactions read from the files, in their order.

use super::entry::{Committed, Entry, Fated, Rows, SHORT_MAX, read_rows};
use super::segments::{Place, RECORD_MAX, Segment, open};
use super::shared_log::Cursor;
use querygate_frame_log::Head;
use querygate_types::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes before each record.
pub(super) const HEAD: u64 = querygate_frame_log::HEAD as u64;

/// What came after a cursor, and where to go on.
///
/// # Errors
/// Internal: a file cannot be read.
pub(super) fn read(
    directory: &Path,
    segments: &[Segment],
    from: Cursor,
    count_max: usize,
    bytes_max: usize,
) -> Result<(Vec<Committed>, Option<Place>)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let behind = segments.iter().filter(|segment| segment.last_sequence > from.after);
    for segment in behind {
        let start = from.place().filter(|place| place.segment == segment.number).map_or(0, |place| place.offset);
        let file = open(directory, segment.number).map_err(unreadable)?;
        let mut walk = Walk { file: &file, at: start, end: segment.bytes };
        while let Some((at, entry)) = walk.next()? {
            let Entry::Outcome { id, fated, sequence, intent } = entry else { continue };
            if fated == Fated::RolledBack || sequence <= from.after {
                continue;
            }
            if found.len() >= count_max || bytes >= bytes_max {
                return Ok((found, Some(Place { segment: segment.number, offset: at })));
            }
            let record = if intent.segment == segment.number {
                record(&file, intent.offset)?
            } else {
                record(&open(directory, intent.segment).map_err(unreadable)?, intent.offset)?
            };
            let (rows, _) = read_rows(&record)?;
            let committed = Committed::new(id, sequence, fated, rows);
            bytes += committed.bytes;
            found.push(committed);
        }
    }
    Ok((found, None))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::internal(format!("a file of the event log cannot be read: {error}"))
}

/// The rows of a transaction and its mark, by where it stands.
///
/// # Errors
/// Internal: the file cannot be read.
pub(crate) fn read_intent(directory: &Path, place: Place) -> Result<(Rows, Option<String>)> {
    read_rows(&record(&open(directory, place.segment).map_err(unreadable)?, place.offset)?)
}

/// A whole record.
pub(super) fn record(file: &File, offset: u64) -> Result<Vec<u8>> {
    let mut own = [0; querygate_frame_log::HEAD];
    file.read_exact_at(&mut own, offset).map_err(unreadable)?;
    let torn = || Error::internal("a record of the event log is torn");
    let head = Head::read(&own, RECORD_MAX).ok_or_else(torn)?;
    let mut bytes = vec![0; usize::try_from(head.length).map_err(Error::internal)?];
    file.read_exact_at(&mut bytes, offset + HEAD).map_err(unreadable)?;
    if head.is_of(&bytes) { Ok(bytes) } else { Err(torn()) }
}

/// The records of a file, one after the other, without the rows of intents.
pub(super) struct Walk<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Walk<'_> {
    /// Where the next record begins, and what it is. `None`: there is no further one.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Entry)>> {
        let at = self.at;
        let Some(length) = self.length()? else { return Ok(None) };
        let short = usize::try_from(length).unwrap_or(usize::MAX).min(SHORT_MAX);
        let mut bytes = vec![0; short];
        self.file.read_exact_at(&mut bytes, at + HEAD).map_err(unreadable)?;
        let Some(entry) = Entry::read(&bytes) else { return Ok(None) };
        self.at = at + HEAD + u64::from(length);
        Ok(Some((at, entry)))
    }

    fn length(&self) -> Result<Option<u32>> {
        if self.at + HEAD > self.end {
            return Ok(None);
        }
        let mut own = [0; querygate_frame_log::HEAD];
        self.file.read_exact_at(&mut own, self.at).map_err(unreadable)?;
        Ok(Head::read(&own, RECORD_MAX)
            .map(|head| head.length)
            .filter(|length| self.at + HEAD + u64::from(*length) <= self.end))
    }
}
