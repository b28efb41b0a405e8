//! Runs one statement: rows become batches in a task of their own and go through a bounded channel.

mod large;

use crate::compile::planner;
use crate::connect::connection::Connection;
use crate::connect::pool::{Lease, Pool};
use crate::decode::Decoder;
use crate::error::{from_postgres, is_lost};
use crate::run::execute::large::Large;
use crate::run::snapshot::{check_tables, join};
use crate::run::table_reads::TableRead;
use crate::wire::bind::Parameters;
use futures::StreamExt;
use querygate_driver_api::execution::ending::canceled;
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, NativeStatement, delivery};
use querygate_driver_api::planning::not_taken;
use querygate_types::{Error, ErrorCode, PlannerSetting, Result, limits};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Column, RowStream, Statement};

/// Bytes of rows after which a batch is delivered, however few its rows.
const BATCH_BYTES: usize = limits::BATCH_BYTES;
/// How long a cancelled statement has to end; then its connection is closed.
const REST: Duration = Duration::from_secs(1);

/// The rows of a statement; of one that reads a large table row by row, as the client library gives them or, where many are expected, off
/// the connection's own bytes.
///
/// # Errors
/// No connection in time, or a cancel before there is one.
pub(crate) async fn execute(
    pool: &Arc<Pool>,
    statement: Arc<NativeStatement>,
    parameters: Parameters,
    context: ExecuteContext,
    table_read: Option<Arc<TableRead>>,
) -> Result<BatchStream> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (delivery, batches) = delivery();
    let run =
        Run { pool: Arc::clone(pool), statement, parameters, context, delivery, table_read, rows: AtomicUsize::new(0) };
    tokio::spawn(run.whole(lease));
    Ok(batches)
}

/// How a run ended.
enum End {
    /// The source has delivered everything.
    Complete,
    /// Nobody wants the rest.
    Abandoned,
    /// The statement's own error; its connection is at rest.
    Failed(Error),
    /// As `Failed`, for a statement that still runs.
    Stopped(Error),
    /// The connection was gone before a row came: another may do.
    NotStarted(Error),
}

impl End {
    /// The end of a run whose last batch ended like this. The server has said all: its connection is at rest, whatever became of the batch.
    fn behind_the_last_row(self) -> Self {
        match self {
            Self::Stopped(error) => Self::Failed(error),
            Self::Abandoned => Self::Complete,
            other @ (Self::Complete | Self::Failed(_) | Self::NotStarted(_)) => other,
        }
    }
}

struct Run {
    pool: Arc<Pool>,
    statement: Arc<NativeStatement>,
    parameters: Parameters,
    context: ExecuteContext,
    delivery: Delivery,
    table_read: Option<Arc<TableRead>>,
    /// Delivered so far.
    rows: AtomicUsize,
}

impl Run {
    async fn whole(self, lease: Lease) {
        let mut end = self.once(lease).await;
        if matches!(end, End::NotStarted(_)) {
            // The server was restarted behind an idle connection; a read can begin again.
            end = match self.pool.lease(self.context.deadline, &self.context.cancel).await {
                Ok(lease) => self.once(lease).await,
                Err(error) => End::Failed(error),
            };
        }
        if let Some(read) = &self.table_read {
            let (rows, is_complete) = (self.rows.load(Ordering::Relaxed), matches!(end, End::Complete));
            read.gave(rows, is_complete, self.parameters.fingerprint());
        }
        match end {
            End::Complete => self.delivery.end(Ok(())).await,
            End::Failed(error) | End::Stopped(error) | End::NotStarted(error) => self.delivery.end(Err(error)).await,
            End::Abandoned => {}
        }
    }

    /// One attempt. The connection is given back or closed before anybody hears of the end.
    async fn once(&self, lease: Lease) -> End {
        let (mut end, mut at_rest) = self.rows(&lease.connection).await;
        if self.context.share.is_some() && at_rest && matches!(end, End::Complete) {
            let looked =
                async { check_tables(self.pool.source(), &lease.connection.client).await.map_err(End::Failed) };
            (end, at_rest) = match self.beginning(&lease.connection, looked).await {
                Ok(()) => (End::Complete, true),
                Err(ended) => ended,
            };
        }
        let at_rest = at_rest && (!self.has_transaction() || self.left(&lease.connection).await);
        if at_rest {
            lease.give_back();
        }
        end
    }

    /// Whether the statement runs in a transaction of its own.
    const fn has_transaction(&self) -> bool {
        self.context.share.is_some() || self.context.setting.is_some()
    }

    /// Goes to the moment that the statement is to see, if it is not now, or to a transaction in which the planner is told
    /// something.
    async fn joined(&self, connection: &Connection) -> std::result::Result<(), End> {
        let joined = match (&self.context.share, self.context.setting) {
            (None, None) => Ok(()),
            (Some(share), None) => join(self.pool.source(), &connection.client, &share.snapshot).await,
            (None, Some(setting)) => self.told(connection, setting).await,
            (Some(_), Some(_)) => Err(Error::internal("a part of a result was to be planned in a way of its own")),
        };
        joined.map_err(|error| match error.code() {
            ErrorCode::SourceLost => End::NotStarted(error),
            _ => End::Failed(error),
        })
    }

    async fn told(&self, connection: &Connection, setting: PlannerSetting) -> Result<()> {
        let begin = planner::begin(setting).ok_or_else(|| not_taken(setting))?;
        let begun = connection.client.batch_execute(begin).await;
        begun.map_err(|error| from_postgres(self.pool.source(), &error))
    }

    /// Leaves the transaction that the statement ran in.
    async fn left(&self, connection: &Connection) -> bool {
        let left = tokio::time::timeout(REST, connection.client.batch_execute("ROLLBACK")).await;
        left.is_ok_and(|left| left.is_ok())
    }

    async fn rows(&self, connection: &Connection) -> (End, bool) {
        if let Err(ended) = self.beginning(connection, self.joined(connection)).await {
            return ended;
        }
        if let Some(read) = self.table_read.as_ref().filter(|read| read.gives_many()) {
            match self.large(connection).await {
                Large::Ended(end, at_rest) => return (end, at_rest),
                Large::NotRead => read.has_own_types(),
            }
        }
        let (mut decoder, rows) = match self.beginning(connection, self.start(connection)).await {
            Ok(started) => started,
            Err(ended) => return ended,
        };
        let mut rows = pin!(rows);
        let end = self.batches(&mut decoder, rows.as_mut()).await;
        match end {
            End::Complete | End::Failed(_) => (end, true),
            End::Stopped(_) | End::Abandoned => {
                let at_rest = self.stop(connection, rows).await;
                (end, at_rest)
            }
            End::NotStarted(_) => (end, false),
        }
    }

    /// A step before the first row. `Err`: how the run ended in it, and whether the connection is at rest.
    async fn beginning<T>(
        &self,
        connection: &Connection,
        step: impl Future<Output = std::result::Result<T, End>>,
    ) -> std::result::Result<T, (End, bool)> {
        tokio::select! {
            biased;
            done = step => done.map_err(|end| {
                let at_rest = matches!(end, End::Failed(_));
                (end, at_rest)
            }),
            // What was sent is not heard to its end, so the connection is not used again.
            end = self.stopped() => {
                self.pool.connector().cancel(&connection.canceler()).await;
                Err((end, false))
            }
        }
    }

    async fn start(&self, connection: &Connection) -> std::result::Result<(Decoder, RowStream), End> {
        match self.begun(connection).await {
            // The cached plan would give other columns now: prepared anew, they may still be what is asked for.
            Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                connection.forget();
                // The refusal has ended the transaction of its moment, or of its setting.
                if self.has_transaction() && self.left(connection).await {
                    self.joined(connection).await?;
                }
                self.begun(connection).await
            }
            begun => begun,
        }
        .map_err(|error| {
            let told = from_postgres(self.pool.source(), &error);
            if is_lost(&error) { End::NotStarted(told) } else { End::Failed(told) }
        })
        .and_then(|(prepared, rows)| {
            let batch_rows = self.context.batch_rows.max(1);
            let types = prepared.columns().iter().map(Column::type_);
            let decoder = Decoder::new(self.pool.source(), &self.statement, types, batch_rows);
            Ok((decoder.map_err(End::Stopped)?, rows))
        })
    }

    async fn begun(
        &self,
        connection: &Connection,
    ) -> std::result::Result<(Statement, RowStream), tokio_postgres::Error> {
        let types: Vec<Type> = self.parameters.types().cloned().collect();
        let prepared = connection.prepared(&self.statement.text, &types, self.context.setting).await?;
        let rows = connection.client.query_raw(&prepared, self.parameters.values().cloned()).await?;
        Ok((prepared, rows))
    }

    async fn batches(&self, decoder: &mut Decoder, mut rows: Pin<&mut RowStream>) -> End {
        let batch_rows = self.context.batch_rows.max(1);
        loop {
            let row = tokio::select! {
                biased;
                row = rows.next() => row,
                end = self.stopped() => return end,
            };
            let ended = match row {
                Some(Ok(row)) => {
                    if let Err(error) = decoder.push(&row) {
                        return End::Stopped(error);
                    }
                    false
                }
                Some(Err(error)) => return self.failure(&error),
                None => true,
            };
            let full = decoder.rows() == batch_rows || decoder.bytes() >= BATCH_BYTES;
            if (full || (ended && decoder.rows() > 0))
                && let Some(end) = self.deliver(decoder).await
            {
                return if ended { end.behind_the_last_row() } else { end };
            }
            if ended {
                return End::Complete;
            }
        }
    }

    /// An error in the middle of a result. A server that was told to stop says so in its own words.
    fn failure(&self, error: &tokio_postgres::Error) -> End {
        let told = from_postgres(self.pool.source(), error);
        // The connection ends with it; nothing is left to stop.
        if is_lost(error) { End::Stopped(told) } else { End::Failed(told) }
    }

    /// Waits until there is room for a batch and sends it.
    async fn deliver(&self, decoder: &mut Decoder) -> Option<End> {
        let batch = match decoder.finish() {
            Ok(batch) => batch,
            Err(error) => return Some(End::Stopped(error)),
        };
        self.rows.fetch_add(batch.num_rows(), Ordering::Relaxed);
        // Rows that are always ready would never let the other side be looked at.
        if self.context.cancel.is_cancelled() {
            return Some(End::Stopped(canceled()));
        }
        tokio::select! {
            biased;
            taken = self.delivery.batch(batch) => (!taken).then_some(End::Abandoned),
            end = self.stopped() => Some(end),
        }
    }

    /// Ends when the statement should: cancelled, out of time, or without a reader.
    async fn stopped(&self) -> End {
        tokio::select! {
            error = self.context.over() => End::Stopped(error),
            () = self.delivery.abandoned() => End::Abandoned,
        }
    }

    /// Stops the server's work on the statement. True if the connection can be used again: only when the statement was
    /// seen to end by the cancel, since a cancel that comes late would hit the next one.
    async fn stop(&self, connection: &Connection, mut rows: Pin<&mut RowStream>) -> bool {
        if connection.client.is_closed() {
            return false;
        }
        self.pool.connector().cancel(&connection.canceler()).await;
        let drained = async {
            while let Some(row) = rows.next().await {
                if let Err(error) = row {
                    return error.code() == Some(&SqlState::QUERY_CANCELED);
                }
            }
            false
        };
        tokio::time::timeout(REST, drained).await.unwrap_or(false)
    }
}
