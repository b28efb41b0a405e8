//! What an apply over the catalog found, for the next run of a plan that is kept: such a plan is of one reader and version, for which
//! the catalog is the same.

use super::exec::Key;
use super::keyed::Answers;
use arrow::array::RecordBatch;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of results that are shared, as they are estimated; what is beyond is found again.
pub(crate) const SHARED_BYTES_MAX: usize = 64 << 10;
/// What a result takes beside its rows, estimated.
const RESULT_BYTES: usize = 512;

/// Results by outer values, and the answers of a subplan that is run once for all of them.
#[derive(Debug, Default)]
pub(super) struct SharedResults(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    results: HashMap<Key, RecordBatch>,
    answers: Option<Arc<Answers>>,
}

impl Kept {
    fn takes(&mut self, bytes: usize) -> bool {
        let all = self.bytes.saturating_add(bytes);
        let fits = all <= SHARED_BYTES_MAX;
        if fits {
            self.bytes = all;
        }
        fits
    }
}

impl SharedResults {
    pub(super) fn of(&self, key: &Key) -> Option<RecordBatch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).results.get(key).cloned()
    }

    pub(super) fn keep(&self, key: &Key, result: &RecordBatch) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: usize = key.iter().map(datafusion::common::ScalarValue::size).sum();
        let bytes = RESULT_BYTES.saturating_add(keys).saturating_add(result.get_array_memory_size());
        if !kept.results.contains_key(key) && kept.takes(bytes) {
            kept.results.insert(key.clone(), result.clone());
        }
    }

    pub(super) fn answers(&self) -> Option<Arc<Answers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.clone()
    }

    pub(super) fn keep_answers(&self, answers: &Arc<Answers>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.answers.is_none() && kept.takes(answers.bytes()) {
            kept.answers = Some(Arc::clone(answers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::common::ScalarValue;

    #[test]
    fn results_are_shared_up_to_their_bytes() {
        let shared = SharedResults::default();
        let rows = |count: i64| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let key = |number: i64| vec![ScalarValue::Int64(Some(number))];
        shared.keep(&key(0), &rows(1_000_000));
        assert!(shared.of(&key(0)).is_none(), "too much");
        for number in 1..1_000 {
            shared.keep(&key(number), &rows(1));
        }
        let kept = (1..1_000).filter(|number| shared.of(&key(*number)).is_some()).count();
        assert!(kept > 10 && kept <= SHARED_BYTES_MAX / RESULT_BYTES, "{kept}");
        assert_eq!(shared.of(&key(1)).unwrap().num_rows(), 1);
    }
}
