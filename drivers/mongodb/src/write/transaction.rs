//! One transaction: a session of its own, whose commands see one moment and are stored by a majority, or not at all.

use super::error::{Counts, counted, from_change, no_transactions};
use super::locks::Locks;
use super::reading::{Alarm, Keys, ReadQuery, Reading};
use super::stages::without_union;
use super::{marker, print};
use crate::connect::pool::{Lease, Pool};
use crate::documents::bind::{self, Command};
use crate::documents::decode::Decoder;
use crate::documents::fetch::{KnownFields, Question, Stored};
use crate::documents::introspect::KEY;
use crate::error::unreadable;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::try_unfold;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc};
use mongodb::error::{ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Applied, ChangeOp, ChangeSet, CommitError, Fate, GlobalId, NativeChange, Rows, SourceTransaction, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a rollback, or one try of a commit, may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a commit whose outcome is unknown is sent again, which the server takes once.
const COMMIT: Duration = Duration::from_secs(20);
const COMMIT_PAUSE: Duration = Duration::from_millis(100);
/// How long locked documents may take to be written to before the commit.
const TOUCH: Duration = Duration::from_secs(30);
/// Changes of one command, and their bytes: it must stay below 16 MiB.
const CHANGES_AT_ONCE: usize = 2_000;
const BYTES_AT_ONCE: usize = 8 << 20;
const CHANGE_BYTES_MAX: usize = 15 << 20;

/// A transaction that may write.
pub(super) struct MongoTransaction {
    lease: Arc<Lease>,
    /// Gone when the transaction is dropped, and not before.
    session: Option<ClientSession>,
    alarm: Alarm,
    locks: Locks,
    /// Whether the operator has made a collection for its markers.
    can_mark: bool,
}

impl fmt::Debug for MongoTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session.as_ref().map(ClientSession::id);
        f.debug_struct("MongoTransaction").field("session", &session).finish_non_exhaustive()
    }
}

impl Drop for MongoTransaction {
    /// The client rolls back by itself, but that waits for what the server still does for a call that was dropped. That is ended
    /// before another transaction gets the session.
    fn drop(&mut self) {
        if self.alarm.is_running()
            && let Some(session) = self.session.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let lease = Arc::clone(&self.lease);
            runtime.spawn(async move { lease.kill(session.id()).await });
        }
    }
}

/// Changes that go in one command.
struct Part {
    changes: RawArrayBuf,
    bytes: usize,
    rows: Range<usize>,
    /// Keys of documents to insert.
    keys: Vec<Bson>,
}

impl Part {
    fn from(row: usize) -> Self {
        Self { changes: RawArrayBuf::new(), bytes: 0, rows: row..row, keys: Vec::new() }
    }

    /// Whether another change of this size goes in it.
    fn takes(&self, bytes: usize) -> bool {
        self.rows.is_empty() || (self.rows.len() < CHANGES_AT_ONCE && self.bytes.saturating_add(bytes) <= BYTES_AT_ONCE)
    }

    fn push(&mut self, change: RawDocumentBuf, key: Option<Bson>) {
        self.bytes = self.bytes.saturating_add(change.as_bytes().len());
        self.changes.push(change);
        self.keys.extend(key);
        self.rows.end += 1;
    }
}

impl MongoTransaction {
    /// # Errors
    /// 08001, 08006: no connection; 0A000: the deployment has no transactions; 57014.
    pub(super) async fn begin(pool: &Arc<Pool>, can_mark: bool, context: &ExecuteContext) -> Result<Self> {
        let lease = Arc::new(pool.lease(context.deadline, &context.cancel).await?);
        let begun = async {
            if !lease.has_transactions().await? {
                return Err(no_transactions());
            }
            let mut session = lease.session().await?;
            session
                .start_transaction()
                .read_concern(ReadConcern::snapshot())
                .write_concern(WriteConcern::majority())
                .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
                .await
                .map_err(|error| from_change(&error))?;
            Ok(session)
        };
        let session = tokio::select! {
            biased;
            session = begun => session?,
            error = context.over() => return Err(error),
        };
        let alarm = Alarm::new(Arc::clone(&lease), session.id().clone());
        Ok(Self { lease, session: Some(session), alarm, locks: Locks::default(), can_mark })
    }

    async fn run(&mut self, command: RawDocumentBuf, context: &ExecuteContext) -> Result<Counts> {
        let Self { lease, session, alarm, .. } = self;
        let (database, session) = (lease.database(), held(session)?);
        let reply = alarm
            .watch(context, from_change, async { database.run_raw_command(command).session(session).await })
            .await?;
        counted(&reply)
    }

    /// Sends changes of rows, and gives them back as they are stored where that is wanted.
    async fn changed(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        wants: bool,
        context: &ExecuteContext,
    ) -> Result<Applied> {
        let mut applied = Applied::default();
        let mut part = Part::from(0);
        for row in 0..rows.len() {
            let (key, statement) = match change.shape.op {
                ChangeOp::Insert => {
                    let (key, document) = print::inserted(&change.shape, rows, row)?;
                    (Some(key), document)
                }
                ChangeOp::Update => (None, print::updated(&change.shape, rows, row)?),
                ChangeOp::Delete => (None, print::deleted(&change.shape, rows, row)?),
            };
            let statement = raw(&statement)?;
            let bytes = statement.as_bytes().len();
            if bytes > CHANGE_BYTES_MAX {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "row is too large for the source"));
            }
            if !part.takes(bytes) {
                let full = std::mem::replace(&mut part, Part::from(row));
                self.sent(change, rows, full, wants, context, &mut applied).await?;
            }
            part.push(statement, key);
        }
        self.sent(change, rows, part, wants, context, &mut applied).await?;
        Ok(applied)
    }

    async fn sent(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        part: Part,
        wants: bool,
        context: &ExecuteContext,
        applied: &mut Applied,
    ) -> Result<()> {
        let Part { changes, rows: range, keys, .. } = part;
        if range.is_empty() {
            return Ok(());
        }
        let (op, table) = (change.shape.op, &change.shape.table);
        let (name, list) = print::words(op);
        let mut command = raw(&doc! { name: table.name(), "ordered": true })?;
        command.append(list, changes);
        let stored = |keys| match op {
            ChangeOp::Insert => Ok(doc! { KEY: { "$in": keys } }),
            ChangeOp::Update | ChangeOp::Delete => print::any_of(&change.shape, rows, range),
        };
        match op {
            ChangeOp::Insert => {
                applied.count += self.run(command, context).await?.met;
                self.locks.written(table.name(), &keys)?;
                if wants {
                    self.found(change, stored(keys)?, context, applied).await?;
                }
            }
            ChangeOp::Update => {
                let counts = self.run(command, context).await?;
                applied.count += counts.met;
                if wants {
                    let found = self.found(change, stored(keys)?, context, applied).await?;
                    // A document that had its values before was not written to.
                    if counts.modified == counts.met {
                        self.locks.written(table.name(), &found)?;
                    }
                }
            }
            ChangeOp::Delete => {
                if wants {
                    self.found(change, stored(keys)?, context, applied).await?;
                }
                applied.count += self.run(command, context).await?.met;
            }
        }
        Ok(())
    }

    /// Documents as they are stored now; gives their keys.
    async fn found(
        &mut self,
        change: &NativeChange,
        filter: Document,
        context: &ExecuteContext,
        applied: &mut Applied,
    ) -> Result<Vec<Bson>> {
        let stored = Stored::of_columns(&change.shape.returning);
        let decoder = Decoder::new(&change.statement, Some(&stored), CHANGES_AT_ONCE)?;
        let question = Question::chosen(filter, &stored);
        let Self { lease, session, alarm, .. } = self;
        let mut found = Vec::new();
        let (collection, keys) = (change.shape.table.name(), Keys::Listed(&mut found));
        let query = ReadQuery { collection, question, decoder, keys };
        let mut reading = Reading::open(lease, held(session)?, alarm, query, context.clone()).await?;
        while let Some(batch) = reading.batch().await? {
            applied.keep(batch)?;
        }
        drop(reading);
        Ok(found)
    }

    /// Writes to documents that are locked and were not written to, which fails if somebody else did.
    async fn touch(&mut self) -> Result<()> {
        let deadline = Some(Instant::now() + TOUCH);
        let context = ExecuteContext { deadline, ..ExecuteContext::default() };
        for command in self.locks.commands() {
            self.run(raw(&command)?, &context).await.map_err(|error| match error.code() {
                ErrorCode::CheckViolation => {
                    let text = "the source's rules for documents do not let rows be locked";
                    Error::new(ErrorCode::FeatureNotSupported, text).with_cause(error)
                }
                _ => error,
            })?;
        }
        Ok(())
    }
}

fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|error| unreadable().with_cause(error))
}

fn held(session: &mut Option<ClientSession>) -> Result<&mut ClientSession> {
    session.as_mut().ok_or_else(|| Error::internal("a transaction without a session"))
}

fn no_savepoints() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "source has no savepoints")
        .with_hint("Undo the whole transaction, or make smaller ones.")
}

/// Whether an answer to a commit says for sure that nothing is stored.
fn is_rolled_back(error: &mongodb::error::Error, is_first: bool) -> bool {
    // Asked again, a server that does not know the transaction may have stored it, unless it says that it cannot have.
    matches!(error.kind.as_ref(), ErrorKind::Command(_))
        && (is_first || error.contains_label(TRANSIENT_TRANSACTION_ERROR))
}

#[async_trait]
impl SourceTransaction for MongoTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        Fragment::check_values(&statement.parameters, values)?;
        let command = bind::command(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        let Command { collection, stages, stored, locks } = command;
        let stages = without_union(stages);
        let question = Question::new(&collection, stages, stored.as_ref(), &KnownFields::default());
        let decoder = Decoder::new(statement, stored.as_ref(), context.batch_rows)?;
        let keyed = || Error::internal("a locked read gives no documents as they are stored");
        let question = if locks { question.with_key().ok_or_else(keyed)? } else { question };
        let Self { lease, session, alarm, locks: own, .. } = self;
        let keys = if locks { Keys::Locked(own, collection.clone()) } else { Keys::None };
        let query = ReadQuery { collection: &collection, question, decoder, keys };
        let reading = Reading::open(lease, held(session)?, alarm, query, context).await?;
        Ok(try_unfold(reading, |mut reading| async move {
            let batch = reading.batch().await?;
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.changed(change, rows, !change.shape.returning.is_empty(), context).await
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        let mut count = 0;
        while let Some(batch) = context.next_of(&mut rows).await? {
            for first in (0..batch.num_rows()).step_by(limits::BATCH_ROWS) {
                let part = batch.slice(first, limits::BATCH_ROWS.min(batch.num_rows() - first));
                let part = ChangeSet::new(&change.shape, part)?;
                let loaded = self.changed(change, &part, false, context).await?.count;
                if u64::try_from(part.len()).ok() != Some(loaded) {
                    return Err(Violation::Serialization.error());
                }
                count += loaded;
            }
        }
        Ok(count)
    }

    async fn savepoint(&mut self, _id: u32) -> Result<()> {
        Err(no_savepoints())
    }

    async fn rollback_to(&mut self, _id: u32) -> Result<()> {
        Err(no_savepoints())
    }

    async fn release(&mut self, _id: u32) -> Result<()> {
        Err(no_savepoints())
    }

    fn keeps_savepoints(&self) -> bool {
        false
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        if let Err(error) = self.touch().await {
            self.rollback().await;
            return Err(CommitError::RolledBack(error));
        }
        let Self { lease, session, .. } = &mut *self;
        let session = held(session).map_err(CommitError::RolledBack)?;
        let began = Instant::now();
        let mut is_first = true;
        loop {
            let refusal = match tokio::time::timeout(ANSWER, session.commit_transaction()).await {
                Ok(Ok(())) => {
                    lease.note_answer(None);
                    return Ok(());
                }
                Ok(Err(error)) => {
                    let refusal = from_change(&error);
                    lease.note_answer(Some(&refusal));
                    if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
                        refusal
                    } else if is_rolled_back(&error, is_first) {
                        return Err(CommitError::RolledBack(refusal));
                    } else {
                        return Err(CommitError::unknown(&refusal, None));
                    }
                }
                Err(_) => crate::error::unreachable("source does not answer"),
            };
            is_first = false;
            if began.elapsed() > COMMIT {
                return Err(CommitError::unknown(&refusal, None));
            }
            tokio::time::sleep(COMMIT_PAUSE).await;
        }
    }

    async fn rollback(mut self: Box<Self>) {
        // The server ends it when it is dropped.
        if self.alarm.is_running() {
            return;
        }
        let Self { session, alarm, .. } = &mut *self;
        if let Some(session) = session
            && tokio::time::timeout(ANSWER, session.abort_transaction()).await.is_err()
        {
            alarm.end().await;
        }
    }

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        if !self.can_mark {
            return Err(querygate_driver_api::write::distributed::unsupported());
        }
        marker::verify(&self.lease).await?;
        let deadline = Some(Instant::now() + ANSWER);
        let context = ExecuteContext { deadline, ..ExecuteContext::default() };
        let stored = self.run(raw(&marker::insert(id, Fate::Committed))?, &context).await;
        stored.map(drop).map_err(marker::given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_bounded_by_changes_and_bytes() {
        let change = |bytes: usize| raw(&doc! { "a": "x".repeat(bytes) }).unwrap();
        let mut part = Part::from(3);
        assert!(part.takes(CHANGE_BYTES_MAX), "one change goes in any");
        part.push(change(10), None);
        assert!(part.takes(10) && !part.takes(BYTES_AT_ONCE));
        for _ in 1..CHANGES_AT_ONCE {
            assert!(part.takes(10));
            part.push(change(1), Some(Bson::Int64(1)));
        }
        assert!(!part.takes(10));
        assert_eq!((part.rows.clone(), part.keys.len()), (3..3 + CHANGES_AT_ONCE, CHANGES_AT_ONCE - 1));
    }
}
