//! A transaction that is lent: while one of its statements asks for others, these have it, and what is left in its place does nothing.

use super::{
    Applied, BatchStream, ChangeSet, CommitError, Rows, SourceTransaction, Transaction, TransactionState, TxMark,
};
use crate::execution::{ExecuteContext, NativeStatement};
use crate::value::Value;
use crate::write::change::NativeChange;
use async_trait::async_trait;
use querygate_types::{Error, Result};
use std::any::Any;
use std::sync::Arc;

impl Transaction {
    /// Keeps something with the transaction for those who change its rows, in place of what was kept before. It is not looked at here.
    pub fn accompany(&mut self, companion: Option<Arc<dyn Any + Send + Sync>>) {
        self.companion = companion;
    }

    /// What is kept with it.
    #[must_use]
    pub fn companion<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.companion.as_ref()?).downcast().ok()
    }

    /// Gives the transaction to statements that run within one of its own, until [`take_back`](Self::take_back). One that does not
    /// come back has failed.
    #[must_use]
    pub fn lend(&mut self) -> Self {
        let mut left = Self::new(Box::new(LentPlaceholder));
        left.state = TransactionState::Running;
        std::mem::replace(self, left)
    }

    /// Goes on where those statements ended.
    pub fn take_back(&mut self, lent: Self) {
        *self = lent;
    }
}

/// What stands in for a transaction that is lent.
#[derive(Debug)]
struct LentPlaceholder;

fn is_lent() -> Error {
    Error::internal("a transaction was used while it was lent")
}

#[async_trait]
impl SourceTransaction for LentPlaceholder {
    async fn query<'a>(
        &'a mut self,
        _statement: &Arc<NativeStatement>,
        _values: &[Value],
        _context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        Err(is_lent())
    }

    async fn apply(&mut self, _change: &NativeChange, _rows: &ChangeSet, _context: &ExecuteContext) -> Result<Applied> {
        Err(is_lent())
    }

    async fn load(&mut self, _change: &NativeChange, _rows: BatchStream, _context: &ExecuteContext) -> Result<u64> {
        Err(is_lent())
    }

    async fn savepoint(&mut self, _id: u32) -> Result<()> {
        Err(is_lent())
    }

    async fn rollback_to(&mut self, _id: u32) -> Result<()> {
        Err(is_lent())
    }

    async fn release(&mut self, _id: u32) -> Result<()> {
        Err(is_lent())
    }

    fn keeps_savepoints(&self) -> bool {
        false
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        Err(CommitError::RolledBack(is_lent()))
    }

    async fn rollback(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_lent_is_not_used_before_it_comes_back() {
        let mut own = Transaction::new(Box::new(LentPlaceholder));
        own.savepoints = vec![7];
        let lent = own.lend();
        assert!(own.has_failed() && !lent.has_failed());
        assert!(own.savepoint(1).await.is_err() && own.rollback_to(7).await.is_err());
        own.take_back(lent);
        assert!(!own.has_failed());
        assert_eq!(own.savepoints, [7]);
    }
}
