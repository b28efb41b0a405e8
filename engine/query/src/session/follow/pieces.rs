//! A committed transaction in pieces of few rows: one follower's share of a large one is never in memory as a whole.

use arrow::array::RecordBatch;
use querygate_driver_api::write::RowsChanged;
use querygate_events::Committed;
use querygate_query_api::requests::events::ChangeEvent;
use std::sync::Arc;

/// Bytes and rows of a piece; one row is a piece in any case.
pub(super) const BYTES_MAX: usize = 256 << 10;
const ROWS_MAX: usize = 500;

/// A transaction, and how much of it was taken.
pub(super) struct Pieces {
    pub(super) committed: Arc<Committed>,
    change: usize,
    row: usize,
    /// The event that was made last: whether another one follows is not known before the next piece.
    held: Option<Box<ChangeEvent>>,
    /// Events that were made.
    pub(super) count: u64,
}

/// Some rows of one change, and their places in the transaction.
pub(super) struct Piece {
    pub(super) change: usize,
    pub(super) first: usize,
    pub(super) rows: RowsChanged,
}

impl Pieces {
    pub(super) const fn of(committed: Arc<Committed>) -> Self {
        Self { committed, change: 0, row: 0, held: None, count: 0 }
    }

    /// The next rows of the objects that are followed; `None`: that was all.
    pub(super) fn take(&mut self, is_followed: impl Fn(&str) -> bool) -> Option<Piece> {
        loop {
            let change = self.committed.changes.get(self.change)?;
            let count = rows(change);
            if self.row >= count || !is_followed(&change.object) {
                (self.change, self.row) = (self.change + 1, 0);
                continue;
            }
            let of_row = (change.bytes() / count).max(1);
            let most = (BYTES_MAX / of_row).clamp(1, ROWS_MAX);
            let (first, taken) = (self.row, most.min(count - self.row));
            self.row += taken;
            let part = |rows: &Option<RecordBatch>| rows.as_ref().map(|rows| part(rows, first, taken));
            let rows = RowsChanged { before: part(&change.before), after: part(&change.after), ..change.clone() };
            return Some(Piece { change: self.change, first, rows });
        }
    }

    /// Takes an event; gives the one before it, which is not the last.
    pub(super) fn add(&mut self, event: Box<ChangeEvent>) -> Option<Box<ChangeEvent>> {
        self.count += 1;
        self.held.replace(event)
    }

    /// The last event.
    pub(super) fn last(&mut self) -> Option<Box<ChangeEvent>> {
        let mut last = self.held.take()?;
        last.is_last = true;
        Some(last)
    }
}

fn rows(change: &RowsChanged) -> usize {
    change.after.as_ref().or(change.before.as_ref()).map_or(0, RecordBatch::num_rows)
}

fn part(rows: &RecordBatch, first: usize, count: usize) -> RecordBatch {
    let first = first.min(rows.num_rows());
    rows.slice(first, count.min(rows.num_rows() - first))
}
