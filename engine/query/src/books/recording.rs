//! Closes a statement's record when its stream ends, fails or is dropped.

use crate::books::observe::{Observer, QueryRecord};
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};
use querygate_query_api::BatchStream;
use querygate_telemetry_api::read_rows;
use querygate_types::{Error, ErrorCode, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// Rows, or what counts as so many, after which a statement is told of while it goes on, so that a cursor that is left open is not
/// unseen: one more than any ordinary statement has. Then when they have doubled, and at least so often.
const FIRST_TOLD: u64 = 201;
const ROWS_UNTOLD: u64 = 100_000;

struct Recorded {
    batches: BatchStream,
    record: Option<QueryRecord>,
    started: Instant,
    observer: Arc<Observer>,
    rows_max: Option<u64>,
    /// Rows at which it is told of next.
    tell_at: u64,
}

/// Counts rows, ends a result that grows beyond `rows_max`, and finishes the record.
pub(crate) fn recorded(
    batches: BatchStream,
    record: QueryRecord,
    started: Instant,
    observer: Arc<Observer>,
    rows_max: Option<u64>,
) -> BatchStream {
    Recorded { batches, record: Some(record), started, observer, rows_max, tell_at: FIRST_TOLD }.boxed()
}

impl Recorded {
    fn so_far(&mut self, read: u64) {
        self.tell_at = read.saturating_add(read.min(ROWS_UNTOLD));
        if let Some(record) = &self.record {
            self.observer.goes_on(record, self.started.elapsed());
        }
    }

    fn finish(&mut self, error: Option<ErrorCode>) {
        if let Some(mut record) = self.record.take() {
            record.total = self.started.elapsed();
            record.error = error;
            let session = record.session;
            self.observer.finished(record);
            self.observer.session_changed(session, |s| s.state = "idle");
        }
    }
}

impl Stream for Recorded {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.batches.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                let (max, started, tell_at) = (self.rows_max, self.started, self.tell_at);
                if let Some(record) = &mut self.record {
                    record.rows += batch.num_rows() as u64;
                    if let Some(told) = &mut record.told {
                        told.measures.first_row.came(batch.num_rows(), || started.elapsed());
                        told.measures.bytes += querygate_catalog::batch_bytes(batch);
                    }
                    if let Some(max) = max.filter(|max| record.rows > *max) {
                        self.finish(Some(ErrorCode::ProgramLimitExceeded));
                        self.batches = futures::stream::empty().boxed();
                        let error = Error::new(ErrorCode::ProgramLimitExceeded, "the result has too many rows");
                        return Poll::Ready(Some(Err(error.with_detail(format!("The limit is {max} rows.")))));
                    }
                    let bytes = record.told.as_ref().map_or(0, |told| told.measures.bytes);
                    let read = read_rows(record.rows, bytes);
                    if read >= tell_at {
                        self.so_far(read);
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let code = error.code();
                self.finish(Some(code));
            }
            Poll::Ready(None) => self.finish(None),
            Poll::Pending => {
                let started = self.started;
                if let Some(told) = self.record.as_mut().and_then(|record| record.told.as_mut()) {
                    told.measures.first_row.waits(|| started.elapsed());
                }
            }
        }
        next
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // A reader that left early (a row limit, a closed portal) is no failure.
        self.finish(None);
    }
}
