//! Runs one statement: documents become batches in a task of their own and go through a bounded channel.

use crate::bind::Command;
use crate::decode::Decoder;
use crate::error::from_mongo;
use crate::json::broken;
use crate::pool::{Lease, Pool};
use futures::StreamExt;
use mongodb::bson::RawBsonRef;
use mongodb::options::Collation;
use mongodb::raw_batch_cursor::RawBatch;
use mongodb::{ClientSession, bson::Document};
use querygate_driver_api::ending::{canceled, timed_out};
use querygate_driver_api::{BatchStream, Delivery, ExecuteContext, NativeStatement, delivery};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Documents of one answer, at most: enough that asking costs nothing, few enough to begin soon.
const DOCUMENTS_MAX: usize = 8_192;
/// How much later than ours the server's own limit ends a statement, so that it is ours that is told.
const SERVER_GRACE: Duration = Duration::from_secs(1);

/// A longer limit is ours alone to keep: the server counts its own in 32 bits of milliseconds.
const SERVER_LIMIT_MAX: Duration = Duration::from_secs(86_400);

pub(crate) async fn execute(
    pool: &Arc<Pool>,
    statement: Arc<NativeStatement>,
    command: Command,
    context: ExecuteContext,
) -> Result<BatchStream> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (delivery, batches) = delivery();
    tokio::spawn(run(lease, statement, command, context, delivery));
    Ok(batches)
}

/// How a run ended.
enum End {
    /// The source has delivered everything, or has raised.
    Over(Result<()>),
    /// Nobody wants the rest, or must have it; the source may still run.
    Stopped(Option<Error>),
}

async fn run(
    lease: Lease,
    statement: Arc<NativeStatement>,
    command: Command,
    context: ExecuteContext,
    delivery: Delivery,
) {
    let mut session = tokio::select! {
        biased;
        session = lease.session() => match session {
            Ok(session) => session,
            Err(error) => {
                lease.heard(Some(&error));
                return delivery.end(Err(error)).await;
            }
        },
        error = stopped(&context, &delivery) => match error {
            Some(error) => return delivery.end(Err(error)).await,
            None => return,
        },
    };
    let end = tokio::select! {
        biased;
        end = read(&lease, &mut session, &statement, command, &context, &delivery) => end,
        error = stopped(&context, &delivery) => End::Stopped(error),
    };
    match end {
        End::Over(outcome) => {
            lease.heard(outcome.as_ref().err());
            drop((session, lease));
            delivery.end(outcome.map_err(|error| explain(error, &context))).await;
        }
        End::Stopped(error) => {
            // The source is at rest before anybody hears of the end.
            lease.kill(&session).await;
            drop((session, lease));
            if let Some(error) = error {
                delivery.end(Err(error)).await;
            }
        }
    }
}

/// A statement that was killed was cancelled, or its time was over, or an operator stopped it.
fn explain(error: Error, context: &ExecuteContext) -> Error {
    let stopped = matches!(error.code(), ErrorCode::QueryCanceled | ErrorCode::StatementTimeout);
    if !stopped || context.cancel.is_cancelled() {
        return if stopped { canceled() } else { error };
    }
    let over = context.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if over { timed_out() } else { error }
}

async fn read(
    lease: &Lease,
    session: &mut ClientSession,
    statement: &NativeStatement,
    command: Command,
    context: &ExecuteContext,
    delivery: &Delivery,
) -> End {
    let batch_rows = context.batch_rows.max(1);
    let mut decoder = Decoder::new(statement, batch_rows);
    let documents = u32::try_from(batch_rows.min(DOCUMENTS_MAX)).unwrap_or(1);
    let collection = lease.database().collection::<Document>(&command.collection);
    let mut aggregate = collection
        .aggregate(command.pipeline)
        .allow_disk_use(true)
        .batch_size(documents)
        // Whatever the collection's own is: texts compare by code point.
        .collation(Collation::builder().locale("simple").build());
    if let Some(deadline) = context.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < SERVER_LIMIT_MAX {
            aggregate = aggregate.max_time(left + SERVER_GRACE);
        }
    }
    let mut cursor = match aggregate.session(&mut *session).batch().await {
        Ok(cursor) => cursor,
        Err(error) => return End::Over(Err(from_mongo(&error))),
    };
    let mut answers = cursor.stream(session);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    // Asks for the next answer before the last one is decoded, so that server and gate work at a time.
    let fetch = async {
        while let Some(answer) = answers.next().await {
            if sender.send(answer).await.is_err() {
                break;
            }
        }
        drop(sender);
        std::future::pending::<End>().await
    };
    let decode = async {
        while let Some(answer) = receiver.recv().await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return End::Over(Err(from_mongo(&error))),
            };
            match decoded(&answer, &mut decoder, batch_rows, delivery).await {
                Ok(true) => {}
                Ok(false) => return End::Stopped(None),
                Err(error) => return End::Stopped(Some(error)),
            }
            if context.cancel.is_cancelled() {
                return End::Stopped(Some(canceled()));
            }
        }
        match last(&mut decoder, delivery).await {
            Ok(true) => End::Over(Ok(())),
            Ok(false) => End::Stopped(None),
            Err(error) => End::Over(Err(error)),
        }
    };
    tokio::select! {
        biased;
        end = decode => end,
        end = fetch => end,
    }
}

/// What is left after the last answer; `false` when nobody wants it.
async fn last(decoder: &mut Decoder, delivery: &Delivery) -> Result<bool> {
    if decoder.rows() == 0 {
        return Ok(true);
    }
    Ok(delivery.batch(decoder.finish()?).await)
}

/// One answer of the server; `false` when nobody wants more.
async fn decoded(answer: &RawBatch, decoder: &mut Decoder, batch_rows: usize, delivery: &Delivery) -> Result<bool> {
    let documents = answer.doc_slices().map_err(|error| from_mongo(&error))?;
    for document in documents {
        let RawBsonRef::Document(document) = document.map_err(|error| broken(&error))? else {
            return Err(Error::new(ErrorCode::SourceError, "source sent something that is no document"));
        };
        decoder.push(document)?;
        if decoder.is_full(batch_rows) && !delivery.batch(decoder.finish()?).await {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ends when the statement should: cancelled, out of time, or without a reader.
async fn stopped(context: &ExecuteContext, delivery: &Delivery) -> Option<Error> {
    tokio::select! {
        error = context.over() => Some(error),
        () = delivery.abandoned() => None,
    }
}
