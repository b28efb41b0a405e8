//! The limit on the rows of one result, and the rows of a run on their way to a door: counted, ended when there are too many, and the
//! end of the run with the last one.

use crate::run::lifecycle::Run;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};
use querygate_query_api::outcome::BatchStream;
use querygate_telemetry_api::read_rows;
use querygate_types::{Error, ErrorCode, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Rows, or bytes that count as so many, after which a statement is reported while it goes on, so that a cursor that is left open
/// is not unseen: one more than any ordinary statement has. Then when they have doubled, and at least this often.
const FIRST_REPORT: u64 = 201;
const ROWS_UNREPORTED: u64 = 100_000;

/// The error of a result with this number of rows, if that is more than it may have. `max`: `None` for any number.
pub(crate) fn exceeded(max: Option<u64>, rows: u64) -> Option<Error> {
    let max = max.filter(|max| rows > *max)?;
    let error = Error::new(ErrorCode::ProgramLimitExceeded, "the result has too many rows");
    Some(error.with_detail(format!("The limit is {max} rows.")))
}

/// Batches of a run.
struct RunRows {
    batches: BatchStream,
    run: Run,
    rows: u64,
    /// Rows at which progress is reported next.
    report_at: u64,
}

impl Run {
    /// Its rows. The run ends when the stream does, fails or is dropped.
    pub(crate) fn rows(self, batches: BatchStream) -> BatchStream {
        RunRows { batches, run: self, rows: 0, report_at: FIRST_REPORT }.boxed()
    }
}

impl RunRows {
    fn passes(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        self.rows += batch.num_rows() as u64;
        let (rows, started) = (self.rows, self.run.started());
        let mut bytes = 0;
        self.run.note(|record| {
            record.rows = rows;
            if let Some(told) = &mut record.told {
                told.measures.first_row.came(batch.num_rows(), || started.elapsed());
                told.measures.bytes += querygate_resources::bytes::batch_bytes(&batch);
                bytes = told.measures.bytes;
            }
        });
        if let Some(error) = self.run.too_many(rows) {
            return Err(error);
        }
        let read = read_rows(rows, bytes);
        if read >= self.report_at {
            self.report_at = read.saturating_add(read.min(ROWS_UNREPORTED));
            self.run.report_progress();
        }
        Ok(batch)
    }
}

impl Stream for RunRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match self.batches.poll_next_unpin(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let started = self.run.started();
                self.run.note(|record| {
                    if let Some(told) = &mut record.told {
                        told.measures.first_row.waits(|| started.elapsed());
                    }
                });
                return Poll::Pending;
            }
        };
        let passed = next.map(|batch| batch.and_then(|batch| self.passes(batch)));
        Poll::Ready(match passed {
            None => {
                self.run.note(|record| {
                    if let Some(told) = &mut record.told {
                        told.measures.is_read = true;
                    }
                });
                self.run.close(None);
                None
            }
            Some(Ok(batch)) => Some(Ok(batch)),
            Some(Err(error)) => {
                self.run.close(Some(error.code()));
                // What is left is not wanted.
                self.batches = futures::stream::empty().boxed();
                Some(Err(self.run.located(error)))
            }
        })
    }
}

impl Drop for RunRows {
    fn drop(&mut self) {
        self.run.leave_rows();
    }
}

#[cfg(test)]
mod tests;
