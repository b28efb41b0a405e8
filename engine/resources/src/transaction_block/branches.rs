//! The parts of a transaction block: one open transaction for each source that takes part. All begin, go back and end together.

use super::BlockLimits;
use super::intentions::{intended, settle};
use futures::future::join_all;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{ExecuteContext, Uncommitted};
use querygate_driver_api::write::{
    Begin, Capture, CommitError, Isolation, Locking, RowsWritten, Transaction, TxMark, Violation, Writer,
};
use querygate_transactions::{Coordinator, Part};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::time::Instant;

/// The block's parts at its sources. Locked by one statement at a time.
#[derive(Debug)]
pub struct Branches {
    begin: Begin,
    /// In the order in which they began.
    open: Vec<Branch>,
    /// Savepoints that the session has set, in their order; set at a source when it takes part.
    savepoints: Vec<u32>,
    ended: Option<End>,
    uncommitted: Arc<Uncommitted>,
    /// Who commits several of them, and the block's number there.
    together: Option<(Arc<Coordinator>, u64)>,
    /// Who writes down what it changes; `None`: no change is followed.
    capture: Option<Capture>,
    /// When the last of its statements ended.
    used: Instant,
}

/// Why nothing begins in a block again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Committed or rolled back by its session.
    Ordered,
    /// Rolled back because its session was silent, or took too long.
    TimedOut,
    /// Rolled back because a statement failed, and a source could not go back to the last savepoint.
    Failed,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) source: Arc<str>,
    driver: Arc<dyn Driver>,
    pub(super) transaction: Transaction,
    begun: Instant,
    /// Savepoints of the block that were set before it began.
    older_savepoints: Box<[u32]>,
    /// Its number in the ids of a transaction of several sources: of no other open one.
    number: u16,
    /// It was asked for to change or lock rows.
    changes: bool,
}

impl Branch {
    /// Whether it can end where a savepoint is gone back to, and begin anew when its source is used again: it has done nothing before,
    /// and others may wait for its end. Where they do not, it has no place and no lock that they could want.
    fn ends_at(&self, savepoint: u32) -> bool {
        let keeps_others_waiting = self.driver.writer().is_some_and(|writer| match writer.capabilities().locking {
            Locking::Rows | Locking::Source => true,
            Locking::Conflicts => false,
        });
        keeps_others_waiting && self.older_savepoints.contains(&savepoint)
    }
}

impl Branches {
    pub(super) fn sources(&self) -> Vec<String> {
        self.open.iter().map(|branch| branch.source.to_string()).collect()
    }

    pub(super) fn new(
        begin: Begin,
        savepoints: Vec<u32>,
        uncommitted: Arc<Uncommitted>,
        coordinator: Option<Arc<Coordinator>>,
        capture: Option<Capture>,
    ) -> Self {
        let together = coordinator.map(|coordinator| {
            let number = coordinator.number();
            (coordinator, number)
        });
        Self { begin, open: Vec::new(), savepoints, ended: None, uncommitted, together, capture, used: Instant::now() }
    }

    /// The transaction at a source that is to be changed, which begins now where it has not.
    ///
    /// # Errors
    /// 0A000: another source takes part and both cannot be changed together, or this one cannot be changed. The source's.
    pub async fn enter(
        &mut self,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        context: &ExecuteContext,
    ) -> Result<&mut Transaction> {
        self.live()?;
        if !self.open.iter().any(|branch| branch.changes && branch.source == *source) {
            self.admit_changes_of(source, driver).await?;
        }
        let place = self.place_of(source, driver, context).await?;
        let branch = self.open.get_mut(place).ok_or_else(gone)?;
        branch.changes = true;
        Ok(&mut branch.transaction)
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
        self.live()?;
        if !self.open.is_empty() {
            return Err(Error::internal("a transaction was lent to a block that has one"));
        }
        let begun = Instant::now();
        self.used = begun;
        let (source, driver) = (Arc::clone(source), Arc::clone(driver));
        let (older_savepoints, number, transaction) = (Box::default(), 0, lender.lend());
        self.open.push(Branch { source, driver, transaction, begun, older_savepoints, number, changes: true });
        Ok(())
    }

    /// Gives a transaction back that was [borrowed](Self::borrow_from).
    ///
    /// # Errors
    /// Internal: there is none, or others take part.
    pub fn give_back(&mut self, lender: &mut Transaction) -> Result<()> {
        if self.open.len() > 1 {
            return Err(Error::internal("a block within another one has begun a transaction of its own"));
        }
        let branch = self.open.pop().ok_or_else(|| Error::internal("a lent transaction is not there any more"))?;
        lender.take_back(branch.transaction);
        Ok(())
    }

    /// The transaction at a source that is only to be read, as far as it is known.
    pub(super) async fn enter_to_read(
        &mut self,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        context: &ExecuteContext,
    ) -> Result<()> {
        self.place_of(source, driver, context).await.map(drop)
    }

    /// Whether a read may begin a transaction at a source: at the first of all, or where several are committed together.
    pub(super) fn admit_reads_of(&self, source: &Arc<str>) -> bool {
        (self.open.is_empty() || self.together.is_some()) && !self.open.iter().any(|branch| branch.source == *source)
    }

    /// Asked before the first change of a source.
    async fn admit_changes_of(&mut self, source: &Arc<str>, driver: &Arc<dyn Driver>) -> Result<()> {
        let Some((coordinator, _)) = &self.together else {
            if self.open.iter().any(|branch| branch.source != *source) {
                let text = "a transaction that changes several sources is not supported";
                return Err(Error::new(ErrorCode::FeatureNotSupported, text)
                    .with_hint(
                    "Commit what was changed in one source before another one is changed. Where an operator allows it, both can be \
                     changed between BEGIN and COMMIT.",
                ));
            }
            return Ok(());
        };
        let others = self.open.iter().filter(|branch| branch.changes && branch.source != *source);
        let mut changed: Vec<_> = others.map(|branch| (&branch.source, &branch.driver)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        changed.push((source, driver));
        coordinator.admit(&changed).await
    }

    async fn place_of(
        &mut self,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        context: &ExecuteContext,
    ) -> Result<usize> {
        if let Some(place) = self.open.iter().position(|branch| branch.source == *source) {
            return Ok(place);
        }
        let writer = driver.writer().ok_or_else(|| Error::internal("a source without a writer was to take part"))?;
        // A driver may keep it until the end of the transaction; what the statement holds is charged until its own.
        let uncommitted = Some(Arc::clone(&self.uncommitted));
        let context = ExecuteContext { uncommitted, room: None, ..context.clone() };
        let is_free = |number: &u16| !self.open.iter().any(|branch| branch.number == *number);
        let number = (0..=u16::MAX).find(is_free).ok_or_else(|| Error::internal("too many sources take part"))?;
        let mut begin = self.begin;
        if let Some((coordinator, block)) = &self.together {
            begin = begin.within(coordinator.id(*block, number));
        }
        let mut transaction = writer.begin(begin, &context).await?;
        if let Some(capture) = &self.capture {
            transaction.capture(capture.clone());
        }
        for id in &self.savepoints {
            transaction.savepoint(*id).await?;
        }
        let begun = Instant::now();
        self.used = begun;
        let (source, driver) = (Arc::clone(source), Arc::clone(driver));
        let older_savepoints = self.savepoints.as_slice().into();
        self.open.push(Branch { source, driver, transaction, begun, older_savepoints, number, changes: false });
        Ok(self.open.len() - 1)
    }

    /// The transaction at a source, if it takes part.
    pub(super) fn of(&mut self, source: &Arc<str>) -> Option<&mut Transaction> {
        self.open.iter_mut().find(|branch| branch.source == *source).map(|branch| &mut branch.transaction)
    }

    pub(super) fn take_part(&self) -> bool {
        !self.open.is_empty() || self.ended.is_some()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn exceed(&self, limits: BlockLimits) -> bool {
        let Some(first) = self.open.first() else { return false };
        self.used.elapsed() > limits.idle || first.begun.elapsed() > limits.age
    }

    /// A statement of the block has ended: its client's silence begins.
    pub fn rest(&mut self) {
        self.used = Instant::now();
    }

    /// Rows that were written since the last call, and where.
    pub fn take_written(&mut self) -> Vec<(Arc<str>, Vec<RowsWritten>)> {
        let written = |branch: &mut Branch| (Arc::clone(&branch.source), branch.transaction.take_written());
        self.open.iter_mut().map(written).filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// Whether a failure has left it nothing but a rollback.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.open.iter().any(|branch| branch.transaction.has_failed())
    }

    pub(super) fn live(&self) -> Result<()> {
        match self.ended {
            None => Ok(()),
            Some(End::Ordered) => Err(Error::internal("a statement came after the end of its transaction block")),
            Some(End::TimedOut) => {
                let text = "transaction was rolled back: its changes waited for too long";
                Err(Error::new(ErrorCode::IdleInTransactionTimeout, text)
                    .with_hint("End a transaction soon after its changes; an operator sets the limits in [writes]."))
            }
            Some(End::Failed) => {
                let text = "current transaction is aborted, commands ignored until end of transaction block";
                Err(Error::new(ErrorCode::InFailedTransaction, text)
                    .with_detail("A source has undone all of it, so that no savepoint is left."))
            }
        }
    }

    /// Sets a savepoint at all sources, whose id is new.
    ///
    /// # Errors
    /// A source's; 25P02, 25P03: the block was rolled back.
    pub async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.live()?;
        for branch in &mut self.open {
            branch.transaction.savepoint(id).await?;
        }
        self.savepoints.push(id);
        Ok(())
    }

    /// Undoes what was done since a savepoint, which stays. A source that took part later has it, too: it was set when it began.
    ///
    /// # Errors
    /// A source's; 25P02, 25P03: the block was rolled back.
    pub async fn rollback_to(&mut self, id: u32) -> Result<()> {
        self.live()?;
        for branch in &mut self.open {
            branch.transaction.rollback_to(id).await?;
        }
        let kept = self.savepoints.iter().position(|known| *known == id).map_or(0, |place| place + 1);
        self.savepoints.truncate(kept);
        Ok(())
    }

    /// Forgets a savepoint and those after it.
    ///
    /// # Errors
    /// A source's; 25P02, 25P03: the block was rolled back.
    pub async fn release(&mut self, id: u32) -> Result<()> {
        self.live()?;
        for branch in &mut self.open {
            branch.transaction.release(id).await?;
        }
        let kept = self.savepoints.iter().position(|known| *known == id).unwrap_or(0);
        self.savepoints.truncate(kept);
        Ok(())
    }

    /// Gives back what was taken since the last savepoint, because a statement has failed: its session goes on from there or from an older
    /// one, or it ends the block. What took part later ends, unless its level promises one moment until the end. Where a source cannot go
    /// back, nothing can go on, and all ends.
    pub(super) async fn let_go_since(&mut self, last_savepoint: u32) {
        if self.ended.is_some() {
            return;
        }
        let ends = |branch: &Branch| match self.begin.isolation {
            Isolation::ReadCommitted => branch.ends_at(last_savepoint),
            Isolation::RepeatableRead | Isolation::Serializable => false,
        };
        let (over, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(ends);
        self.open = open;
        roll_back(over).await;
        if let Err(error) = self.rollback_to(last_savepoint).await {
            tracing::info!(%error, "a transaction was rolled back: a source of it could not go back to its savepoint");
            self.ended = Some(End::Failed);
            roll_back(std::mem::take(&mut self.open)).await;
        }
    }

    /// Stores what was done, and waits for the sources' answers. To be run in a task that no caller's end ends.
    ///
    /// # Errors
    /// Why nothing is stored; 08007: it is not known whether everything is, or nothing. 53100: who follows changes could not be
    /// promised these.
    pub async fn commit(&mut self) -> Result<()> {
        self.live()?;
        self.ended = Some(End::Ordered);
        let mut open = std::mem::take(&mut self.open);
        let intentions = match intended(&mut open).await {
            Ok(intentions) => intentions,
            Err(error) => {
                roll_back(open).await;
                return Err(error);
            }
        };
        let committed = if open.len() > 1 {
            commit_several(open, self.together.clone()).await
        } else {
            match open.into_iter().next() {
                Some(Branch { driver, transaction, .. }) => commit(&driver, transaction).await,
                None => Ok(()),
            }
        };
        settle(intentions, &committed);
        committed
    }

    /// Undoes everything.
    pub async fn rollback(&mut self) {
        self.ended.get_or_insert(End::Ordered);
        roll_back(std::mem::take(&mut self.open)).await;
    }

    /// Undoes everything, because it took too long.
    pub(super) async fn time_out(&mut self) {
        self.ended = Some(End::TimedOut);
        roll_back(std::mem::take(&mut self.open)).await;
    }
}

/// Those that only read end first: should one fail, nothing is stored yet.
async fn commit_several(open: Vec<Branch>, together: Option<(Arc<Coordinator>, u64)>) -> Result<()> {
    if open.iter().any(|branch| branch.transaction.has_failed()) {
        roll_back(open).await;
        return Err(Error::new(ErrorCode::InFailedTransaction, "current transaction is aborted"));
    }
    let (changed, read): (Vec<_>, Vec<_>) = open.into_iter().partition(|branch| branch.changes);
    let ends = read.into_iter().map(|branch| async move { commit(&branch.driver, branch.transaction).await });
    if let Some(error) = join_all(ends).await.into_iter().find_map(Result::err) {
        roll_back(changed).await;
        return Err(match error.code() {
            // Of what was only read there is no outcome to know.
            ErrorCode::TransactionOutcomeUnknown => Violation::Serialization.error(),
            _ => error,
        });
    }
    if changed.len() <= 1 {
        let Some(Branch { driver, transaction, .. }) = changed.into_iter().next() else { return Ok(()) };
        return commit(&driver, transaction).await;
    }
    let Some((coordinator, number)) = together else {
        roll_back(changed).await;
        return Err(Error::internal("several sources were changed that are not committed together"));
    };
    let part = |branch: Branch| {
        let Branch { source, driver, transaction, number, .. } = branch;
        Part { source, driver, branch: number, transaction }
    };
    coordinator.commit(number, changed.into_iter().map(part).collect()).await
}

fn gone() -> Error {
    Error::internal("a transaction that was begun is not there")
}

async fn roll_back(branches: impl IntoIterator<Item = Branch>) {
    join_all(branches.into_iter().map(|branch| branch.transaction.rollback())).await;
}

/// Commits the transaction of one source. Where the answer is lost, the source is asked what became of it.
///
/// # Errors
/// Why nothing is stored; 08007: it is not known whether everything is, or nothing.
async fn commit(driver: &Arc<dyn Driver>, transaction: Transaction) -> Result<()> {
    let writer: &dyn Writer = driver.writer().ok_or_else(|| Error::internal("a source without a writer took part"))?;
    let fate = |mark: Option<TxMark>| async move { writer.fate_of(&mark?).await.ok().flatten() };
    match transaction.commit_asking(fate).await {
        Ok(()) => Ok(()),
        Err(CommitError::RolledBack(error) | CommitError::Unknown(error, _)) => Err(error),
    }
}
