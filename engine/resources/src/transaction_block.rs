//! The source transaction of a session's transaction block. It begins with the first change (at the higher levels with the first
//! read) and from then on every statement on that source runs in it, so that the session reads what it wrote. Knows no table.

use crate::bytes::batch_bytes;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::{StreamExt, stream};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement, Uncommitted};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Begin, CommitError, Fate, Isolation, Locking, RowsWritten, Transaction, Violation, Writer,
};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// One transaction block of a session, over at most one source that it changes.
#[derive(Debug)]
pub struct TransactionBlock {
    begin: Begin,
    branch: Mutex<Branch>,
    /// What its transaction shows to statements that read the source past the driver.
    uncommitted: Arc<Uncommitted>,
}

/// The block's part at its source. Locked by one statement at a time.
#[derive(Debug)]
pub struct Branch {
    begin: Begin,
    open: Option<Open>,
    /// Savepoints that the session has set, in their order; set at the source when it takes part.
    savepoints: Vec<u32>,
    ended: Option<End>,
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

/// Why nothing begins in a branch again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Committed or rolled back by its session.
    Told,
    /// Rolled back because its session was silent, or took too long.
    TimedOut,
}

#[derive(Debug)]
struct Open {
    source: Arc<str>,
    driver: Arc<dyn Driver>,
    transaction: Transaction,
    begun: Instant,
    /// When its last statement ended.
    used: Instant,
}

/// A read of a block's statement.
#[derive(Debug)]
pub struct BranchRead<'a> {
    pub source: &'a Arc<str>,
    pub driver: &'a Arc<dyn Driver>,
    pub statement: &'a Arc<NativeStatement>,
    pub values: &'a [Value],
    /// Pays for the rows, which are all read before the next statement runs.
    pub account: &'a Arc<dyn MemoryPool>,
}

impl TransactionBlock {
    /// `savepoints`: those that the session has set before.
    #[must_use]
    pub fn new(isolation: Isolation, savepoints: Vec<u32>) -> Arc<Self> {
        let begin = Begin::with(isolation);
        let uncommitted = Arc::<Uncommitted>::default();
        let branch = Branch { begin, open: None, savepoints, ended: None, uncommitted: Arc::clone(&uncommitted) };
        Arc::new(Self { begin, branch: Mutex::new(branch), uncommitted })
    }

    /// One for statements within a statement of another block, whose transaction it is lent ([`Branch::borrow_from`]).
    #[must_use]
    pub fn within(isolation: Isolation, uncommitted: &Arc<Uncommitted>) -> Arc<Self> {
        let begin = Begin::with(isolation);
        let shared = || Arc::clone(uncommitted);
        let branch = Branch { begin, open: None, savepoints: Vec::new(), ended: None, uncommitted: shared() };
        Arc::new(Self { begin, branch: Mutex::new(branch), uncommitted: shared() })
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
            // A statement that runs has a timeout of its own, and keeps its branch.
            let Ok(mut branch) = block.branch.try_lock() else { continue };
            if branch.ended.is_some() {
                return;
            }
            if branch.open.as_ref().is_some_and(|open| open.exceeds(limits)) {
                tracing::info!("a transaction was rolled back: it took part in its source for too long");
                branch.rollback().await;
                branch.ended = Some(End::TimedOut);
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

    /// The block's part at its source, for one statement.
    pub async fn branch(&self) -> MutexGuard<'_, Branch> {
        self.branch.lock().await
    }

    /// Whether a source takes part, or the statement that would say so still runs.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        self.branch.try_lock().map_or(true, |branch| branch.open.is_some() || branch.ended.is_some())
    }

    /// Rows of a statement, where its source takes part in the block; `None`: it reads outside of it.
    ///
    /// # Errors
    /// The source's; 53200: the rows have no room; 25P02: the transaction has failed before.
    pub async fn read(&self, read: BranchRead<'_>, context: ExecuteContext) -> Result<Option<BatchStream>> {
        let mut branch = self.branch.lock().await;
        branch.lives()?;
        let begins = |writer| branch.open.is_none() && self.begins_with_a_read(writer);
        if read.driver.writer().is_some_and(begins) {
            branch.enter(read.source, read.driver, &context).await?;
        }
        let Some(open) = branch.open.as_mut().filter(|open| open.source == *read.source) else { return Ok(None) };
        let account = MemoryConsumer::new("rows of a transaction").register(read.account);
        // A setting of the planner is tried where a statement can be run again.
        let context = ExecuteContext { setting: None, ..context };
        let mut rows = open.transaction.query(read.statement, read.values, context).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            account.try_grow(bytes(&batch)).map_err(no_room)?;
            batches.push(batch);
        }
        drop(rows);
        open.used = Instant::now();
        Ok(Some(charged(batches, account)))
    }
}

impl Branch {
    /// The transaction at a source, which begins now where it has not.
    ///
    /// # Errors
    /// 0A000: another source takes part, or this one cannot be changed. The source's.
    pub async fn enter(
        &mut self,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        context: &ExecuteContext,
    ) -> Result<&mut Transaction> {
        self.lives()?;
        if self.open.as_ref().is_some_and(|open| open.source != *source) {
            let text = "a transaction that changes several sources is not supported";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text)
                .with_hint("Commit what was changed in one source before another one is changed."));
        }
        if self.open.is_none() {
            let writer =
                driver.writer().ok_or_else(|| Error::internal("a source without a writer was to take part"))?;
            let context = ExecuteContext { uncommitted: Some(Arc::clone(&self.uncommitted)), ..context.clone() };
            let mut transaction = writer.begin(self.begin, &context).await?;
            for id in &self.savepoints {
                transaction.savepoint(*id).await?;
            }
            let begun = Instant::now();
            let (source, driver) = (Arc::clone(source), Arc::clone(driver));
            self.open = Some(Open { source, driver, transaction, begun, used: begun });
        }
        let open = self.open.as_mut().ok_or_else(|| Error::internal("a transaction that was begun is not there"))?;
        Ok(&mut open.transaction)
    }

    /// Takes part with the transaction of another block, which goes on with what [`give_back`](Self::give_back) gives.
    ///
    /// # Errors
    /// Internal: it takes part with another one. 25P02.
    pub fn borrow_from(
        &mut self,
        (source, driver): (&Arc<str>, &Arc<dyn Driver>),
        lender: &mut Transaction,
    ) -> Result<()> {
        self.lives()?;
        if self.open.is_some() {
            return Err(Error::internal("a transaction was lent to a block that has one"));
        }
        let begun = Instant::now();
        let (source, driver) = (Arc::clone(source), Arc::clone(driver));
        self.open = Some(Open { source, driver, transaction: lender.lend(), begun, used: begun });
        Ok(())
    }

    /// Gives a transaction back that was [borrowed](Self::borrow_from).
    ///
    /// # Errors
    /// Internal: there is none.
    pub fn give_back(&mut self, lender: &mut Transaction) -> Result<()> {
        let open = self.open.take().ok_or_else(|| Error::internal("a lent transaction is not there any more"))?;
        lender.take_back(open.transaction);
        Ok(())
    }

    /// A statement of the block has ended: its client's silence begins.
    pub fn rests(&mut self) {
        if let Some(open) = &mut self.open {
            open.used = Instant::now();
        }
    }

    /// Rows that were written since the last call, and where.
    pub fn take_written(&mut self) -> Option<(Arc<str>, Vec<RowsWritten>)> {
        let open = self.open.as_mut()?;
        Some((Arc::clone(&open.source), open.transaction.take_written()))
    }

    /// Whether a failure has left it nothing but a rollback.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.transaction.has_failed())
    }

    fn lives(&self) -> Result<()> {
        match self.ended {
            None => Ok(()),
            Some(End::Told) => Err(Error::internal("a statement came after the end of its transaction block")),
            Some(End::TimedOut) => {
                let text = "transaction was rolled back: its changes waited for too long";
                Err(Error::new(ErrorCode::IdleInTransactionTimeout, text)
                    .with_hint("End a transaction soon after its changes; an operator sets the limits in [writes]."))
            }
        }
    }

    /// Sets a savepoint, whose id is new.
    ///
    /// # Errors
    /// The source's.
    pub async fn savepoint(&mut self, id: u32) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.transaction.savepoint(id).await?;
        }
        self.savepoints.push(id);
        Ok(())
    }

    /// Undoes what was done since a savepoint, which stays.
    ///
    /// # Errors
    /// The source's.
    pub async fn rollback_to(&mut self, id: u32) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.transaction.rollback_to(id).await?;
        }
        let kept = self.savepoints.iter().position(|known| *known == id).map_or(0, |place| place + 1);
        self.savepoints.truncate(kept);
        Ok(())
    }

    /// Forgets a savepoint and those after it.
    ///
    /// # Errors
    /// The source's.
    pub async fn release(&mut self, id: u32) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.transaction.release(id).await?;
        }
        let kept = self.savepoints.iter().position(|known| *known == id).unwrap_or(0);
        self.savepoints.truncate(kept);
        Ok(())
    }

    /// Stores what was done, and waits for the source's answer. To be run in a task that no caller's end ends.
    ///
    /// # Errors
    /// Why nothing is stored; 08007: it is not known whether everything is, or nothing.
    pub async fn commit(&mut self) -> Result<()> {
        self.lives()?;
        self.ended = Some(End::Told);
        let Some(Open { driver, transaction, .. }) = self.open.take() else { return Ok(()) };
        let writer = driver.writer().ok_or_else(|| Error::internal("a source without a writer took part"))?;
        commit(writer, transaction).await
    }

    /// Undoes everything.
    pub async fn rollback(&mut self) {
        self.ended.get_or_insert(End::Told);
        if let Some(open) = self.open.take() {
            open.transaction.rollback().await;
        }
    }
}

impl Open {
    fn exceeds(&self, limits: BlockLimits) -> bool {
        self.used.elapsed() > limits.idle || self.begun.elapsed() > limits.age
    }
}

/// Commits a transaction. Where the answer is lost, the source is asked what became of it.
///
/// # Errors
/// Why nothing is stored; 08007: it is not known whether everything is, or nothing.
async fn commit(writer: &dyn Writer, transaction: Transaction) -> Result<()> {
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::RolledBack(error)) => Err(error),
        Err(CommitError::Unknown(error, mark)) => {
            let Some(mark) = mark else { return Err(error) };
            match writer.fate_of(&mark).await {
                Ok(Some(Fate::Committed)) => Ok(()),
                Ok(Some(Fate::RolledBack)) => Err(Violation::Serialization.error()),
                Ok(None) | Err(_) => Err(error),
            }
        }
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
