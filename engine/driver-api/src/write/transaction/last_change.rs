//! A change that is the last of its transaction: nothing is read of what it does, so that a source may take it together with the commit.

use super::{SourceTransaction, Transaction, has_failed, met};
use crate::execution::ExecuteContext;
use crate::write::change::{ChangeSet, NativeChange};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The change, with its rows.
#[derive(Debug)]
pub(super) struct LastChange {
    pub(super) change: Arc<NativeChange>,
    pub(super) rows: ChangeSet,
}

impl LastChange {
    /// Applies it by itself.
    ///
    /// # Errors
    /// As [`SourceTransaction::apply`]; 40001: it met other rows.
    pub(super) async fn apply(&self, inner: &mut dyn SourceTransaction) -> Result<()> {
        let applied = inner.apply(&self.change, &self.rows, &ExecuteContext::default()).await?;
        met(&self.change, &self.rows, applied).map(drop)
    }
}

impl Transaction {
    /// Has a change applied to each of the rows when the transaction is committed or prepared, before that and not without it. What
    /// comes in between, but for a rollback to a savepoint, is refused.
    ///
    /// # Errors
    /// 25P02 after a failure. Internal: there is one, or the transaction only ends.
    pub fn change_last(&mut self, change: Arc<NativeChange>, rows: ChangeSet) -> Result<()> {
        if self.has_failed() {
            return Err(has_failed());
        }
        if self.is_prepared() || self.last.is_some() {
            return Err(Error::internal("a transaction was given a last change when it had one"));
        }
        self.last = Some(LastChange { change, rows }).filter(|last| !last.rows.is_empty());
        Ok(())
    }
}
