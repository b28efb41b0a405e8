//! Transactions that lose their connection on purpose, at the moments that matter: when the answer to a commit comes, or to what is asked
//! before a decision.

use super::{Fault, FaultyDriver};
use crate::execution::ExecuteContext;
use crate::testkit::around::{TransactionAround, WriterAround};
use crate::write::{Begin, CommitError, GlobalId, PrepareError, Transaction};
use async_trait::async_trait;
use querygate_types::{Error, ErrorCode, Result};

fn lost() -> Error {
    Error::new(ErrorCode::SourceLost, "source connection was lost")
}

#[async_trait]
impl WriterAround for FaultyDriver {
    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        let fault = self.next();
        if fault == Fault::Refused {
            return Err(Error::new(ErrorCode::SourceUnavailable, "source cannot be reached"));
        }
        let inner = self.inner_writer()?.begin(begin, context).await?;
        Ok(Transaction::new(Box::new(FaultyTransaction { inner, fault })))
    }
}

#[derive(Debug)]
struct FaultyTransaction {
    inner: Transaction,
    fault: Fault,
}

#[async_trait]
impl TransactionAround for FaultyTransaction {
    fn inner(&self) -> &Transaction {
        &self.inner
    }

    fn inner_mut(&mut self) -> &mut Transaction {
        &mut self.inner
    }

    fn into_inner(self: Box<Self>) -> Transaction {
        self.inner
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let Self { inner, fault } = *self;
        let mark = inner.mark();
        match fault {
            Fault::LostBeforeCommit => {
                // Its connection is gone: the source rolls back.
                drop(inner);
                Err(CommitError::unknown(&lost(), mark))
            }
            Fault::LostAfterCommit => {
                inner.commit().await?;
                Err(CommitError::unknown(&lost(), mark))
            }
            Fault::None
            | Fault::Refused
            | Fault::LostAfter(_)
            | Fault::StalledAfter(_)
            | Fault::ShortBatches
            | Fault::LostAtPrepare
            | Fault::LostAfterPrepare => inner.commit().await,
        }
    }

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        match self.fault {
            // The caller closes the connection then.
            Fault::LostAtPrepare => Err(PrepareError::Unknown(lost())),
            Fault::LostAfterPrepare => {
                self.inner.prepare(id).await?;
                Err(PrepareError::Unknown(lost()))
            }
            Fault::None
            | Fault::Refused
            | Fault::LostAfter(_)
            | Fault::StalledAfter(_)
            | Fault::ShortBatches
            | Fault::LostBeforeCommit
            | Fault::LostAfterCommit => self.inner.prepare(id).await,
        }
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        let Self { inner, fault } = *self;
        match fault {
            Fault::LostBeforeCommit => {
                drop(inner);
                Err(CommitError::unknown(&lost(), None))
            }
            Fault::LostAfterCommit => {
                inner.commit_prepared().await?;
                Err(CommitError::unknown(&lost(), None))
            }
            Fault::None
            | Fault::Refused
            | Fault::LostAfter(_)
            | Fault::StalledAfter(_)
            | Fault::ShortBatches
            | Fault::LostAtPrepare
            | Fault::LostAfterPrepare => inner.commit_prepared().await,
        }
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        let Self { inner, fault } = *self;
        match fault {
            Fault::LostBeforeCommit => Err(lost()),
            Fault::LostAfterCommit => {
                inner.rollback_prepared().await?;
                Err(lost())
            }
            Fault::None
            | Fault::Refused
            | Fault::LostAfter(_)
            | Fault::StalledAfter(_)
            | Fault::ShortBatches
            | Fault::LostAtPrepare
            | Fault::LostAfterPrepare => inner.rollback_prepared().await,
        }
    }
}
