//! Transactions that lose their connection on purpose, at the moments that matter: when the answer to a commit comes, or to what is asked
//! before a decision.

use super::{Fault, FaultyDriver};
use crate::capability::Refusal;
use crate::execution::{BatchStream, ExecuteContext, NativeStatement};
use crate::fragment::Fragment;
use crate::identifier::TableRef;
use crate::relation::Encoding;
use crate::remote::{RemoteColumn, RemoteTable};
use crate::value::{Value, ValueType};
use crate::write::{
    Alterations, Applied, Begin, ChangeSet, ChangeShape, CommitError, Fate, GateId, GlobalId, Lock, NativeChange,
    Prepare, PrepareError, Rows, Settled, SourceTransaction, Transaction, TxMark, WriteCapabilities, Writer,
};
use async_trait::async_trait;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

fn lost() -> Error {
    Error::new(ErrorCode::SourceLost, "source connection was lost")
}

impl FaultyDriver {
    fn inner_writer(&self) -> Result<&dyn Writer> {
        self.inner.writer().ok_or_else(|| Error::internal("a source that is only read was to be changed"))
    }
}

#[async_trait]
impl Writer for FaultyDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        const NONE: WriteCapabilities = WriteCapabilities {
            isolation: &[],
            locking: crate::write::Locking::Conflicts,
            savepoints: false,
            tells_fate: false,
            prepare: Prepare::No,
        };
        self.inner.writer().map_or(&NONE, Writer::capabilities)
    }

    fn only_inserts(&self) -> bool {
        self.inner.writer().is_some_and(Writer::only_inserts)
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        self.inner_writer().map_err(refused)?.writable_as(column, value_type)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        self.inner_writer().map_err(refused)?.render_change(shape)
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        self.inner_writer().map_err(refused)?.render_locked(fragment, lock)
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        let fault = self.next();
        if fault == Fault::Refused {
            return Err(Error::new(ErrorCode::SourceUnavailable, "source cannot be reached"));
        }
        let inner = self.inner_writer()?.begin(begin, context).await?;
        Ok(Transaction::new(Box::new(FaultyTransaction { inner, fault })))
    }

    async fn obstacles(&self, table: &RemoteTable) -> Result<Vec<String>> {
        self.inner_writer()?.obstacles(table).await
    }

    async fn fate_of(&self, mark: &TxMark) -> Result<Option<Fate>> {
        self.inner_writer()?.fate_of(mark).await
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        self.inner_writer()?.distributed_obstacles().await
    }

    async fn prepared(&self, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
        self.inner_writer()?.prepared(gate, context).await
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        self.inner_writer()?.settle(id, fate, context).await
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        self.inner_writer()?.marker_fate(id, context).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        self.inner_writer()?.forget_marker(id, context).await
    }
}

fn refused(error: Error) -> Refusal {
    Refusal::new(crate::capability::RefusalReason::Invalid, error.cause().unwrap_or(error.message()))
}

#[derive(Debug)]
struct FaultyTransaction {
    inner: Transaction,
    fault: Fault,
}

#[async_trait]
impl SourceTransaction for FaultyTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        self.inner.query(statement, values, context).await
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.inner.apply(change, rows, context).await
    }

    async fn load(&mut self, change: &NativeChange, rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        self.inner.load(change, rows, context).await
    }

    async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        self.inner.alterations(table).await
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.inner.savepoint(id).await
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        self.inner.rollback_to(id).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.inner.release(id).await
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        self.inner.mark()
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

    async fn rollback(self: Box<Self>) {
        self.inner.rollback().await;
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

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        self.inner.write_marker(id).await
    }
}
