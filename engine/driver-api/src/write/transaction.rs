//! A transaction of one source, from begin to its outcome. What a driver does is behind [`SourceTransaction`]; what holds for every source is kept by [`Transaction`].

mod after_commit;
mod commit;
mod journal;
mod last_change;
mod lending;
mod outcome;
mod participant;
mod reading;
mod rows_written;
mod savepoints;

use super::change::{Applied, ChangeOp, ChangeSet, NativeChange};
use super::distributed::{GlobalId, PrepareError, unsupported};
use super::row_update::RenderedUpdate;
use super::violation::Violation;
use crate::execution::{BatchStream, ExecuteContext, NativeStatement};
use crate::identifier::{Identifier, TableRef};
use crate::value::Value;
use after_commit::AfterCommit;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use journal::Captured;
pub use journal::{Capture, ChangeJournal, Intended, Intention, RowsChanged};
use last_change::LastChange;
pub use outcome::{Begin, CommitError, Fate, Isolation, TxMark};
use querygate_types::{Error, ErrorCode, Result, SourceRule};
use reading::Reading;
pub use rows_written::RowsWritten;
use rows_written::Tally;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Rows that a transaction reads. Nothing else happens in it before they end or are dropped.
pub type Rows<'a> = BoxStream<'a, Result<RecordBatch>>;

/// A read that follows a change: a rendered statement and its values.
#[derive(Debug, Clone, Copy)]
pub struct ReadAfter<'a> {
    /// Rendered by the same driver.
    pub statement: &'a Arc<NativeStatement>,
    /// One for each of its placeholders.
    pub values: &'a [Value],
}

/// What a source makes of new rows by itself: all others are stored as they are given, and each of them is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alterations {
    /// Columns that may get a value where none is given: their defaults, numbers, what is computed.
    pub filled: Vec<Identifier>,
    /// Columns that may hold a given value in another form.
    pub reformed: Vec<Identifier>,
}

/// What a driver does inside of a transaction. Whatever was sent is sent once: nothing here is tried again. Dropped, its connection
/// is closed and the source rolls back.
#[async_trait]
pub trait SourceTransaction: Send + fmt::Debug {
    /// Runs a statement that the driver rendered, with or without locks. Rows that are dropped before their end leave the transaction
    /// as it was.
    ///
    /// # Errors
    /// As [`Driver::run`](crate::driver::Driver::run); 40001, 40P01, 55P03: others are in the way.
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>>;

    /// Applies a change to each of the rows. Counts the table's rows that it met, however many those are.
    ///
    /// # Errors
    /// A [`Violation`]; 22xxx: a value that the column would not give back as it is; 57014: cancelled, out of time.
    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied>;

    /// Applies a change, and reads what is stored then. A source that takes both at once does not wait for the first one's answer.
    ///
    /// # Errors
    /// As [`apply`](Self::apply) and [`query`](Self::query).
    async fn apply_and_read(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        read: ReadAfter<'_>,
        context: &ExecuteContext,
    ) -> Result<(Applied, Vec<RecordBatch>)> {
        let applied = self.apply(change, rows, context).await?;
        let read = self.query(read.statement, read.values, context.clone()).await?.try_collect().await?;
        Ok((applied, read))
    }

    /// Locks the row of a rendered [`RowUpdate`](super::RowUpdate) and changes it. Gives it as it was and as it is. `None`: nothing was
    /// changed, whatever the reason; the row may be locked.
    ///
    /// # Errors
    /// As [`apply`](Self::apply) and [`query`](Self::query).
    async fn update_row(
        &mut self,
        _table: &TableRef,
        _statement: &NativeStatement,
        _values: &[Value],
        _context: &ExecuteContext,
    ) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    /// Inserts any number of rows in the source's fastest way. Nothing is given back.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); the stream's own.
    async fn load(&mut self, change: &NativeChange, rows: BatchStream, context: &ExecuteContext) -> Result<u64>;

    /// What the source makes of new rows of a table by itself. `None`: more than that, or it is not known. What was said after rows of
    /// the table were stored in the transaction holds until its end.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    async fn alterations(&mut self, _table: &TableRef) -> Result<Option<Alterations>> {
        Ok(None)
    }

    /// Sets a savepoint, whose id is new.
    async fn savepoint(&mut self, id: u32) -> Result<()>;

    /// Undoes what was done since the savepoint, which stays.
    async fn rollback_to(&mut self, id: u32) -> Result<()>;

    /// Forgets the savepoint and those after it.
    async fn release(&mut self, id: u32) -> Result<()>;

    /// Whether the source still has the transaction's savepoints after a failure.
    fn keeps_savepoints(&self) -> bool;

    /// By what its fate can be asked for.
    fn mark(&self) -> Option<TxMark>;

    /// Waits for the source's answer, whoever cancels.
    async fn commit(self: Box<Self>) -> Result<(), CommitError>;

    /// Applies a change to each of the rows and commits, or does neither. A source that takes both at once does not wait for the first
    /// one's answer.
    ///
    /// # Errors
    /// [`CommitError`]; rolled back: the change failed, or met other rows.
    async fn commit_after(mut self: Box<Self>, change: &NativeChange, rows: &ChangeSet) -> Result<(), CommitError> {
        let applied = self.apply(change, rows, &ExecuteContext::default()).await;
        match applied.and_then(|applied| met(change, rows, applied)) {
            Ok(_) => self.commit().await,
            Err(error) => {
                self.rollback().await;
                Err(CommitError::RolledBack(error))
            }
        }
    }

    /// Undoes everything. A connection that does not answer is closed, which has the source do so.
    async fn rollback(self: Box<Self>);

    /// Has the source keep what was done under this id, which is that of its begin, until its fate is decided: the connection
    /// may be closed. What follows is [`commit_prepared`](Self::commit_prepared) or [`rollback_prepared`](Self::rollback_prepared), or
    /// [`Writer::settle`](super::Writer::settle) after it was dropped.
    ///
    /// # Errors
    /// [`PrepareError`].
    async fn prepare(&mut self, _id: &GlobalId) -> Result<(), PrepareError> {
        Err(PrepareError::unsupported())
    }

    /// Stores what is prepared.
    ///
    /// # Errors
    /// [`CommitError`].
    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        Err(CommitError::RolledBack(Error::internal("the source has prepared nothing")))
    }

    /// Undoes what is prepared.
    ///
    /// # Errors
    /// It is not known whether it is.
    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        Err(Error::internal("the source has prepared nothing"))
    }

    /// Inserts the row of this id with the fate `commit` into [`MARKER_TABLE`](super::distributed::MARKER_TABLE).
    ///
    /// # Errors
    /// 40001: there is a row of this id; 0A000: the source leaves no markers.
    async fn write_marker(&mut self, _id: &GlobalId) -> Result<()> {
        Err(unsupported())
    }
}

/// A transaction as the gate holds it. After a failure it takes a rollback, to a savepoint or of the whole, and nothing else; so it
/// does where a call was dropped before its answer, but for savepoints.
#[derive(Debug)]
pub struct Transaction {
    inner: Box<dyn SourceTransaction>,
    state: TransactionState,
    savepoints: Vec<u32>,
    /// Of each savepoint, how much was to be done after the commit, and how much was captured, when it was set.
    marks: Vec<(usize, usize)>,
    after: Vec<AfterCommit>,
    written: Tally,
    captured: Captured,
    last: Option<LastChange>,
    companion: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionState {
    Sound,
    /// A call has begun and not ended.
    Running,
    Failed,
    /// Its marker is written: what is left is its end.
    Marked,
    /// The source keeps it until its fate is decided.
    Prepared,
}

fn has_failed() -> Error {
    let text = "current transaction is aborted, commands ignored until end of transaction block";
    Error::new(ErrorCode::InFailedTransaction, text)
}

impl Transaction {
    /// A transaction that has just begun.
    #[must_use]
    pub fn new(inner: Box<dyn SourceTransaction>) -> Self {
        Self {
            inner,
            state: TransactionState::Sound,
            savepoints: Vec::new(),
            marks: Vec::new(),
            after: Vec::new(),
            written: Tally::default(),
            captured: Captured::default(),
            last: None,
            companion: None,
        }
    }

    /// Runs a statement that the driver rendered, with or without locks.
    ///
    /// # Errors
    /// As [`SourceTransaction::query`]; 25P02 after a failure.
    pub async fn query(
        &mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'_>> {
        self.enter()?;
        if context.share.is_some() || context.setting.is_some() {
            self.state = TransactionState::Sound;
            return Err(Error::internal("a transaction was asked for another moment, or another plan"));
        }
        let Self { inner, state, .. } = self;
        match inner.query(statement, values, context).await {
            Ok(rows) => Ok(Reading::new(rows, state).boxed()),
            Err(error) => {
                *state = TransactionState::Failed;
                Err(error)
            }
        }
    }

    /// Applies a change to each of the rows, which must all be there.
    ///
    /// # Errors
    /// As [`SourceTransaction::apply`]; 40001: fewer or more rows of the table were met; 25P02 after a failure.
    pub async fn apply(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        context: &ExecuteContext,
    ) -> Result<Applied> {
        self.enter()?;
        let applied =
            if rows.is_empty() { Ok(Applied::default()) } else { self.inner.apply(change, rows, context).await };
        let applied = applied.and_then(|applied| met(change, rows, applied));
        let applied = applied.map_err(|error| of_table(error, &change.shape.table));
        self.leave(applied).inspect(|applied| self.written.add(&change.shape, applied.count))
    }

    /// As [`apply`](Self::apply) of some rows, and reads what is stored then.
    ///
    /// # Errors
    /// As there; those of the read.
    pub async fn apply_and_read(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        read: ReadAfter<'_>,
        context: &ExecuteContext,
    ) -> Result<(Applied, Vec<RecordBatch>)> {
        self.enter()?;
        let done = self.inner.apply_and_read(change, rows, read, context).await;
        let done = done.and_then(|(applied, read)| Ok((met(change, rows, applied)?, read)));
        let done = done.map_err(|error| of_table(error, &change.shape.table));
        self.leave(done).inspect(|(applied, _)| self.written.add(&change.shape, applied.count))
    }

    /// Locks a row and changes it, in one statement. `None`: no row was changed.
    ///
    /// # Errors
    /// As [`SourceTransaction::update_row`]; 40001: several rows were changed; 25P02 after a failure.
    pub async fn update_row(
        &mut self,
        update: RenderedUpdate<'_>,
        context: &ExecuteContext,
    ) -> Result<Option<RecordBatch>> {
        self.enter()?;
        let RenderedUpdate { table, columns, statement, values } = update;
        let done = self.inner.update_row(table, statement, values, context).await;
        let one = done.and_then(|rows| match rows {
            Some(rows) if rows.num_rows() > 1 => Err(Violation::Serialization.error()),
            rows => Ok(rows.filter(|rows| rows.num_rows() == 1)),
        });
        let one = one.map_err(|error| of_table(error, table));
        self.leave(one).inspect(|row| {
            self.written.add_rows(table, ChangeOp::Update, columns.iter(), u64::from(row.is_some()));
        })
    }

    /// Inserts any number of rows in the source's fastest way.
    ///
    /// # Errors
    /// As [`SourceTransaction::load`]; 25P02 after a failure.
    pub async fn load(&mut self, change: &NativeChange, rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        self.enter()?;
        let loaded = match change.shape.op {
            ChangeOp::Insert => self.inner.load(change, rows, context).await,
            ChangeOp::Update | ChangeOp::Delete => Err(Error::internal("only an insert loads rows")),
        };
        let loaded = loaded.map_err(|error| of_table(error, &change.shape.table));
        self.leave(loaded).inspect(|rows| self.written.add(&change.shape, *rows))
    }

    /// What the source makes of new rows of a table by itself.
    ///
    /// # Errors
    /// As [`SourceTransaction::alterations`]; 25P02 after a failure.
    pub async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        self.enter()?;
        let told = self.inner.alterations(table).await;
        self.leave(told)
    }

    /// Rows that were written since the last call, whatever becomes of them: the source has done the work.
    pub fn take_written(&mut self) -> Vec<RowsWritten> {
        self.written.take()
    }

    /// Whether it has changed rows, even if that was undone: others may wait for it.
    #[must_use]
    pub const fn has_written(&self) -> bool {
        self.written.has_rows()
    }

    /// By what its fate can be asked for.
    #[must_use]
    pub fn mark(&self) -> Option<TxMark> {
        self.inner.mark()
    }

    /// Whether a failure has left it nothing but its rollback.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match self.state {
            TransactionState::Sound | TransactionState::Marked | TransactionState::Prepared => false,
            TransactionState::Running | TransactionState::Failed => true,
        }
    }

    /// Does something when all this is stored, unless what was done until now is undone before. No caller hears how it ends. `bytes`: what
    /// it holds until then.
    ///
    /// # Errors
    /// 54000: too much waits for the commit.
    pub fn when_committed(&mut self, bytes: usize, task: impl FnOnce() + Send + Sync + 'static) -> Result<()> {
        after_commit::add(&mut self.after, AfterCommit::new(bytes, task))
    }

    /// Undoes everything. What is prepared needs [`rollback_prepared`](Self::rollback_prepared), which says whether it is.
    pub async fn rollback(self) {
        match self.state {
            TransactionState::Sound | TransactionState::Marked | TransactionState::Failed => {
                self.inner.rollback().await
            }
            // Its id can be settled whatever comes of this.
            TransactionState::Prepared => drop(participant::undone(self.inner).await),
            // Nobody knows what the source is doing: its connection is closed.
            TransactionState::Running => drop(self.inner),
        }
    }

    fn enter(&mut self) -> Result<()> {
        if self.has_failed() {
            // A call that was dropped has not told its end.
            return Err(has_failed());
        }
        if self.state != TransactionState::Sound || self.last.is_some() {
            return Err(Error::internal("a transaction that only ends was to do something"));
        }
        self.state = TransactionState::Running;
        Ok(())
    }

    fn leave<T>(&mut self, result: Result<T>) -> Result<T> {
        debug_assert_eq!(self.state, TransactionState::Running, "a call ends that has begun");
        self.state = if result.is_ok() { TransactionState::Sound } else { TransactionState::Failed };
        result
    }
}

/// The error of a change of a table, whose rule it is where the source names no other.
fn of_table(error: Error, table: &TableRef) -> Error {
    let Some(rule) = error.source_rule().filter(|rule| rule.table.is_none()) else { return error };
    let rule = SourceRule { table: Some(table.name().to_owned()), ..rule.clone() };
    error.with_source_rule(rule)
}

/// What a change did, if it met the rows that it was for.
fn met(change: &NativeChange, rows: &ChangeSet, applied: Applied) -> Result<Applied> {
    let stored: usize = applied.stored.iter().map(RecordBatch::num_rows).sum();
    if u64::try_from(rows.len()).ok() != Some(applied.count) {
        let cause = format!("{} rows instead of {}", applied.count, rows.len());
        return Err(Violation::Serialization.error().with_cause(cause));
    }
    if !change.shape.returning.is_empty() && stored != rows.len() {
        return Err(Error::internal("a source gave back other rows than it changed"));
    }
    Ok(applied)
}
