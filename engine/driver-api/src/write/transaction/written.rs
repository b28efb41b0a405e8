//! How many rows a transaction wrote to which tables: what its indexes cost depends on it.

use crate::identifier::{Identifier, TableRef};
use crate::write::change::{ChangeOp, ChangeShape};

/// Kinds of changes of one statement that are counted apart.
const KINDS_MAX: usize = 64;

/// Rows of one table that were written in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsWritten {
    /// The table that was written to.
    pub table: TableRef,
    /// What became of the rows.
    pub op: ChangeOp,
    /// Columns that got values, but for those by which an update finds its rows.
    pub columns: Vec<Identifier>,
    /// How many.
    pub rows: u64,
}

/// What was written since somebody asked.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<RowsWritten>);

impl Tally {
    pub(super) fn add(&mut self, shape: &ChangeShape, rows: u64) {
        let columns = || shape.assigned.iter().map(|column| &column.name);
        let same =
            |own: &&mut RowsWritten| own.op == shape.op && own.table == shape.table && own.columns.iter().eq(columns());
        if rows == 0 {
            return;
        }
        if let Some(own) = self.0.iter_mut().find(same) {
            own.rows = own.rows.saturating_add(rows);
        } else if self.0.len() < KINDS_MAX {
            let (table, columns) = (shape.table.clone(), columns().cloned().collect());
            self.0.push(RowsWritten { table, op: shape.op, columns, rows });
        }
    }

    pub(super) fn take(&mut self) -> Vec<RowsWritten> {
        std::mem::take(&mut self.0)
    }
}
