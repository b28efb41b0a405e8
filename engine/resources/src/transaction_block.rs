//! The source transactions of a session's transaction block. One begins with the first change of a source (at the higher levels with the
//! first read) and from then on every statement on that source runs in it, so that the session reads what it wrote. Knows no table.

mod branches;
mod intentions;

pub use branches::Branches;

use crate::bytes::batch_bytes;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::{StreamExt, stream};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement, Uncommitted};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, Capture, Isolation, Locking, Writer};
use querygate_transactions::Coordinator;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// One transaction block of a session, over the sources that it changes: several, where they are committed together.
#[derive(Debug)]
pub struct TransactionBlock {
    begin: Begin,
    branches: Mutex<Branches>,
    /// The last savepoint of when a statement failed: before anything else is done with the branches, they go back to it.
    failed_after: std::sync::Mutex<Option<u32>>,
    /// What its transaction shows to statements that read the source past the driver.
    uncommitted: Arc<Uncommitted>,
}

/// How long a block may take part in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// Between two of its statements.
    pub idle: Duration,
    /// From its first statement there to its end.
    pub age: Duration,
}

impl Default for BlockLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), age: Duration::from_secs(3_600) }
    }
}

/// A read of a block's statement.
#[derive(Debug)]
pub(crate) struct BranchRead<'a> {
    pub(crate) source: &'a Arc<str>,
    pub(crate) driver: &'a Arc<dyn Driver>,
    pub(crate) statement: &'a Arc<NativeStatement>,
    pub(crate) values: &'a [Value],
    /// Pays for the rows, which are all read before the next statement runs.
    pub(crate) account: &'a Arc<dyn MemoryPool>,
}

impl TransactionBlock {
    /// `savepoints`: those that the session has set before. `coordinator`: who commits changes of several sources; `None`: one source
    /// takes part. `capture`: who writes down what it changes; `None`: no change is followed.
    #[must_use]
    pub fn new(
        isolation: Isolation,
        savepoints: Vec<u32>,
        coordinator: Option<Arc<Coordinator>>,
        capture: Option<Capture>,
    ) -> Arc<Self> {
        let begin = Begin::with(isolation);
        let uncommitted = Arc::<Uncommitted>::default();
        let branches = Branches::new(begin, savepoints, Arc::clone(&uncommitted), coordinator, capture);
        Arc::new(Self { begin, branches: Mutex::new(branches), failed_after: std::sync::Mutex::default(), uncommitted })
    }

    /// One for statements within a statement of another block, whose transaction it is lent ([`Branches::borrow_from`]).
    #[must_use]
    pub fn within(isolation: Isolation, uncommitted: &Arc<Uncommitted>) -> Arc<Self> {
        let begin = Begin::with(isolation);
        let branches = Branches::new(begin, Vec::new(), Arc::clone(uncommitted), None, None);
        let uncommitted = Arc::clone(uncommitted);
        Arc::new(Self { begin, branches: Mutex::new(branches), failed_after: std::sync::Mutex::default(), uncommitted })
    }

    /// What its transaction will show, for blocks [within](Self::within) it.
    #[must_use]
    pub fn shown(&self) -> &Arc<Uncommitted> {
        &self.uncommitted
    }

    /// What its transaction shows to statements that read the source past the driver. `None`: nothing.
    #[must_use]
    pub fn uncommitted(&self) -> Option<&Arc<Uncommitted>> {
        Some(&self.uncommitted).filter(|uncommitted| !uncommitted.is_empty())
    }

    /// Rolls back what takes part for longer than it may, whatever its door knows of its client. Ends with the block.
    pub async fn watch(block: Weak<Self>, limits: BlockLimits) {
        let look = (limits.idle.min(limits.age) / 10).clamp(Duration::from_millis(20), Duration::from_secs(1));
        loop {
            tokio::time::sleep(look).await;
            let Some(block) = block.upgrade() else { return };
            // A statement that runs has a timeout of its own, and keeps its branches.
            let Ok(mut branches) = block.branches.try_lock() else { continue };
            if branches.has_ended() {
                return;
            }
            if branches.exceed(limits) {
                tracing::info!("a transaction was rolled back: it took part in its source for too long");
                branches.time_out().await;
                return;
            }
        }
    }

    /// Whether a read begins the transaction at a source: the level promises one moment for all statements, and others may read and
    /// write there at the same time. Where a source has one writer, who only reads must not take its place.
    fn begins_with_a_read(&self, writer: &dyn Writer) -> bool {
        let one_moment = match self.begin.isolation {
            Isolation::ReadCommitted => false,
            Isolation::RepeatableRead | Isolation::Serializable => true,
        };
        let shared = match writer.capabilities().locking {
            Locking::Rows | Locking::Conflicts => true,
            Locking::Source => false,
        };
        // A source without the level is read as it is outside of transactions, and takes no change of this one.
        one_moment && shared && writer.capabilities().admit(self.begin).is_ok()
    }

    /// The block's parts at its sources, for one statement.
    pub async fn branches(&self) -> MutexGuard<'_, Branches> {
        let mut branches = self.branches.lock().await;
        let failed_after = *self.failed_after();
        if let Some(savepoint) = failed_after {
            branches.let_go_since(savepoint).await;
            *self.failed_after() = None;
        }
        branches
    }

    /// A statement has failed, in a block whose last savepoint this is: before they are [asked for](Self::branches) again, its branches give
    /// back what they took since. Ask for them soon.
    pub fn fail_after(&self, last_savepoint: u32) {
        *self.failed_after() = Some(last_savepoint);
    }

    fn failed_after(&self) -> std::sync::MutexGuard<'_, Option<u32>> {
        self.failed_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sources that take part; none while a statement of it runs.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        self.branches.try_lock().map(|branches| branches.sources()).unwrap_or_default()
    }

    /// Whether a source takes part, or the statement that would say so still runs.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        self.branches.try_lock().map_or(true, |branches| branches.take_part())
    }

    /// Rows of a statement, where its source takes part in the block; `None`: it reads outside of it.
    ///
    /// # Errors
    /// The source's; 53200: the rows have no room; 25P02: the transaction has failed before.
    pub(crate) async fn read(&self, read: BranchRead<'_>, context: ExecuteContext) -> Result<Option<BatchStream>> {
        let mut branches = self.branches().await;
        branches.live()?;
        let begins = |writer| self.begins_with_a_read(writer);
        if branches.admit_reads_of(read.source) && read.driver.writer().is_some_and(begins) {
            branches.enter_to_read(read.source, read.driver, &context).await?;
        }
        let Some(transaction) = branches.of(read.source) else { return Ok(None) };
        let account = MemoryConsumer::new("rows of a transaction").register(read.account);
        // A setting of the planner is tried where a statement can be run again.
        let context = ExecuteContext { setting: None, ..context };
        let mut rows = transaction.query(read.statement, read.values, context).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            account.try_grow(bytes(&batch)).map_err(no_room)?;
            batches.push(batch);
        }
        drop(rows);
        branches.rest();
        Ok(Some(charged(batches, account)))
    }
}

fn bytes(batch: &RecordBatch) -> usize {
    usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX)
}

fn no_room(cause: datafusion::error::DataFusionError) -> Error {
    Error::new(ErrorCode::OutOfMemory, "rows of a transaction that changes their source have no room in memory")
        .with_hint("Read fewer rows at once, or read them before the first change or after COMMIT.")
        .with_cause(cause)
}

/// Batches that give their room back as they are read.
fn charged(batches: Vec<RecordBatch>, account: MemoryReservation) -> BatchStream {
    let give = move |batch: RecordBatch| {
        account.shrink(bytes(&batch).min(account.size()));
        Ok(batch)
    };
    stream::iter(batches).map(give).boxed()
}
