//! One transaction on a connection of its own.

mod commit;
mod two_phase;

use super::encode::{COPY_HEADER, COPY_TRAILER, arrays, copied, forms};
use super::error::from_change;
use super::pipeline::{self, Answered, FirstStatement, ReadBehind};
use super::reading::Reading;
use super::row_update::RowChange;
use super::stop::{Answer, PostgresStop, guard};
use super::{alterations, fate, print};
use crate::connect::pool::{Lease, Pool};
use crate::decode::Decoder;
use crate::error::{is_lost, unavailable};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::statement_guard::STOP_TIME;
use querygate_driver_api::write::{
    Alterations, Applied, Begin, ChangeSet, CommitError, Fate, GlobalId, Isolation, NativeChange, PrepareError,
    ReadAfter, Rows, SourceTransaction, StatementGuard, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Column;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// How long a statement has that only begins or ends something.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of COPY's messages, about.
const COPIED_BYTES: usize = 256 * 1024;

/// A transaction that may write. Its BEGIN goes with its first statement, in one way to the server.
#[derive(Debug)]
pub(super) struct PostgresTransaction {
    lease: Lease,
    running: StatementGuard<PostgresStop>,
    /// What begins it, as long as that was not sent.
    begin: Option<String>,
    isolation: Isolation,
    /// Known once it has begun.
    mark: Option<TxMark>,
    /// The schema in which triggers and defaults of the source look for what they name, where it is known which.
    schema: Option<String>,
    /// Whether the server was configured to keep it.
    can_prepare: bool,
    /// Under which the server keeps it.
    prepared: Option<GlobalId>,
}

impl PostgresTransaction {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// 08001: no connection; 57014.
    pub(super) async fn begin(
        pool: &Arc<Pool>,
        begin: Begin,
        can_prepare: bool,
        context: &ExecuteContext,
    ) -> Result<Self> {
        let lease = pool.lease(context.deadline, &context.cancel).await?;
        let (running, schema) = (guard(&lease, pool), lease.connection.search_path.clone());
        let (begin, isolation) = (Some(fate::begin(begin.isolation, &lease.connection)), begin.isolation);
        Ok(Self { lease, running, begin, isolation, mark: None, schema, can_prepare, prepared: None })
    }

    /// Why it has not begun. Whatever was sent behind its BEGIN ran in no transaction, where the session changes nothing.
    fn not_begun(&self, error: &tokio_postgres::Error) -> Error {
        match error.code() {
            // A standby has no transactions that write.
            Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                let text = format!("source \"{}\" is read-only", self.source());
                Error::new(ErrorCode::ReadOnlyTransaction, text).with_cause(error)
            }
            _ => from_change(self.source(), error),
        }
    }

    /// Another connection for one that was lost before the transaction had begun there, as when the server was restarted. Nothing of
    /// what was sent is stored: there was no COMMIT.
    async fn renew(&mut self, context: &ExecuteContext) -> Result<()> {
        tokio::select! {
            biased;
            error = context.over() => return Err(error),
            renewed = self.lease.renew() => renewed?,
        }
        self.running = guard(&self.lease, &Arc::clone(&self.running.server().pool));
        self.schema.clone_from(&self.lease.connection.search_path);
        self.begin = Some(fate::begin(self.isolation, &self.lease.connection));
        Ok(())
    }

    /// Waits until it has begun.
    async fn ready(&mut self) -> Result<()> {
        let Some(text) = self.begin.take() else { return Ok(()) };
        self.running.is_running = true;
        let begun = tokio::time::timeout(ANSWER, self.lease.connection.client.simple_query(&text)).await;
        let Ok(begun) = begun else { return Err(unavailable(self.source(), "does not answer")) };
        self.running.is_running = false;
        let answer = begun.map_err(|error| self.not_begun(&error))?;
        self.mark = Some(
            fate::mark(&answer, &self.lease.connection)
                .ok_or_else(|| Error::internal("a transaction without a number"))?,
        );
        Ok(())
    }

    fn source(&self) -> &str {
        self.running.server().pool.source()
    }

    pub(super) fn failed(&mut self, error: &tokio_postgres::Error) -> Error {
        self.running.keeps_savepoints &= !is_lost(error);
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            // Its tables are others than when the statement was prepared.
            self.lease.connection.forget();
        }
        from_change(self.source(), error)
    }

    /// Stops the statement whose rest is given.
    pub(super) async fn stop(&mut self, rest: impl Future<Output = Answer<()>>) {
        self.running.stop(rest).await;
    }

    /// Runs a statement of our own words, which ends at once.
    async fn run(&mut self, text: &str) -> Result<()> {
        self.ready().await?;
        self.running.is_running = true;
        let ran = tokio::time::timeout(ANSWER, self.lease.connection.client.batch_execute(text)).await;
        let Ok(ran) = ran else {
            self.running.keeps_savepoints = false;
            return Err(unavailable(self.source(), "does not answer"));
        };
        self.running.is_running = false;
        ran.map_err(|error| self.failed(&error))
    }

    /// The statement that lets triggers and defaults find what they name in the table's schema, where another one is set. The server's own
    /// names come first.
    fn path(&self, table: &TableRef) -> Result<Option<String>> {
        let schema = table.schema().unwrap_or_default();
        if self.schema.as_deref() == Some(schema) {
            return Ok(None);
        }
        let quoted = crate::compile::dialect::quote(schema).map_err(Error::internal)?;
        // Of the session: a path that came and went with each transaction would have the server plan every statement anew.
        Ok(Some(format!("SET search_path = pg_catalog, {quoted}")))
    }

    /// What [`path`](Self::path) says was done.
    fn entered(&mut self, table: &TableRef) {
        self.schema = Some(table.schema().unwrap_or_default().to_owned());
    }

    async fn enter(&mut self, table: &TableRef) -> Result<()> {
        if let Some(path) = self.path(table)? {
            self.run(&path).await?;
            self.entered(table);
        }
        Ok(())
    }
}

impl PostgresTransaction {
    /// Applies a change, and reads behind it.
    async fn change(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        read: Option<ReadAfter<'_>>,
        context: &ExecuteContext,
    ) -> Result<(Applied, Vec<RecordBatch>)> {
        let forms = forms(&change.shape)?;
        let types: Vec<Type> = forms.iter().map(|form| form.array()).collect();
        let read = read.map(|read| ReadBehind::of(read.statement, read.values, context)).transpose()?;
        let mut first = FirstStatement::default();
        let Answered { changed, found } = loop {
            first.begin = self.begin.take();
            let (path, connection) = (self.path(&change.shape.table)?, &self.lease.connection);
            let sent = arrays(&forms, rows.rows())?;
            let behind = pipeline::change(connection, path.as_deref(), &change.statement, &types, sent, read.as_ref());
            let answer = self.running.watch(context, first.with(connection, behind)).await?;
            if let Some(answered) = self.settled(answer, &mut first, context).await? {
                break answered;
            }
        };
        self.entered(&change.shape.table);
        let mut applied = Applied { count: changed.count(), stored: Vec::new() };
        if let Some(stored) = changed.decoded(self.source(), &change.statement)? {
            applied.keep(stored)?;
        }
        let found = match (&read, found) {
            (Some(read), Some(found)) => found.decoded(self.source(), read.statement())?,
            (_, _) => None,
        };
        Ok((applied, found.into_iter().collect()))
    }

    /// What was answered behind a transaction's BEGIN. `None`: it is to be sent again, as its connection was lost before the transaction
    /// had begun.
    async fn settled<T>(
        &mut self,
        answer: Answer<(Option<TxMark>, T)>,
        first: &mut FirstStatement,
        context: &ExecuteContext,
    ) -> Result<Option<T>> {
        let error = match answer {
            Ok((mark, behind)) => {
                self.mark = mark.or_else(|| self.mark.take());
                return match (&self.mark, first.begin.is_some()) {
                    (None, true) => Err(Error::internal("a transaction without a number")),
                    (_, _) => Ok(Some(behind)),
                };
            }
            Err(error) => error,
        };
        if first.has_begun {
            return Err(self.failed(&error));
        }
        if !is_lost(&error) || first.is_retry {
            return Err(self.not_begun(&error));
        }
        first.is_retry = true;
        self.renew(context).await?;
        Ok(None)
    }
}

#[async_trait]
impl SourceTransaction for PostgresTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        let parameters = pipeline::parameters(statement, values)?;
        let types: Vec<Type> = parameters.types().cloned().collect();
        let mut first = FirstStatement::default();
        let (prepared, rows) = loop {
            first.begin = self.begin.take();
            let connection = &self.lease.connection;
            let read = async {
                let prepared = connection.prepared_read(statement, &types, context.by_key).await?;
                let rows = connection.client.query_raw(&prepared, parameters.values().cloned()).await?;
                Ok((prepared, rows))
            };
            let answer = self.running.watch(&context, first.with(connection, read)).await?;
            if let Some(begun) = self.settled(answer, &mut first, &context).await? {
                break begun;
            }
        };
        let columns = prepared.columns().iter().map(Column::type_);
        let decoder = Decoder::new(self.source(), statement, columns, context.batch_rows.max(1))?;
        Ok(Reading::new(self, rows, decoder, context).stream())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.change(change, rows, None, context).await.map(|(applied, _)| applied)
    }

    async fn apply_and_read(
        &mut self,
        change: &NativeChange,
        rows: &ChangeSet,
        read: ReadAfter<'_>,
        context: &ExecuteContext,
    ) -> Result<(Applied, Vec<RecordBatch>)> {
        self.change(change, rows, Some(read), context).await
    }

    async fn update_row(
        &mut self,
        table: &TableRef,
        statement: &NativeStatement,
        values: &[Value],
        context: &ExecuteContext,
    ) -> Result<Option<RecordBatch>> {
        match self.isolation {
            Isolation::ReadCommitted => {}
            // What has a say in the table would be that of an earlier moment.
            Isolation::RepeatableRead | Isolation::Serializable => return Ok(None),
        }
        let row = RowChange::of(statement, values)?;
        let mut first = FirstStatement::default();
        let changed = loop {
            first.begin = self.begin.take();
            let (path, connection) = (self.path(table)?, &self.lease.connection);
            let behind = pipeline::entered(connection, path.as_deref(), row.run(connection));
            let answer = self.running.watch(context, first.with(connection, behind)).await?;
            if let Some(changed) = self.settled(answer, &mut first, context).await? {
                break changed;
            }
        };
        self.entered(table);
        changed.decoded(self.source(), statement)
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        self.ready().await?;
        let forms = forms(&change.shape)?;
        let text = print::copy(&change.shape).map_err(Error::internal)?;
        self.enter(&change.shape.table).await?;
        let (mut failure, mut sent) = (None, 0_u64);
        let connection = &self.lease.connection;
        let loaded = self.running.watch(context, async {
            let sink = connection.client.copy_in::<_, Bytes>(&text).await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from_static(COPY_HEADER)).await?;
            loop {
                let batch = match rows.try_next().await {
                    Ok(Some(batch)) => batch,
                    Ok(None) => break,
                    // Without an end, the server takes nothing of what it was sent.
                    Err(error) => {
                        failure = Some(error);
                        return Ok(None);
                    }
                };
                for part in parts(&batch) {
                    let mut out = BytesMut::with_capacity(COPIED_BYTES);
                    let checked = ChangeSet::new(&change.shape, part);
                    let written = checked.and_then(|part| copied(&forms, part.rows(), &mut out));
                    if let Err(error) = written {
                        failure = Some(error);
                        return Ok(None);
                    }
                    for piece in pieces(out.freeze()) {
                        sink.send(piece).await?;
                    }
                }
                sent += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            }
            sink.send(Bytes::from_static(COPY_TRAILER)).await?;
            sink.finish().await.map(Some)
        });
        let loaded = loaded.await?.map_err(|error| self.failed(&error))?;
        match (failure, loaded) {
            (Some(error), _) => Err(error),
            (None, Some(count)) if count == sent => Ok(count),
            // A trigger of the source left rows out.
            (None, _) => Err(Violation::Serialization.error()),
        }
    }

    async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        match self.isolation {
            Isolation::ReadCommitted => {}
            // It would tell of a moment before the one in which rows were stored.
            Isolation::RepeatableRead | Isolation::Serializable => return Ok(None),
        }
        self.ready().await?;
        self.running.is_running = true;
        let asked = tokio::time::timeout(ANSWER, alterations::of(&self.lease.connection.client, table)).await;
        let Ok(asked) = asked else {
            self.running.keeps_savepoints = false;
            return Err(unavailable(self.source(), "does not answer"));
        };
        self.running.is_running = false;
        asked.map_err(|error| self.failed(&error))?
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.run(&format!("SAVEPOINT s{id}")).await
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        // Settings go back to what they were then.
        self.schema = None;
        self.run(&format!("ROLLBACK TO SAVEPOINT s{id}")).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.run(&format!("RELEASE SAVEPOINT s{id}")).await
    }

    fn keeps_savepoints(&self) -> bool {
        self.running.keeps_savepoints
    }

    fn mark(&self) -> Option<TxMark> {
        self.mark.clone()
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        self.commit_alone().await
    }

    async fn commit_after(self: Box<Self>, change: &NativeChange, rows: &ChangeSet) -> Result<(), CommitError> {
        self.commit_behind(change, rows).await
    }

    async fn rollback(self: Box<Self>) {
        if self.running.is_running {
            // The cancel is on its way, and the connection is closed.
            return;
        }
        if self.begin.is_some() {
            return self.lease.give_back();
        }
        let undone = tokio::time::timeout(STOP_TIME, self.lease.connection.client.batch_execute("ROLLBACK")).await;
        if matches!(undone, Ok(Ok(()))) {
            self.lease.give_back();
        }
    }

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        self.prepare_transaction(id).await
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        self.end_prepared(Fate::Committed).await.map_err(|error| CommitError::unknown(&error, None))
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        self.end_prepared(Fate::RolledBack).await
    }
}

/// A batch in pieces that one set holds.
fn parts(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let rows = limits::BATCH_ROWS;
    (0..batch.num_rows()).step_by(rows).map(move |first| batch.slice(first, rows.min(batch.num_rows() - first)))
}

/// Bytes in messages of a usual size.
fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(COPIED_BYTES));
        (!piece.is_empty()).then_some(piece)
    })
}
