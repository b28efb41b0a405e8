//! One transaction on a connection of its own.

use super::encode::{COPY_HEADER, COPY_TRAILER, arrays, copied, forms};
use super::error::from_change;
use super::reading::Reading;
use super::{fate, print};
use crate::connect::pool::{Lease, Pool};
use crate::decode::Decoder;
use crate::error::{is_lost, unavailable};
use crate::wire::bind::Parameters;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, TryStreamExt};
use querygate_driver_api::execution::ending::canceled;
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::change::STORED_BYTES_MAX;
use querygate_driver_api::write::{
    Applied, Begin, ChangeSet, CommitError, NativeChange, Rows, SourceTransaction, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{CancelToken, Column};

/// How long a cancelled statement has to end; then its connection is closed.
const REST: Duration = Duration::from_secs(1);
/// How long a statement has that only begins or ends something.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of COPY's messages, about.
const COPIED_BYTES: usize = 256 * 1024;

/// A transaction that may write.
#[derive(Debug)]
pub(super) struct PostgresTransaction {
    lease: Lease,
    alarm: Alarm,
    mark: TxMark,
    /// The schema in which triggers and defaults of the source look for what they name, once one is set.
    schema: Option<String>,
}

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Stops what the server still does for a transaction that was dropped in the middle of a statement: it would look for its client
/// only later, and hold its locks until then.
struct Alarm {
    pool: Arc<Pool>,
    token: CancelToken,
    is_running: bool,
    keeps_savepoints: bool,
}

impl Alarm {
    /// Waits for an answer, or stops the statement when it must end.
    async fn watch<T>(&mut self, context: &ExecuteContext, run: impl Future<Output = Answer<T>>) -> Result<Answer<T>> {
        if context.cancel.is_cancelled() {
            return Err(canceled());
        }
        self.is_running = true;
        let mut run = std::pin::pin!(run);
        let ran = tokio::select! {
            biased;
            ran = &mut run => ran,
            error = context.over() => {
                self.stop(async { run.await.map(drop) }).await;
                return Err(error);
            }
        };
        self.is_running = false;
        Ok(ran)
    }

    /// Asks the server to stop, and hears the statement to its end. Only one that says it was cancelled leaves the connection as it
    /// was: a cancel that comes late would hit the next statement.
    async fn stop(&mut self, rest: impl Future<Output = Answer<()>>) {
        self.pool.connector().cancel(self.token.clone()).await;
        let ended = tokio::time::timeout(REST, rest).await;
        let stopped = matches!(ended, Ok(Err(error)) if error.code() == Some(&SqlState::QUERY_CANCELED));
        self.keeps_savepoints &= stopped;
        self.is_running = !stopped;
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("is_running", &self.is_running).finish_non_exhaustive()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.is_running
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (pool, token) = (Arc::clone(&self.pool), self.token.clone());
            runtime.spawn(async move { pool.connector().cancel(token).await });
        }
    }
}

impl PostgresTransaction {
    /// # Errors
    /// 08001, 08006: no connection, or one that had been lost; 25006: the server takes no changes; 57014.
    pub(super) async fn begin(pool: &Arc<Pool>, begin: Begin, context: &ExecuteContext) -> Result<Self> {
        let lease = pool.lease(context.deadline, &context.cancel).await?;
        let token = lease.connection.client.cancel_token();
        let mut alarm = Alarm { pool: Arc::clone(pool), token, is_running: false, keeps_savepoints: true };
        let level = begin.isolation.sql();
        let text = format!("BEGIN ISOLATION LEVEL {level} READ WRITE; {}", fate::MARK);
        let answer = alarm.watch(context, lease.connection.client.simple_query(&text)).await?;
        let answer = answer.map_err(|error| match error.code() {
            // A standby has no transactions that write.
            Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                let text = format!("source \"{}\" is read-only", pool.source());
                Error::new(ErrorCode::ReadOnlyTransaction, text).with_cause(&error)
            }
            _ => from_change(pool.source(), &error),
        })?;
        let mark = fate::mark(&answer).ok_or_else(|| Error::internal("a transaction without a number"))?;
        Ok(Self { lease, alarm, mark, schema: None })
    }

    fn source(&self) -> &str {
        self.alarm.pool.source()
    }

    pub(super) fn failed(&mut self, error: &tokio_postgres::Error) -> Error {
        self.alarm.keeps_savepoints &= !is_lost(error);
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            // Its tables are others than when the statement was prepared.
            self.lease.connection.forget();
        }
        from_change(self.source(), error)
    }

    /// Stops the statement whose rest is given.
    pub(super) async fn stop(&mut self, rest: impl Future<Output = Answer<()>>) {
        self.alarm.stop(rest).await;
    }

    /// Runs a statement of our own words, which ends at once.
    async fn run(&mut self, text: &str) -> Result<()> {
        self.alarm.is_running = true;
        let ran = tokio::time::timeout(ANSWER, self.lease.connection.client.batch_execute(text)).await;
        let Ok(ran) = ran else {
            self.alarm.keeps_savepoints = false;
            return Err(unavailable(self.source(), "does not answer"));
        };
        self.alarm.is_running = false;
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
        Ok(Some(format!("SET LOCAL search_path = pg_catalog, {quoted}")))
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

#[async_trait]
impl SourceTransaction for PostgresTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        Fragment::check_values(&statement.parameters, values)?;
        let parameters = Parameters::of(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        let types: Vec<Type> = parameters.types().cloned().collect();
        let connection = &self.lease.connection;
        let begun = self.alarm.watch(&context, async {
            let prepared = connection.prepared(&statement.text, &types, None).await?;
            let rows = connection.client.query_raw(&prepared, parameters.values().cloned()).await?;
            Ok((prepared, rows))
        });
        let (prepared, rows) = begun.await?.map_err(|error| self.failed(&error))?;
        let columns = prepared.columns().iter().map(Column::type_);
        let decoder = Decoder::new(self.source(), statement, columns, context.batch_rows.max(1))?;
        Ok(Reading::new(self, rows, decoder, context).stream())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        let forms = forms(&change.shape)?;
        let sent = arrays(&forms, rows.rows())?;
        let types: Vec<Type> = forms.iter().map(|form| form.array()).collect();
        let path = self.path(&change.shape.table)?;
        let NativeChange { statement, shape, .. } = change;
        let connection = &self.lease.connection;
        let enter = async {
            match &path {
                Some(path) => connection.client.batch_execute(path).await,
                None => Ok(()),
            }
        };
        let change = async {
            let prepared = connection.prepared_change(&statement.text, &types).await?;
            let rows = connection.client.query_raw(&prepared, sent).await?;
            let mut rows = std::pin::pin!(rows);
            let (mut stored, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next().await {
                let row = row?;
                bytes += row.raw_size_bytes();
                // What is too much is heard to its end, and told then.
                if bytes <= STORED_BYTES_MAX {
                    stored.push(row);
                }
            }
            Ok((prepared, rows.rows_affected(), stored, bytes))
        };
        // One way to the server and back: where the first of the two fails, so does the other.
        let changed = self.alarm.watch(context, async { tokio::try_join!(enter, change) }).await?;
        let ((), (prepared, count, stored, bytes)) = changed.map_err(|error| self.failed(&error))?;
        self.entered(&shape.table);
        if bytes > STORED_BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "stored rows of one change are too large"));
        }
        let mut applied = Applied { count: count.unwrap_or(0), stored: Vec::new() };
        if !stored.is_empty() {
            let columns = prepared.columns().iter().map(Column::type_);
            let mut decoder = Decoder::new(self.source(), statement, columns, stored.len())?;
            stored.iter().try_for_each(|row| decoder.push(row))?;
            applied.keep(decoder.finish()?)?;
        }
        Ok(applied)
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        let forms = forms(&change.shape)?;
        let text = print::copy(&change.shape).map_err(Error::internal)?;
        self.enter(&change.shape.table).await?;
        let (mut failure, mut sent) = (None, 0_u64);
        let connection = &self.lease.connection;
        let loaded = self.alarm.watch(context, async {
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
        self.alarm.keeps_savepoints
    }

    fn mark(&self) -> Option<TxMark> {
        Some(self.mark.clone())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        self.alarm.is_running = false;
        // A COMMIT of what has failed would be answered like one that succeeded; the statement before it is not.
        let committed = self.lease.connection.client.batch_execute("SELECT 1; COMMIT").await;
        let Err(error) = committed else {
            self.lease.give_back();
            return Ok(());
        };
        let told = from_change(self.source(), &error);
        // What the server refuses in words of its own was not stored.
        if error.as_db_error().is_some() && !is_lost(&error) {
            self.rollback().await;
            return Err(CommitError::RolledBack(told));
        }
        Err(CommitError::unknown(&told, Some(self.mark.clone())))
    }

    async fn rollback(self: Box<Self>) {
        if self.alarm.is_running {
            // The cancel is on its way, and the connection is closed.
            return;
        }
        let undone = tokio::time::timeout(REST, self.lease.connection.client.batch_execute("ROLLBACK")).await;
        if matches!(undone, Ok(Ok(()))) {
            self.lease.give_back();
        }
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
