//! Runs one statement: rows become batches in a task of their own and go through a bounded channel.

use crate::decode::Decoder;
use crate::error::from_sqlx;
use crate::pool::{Lease, Readers};
use futures::StreamExt;
use querygate_driver_api::execution::ending::{canceled, timed_out};
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, NativeStatement, delivery};
use querygate_types::{Error, ErrorCode, Result, limits};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteArguments;
use std::sync::Arc;
use std::time::Instant;

/// A batch of wide rows ends here, with the row that reaches it.
const BATCH_BYTES: usize = limits::BATCH_BYTES;

pub(crate) async fn execute(
    readers: &Arc<Readers>,
    statement: Arc<NativeStatement>,
    arguments: SqliteArguments,
    context: ExecuteContext,
) -> Result<BatchStream> {
    let lease = readers.lease(context.deadline, &context.cancel).await?;
    let (delivery, batches) = delivery();
    tokio::spawn(run(lease, statement, arguments, context, delivery));
    Ok(batches)
}

/// How a run ended.
enum End {
    /// The source has delivered everything.
    Complete,
    /// Nobody wants the rest.
    Abandoned,
    /// To be told to the reader of the stream.
    Failed(Error),
}

async fn run(
    mut lease: Lease,
    statement: Arc<NativeStatement>,
    arguments: SqliteArguments,
    context: ExecuteContext,
    delivery: Delivery,
) {
    let end = rows(&mut lease, &statement, arguments, &context, &delivery).await;
    // The source is at rest before anybody hears of the end.
    lease.release(matches!(end, End::Complete)).await;
    match end {
        End::Complete => delivery.end(Ok(())).await,
        End::Failed(error) => delivery.end(Err(explain(error, &context))).await,
        End::Abandoned => {}
    }
}

/// An interrupted statement was cancelled, or its time was over.
fn explain(error: Error, context: &ExecuteContext) -> Error {
    if error.code() != ErrorCode::QueryCanceled || context.cancel.is_cancelled() {
        return error;
    }
    let over = context.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if over { timed_out() } else { error }
}

async fn rows(
    lease: &mut Lease,
    statement: &NativeStatement,
    arguments: SqliteArguments,
    context: &ExecuteContext,
    delivery: &Delivery,
) -> End {
    let batch_rows = context.batch_rows.max(1);
    let mut decoder = Decoder::new(statement, batch_rows);
    let interrupt = Arc::clone(&lease.reader.interrupt);
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&statement.text)), arguments);
    let mut rows = query.fetch(&mut lease.reader.connection);
    loop {
        let row = tokio::select! {
            biased;
            row = rows.next() => row,
            end = stopped(context, delivery) => {
                interrupt.stop();
                return end;
            }
        };
        let ended = match row {
            Some(Ok(row)) => {
                if let Err(error) = decoder.push(&row) {
                    return End::Failed(error);
                }
                false
            }
            Some(Err(error)) => return End::Failed(from_sqlx(&error)),
            None => true,
        };
        let full = decoder.rows() == batch_rows || decoder.bytes() >= BATCH_BYTES || (ended && decoder.rows() > 0);
        if full && let Some(end) = deliver(&mut decoder, context, delivery).await {
            interrupt.stop();
            return end;
        }
        if ended {
            return End::Complete;
        }
    }
}

/// Waits until there is room for a batch and sends it.
async fn deliver(decoder: &mut Decoder, context: &ExecuteContext, delivery: &Delivery) -> Option<End> {
    let batch = match decoder.finish() {
        Ok(batch) => batch,
        Err(error) => return Some(End::Failed(error)),
    };
    // Rows that are always ready would never let the other side be looked at.
    if context.cancel.is_cancelled() {
        return Some(End::Failed(canceled()));
    }
    tokio::select! {
        biased;
        taken = delivery.batch(batch) => (!taken).then_some(End::Abandoned),
        end = stopped(context, delivery) => Some(end),
    }
}

/// Ends when the statement should: cancelled, out of time, or without a reader.
async fn stopped(context: &ExecuteContext, delivery: &Delivery) -> End {
    tokio::select! {
        error = context.over() => End::Failed(error),
        () = delivery.abandoned() => End::Abandoned,
    }
}
