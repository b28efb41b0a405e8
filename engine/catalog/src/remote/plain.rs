//! Runs in which sources give rows and nothing else: how many they may still give. What compares a pushed statement with its
//! local run asks for it, as an extension of the engine's configuration.

use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_driver_api::execution::BatchStream;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// In a configuration: no filter, limit or key goes to a driver's source, and all sources together give a bounded number of rows.
#[derive(Debug)]
pub struct PlainScans {
    left: AtomicU64,
}

impl PlainScans {
    /// With a bound on the rows that are fetched.
    #[must_use]
    pub fn up_to(rows: u64) -> Self {
        Self { left: AtomicU64::new(rows) }
    }

    fn take(&self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows() as u64;
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(rows));
        let over = |_| Error::new(ErrorCode::ProgramLimitExceeded, "the sources have more rows than may be fetched");
        taken.map(drop).map_err(over)
    }

    /// The batches of one source, counted.
    pub(crate) fn counted(self: Arc<Self>, batches: BatchStream) -> BatchStream {
        let count = move |batch: Result<RecordBatch>| {
            let batch = batch?;
            self.take(&batch)?;
            Ok(batch)
        };
        batches.map(count).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;

    #[tokio::test]
    async fn rows_beyond_the_bound_are_an_error() {
        let batch = |rows: i32| {
            let column: arrow::array::ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
            Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
        };
        let plain = Arc::new(PlainScans::up_to(5));
        let mut counted = Arc::clone(&plain).counted(futures::stream::iter([batch(3), batch(3)]).boxed());
        assert!(counted.next().await.unwrap().is_ok());
        assert_eq!(counted.next().await.unwrap().unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
        // What one source left over is there for another.
        let mut other = plain.counted(futures::stream::iter([batch(2)]).boxed());
        assert!(other.next().await.unwrap().is_ok());
    }
}
