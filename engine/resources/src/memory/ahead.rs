//! What a source's task has ready while its reader is elsewhere. Drivers know no memory pool: their batches are of a bounded size
//! and number, and are charged by the largest that came.

use crate::bytes::batch_bytes;
use crate::measured::{ask, receive};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::sync::Arc;

/// Batches of one fragment beside the one that was given: those in the driver's channel, and one in its hand.
const BATCHES_AHEAD: usize = 3;

/// The charge of one fragment's batches, as long as its stream is open.
#[derive(Debug)]
pub struct Ahead(MemoryReservation);

impl Ahead {
    /// `pool`: the statement's.
    #[must_use]
    pub fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        Self(MemoryConsumer::new("rows that a source has ready").register(pool))
    }

    /// Takes in a batch that a task of the source's made, and charges for those that may lie behind it.
    ///
    /// # Errors
    /// The pool has no room for them.
    pub fn receive(&self, given: RecordBatch) -> Result<RecordBatch> {
        receive(&given);
        self.charge(&given).map(|()| given)
    }

    /// Charges for those that may lie behind a batch.
    ///
    /// # Errors
    /// The pool has no room for them.
    fn charge(&self, given: &RecordBatch) -> Result<()> {
        ask().map_err(|error| DataFusionError::External(Box::new(error)))?;
        let bytes = usize::try_from(batch_bytes(given)).unwrap_or(usize::MAX).saturating_mul(BATCHES_AHEAD);
        if bytes > self.0.size() { self.0.try_resize(bytes) } else { Ok(()) }
    }

    /// The batches with their charge.
    #[must_use]
    pub fn over(self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = batches.schema();
        let charged = batches.map(move |batch| {
            let batch = batch?;
            self.charge(&batch).map(|()| batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, charged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    #[test]
    fn the_largest_batch_says_what_may_lie_ready() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(3 * 8 * 100));
        let batch = |rows| {
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let ahead = Ahead::new(&pool);
        for (rows, charged) in [(10, 3 * 8 * 10), (100, 3 * 8 * 100), (1, 3 * 8 * 100)] {
            ahead.charge(&batch(rows)).unwrap();
            assert_eq!(pool.reserved(), charged);
        }
        assert!(ahead.charge(&batch(101)).is_err());
        drop(ahead);
        assert_eq!(pool.reserved(), 0);
    }
}
