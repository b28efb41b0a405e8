//! What is written down of a transaction's rows before it is committed, for those who follow changes. Knows no follower and no file.

use super::Transaction;
use super::outcome::{Fate, TxMark};
use crate::execution::Room;
use crate::write::change::ChangeOp;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use querygate_types::{Error, ErrorCode, Result};
use std::fmt;
use std::sync::Arc;

/// Rows of one object that one step of a transaction has changed, with all fields of the object that its source has, under their names.
#[derive(Debug, Clone)]
pub struct RowsChanged {
    /// The object, by its name in metadata.
    pub object: Arc<str>,
    /// What was done.
    pub operation: ChangeOp,
    /// Fields that tell rows apart. Empty: nothing does, and rows are only added.
    pub key: Arc<[String]>,
    /// The rows as they were; `None` of new ones.
    pub before: Option<RecordBatch>,
    /// The rows as they are stored; `None` of deleted ones. In any order.
    pub after: Option<RecordBatch>,
}

impl RowsChanged {
    /// Bytes that the rows take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.before.iter().chain(&self.after).map(RecordBatch::get_array_memory_size).sum()
    }
}

/// A transaction that is about to be committed.
#[derive(Debug, Clone)]
pub struct Intention {
    /// Where it is.
    pub source: Arc<str>,
    /// Whose it is.
    pub actor: Arc<str>,
    /// Through which door it came.
    pub door: Arc<str>,
    /// By what its fate can be asked for.
    pub mark: Option<TxMark>,
    /// What it changed, in the order in which it did.
    pub changes: Vec<RowsChanged>,
}

/// Writes down what transactions change.
#[async_trait]
pub trait ChangeJournal: Send + Sync + fmt::Debug {
    /// Whether changes of an object, by its name in metadata, are written down at all.
    fn takes(&self, object: &str) -> bool;

    /// Writes down what is about to be committed, to stay, or to be stored with it in `transaction`. Nothing is committed without it.
    ///
    /// # Errors
    /// 53100: it cannot be written, so that nothing may be committed. Those of the transaction.
    async fn intend(&self, intention: Intention, transaction: &mut Transaction) -> Result<Box<dyn Intended>>;
}

/// A transaction that was written down, and whose outcome is not. Dropped, its outcome is unknown.
pub trait Intended: Send + fmt::Debug {
    /// Writes down what became of it; `None`: that is unknown. Does not wait.
    fn settle(self: Box<Self>, fate: Option<Fate>);
}

/// Who writes down the changes of a transaction, and whose they are.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Who writes them down.
    pub journal: Arc<dyn ChangeJournal>,
    /// Whose they are.
    pub actor: Arc<str>,
    /// Through which door they came.
    pub door: Arc<str>,
    /// Bytes that they may take in memory before the commit.
    pub bytes_max: usize,
    /// Where they are charged until then.
    pub room: Arc<dyn Room>,
}

/// The rows that a transaction has changed so far.
#[derive(Debug, Default)]
pub(super) struct Captured {
    capture: Option<Capture>,
    rows: Vec<RowsChanged>,
    bytes: usize,
}

impl Captured {
    pub(super) fn begin(&mut self, capture: Capture) {
        self.capture = Some(capture);
    }

    pub(super) fn takes(&self, object: &str) -> bool {
        self.capture.as_ref().is_some_and(|capture| capture.journal.takes(object))
    }

    pub(super) fn add(&mut self, rows: RowsChanged) -> Result<()> {
        let Some(capture) = &self.capture else { return Ok(()) };
        let own = rows.bytes();
        if self.bytes.saturating_add(own) > capture.bytes_max {
            let text = "the transaction changes more than events are kept of";
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, text)
                .with_detail(format!("The limit is {} bytes of rows before and after.", capture.bytes_max))
                .with_hint("Change them in several transactions; an operator sets the limit in [events]."));
        }
        capture.room.grow(own)?;
        self.bytes += own;
        self.rows.push(rows);
        Ok(())
    }

    /// How much there is, for a savepoint.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Forgets what came after a savepoint.
    pub(super) fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
        let left = self.rows.iter().map(RowsChanged::bytes).sum();
        if let Some(capture) = &self.capture {
            capture.room.shrink(self.bytes.saturating_sub(left));
        }
        self.bytes = left;
    }

    pub(super) fn take(&mut self) -> Option<(Capture, Vec<RowsChanged>)> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        self.capture.clone().filter(|_| !rows.is_empty()).map(|capture| (capture, rows))
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // Others of its block may go on, which are charged in one account.
        if let Some(capture) = &self.capture {
            capture.room.shrink(self.bytes);
        }
    }
}

impl Transaction {
    /// Has the rows of its changes kept until its end, for those who follow them.
    pub fn capture(&mut self, capture: Capture) {
        self.captured.begin(capture);
    }

    /// Whether changed rows of an object, by its name in metadata, are to be given to [`changed`](Self::changed).
    #[must_use]
    pub fn captures(&self, object: &str) -> bool {
        self.captured.takes(object)
    }

    /// Keeps rows that were changed, unless the change is undone before the end.
    ///
    /// # Errors
    /// 54000: there are too many; 53200: they have no room.
    pub fn changed(&mut self, rows: RowsChanged) -> Result<()> {
        self.captured.add(rows)
    }

    /// The rows that were kept, and who writes them down. `None`: there are none.
    pub fn take_changed(&mut self) -> Option<(Capture, Vec<RowsChanged>)> {
        self.captured.take()
    }
}
