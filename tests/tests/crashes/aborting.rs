//! A driver around a driver that ends its process before or after what it does for transactions of several sources, or waits there until
//! it is given a line.

use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_driver_api::capability::{Capabilities, Refusal};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Applied, Begin, ChangeSet, ChangeShape, CommitError, Fate, GateId, GlobalId, Lock, NativeChange, PrepareError,
    Rows, Settled, SourceTransaction, Transaction, TxMark, WriteCapabilities, Writer,
};
use querygate_types::Result;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Steps so far.
static STEPS: AtomicU32 = AtomicU32::new(0);
/// The step at which something happens, and whether the process waits there and does not end.
static LAST: AtomicU32 = AtomicU32::new(u32::MAX);
static WAITS: AtomicBool = AtomicBool::new(false);

/// What a process prints that waits for a line.
pub(crate) const WAITING: &str = "waiting";

/// The process ends at this step, or waits there.
pub(crate) fn end_at(step: u32, waits: bool) {
    LAST.store(step, Ordering::SeqCst);
    WAITS.store(waits, Ordering::SeqCst);
}

/// One more step, which is printed before it may be the last.
pub(crate) fn step(what: &str) {
    let number = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    // The harness may have begun a line.
    println!("\nstep {number} {what}");
    std::io::stdout().flush().unwrap();
    if number != LAST.load(Ordering::SeqCst) {
        return;
    }
    if !WAITS.load(Ordering::SeqCst) {
        std::process::abort();
    }
    println!("{WAITING}");
    std::io::stdout().flush().unwrap();
    // The whole runtime stands still, if need be: what happens to its connections is seen when it goes on.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[derive(Debug)]
pub(crate) struct Aborting {
    name: &'static str,
    inner: Arc<dyn Driver>,
}

impl Aborting {
    pub(crate) fn over(name: &'static str, inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
        Arc::new(Self { name, inner })
    }

    fn writer(&self) -> &dyn Writer {
        self.inner.writer().unwrap()
    }

    async fn around<T>(&self, what: &str, done: impl Future<Output = T>) -> T {
        around(self.name, what, done).await
    }
}

async fn around<T>(name: &str, what: &str, done: impl Future<Output = T>) -> T {
    step(&format!("before {what} at {name}"));
    let done = done.await;
    step(&format!("after {what} at {name}"));
    done
}

#[async_trait]
impl Driver for Aborting {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> &dyn Capabilities {
        self.inner.capabilities()
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        self.inner.tables().await
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        self.inner.describe(table).await
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        self.inner.read_as(column, wanted)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        self.inner.statistics(table).await
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.inner.render(fragment)
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal> {
        self.inner.accepts(statement, values)
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        self.inner.run(statement, values, ask)
    }

    async fn health(&self) -> Result<()> {
        self.inner.health().await
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Aborting {
    fn capabilities(&self) -> &WriteCapabilities {
        self.writer().capabilities()
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        self.writer().writable_as(column, value_type)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        self.writer().render_change(shape)
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        self.writer().render_locked(fragment, lock)
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        let inner = self.writer().begin(begin, context).await?;
        Ok(Transaction::new(Box::new(AbortingTransaction { name: self.name, inner })))
    }

    async fn fate_of(&self, mark: &TxMark) -> Result<Option<Fate>> {
        self.writer().fate_of(mark).await
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        self.writer().distributed_obstacles().await
    }

    async fn prepared(&self, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
        self.writer().prepared(gate, context).await
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        self.around("settle", self.writer().settle(id, fate, context)).await
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        self.around("the question for the marker", self.writer().marker_fate(id, context)).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        self.around("forgetting the marker", self.writer().forget_marker(id, context)).await
    }
}

#[derive(Debug)]
struct AbortingTransaction {
    name: &'static str,
    inner: Transaction,
}

#[async_trait]
impl SourceTransaction for AbortingTransaction {
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
        let Self { name, inner } = *self;
        around(name, "the last commit", inner.commit()).await
    }

    async fn rollback(self: Box<Self>) {
        self.inner.rollback().await;
    }

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        around(self.name, "prepare", self.inner.prepare(id)).await
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        let Self { name, inner } = *self;
        around(name, "commit", inner.commit_prepared()).await
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        let Self { name, inner } = *self;
        around(name, "rollback", inner.rollback_prepared()).await
    }

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        around(self.name, "the marker", self.inner.write_marker(id)).await
    }
}
