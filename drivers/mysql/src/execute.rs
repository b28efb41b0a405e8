//! Runs one statement: rows become batches in a task of their own and go through a bounded channel.

use crate::compile::planner::prefix;
use crate::connect::pool::{Lease, Pool};
use crate::error::{from_sqlx, is_outdated};
use crate::wire::decode::Decoder;
use futures::{Stream, StreamExt};
use querygate_driver_api::execution::ending::{canceled, timed_out};
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, NativeStatement, delivery};
use querygate_driver_api::planning::not_taken;
use querygate_types::{Error, ErrorCode, Result};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::{AssertSqlSafe, Connection};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a stopped statement may take to end before its connection is given up.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a statement is begun whose tables are not those that it was prepared for.
const ATTEMPTS_MAX: usize = 4;

/// Longest statement that a connection keeps prepared: longer ones carry key lists, which do not come again.
const KEPT_BYTES_MAX: usize = 16 * 1024;

pub(crate) async fn execute(
    pool: &Arc<Pool>,
    statement: Arc<NativeStatement>,
    arguments: MySqlArguments,
    context: ExecuteContext,
) -> Result<BatchStream> {
    let text = match context.setting {
        None => Arc::clone(&statement.text),
        Some(setting) => format!("{}{}", prefix(setting).ok_or_else(|| not_taken(setting))?, statement.text).into(),
    };
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (delivery, batches) = delivery();
    tokio::spawn(run(lease, statement, text, arguments, context, delivery));
    Ok(batches)
}

/// How a run ended.
enum End {
    /// The source has delivered everything.
    Complete,
    /// The source has raised; nothing more comes.
    Raised(Error),
    /// As `Raised`, before the first row, because its tables are not those that the statement was prepared for.
    Outdated(Error),
    /// The connection is of no more use.
    Lost(Error),
    /// Nobody wants the rest, or must have it; the source still runs.
    Stopped(Option<Error>),
}

async fn run(
    mut lease: Lease,
    statement: Arc<NativeStatement>,
    text: Arc<str>,
    arguments: MySqlArguments,
    context: ExecuteContext,
    delivery: Delivery,
) {
    let (mut end, mut clean) = once(&mut lease, &statement, &text, arguments.clone(), &context, &delivery).await;
    for _ in 1..ATTEMPTS_MAX {
        // A server with many tables forgets some, and may give up on preparing anew what uses them.
        if !matches!(end, End::Outdated(_)) || lease.session.connection.clear_cached_statements().await.is_err() {
            break;
        }
        (end, clean) = once(&mut lease, &statement, &text, arguments.clone(), &context, &delivery).await;
    }
    if !clean && matches!(end, End::Stopped(_)) {
        let (pool, id) = (lease.pool(), lease.session.id);
        // Nobody waits for this: the connection is given up either way.
        tokio::spawn(async move { pool.end(id).await });
    }
    // The source is at rest before anybody hears of the end.
    lease.release(clean);
    match end {
        End::Complete => delivery.end(Ok(())).await,
        End::Raised(error) | End::Outdated(error) | End::Lost(error) | End::Stopped(Some(error)) => {
            delivery.end(Err(explain(error, &context))).await;
        }
        End::Stopped(None) => {}
    }
}

/// One attempt. Whether the connection can be used again.
async fn once(
    lease: &mut Lease,
    statement: &NativeStatement,
    text: &Arc<str>,
    arguments: MySqlArguments,
    context: &ExecuteContext,
    delivery: &Delivery,
) -> (End, bool) {
    let (pool, id) = (lease.pool(), lease.session.id);
    let keep = text.len() <= KEPT_BYTES_MAX;
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(text)), arguments).persistent(keep);
    let mut rows = query.fetch(&mut lease.session.connection);
    let end = read(&mut rows, statement, context, delivery).await;
    let clean = match &end {
        End::Complete | End::Raised(_) | End::Outdated(_) => true,
        End::Lost(_) => false,
        End::Stopped(_) => {
            pool.kill(id).await;
            // A packet may be half read: only a statement read to its end leaves the connection usable.
            tokio::time::timeout(STOP_TIMEOUT, drained(&mut rows)).await.unwrap_or(false)
        }
    };
    drop(rows);
    // A kill that came too late must not meet the next statement.
    let clean = clean && (!matches!(end, End::Stopped(_)) || lease.session.answers(STOP_TIMEOUT).await);
    (end, clean)
}

/// Reads what is left. Whether the connection can be used again.
async fn drained<S: Stream<Item = sqlx::Result<MySqlRow>> + Unpin>(rows: &mut S) -> bool {
    loop {
        match rows.next().await {
            None => return true,
            Some(Ok(_)) => {}
            Some(Err(sqlx::Error::Database(_))) => return true,
            Some(Err(_)) => return false,
        }
    }
}

/// A statement that was killed was cancelled, or its time was over, or an operator stopped it.
fn explain(error: Error, context: &ExecuteContext) -> Error {
    if error.code() != ErrorCode::QueryCanceled || context.cancel.is_cancelled() {
        return error;
    }
    let over = context.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if over { timed_out() } else { error }
}

async fn read<S: Stream<Item = sqlx::Result<MySqlRow>> + Unpin>(
    rows: &mut S,
    statement: &NativeStatement,
    context: &ExecuteContext,
    delivery: &Delivery,
) -> End {
    let batch_rows = context.batch_rows.max(1);
    let mut decoder = Decoder::new(statement, batch_rows);
    let mut begun = false;
    loop {
        let row = tokio::select! {
            biased;
            row = rows.next() => row,
            end = stopped(context, delivery) => return end,
        };
        let ended = match row {
            Some(Ok(row)) => {
                begun = true;
                if let Err(error) = decoder.push(&row) {
                    return End::Stopped(Some(error));
                }
                false
            }
            Some(Err(error)) if !begun && is_outdated(&error) => return End::Outdated(from_sqlx(&error)),
            Some(Err(error)) => return failed(&error),
            None => true,
        };
        let full = decoder.is_full(batch_rows) || (ended && decoder.rows() > 0);
        if full && let Some(end) = deliver(&mut decoder, context, delivery, ended).await {
            return end;
        }
        if ended {
            return End::Complete;
        }
    }
}

fn failed(error: &sqlx::Error) -> End {
    let mapped = from_sqlx(error);
    match error {
        sqlx::Error::Database(_) if mapped.code() != ErrorCode::SourceLost => End::Raised(mapped),
        _ => End::Lost(mapped),
    }
}

/// Waits until there is room for a batch and sends it.
async fn deliver(decoder: &mut Decoder, context: &ExecuteContext, delivery: &Delivery, ended: bool) -> Option<End> {
    let batch = match decoder.finish() {
        Ok(batch) => batch,
        Err(error) => return Some(End::Stopped(Some(error))),
    };
    // Rows that are always ready would never let the other side be looked at.
    if context.cancel.is_cancelled() {
        return Some(if ended { End::Raised(canceled()) } else { End::Stopped(Some(canceled())) });
    }
    let end = tokio::select! {
        biased;
        taken = delivery.batch(batch) => (!taken).then_some(End::Stopped(None)),
        end = stopped(context, delivery) => Some(end),
    };
    match end {
        Some(End::Stopped(Some(error))) if ended => Some(End::Raised(error)),
        Some(End::Stopped(None)) if ended => Some(End::Complete),
        other => other,
    }
}

/// Ends when the statement should: cancelled, out of time, or without a reader.
async fn stopped(context: &ExecuteContext, delivery: &Delivery) -> End {
    tokio::select! {
        error = context.over() => End::Stopped(Some(error)),
        () = delivery.abandoned() => End::Stopped(None),
    }
}
