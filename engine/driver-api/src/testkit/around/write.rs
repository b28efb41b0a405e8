//! The writer and the transactions of a driver around a driver.

use super::DriverAround;
use crate::capability::{Refusal, RefusalReason};
use crate::execution::{BatchStream, ExecuteContext, NativeStatement};
use crate::fragment::Fragment;
use crate::identifier::TableRef;
use crate::relation::Encoding;
use crate::remote::{RemoteColumn, RemoteTable};
use crate::value::{Value, ValueType};
use crate::write::{
    Alterations, Applied, Begin, ChangeSet, ChangeShape, CommitError, Fate, GateId, GlobalId, Lock, Locking,
    NativeChange, Prepare, PrepareError, Rows, Settled, SourceTransaction, Transaction, TxMark, WriteCapabilities,
    Writer,
};
use async_trait::async_trait;
use querygate_types::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// The writer of a driver around another one, where that has a writer. Each method is that of [`Writer`].
#[async_trait]
pub trait WriterAround: DriverAround {
    /// The other one's.
    ///
    /// # Errors
    /// Internal: it has none.
    fn inner_writer(&self) -> Result<&dyn Writer> {
        self.inner().writer().ok_or_else(|| Error::internal("a source that is only read was to be changed"))
    }

    /// As [`Writer::begin`].
    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        self.inner_writer()?.begin(begin, context).await
    }

    /// As [`Writer::settle`].
    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        self.inner_writer()?.settle(id, fate, context).await
    }

    /// As [`Writer::marker_fate`].
    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        self.inner_writer()?.marker_fate(id, context).await
    }

    /// As [`Writer::forget_marker`].
    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        self.inner_writer()?.forget_marker(id, context).await
    }
}

fn refused(error: Error) -> Refusal {
    Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message()))
}

#[async_trait]
impl<T: WriterAround> Writer for T {
    fn capabilities(&self) -> &WriteCapabilities {
        const NONE: WriteCapabilities = WriteCapabilities {
            isolation: &[],
            locking: Locking::Conflicts,
            savepoints: false,
            tells_fate: false,
            prepare: Prepare::No,
        };
        self.inner_writer().map_or(&NONE, Writer::capabilities)
    }

    fn only_inserts(&self) -> bool {
        self.inner_writer().is_ok_and(Writer::only_inserts)
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
        WriterAround::begin(self, begin, context).await
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
        WriterAround::settle(self, id, fate, context).await
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        WriterAround::marker_fate(self, id, context).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        WriterAround::forget_marker(self, id, context).await
    }
}

/// A transaction around another one. Each method is that of [`SourceTransaction`].
#[async_trait]
pub trait TransactionAround: Send + fmt::Debug + 'static {
    /// The other one.
    fn inner(&self) -> &Transaction;

    /// The other one, to do something in it.
    fn inner_mut(&mut self) -> &mut Transaction;

    /// The other one, to end it.
    fn into_inner(self: Box<Self>) -> Transaction;

    /// As [`SourceTransaction::apply`].
    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.inner_mut().apply(change, rows, context).await
    }

    /// As [`SourceTransaction::rollback_to`].
    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        self.inner_mut().rollback_to(id).await
    }

    /// As [`SourceTransaction::mark`].
    fn mark(&self) -> Option<TxMark> {
        self.inner().mark()
    }

    /// As [`SourceTransaction::commit`].
    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        self.into_inner().commit().await
    }

    /// As [`SourceTransaction::rollback`].
    async fn rollback(self: Box<Self>) {
        self.into_inner().rollback().await;
    }

    /// As [`SourceTransaction::prepare`].
    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        self.inner_mut().prepare(id).await
    }

    /// As [`SourceTransaction::commit_prepared`].
    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        self.into_inner().commit_prepared().await
    }

    /// As [`SourceTransaction::rollback_prepared`].
    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        self.into_inner().rollback_prepared().await
    }

    /// As [`SourceTransaction::write_marker`].
    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        self.inner_mut().write_marker(id).await
    }
}

#[async_trait]
impl<T: TransactionAround> SourceTransaction for T {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        self.inner_mut().query(statement, values, context).await
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        TransactionAround::apply(self, change, rows, context).await
    }

    async fn load(&mut self, change: &NativeChange, rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        self.inner_mut().load(change, rows, context).await
    }

    async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        self.inner_mut().alterations(table).await
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.inner_mut().savepoint(id).await
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        TransactionAround::rollback_to(self, id).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.inner_mut().release(id).await
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        TransactionAround::mark(self)
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        TransactionAround::commit(self).await
    }

    async fn rollback(self: Box<Self>) {
        TransactionAround::rollback(self).await;
    }

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        TransactionAround::prepare(self, id).await
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        TransactionAround::commit_prepared(self).await
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        TransactionAround::rollback_prepared(self).await
    }

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        TransactionAround::write_marker(self, id).await
    }
}
