//! Batches that wait for a reader: cut into pieces of a bounded size, without what else their buffers hold, and charged as long as
//! anybody has one of the pieces. Knows no statement.

use crate::errors::{Stage, translate};
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use querygate_resources::bytes::{Compacted, compact};
use querygate_types::{Error, Result, limits};
use std::sync::Arc;

/// What a batch costs as long as a piece of it is there.
pub(crate) type Charge = Arc<MemoryReservation>;

/// A batch on its way to its reader.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(crate) batch: RecordBatch,
    /// Kept by whoever has the batch.
    pub(crate) charge: Charge,
}

/// The pieces of one batch, in order.
#[derive(Debug)]
pub(crate) struct Pieces {
    batch: RecordBatch,
    next: usize,
    rows: usize,
    charge: Charge,
}

impl Pieces {
    /// Charges a batch and cuts it.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(crate) fn of(batch: RecordBatch, memory: &MemoryReservation) -> Result<Self> {
        let held = batch.get_array_memory_size();
        // Small ones are not looked at.
        if held <= limits::BATCH_BYTES {
            let rows = batch.num_rows();
            return Ok(Self { batch, next: 0, rows, charge: charged(memory, held)? });
        }
        let Compacted { batch, held, own } = compact(batch, limits::BATCH_BYTES).map_err(Error::internal)?;
        // A reader has a long row once more while it writes it down.
        let row = own.checked_div(batch.num_rows()).unwrap_or(0);
        let charge = charged(memory, held.saturating_add(row))?;
        let pieces = own.div_ceil(limits::BATCH_BYTES).max(1);
        let rows = batch.num_rows().div_ceil(pieces).max(1);
        Ok(Self { batch, next: 0, rows, charge })
    }

    /// What is cut.
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.batch
    }
}

impl Iterator for Pieces {
    type Item = Charged;

    fn next(&mut self) -> Option<Charged> {
        let rows = self.rows.min(self.batch.num_rows() - self.next);
        if rows == 0 {
            return None;
        }
        let batch = self.batch.slice(self.next, rows);
        self.next += rows;
        Some(Charged { batch, charge: Arc::clone(&self.charge) })
    }
}

fn charged(memory: &MemoryReservation, bytes: usize) -> Result<Charge> {
    let charge = memory.new_empty();
    charge.try_grow(bytes).map_err(|error| translate(&error, Stage::Execute))?;
    Ok(Arc::new(charge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray, StringViewArray};
    use arrow::compute::concat_batches;
    use arrow::record_batch::RecordBatchOptions;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use querygate_resources::bytes::batch_bytes;
    use querygate_types::ErrorCode;

    fn texts(rows: usize, length: usize) -> RecordBatch {
        let text = |row: usize| format!("{row:08}").repeat(length / 8);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0_i64..).take(rows)));
        let plain: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(text)));
        let views: ArrayRef =
            Arc::new(StringViewArray::from_iter((0..rows).map(|row| (row % 3 > 0).then(|| text(row)))));
        RecordBatch::try_from_iter([("n", numbers), ("t", plain), ("v", views)]).unwrap()
    }

    fn memory(bytes: usize) -> (Arc<dyn MemoryPool>, MemoryReservation) {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
        let memory = MemoryConsumer::new("test").register(&pool);
        (pool, memory)
    }

    #[test]
    fn long_rows_wait_in_small_pieces_that_are_charged_until_the_last_is_gone() {
        let batch = texts(1_000, 20_000);
        let (pool, memory) = memory(1 << 30);
        let pieces: Vec<Charged> = Pieces::of(batch.clone(), &memory).unwrap().collect();
        assert!(pieces.iter().all(|piece| batch_bytes(&piece.batch) < 2 << 20), "{}", pieces.len());
        let all: Vec<RecordBatch> = pieces.iter().map(|piece| piece.batch.clone()).collect();
        assert_eq!(concat_batches(&batch.schema(), &all).unwrap(), batch);
        let held = batch.get_array_memory_size();
        assert!((held..held + held / 500).contains(&pool.reserved()));
        let mut pieces = pieces;
        let last = pieces.pop();
        drop(pieces);
        assert!(pool.reserved() > 30 << 20);
        drop(last);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn a_few_rows_of_a_large_batch_wait_without_the_rest() {
        let batch = texts(1_000, 20_000);
        let (pool, memory) = memory(4 << 20);
        let pieces: Vec<Charged> = Pieces::of(batch.slice(500, 7), &memory).unwrap().collect();
        assert_eq!((pieces.len(), &pieces[0].batch), (1, &batch.slice(500, 7)));
        assert!(pool.reserved() < 600 << 10, "{}", pool.reserved());
        assert_eq!(Pieces::of(batch, &memory).unwrap_err().code(), ErrorCode::OutOfMemory);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let none = Arc::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::try_new_with_options(none, Vec::new(), &options).unwrap();
        let (_pool, memory) = memory(1);
        let rows: Vec<usize> = Pieces::of(batch, &memory).unwrap().map(|piece| piece.batch.num_rows()).collect();
        assert_eq!(rows, [5]);
    }
}
