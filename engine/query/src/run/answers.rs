//! Answers that are kept for the next run of a statement: those of the catalog alone, which clients ask for with each connection, and
//! which stay the same as long as the catalog does. A key is a bound statement's number, which stands for one reader and one version, with
//! the settings that names depend on, as they are when it runs, and the values that it is asked with.

use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{StreamExt, stream};
use moka::sync::Cache;
use querygate_query_api::outcome::BatchStream;
use querygate_types::Result;
use std::sync::Arc;

/// Bytes of one answer at most, and of the values that it is asked with; a larger one is made anew each time.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What an answer takes beside its rows and values, estimated.
const ENTRY_BYTES: usize = 512;
/// What a batch takes beside its rows, and a column of it; estimated. A batch may have no column.
const BATCH_BYTES: usize = 256;
const COLUMN_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    number: u64,
    settings: Arc<str>,
    values: Arc<[ScalarValue]>,
}

/// The answers that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Cache<Key, Arc<[RecordBatch]>>);

impl Answers {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let weight = |key: &Key, rows: &Arc<[RecordBatch]>| {
            let asked = key.settings.len().saturating_add(value_bytes(&key.values));
            let rows: usize = rows.iter().map(kept_bytes).sum();
            u32::try_from(ENTRY_BYTES.saturating_add(asked).saturating_add(rows)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes_max as u64).weigher(weight).build())
    }

    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Where the answer to a bound statement with these values is kept. `None`: the values are too large.
    pub(crate) fn place(&self, number: u64, settings: Arc<str>, values: Vec<ScalarValue>) -> Option<AnswerPlace> {
        if value_bytes(&values) > ANSWER_BYTES_MAX {
            return None;
        }
        Some(AnswerPlace { answers: self.clone(), key: Key { number, settings, values: values.into() } })
    }
}

fn value_bytes(values: &[ScalarValue]) -> usize {
    values.iter().map(ScalarValue::size).sum()
}

fn kept_bytes(batch: &RecordBatch) -> usize {
    BATCH_BYTES + COLUMN_BYTES * batch.num_columns() + batch.get_array_memory_size()
}

/// The place of one answer.
#[derive(Debug)]
pub(crate) struct AnswerPlace {
    answers: Answers,
    key: Key,
}

impl AnswerPlace {
    /// Whether it is the place of a run with these settings.
    pub(crate) fn is_for(&self, settings: &str) -> bool {
        &*self.key.settings == settings
    }

    /// The settings of that run that names depend on.
    pub(crate) fn settings(&self) -> &Arc<str> {
        &self.key.settings
    }

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
                    kept.store();
                }
                return None;
            };
            kept = match &batch {
                Ok(rows) => kept.and_then(|kept| kept.add(rows)),
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
    fn add(mut self, rows: &RecordBatch) -> Option<Self> {
        let bytes = kept_bytes(rows);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > ANSWER_BYTES_MAX || self.memory.try_grow(bytes).is_err() {
            return None;
        }
        self.rows.push(rows.clone());
        Some(self)
    }

    fn store(self) {
        self.place.answers.0.insert(self.place.key, self.rows.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatchOptions};
    use arrow::datatypes::Schema;
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

    const PUBLIC: &str = "UTC;public";

    async fn found(answers: &Answers, number: u64, values: &[i64]) -> Option<usize> {
        let batches = place(answers, number, values).found()?;
        Some(batches.map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>().await.iter().sum())
    }

    fn place(answers: &Answers, number: u64, values: &[i64]) -> AnswerPlace {
        place_of(answers, number, PUBLIC, values)
    }

    fn place_of(answers: &Answers, number: u64, settings: &str, values: &[i64]) -> AnswerPlace {
        let values = values.iter().map(|value| ScalarValue::Int64(Some(*value))).collect();
        answers.place(number, settings.into(), values).unwrap()
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
        let elsewhere = place_of(&answers, 1, "UTC;information_schema", &[7]);
        assert!(elsewhere.found().is_none() && !elsewhere.is_for(PUBLIC) && place(&answers, 1, &[7]).is_for(PUBLIC));
        // None at all is an answer, too.
        run(place(&answers, 3, &[]), Vec::new(), 1 << 20, 9).await;
        assert_eq!(found(&answers, 3, &[]).await, Some(0));
        // Left before its end, failed, too large, more than the account has.
        run(place(&answers, 4, &[]), whole(), 1 << 20, 2).await;
        run(place(&answers, 5, &[]), vec![Ok(rows(2)), Err(Error::internal("lost"))], 1 << 20, 9).await;
        run(place(&answers, 6, &[]), vec![Ok(rows(20_000)), Ok(rows(20_000))], 1 << 20, 9).await;
        run(place(&answers, 7, &[]), vec![Ok(rows(1_000))], 1_000, 9).await;
        // Batches without a column hold no array, and are not nothing.
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let bare = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        run(place(&answers, 8, &[]), (0..2_000).map(|_| Ok(bare.clone())).collect(), 1 << 20, 9_999).await;
        for number in 4..9 {
            assert_eq!(found(&answers, number, &[]).await, None, "{number}");
        }
        let large = ScalarValue::from("x".repeat(ANSWER_BYTES_MAX));
        assert!(answers.place(9, PUBLIC.into(), vec![large]).is_none());
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
