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

/// What was written since somebody asked, and whether anything ever was.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: Vec<RowsWritten>,
    has_rows: bool,
}

impl Tally {
    pub(super) fn add(&mut self, shape: &ChangeShape, rows: u64) {
        self.add_rows(&shape.table, shape.op, shape.assigned.iter().map(|column| &column.name), rows);
    }

    /// Rows of a table whose columns got values.
    pub(super) fn add_rows<'a>(
        &mut self,
        table: &TableRef,
        op: ChangeOp,
        columns: impl Iterator<Item = &'a Identifier> + Clone,
        rows: u64,
    ) {
        let same =
            |own: &&mut RowsWritten| own.op == op && own.table == *table && own.columns.iter().eq(columns.clone());
        if rows == 0 {
            return;
        }
        self.has_rows = true;
        if let Some(own) = self.rows.iter_mut().find(same) {
            own.rows = own.rows.saturating_add(rows);
        } else if self.rows.len() < KINDS_MAX {
            self.rows.push(RowsWritten { table: table.clone(), op, columns: columns.cloned().collect(), rows });
        }
    }

    pub(super) fn take(&mut self) -> Vec<RowsWritten> {
        std::mem::take(&mut self.rows)
    }

    pub(super) const fn has_rows(&self) -> bool {
        self.has_rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::{BatchStream, ExecuteContext, NativeStatement};
    use crate::value::Value;
    use crate::write::change::{Applied, ChangeSet, NativeChange};
    use crate::write::{CommitError, RenderedUpdate, Rows, SourceTransaction, Transaction, TxMark};
    use arrow::array::{RecordBatch, RecordBatchOptions};
    use arrow::datatypes::Schema;
    use async_trait::async_trait;
    use querygate_types::{Error, Result};
    use std::sync::Arc;

    /// Changes this number of rows at each update of one.
    #[derive(Debug)]
    struct Updating(usize);

    fn other() -> Error {
        Error::internal("it only updates")
    }

    #[async_trait]
    impl SourceTransaction for Updating {
        async fn query<'a>(&'a mut self, _: &Arc<NativeStatement>, _: &[Value], _: ExecuteContext) -> Result<Rows<'a>> {
            Err(other())
        }

        async fn apply(&mut self, _: &NativeChange, _: &ChangeSet, _: &ExecuteContext) -> Result<Applied> {
            Err(other())
        }

        async fn update_row(
            &mut self,
            _: &TableRef,
            _: &NativeStatement,
            _: &[Value],
            _: &ExecuteContext,
        ) -> Result<Option<RecordBatch>> {
            let rows = RecordBatchOptions::new().with_row_count(Some(self.0));
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &rows)
                .map(Some)
                .map_err(Error::internal)
        }

        async fn load(&mut self, _: &NativeChange, _: BatchStream, _: &ExecuteContext) -> Result<u64> {
            Err(other())
        }

        async fn savepoint(&mut self, _: u32) -> Result<()> {
            Err(other())
        }

        async fn rollback_to(&mut self, _: u32) -> Result<()> {
            Err(other())
        }

        async fn release(&mut self, _: u32) -> Result<()> {
            Err(other())
        }

        fn keeps_savepoints(&self) -> bool {
            false
        }

        fn mark(&self) -> Option<TxMark> {
            None
        }

        async fn commit(self: Box<Self>) -> Result<(), CommitError> {
            Ok(())
        }

        async fn rollback(self: Box<Self>) {}
    }

    #[tokio::test]
    async fn a_row_that_is_changed_with_its_lock_is_counted() {
        let table = TableRef::new(["shop", "orders"]).unwrap();
        let columns = [Identifier::new("total").unwrap()];
        let statement = NativeStatement {
            text: "".into(),
            bindings: Vec::new(),
            parameters: Vec::new(),
            output: Vec::new(),
            schema: Arc::new(Schema::empty()),
        };
        let update = RenderedUpdate { table: &table, columns: &columns, statement: &statement, values: &[] };
        for (rows, counted) in [(1, vec![2]), (0, Vec::new())] {
            let mut transaction = Transaction::new(Box::new(Updating(rows)));
            for _ in 0..2 {
                let changed = transaction.update_row(update, &ExecuteContext::default()).await.unwrap();
                assert_eq!(changed.is_some(), rows == 1);
            }
            let written = transaction.take_written();
            assert_eq!(written.iter().map(|written| written.rows).collect::<Vec<_>>(), counted);
            assert!(
                written.iter().all(|own| own.table == table && own.columns == columns && own.op == ChangeOp::Update)
            );
        }
    }
}
