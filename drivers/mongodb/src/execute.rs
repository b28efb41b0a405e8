//! Runs one statement: documents become batches in tasks of their own and go through bounded channels.

use crate::connect::pool::{Lease, Pool};
use crate::documents::decode::Decoder;
use crate::documents::fetch::Question;
use crate::documents::walk;
use crate::error::from_mongo;
use arrow::array::RecordBatch;
use futures::StreamExt;
use mongodb::options::Collation;
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use mongodb::{ClientSession, bson::Document};
use querygate_driver_api::execution::ending::{canceled, timed_out};
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, delivery};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Documents of one answer, at most: enough that asking costs nothing, few enough to begin soon.
const DOCUMENTS_MAX: usize = 8_192;
/// How much later than ours the server's own limit ends a statement, so that it is ours that is told.
const SERVER_GRACE: Duration = Duration::from_secs(1);

/// A longer limit is ours alone to keep: the server counts its own in 32 bits of milliseconds.
const SERVER_LIMIT_MAX: Duration = Duration::from_secs(86_400);

/// What a statement asks, and how its answers are read.
pub(crate) struct Asked {
    pub(crate) collection: String,
    pub(crate) question: Question,
    pub(crate) decoder: Decoder,
}

pub(crate) async fn execute(pool: &Arc<Pool>, asked: Asked, context: ExecuteContext) -> Result<BatchStream> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (delivery, batches) = delivery();
    tokio::spawn(run(lease, asked, context, delivery));
    Ok(batches)
}

/// How a run ended.
enum End {
    /// The source has delivered everything, or has raised.
    Over(Result<()>),
    /// Nobody wants the rest, or must have it; the source may still run.
    Stopped(Option<Error>),
}

async fn run(lease: Lease, asked: Asked, context: ExecuteContext, delivery: Delivery) {
    let mut session = tokio::select! {
        biased;
        session = lease.session() => match session {
            Ok(session) => session,
            Err(error) => {
                lease.note_answer(Some(&error));
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
        end = read(&lease, &mut session, asked, &context, &delivery) => end,
        error = stopped(&context, &delivery) => End::Stopped(error),
    };
    match end {
        End::Over(outcome) => {
            lease.note_answer(outcome.as_ref().err());
            drop((session, lease));
            delivery.end(outcome.map_err(|error| explain(error, &context))).await;
        }
        End::Stopped(error) => {
            // The source is at rest before anybody hears of the end.
            lease.kill(session.id()).await;
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
    asked: Asked,
    context: &ExecuteContext,
    delivery: &Delivery,
) -> End {
    let Asked { collection, question, decoder } = asked;
    let batch_rows = context.batch_rows.max(1);
    let mut cursor = match ask(lease, session, &collection, question, context).await {
        Ok(cursor) => cursor,
        Err(error) => return End::Over(Err(from_mongo(&error))),
    };
    let mut answers = cursor.stream(session);
    let first = match answers.next().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return End::Over(Err(from_mongo(&error))),
        None => return End::Over(Ok(())),
    };
    if is_all(&first) {
        return alone(&first, decoder, batch_rows, delivery).await;
    }
    let (sender, receiver) = mpsc::channel(1);
    let (made, mut batches) = mpsc::channel(1);
    // Asks for the next answer before the last one is decoded, and decodes elsewhere, so that server, connection and decoder work
    // at a time. The decoder ends when it has nobody to read from or to tell.
    let fetch = async {
        let mut answer = Some(Ok(first));
        while let Some(next) = answer {
            if sender.send(next).await.is_err() {
                break;
            }
            answer = answers.next().await;
        }
        drop(sender);
        std::future::pending::<End>().await
    };
    tokio::spawn(decode(receiver, decoder, batch_rows, made));
    let deliver = async {
        while let Some(batch) = batches.recv().await {
            match batch {
                Ok(batch) => {
                    if !delivery.batch(batch).await {
                        return End::Stopped(None);
                    }
                }
                Err(end) => return end,
            }
            if context.cancel.is_cancelled() {
                return End::Stopped(Some(canceled()));
            }
        }
        End::Stopped(Some(Error::internal("reading documents ended without a word")))
    };
    tokio::select! {
        biased;
        end = deliver => end,
        end = fetch => end,
    }
}

/// Answers into batches, and last how it ended.
async fn decode(
    mut answers: mpsc::Receiver<mongodb::error::Result<RawBatch>>,
    mut decoder: Decoder,
    batch_rows: usize,
    made: mpsc::Sender<Result<RecordBatch, End>>,
) {
    while let Some(answer) = answers.recv().await {
        let step = match answer {
            Ok(answer) => decoded(&answer, &mut decoder, batch_rows).map_err(|error| End::Stopped(Some(error))),
            Err(error) => Err(End::Over(Err(from_mongo(&error)))),
        };
        if !told(step, &made).await {
            return;
        }
    }
    let last = decoder.rest().map(|batch| batch.into_iter().collect()).map_err(|error| End::Over(Err(error)));
    if told(last, &made).await {
        drop(made.send(Err(End::Over(Ok(())))).await);
    }
}

/// Puts a question to the server.
pub(crate) async fn ask(
    lease: &Lease,
    session: &mut ClientSession,
    collection: &str,
    question: Question,
    context: &ExecuteContext,
) -> mongodb::error::Result<SessionRawBatchCursor> {
    let collection = lease.database().collection::<Document>(collection);
    let documents = u32::try_from(context.batch_rows.clamp(1, DOCUMENTS_MAX)).unwrap_or(1);
    // Whatever the collection's own is: texts compare by code point.
    let simple = Collation::builder().locale("simple").build();
    let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let time = left.filter(|left| *left < SERVER_LIMIT_MAX).map(|left| left + SERVER_GRACE);
    match question {
        Question::Find(found) => {
            let mut find = collection.find(found.filter).allow_disk_use(true).batch_size(documents).collation(simple);
            if let Some(sort) = found.sort {
                find = find.sort(sort);
            }
            if let Some(skip) = found.skip {
                find = find.skip(skip);
            }
            if let Some(limit) = found.limit {
                find = find.limit(limit);
            }
            if let Some(projection) = found.projection {
                find = find.projection(projection);
            }
            if let Some(time) = time {
                find = find.max_time(time);
            }
            find.session(&mut *session).batch().await
        }
        Question::Aggregate(stages) => {
            let aggregate = collection.aggregate(stages).allow_disk_use(true).batch_size(documents);
            let mut aggregate = aggregate.collation(simple);
            if let Some(time) = time {
                aggregate = aggregate.max_time(time);
            }
            aggregate.session(&mut *session).batch().await
        }
    }
}

/// Whether no answer follows: the server keeps no cursor.
fn is_all(answer: &RawBatch) -> bool {
    let cursor = answer.as_raw_document().get_document("cursor");
    cursor.and_then(|cursor| cursor.get_i64("id")).is_ok_and(|id| id == 0)
}

/// The only answer.
async fn alone(answer: &RawBatch, mut decoder: Decoder, batch_rows: usize, delivery: &Delivery) -> End {
    let all = decoded(answer, &mut decoder, batch_rows).and_then(|mut batches| {
        batches.extend(decoder.rest()?);
        Ok(batches)
    });
    match all {
        Ok(batches) => {
            for batch in batches {
                if !delivery.batch(batch).await {
                    return End::Stopped(None);
                }
            }
            End::Over(Ok(()))
        }
        Err(error) => End::Over(Err(error)),
    }
}

/// Batches to whoever delivers them; `false` when there is nothing more to tell, or nobody to be told.
async fn told(step: Result<Vec<RecordBatch>, End>, made: &mpsc::Sender<Result<RecordBatch, End>>) -> bool {
    match step {
        Ok(batches) => {
            for batch in batches {
                if made.send(Ok(batch)).await.is_err() {
                    return false;
                }
            }
            true
        }
        Err(end) => {
            drop(made.send(Err(end)).await);
            false
        }
    }
}

/// The batches that one answer of the server fills.
fn decoded(answer: &RawBatch, decoder: &mut Decoder, batch_rows: usize) -> Result<Vec<RecordBatch>> {
    let documents = answer.doc_slices().map_err(|error| from_mongo(&error))?;
    let mut batches = Vec::new();
    for document in walk::items(documents.as_bytes())? {
        let (kind, document) = document?;
        if kind != walk::DOCUMENT {
            return Err(Error::new(ErrorCode::SourceError, "source sent something that is no document"));
        }
        decoder.push(document)?;
        if decoder.is_full(batch_rows) {
            batches.push(decoder.finish()?);
        }
    }
    Ok(batches)
}

/// Ends when the statement should: cancelled, out of time, or without a reader.
async fn stopped(context: &ExecuteContext, delivery: &Delivery) -> Option<Error> {
    tokio::select! {
        error = context.over() => Some(error),
        () = delivery.abandoned() => None,
    }
}
