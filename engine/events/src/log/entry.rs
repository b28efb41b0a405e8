//! What stands in the log: transactions that are about to be committed with the rows that they changed, and what became of them.

use super::segments::Place;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use querygate_driver_api::write::{ChangeOp, RowsChanged};
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Bytes to which values are aligned in a record.
const ALIGNMENT: usize = 8;

/// The number of a transaction, which no other has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Id {
    /// Begins with a time in microseconds, so that later ones are greater; the rest is random.
    pub(crate) fn new(now: u64, random: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        let (time, rest) = bytes.split_at_mut(8);
        time.copy_from_slice(&now.to_be_bytes());
        rest.copy_from_slice(&random);
        Self(bytes)
    }

    /// One as it is printed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if is_hex { u128::from_str_radix(text, 16).ok() } else { None };
        number.map(|number| Self(number.to_be_bytes()))
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fated {
    RolledBack,
    Committed,
    /// Its source does not know any more.
    Uncertain,
}

/// What a transaction changed, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) source: Arc<str>,
    pub(crate) actor: Arc<str>,
    pub(crate) door: Arc<str>,
    pub(crate) changes: Vec<RowsChanged>,
}

impl Rows {
    pub(crate) fn bytes(&self) -> usize {
        self.changes.iter().map(RowsChanged::bytes).sum()
    }
}

/// A transaction that was committed. Its rows are raw: nothing of them goes to anybody unjudged.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its place among all: what came later has a greater one. Microseconds since 1970 at which it was published, or one more than that of
    /// the one before.
    pub sequence: u64,
    /// Names it for followers: no other has this name, and it does not say the number by which its events are named.
    pub transaction: String,
    /// Whether its source did not know what became of it.
    pub uncertain: bool,
    /// Where it was.
    pub source: Arc<str>,
    /// Id of the user whose it was.
    pub actor: Arc<str>,
    /// Through which door it came; empty where that was not written down.
    pub door: Arc<str>,
    /// One for each object and operation; of updates, rows before and after are in one order.
    pub changes: Vec<RowsChanged>,
    /// Its number, of which followers hear nothing: with it, the name of an event would say how many rows were changed before its own.
    id: Id,
    pub(crate) bytes: usize,
}

impl Committed {
    /// Names what happened to one row, by the place of its change and its own there: no other has it, and it says nothing of them.
    #[must_use]
    pub fn event_id(&self, change: usize, row: usize) -> String {
        named(self.id, &format!("/{change}/{row}"))
    }

    /// Bytes of its rows.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn new(id: Id, sequence: u64, fated: Fated, rows: Rows) -> Self {
        let bytes = rows.bytes().saturating_add(256);
        let Rows { source, actor, door, changes } = rows;
        let uncertain = fated == Fated::Uncertain;
        Self { sequence, transaction: named(id, ""), uncertain, source, actor, door, changes, id, bytes }
    }
}

/// A name for a part of a transaction. Who does not know the transaction's number, half of which is chance, cannot tell of which.
fn named(id: Id, part: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{id}{part}").as_bytes());
    digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// A record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The beginning of a file: the greatest sequence in the files before.
    Began { before: u64 },
    /// A transaction is about to be committed.
    Intent { id: Id },
    /// It ended. `sequence`: 0 where nothing is published.
    Outcome { id: Id, fated: Fated, sequence: u64, intent: Place },
}

const BEGAN: u8 = 1;
const INTENT: u8 = 2;
const OUTCOME: u8 = 3;
/// Bytes of a record but an intent's.
pub(super) const SHORT_MAX: usize = 64;
/// Bytes of an intent before its header.
const INTENT_HEAD: usize = 17;

/// The first bytes of an intent.
pub(super) fn intent_head(id: Id) -> Vec<u8> {
    let mut bytes = vec![INTENT];
    bytes.extend_from_slice(&id.0);
    bytes
}

impl Entry {
    /// A record without rows.
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Began { before } => {
                let mut bytes = vec![BEGAN];
                bytes.extend_from_slice(&before.to_le_bytes());
                bytes
            }
            Self::Intent { id } => intent_head(id),
            Self::Outcome { id, fated, sequence, intent } => {
                let mut bytes = vec![OUTCOME];
                bytes.extend_from_slice(&id.0);
                bytes.push(match fated {
                    Fated::RolledBack => 0,
                    Fated::Committed => 1,
                    Fated::Uncertain => 2,
                });
                for number in [sequence, intent.segment, intent.offset] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                bytes
            }
        }
    }

    /// The record that begins with these bytes. `None`: it is none of these.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        if *kind == BEGAN {
            return Some(Self::Began { before: number(rest)?.0 });
        }
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let id = Id(*id);
        match *kind {
            INTENT => Some(Self::Intent { id }),
            OUTCOME => {
                let (fated, rest) = rest.split_first()?;
                let fated = match *fated {
                    0 => Fated::RolledBack,
                    1 => Fated::Committed,
                    2 => Fated::Uncertain,
                    _ => return None,
                };
                let (sequence, rest) = number(rest)?;
                let (segment, rest) = number(rest)?;
                let (offset, _) = number(rest)?;
                Some(Self::Outcome { id, fated, sequence, intent: Place { segment, offset } })
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

/// The words of an intent.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    source: String,
    actor: String,
    #[serde(default)]
    door: String,
    mark: Option<String>,
    changes: Vec<ChangeHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChangeHeader {
    object: String,
    operation: Operation,
    key: Vec<String>,
    /// Bytes of the rows before and after.
    before: usize,
    after: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Insert,
    Update,
    Delete,
}

impl From<ChangeOp> for Operation {
    fn from(op: ChangeOp) -> Self {
        match op {
            ChangeOp::Insert => Self::Insert,
            ChangeOp::Update => Self::Update,
            ChangeOp::Delete => Self::Delete,
        }
    }
}

impl From<Operation> for ChangeOp {
    fn from(op: Operation) -> Self {
        match op {
            Operation::Insert => Self::Insert,
            Operation::Update => Self::Update,
            Operation::Delete => Self::Delete,
        }
    }
}

/// The bytes of an intent behind its number.
///
/// # Errors
/// Internal: the rows cannot be written down.
pub(crate) fn written(rows: &Rows, mark: Option<&str>) -> Result<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut changes = Vec::with_capacity(rows.changes.len());
    for change in &rows.changes {
        let mut length = |batch: Option<&RecordBatch>| {
            let from = bodies.len();
            batch.map_or(Ok(()), |batch| write_batch(batch, &mut bodies))?;
            Ok::<_, Error>(bodies.len() - from)
        };
        let (before, after) = (length(change.before.as_ref())?, length(change.after.as_ref())?);
        changes.push(ChangeHeader {
            object: change.object.to_string(),
            operation: change.operation.into(),
            key: change.key.to_vec(),
            before,
            after,
        });
    }
    let header = Header {
        source: rows.source.to_string(),
        actor: rows.actor.to_string(),
        door: rows.door.to_string(),
        mark: mark.map(str::to_owned),
        changes,
    };
    let header = serde_json::to_vec(&header).map_err(Error::internal)?;
    let length = u32::try_from(header.len()).map_err(Error::internal)?;
    let mut bytes = Vec::with_capacity(4 + header.len() + bodies.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.append(&mut bodies);
    Ok(bytes)
}

fn write_batch(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    // Records are many and their rows few: between these, most would be room that aligns them.
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).map_err(Error::internal)?;
    let writer = StreamWriter::try_new_with_options(out, batch.schema_ref(), options);
    let mut writer = writer.map_err(Error::internal)?;
    writer.write(batch).and_then(|()| writer.finish()).map_err(Error::internal)
}

/// What an intent says, and its mark.
///
/// # Errors
/// Internal: it is none.
pub(super) fn read_rows(record: &[u8]) -> Result<(Rows, Option<String>)> {
    let none = || Error::internal("a record of the event log cannot be read");
    read_body(record.get(INTENT_HEAD..).ok_or_else(none)?)
}

/// As [`read_rows`], of the bytes behind the number.
///
/// # Errors
/// As there.
pub(crate) fn read_body(rest: &[u8]) -> Result<(Rows, Option<String>)> {
    let none = || Error::internal("a record of the event log cannot be read");
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(none)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(Error::internal)?;
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(none)?;
    let header: Header = serde_json::from_slice(header).map_err(Error::internal)?;
    let mut changes = Vec::with_capacity(header.changes.len());
    for change in header.changes {
        let mut batch = |length: usize| {
            let (bytes, behind) = rest.split_at_checked(length).ok_or_else(none)?;
            rest = behind;
            if length == 0 { Ok(None) } else { read_batch(bytes).map(Some) }
        };
        let (before, after) = (batch(change.before)?, batch(change.after)?);
        changes.push(RowsChanged {
            object: change.object.into(),
            operation: change.operation.into(),
            key: change.key.into(),
            before,
            after,
        });
    }
    let Header { source, actor, door, mark, .. } = header;
    Ok((Rows { source: source.into(), actor: actor.into(), door: door.into(), changes }, mark))
}

fn read_batch(bytes: &[u8]) -> Result<RecordBatch> {
    let reader = StreamReader::try_new(bytes, None).map_err(Error::internal)?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::internal)?;
    concat_batches(&schema, &batches).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, StringArray};

    #[test]
    fn records_are_read_as_they_were_written() {
        let (id, intent) = (Id([7; 16]), Place { segment: 3, offset: 9 });
        for fated in [Fated::Committed, Fated::RolledBack, Fated::Uncertain] {
            let entry = Entry::Outcome { id, fated, sequence: 12, intent };
            assert_eq!(Entry::read(&entry.bytes()), Some(entry));
            assert!(entry.bytes().len() <= SHORT_MAX);
            assert_eq!(Entry::read(&entry.bytes()[..30]), None);
        }
        assert_eq!(Entry::read(&Entry::Began { before: 4 }.bytes()), Some(Entry::Began { before: 4 }));
        assert_eq!(Entry::read(&[9; 40]), None);
    }

    #[test]
    fn names_do_not_say_how_many_rows_were_changed_before() {
        let rows = || Rows { source: "shop".into(), actor: "ada".into(), door: "rest".into(), changes: Vec::new() };
        let committed = |chance| Committed::new(Id::new(1_764_000_000_000_000, chance), 5, Fated::Committed, rows());
        let (one, other) = (committed([1; 8]), committed([2; 8]));
        assert_eq!(one.event_id(0, 3), committed([1; 8]).event_id(0, 3), "it is the same when it comes again");
        assert_ne!(one.event_id(0, 3), one.event_id(0, 4));
        assert_ne!(one.event_id(0, 3), other.event_id(0, 3));
        assert_ne!(one.transaction, other.transaction);
        // What a follower has of the transaction does not make the names of its events.
        let told = &one.transaction;
        let guesses = |row: usize| [format!("{told}/0/{row}"), format!("{}/0/{row}", one.sequence)];
        for guess in (0..100).flat_map(guesses) {
            let digest = ring::digest::digest(&ring::digest::SHA256, guess.as_bytes());
            let name: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
            assert!((0..100).all(|row| one.event_id(0, row) != name));
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let sums: ArrayRef = Arc::new(Decimal128Array::from(vec![12_345, 1]).with_precision_and_scale(38, 10).unwrap());
        let batch = RecordBatch::try_from_iter([("name", names), ("sum", sums)]).unwrap();
        let change = |operation, before: Option<&RecordBatch>, after: Option<&RecordBatch>| RowsChanged {
            object: "thing".into(),
            operation,
            key: vec!["name".to_owned()].into(),
            before: before.cloned(),
            after: after.cloned(),
        };
        let changes =
            vec![change(ChangeOp::Delete, Some(&batch), None), change(ChangeOp::Update, Some(&batch), Some(&batch))];
        let rows = Rows { source: "shop".into(), actor: "ada".into(), door: "pgwire".into(), changes };
        let mut record = intent_head(Id([1; 16]));
        record.extend(written(&rows, Some("7@x")).unwrap());
        let (read, mark) = read_rows(&record).unwrap();
        assert_eq!(mark.as_deref(), Some("7@x"));
        assert_eq!((read.source, read.actor, read.door), (rows.source, rows.actor, rows.door));
        for (read, own) in read.changes.iter().zip(&rows.changes) {
            assert_eq!((&read.before, &read.after, &read.key), (&own.before, &own.after, &own.key));
            assert_eq!((read.operation, &read.object), (own.operation, &own.object));
        }
        assert!(read_rows(&record[..record.len() - 1]).is_err());
        assert!(read_rows(&record[..10]).is_err());
    }
}
