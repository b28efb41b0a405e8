//! A driver around a driver that ends its process before or after what it does for transactions of several sources, or waits there until
//! it is given a line.

use async_trait::async_trait;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::testkit::around::{DriverAround, TransactionAround, WriterAround};
use querygate_driver_api::write::{Begin, CommitError, Fate, GlobalId, PrepareError, Settled, Transaction, Writer};
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

impl DriverAround for Aborting {
    fn inner(&self) -> &dyn Driver {
        self.inner.as_ref()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl WriterAround for Aborting {
    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        let inner = self.inner_writer()?.begin(begin, context).await?;
        Ok(Transaction::new(Box::new(AbortingTransaction { name: self.name, inner })))
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        self.around("settle", self.inner_writer()?.settle(id, fate, context)).await
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        self.around("the question for the marker", self.inner_writer()?.marker_fate(id, context)).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        self.around("forgetting the marker", self.inner_writer()?.forget_marker(id, context)).await
    }
}

#[derive(Debug)]
struct AbortingTransaction {
    name: &'static str,
    inner: Transaction,
}

#[async_trait]
impl TransactionAround for AbortingTransaction {
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
        let Self { name, inner } = *self;
        around(name, "the last commit", inner.commit()).await
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
