//! Answers that are kept for the next run of a statement: those of the catalog alone, which clients ask for with each connection, and
//! which stay the same as long as the catalog does. A key is a bound statement's number, which stands for one reader, one version and the
//! settings that names depend on, with the values that it is asked with.

use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{StreamExt, stream};
use moka::sync::Cache;
use querygate_query_api::outcome::BatchStream;
use querygate_types::Result;
use std::sync::Arc;

/// Bytes of one answer at most; a larger one is made anew each time.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What an answer takes beside its rows and values, estimated.
const ANSWER_BYTES: usize = 512;

type Key = (u64, Arc<[ScalarValue]>);

/// The answers that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Cache<Key, Arc<[RecordBatch]>>);

impl Answers {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let weight = |(_, values): &Key, rows: &Arc<[RecordBatch]>| {
            let values: usize = values.iter().map(ScalarValue::size).sum();
            let rows: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
            u32::try_from(ANSWER_BYTES.saturating_add(values).saturating_add(rows)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes_max as u64).weigher(weight).build())
    }

    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Where the answer to a bound statement with these values is kept.
    pub(crate) fn place(&self, number: u64, values: Vec<ScalarValue>) -> AnswerPlace {
        AnswerPlace { answers: self.clone(), key: (number, values.into()) }
    }
}

/// The place of one answer.
#[derive(Debug)]
pub(crate) struct AnswerPlace {
    answers: Answers,
    key: Key,
}

impl AnswerPlace {
    /// The rows of an earlier run.
    pub(crate) fn found(&self) -> Option<BatchStream> {
        let rows = self.answers.0.get(&self.key)?;
        let batches: Vec<Result<RecordBatch>> = rows.iter().cloned().map(Ok).collect();
        Some(stream::iter(batches).boxed())
    }

    /// The batches of a run, which are kept when it has come to its end. `memory`: charged for them until then.
    pub(crate) fn keeping(self, batches: BatchStream, memory: MemoryReservation) -> BatchStream {
        let kept = Some(Kept { place: self, rows: Vec::new(), bytes: 0, memory });
        let next = |(mut batches, mut kept): (BatchStream, Option<Kept>)| async move {
            let Some(batch) = batches.next().await else {
                if let Some(kept) = kept {
                    kept.end();
                }
                return None;
            };
            kept = match &batch {
                Ok(rows) => kept.and_then(|kept| kept.with(rows)),
                Err(_) => None,
            };
            Some((batch, (batches, kept)))
        };
        stream::unfold((batches, kept), next).boxed()
    }
}

/// What a run has given so far.
struct Kept {
    place: AnswerPlace,
    rows: Vec<RecordBatch>,
    bytes: usize,
    memory: MemoryReservation,
}

impl Kept {
    /// `None`: it is too much to be kept.
    fn with(mut self, rows: &RecordBatch) -> Option<Self> {
        let bytes = rows.get_array_memory_size();
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > ANSWER_BYTES_MAX || self.memory.try_grow(bytes).is_err() {
            return None;
        }
        self.rows.push(rows.clone());
        Some(self)
    }

    fn end(self) {
        self.place.answers.0.insert(self.place.key, self.rows.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use querygate_types::Error;

    fn rows(count: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    async fn run(place: AnswerPlace, batches: Vec<Result<RecordBatch>>, pool_bytes: usize, read: usize) -> Vec<usize> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(pool_bytes));
        let memory = MemoryConsumer::new("kept answer").register(&pool);
        let given = place.keeping(stream::iter(batches).boxed(), memory).take(read);
        let given = given.map(|batch| batch.map_or(usize::MAX, |batch| batch.num_rows())).collect().await;
        assert_eq!(pool.reserved(), 0, "nothing stays charged to the run");
        given
    }

    async fn found(answers: &Answers, number: u64, values: &[i64]) -> Option<usize> {
        let batches = place(answers, number, values).found()?;
        Some(batches.map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>().await.iter().sum())
    }

    fn place(answers: &Answers, number: u64, values: &[i64]) -> AnswerPlace {
        answers.place(number, values.iter().map(|value| ScalarValue::Int64(Some(*value))).collect())
    }

    #[tokio::test]
    async fn only_whole_answers_are_found_again_for_the_same_statement_and_values() {
        let answers = Answers::new(1 << 20);
        let whole = || vec![Ok(rows(2)), Ok(rows(3))];
        assert_eq!(run(place(&answers, 1, &[7]), whole(), 1 << 20, 9).await, [2, 3]);
        assert_eq!(found(&answers, 1, &[7]).await, Some(5));
        assert_eq!(found(&answers, 1, &[8]).await, None);
        assert_eq!(found(&answers, 1, &[]).await, None);
        assert_eq!(found(&answers, 2, &[7]).await, None);
        // None at all is an answer, too.
        run(place(&answers, 3, &[]), Vec::new(), 1 << 20, 9).await;
        assert_eq!(found(&answers, 3, &[]).await, Some(0));
        // Left before its end, failed, too large, more than the account has.
        run(place(&answers, 4, &[]), whole(), 1 << 20, 2).await;
        run(place(&answers, 5, &[]), vec![Ok(rows(2)), Err(Error::internal("lost"))], 1 << 20, 9).await;
        run(place(&answers, 6, &[]), vec![Ok(rows(20_000)), Ok(rows(20_000))], 1 << 20, 9).await;
        run(place(&answers, 7, &[]), vec![Ok(rows(1_000))], 1_000, 9).await;
        for number in 4..8 {
            assert_eq!(found(&answers, number, &[]).await, None, "{number}");
        }
        answers.clear();
        assert_eq!(found(&answers, 1, &[7]).await, None);
    }

    #[tokio::test]
    async fn answers_are_kept_by_their_bytes() {
        let answers = Answers::new(64 << 10);
        for number in 0..200 {
            run(place(&answers, number, &[]), vec![Ok(rows(500))], 1 << 20, 9).await;
        }
        answers.0.run_pending_tasks();
        let (kept, bytes) = (answers.0.entry_count(), answers.0.weighted_size());
        assert!(kept > 0 && kept < 200 && bytes <= 64 << 10, "{kept} of {bytes} bytes");
    }
}
