//! Asking one worker for a part: what its answer means, and when another one may be asked.

use super::members::Running;
use crate::status::to_error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tonic::Code;

/// How asking one worker went.
pub(super) enum Answer {
    Rows(BoxStream<'static, Result<RecordBatch>>),
    /// Nothing was given: another worker may be asked.
    Lost(String),
    /// The part was sealed for the process that was at the address before.
    Restarted,
}

pub(super) async fn ask(running: Running, sealed: Vec<u8>, schema: &SchemaRef) -> Result<Answer> {
    let running = Arc::new(running);
    let mut client = running.member.client();
    let answered = client.do_get(Ticket { ticket: sealed.into() }).await;
    let messages = match answered {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::FailedPrecondition => return Ok(Answer::Restarted),
        Err(status) => return refused(&status).map(Answer::Lost),
    };
    let came = Arc::clone(&running);
    let messages = messages
        .inspect_ok(move |message| came.moved(message.data_header.len() + message.data_body.len()))
        .map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let first = match batches.next().await {
        None => None,
        Some(Ok(batch)) => Some(Ok(batch)),
        Some(Err(FlightError::Tonic(status))) => return refused(&status).map(Answer::Lost),
        Some(Err(other)) => return Err(Error::internal(other)),
    };
    running.answered();
    let schema = Arc::clone(schema);
    let ended = Arc::clone(&running);
    let rows = stream::iter(first).chain(batches).map(move |batch| match batch {
        Ok(batch) => {
            running.received(batch.num_rows());
            as_expected(&batch, &schema)
        }
        Err(FlightError::Tonic(status)) => Err(to_error(&status).unwrap_or_else(|| {
            running.member.failed();
            lost(&status)
        })),
        Err(other) => Err(Error::internal(other)),
    });
    // What came after the last rows.
    let rows = rows.chain(stream::once(async move { ended.received(0) }).filter_map(|()| std::future::ready(None)));
    Ok(Answer::Rows(rows.boxed()))
}

/// Why a worker gave nothing, where another one may be asked; the error, where it would say the same.
pub(super) fn refused(status: &tonic::Status) -> Result<String> {
    if let Some(error) = to_error(status) {
        return Err(error);
    }
    match status.code() {
        // It refuses what this gate seals.
        Code::PermissionDenied | Code::InvalidArgument | Code::Unauthenticated => {
            Err(Error::internal(format!("a worker refused a part: {}", status.message())))
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Ok(status.to_string()),
    }
}

fn lost(status: &tonic::Status) -> Error {
    Error::new(ErrorCode::SourceLost, "a worker was lost while it gave rows")
        .with_hint("Run the statement again.")
        .with_cause(status)
}

/// The batch under the leaf's own schema: a worker that gives other columns is not believed.
fn as_expected(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| Error::internal(format!("a worker gave other columns than it was asked for: {error}")))
}
