//! Rows that an operator copies: beside each row of another input, or beside each element of their lists. Knows no operator.

use crate::bytes::batch_bytes;
use crate::pace::rows_of;
use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use querygate_types::limits::BATCH_BYTES;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the longest row of an input that is collected before the other one is read. It stays from run to run of one plan: pieces are no
/// longer than they may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct LongestRow(Arc<AtomicUsize>);

impl LongestRow {
    /// Rows of values that all have a width are short.
    pub(crate) fn take_in(&self, batch: &RecordBatch) {
        if batch.columns().iter().all(|column| column.data_type().primitive_width().is_some()) {
            return;
        }
        let bytes = (0..batch.num_rows()).map(|row| batch_bytes(&batch.slice(row, 1)));
        let longest = usize::try_from(bytes.max().unwrap_or(0)).unwrap_or(usize::MAX);
        self.0.fetch_max(longest, Ordering::Relaxed);
    }

    /// Rows of the other input, beside which a row of this one makes a batch of the usual bytes.
    pub(crate) fn rows(&self) -> usize {
        rows_of(self.0.load(Ordering::Relaxed))
    }
}

/// How many rows of a batch, one at least, become a batch of the usual bytes when some of their columns, which are lists, are taken apart
/// and the others are copied beside each element; and what the copies take.
///
/// # Errors
/// The engine's: there is no such column.
pub(crate) fn taken_apart(batch: &RecordBatch, lists: &[usize]) -> Result<(usize, usize)> {
    let others: Vec<usize> = (0..batch.num_columns()).filter(|column| !lists.contains(column)).collect();
    let copied = batch.project(&others)?;
    let lists: Vec<_> = lists.iter().filter_map(|list| batch.columns().get(*list)?.as_list_opt::<i32>()).collect();
    let length = |row: usize| {
        let lengths = lists.iter().map(|list| if list.is_null(row) { 0 } else { list.value_length(row) });
        usize::try_from(lengths.max().unwrap_or(0)).unwrap_or(0)
    };
    let bytes = |of: &RecordBatch| usize::try_from(batch_bytes(of)).unwrap_or(usize::MAX);
    let longest = (0..batch.num_rows()).map(length).max().unwrap_or(0);
    let at_most = bytes(&copied).saturating_mul(longest);
    if at_most <= BATCH_BYTES {
        return Ok((batch.num_rows(), at_most));
    }
    let (mut rows, mut made) = (0, 0_usize);
    while rows < batch.num_rows() {
        let row = bytes(&copied.slice(rows, 1)).saturating_mul(length(rows));
        if rows > 0 && made.saturating_add(row) > BATCH_BYTES {
            break;
        }
        (rows, made) = (rows + 1, made.saturating_add(row));
    }
    Ok((rows, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, ListArray, StringArray};
    use arrow::datatypes::Int64Type;

    #[test]
    fn the_longest_row_says_how_many_stand_beside_it() {
        let longest = LongestRow::default();
        assert_eq!(longest.rows(), usize::MAX);
        for (length, rows) in [(100, 9_000..10_000), (200_000, 5..6), (1, 5..6), (5_000_000, 1..2)] {
            let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(length), String::new()]));
            longest.take_in(&RecordBatch::try_from_iter([("t", texts)]).unwrap());
            assert!(rows.contains(&longest.rows()), "{length}: {}", longest.rows());
        }
    }

    #[test]
    fn rows_are_taken_apart_as_their_copies_let() {
        let of = |texts: &[usize], lengths: &[usize]| {
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts.iter().map(|n| "x".repeat(*n))));
            let lists = lengths.iter().map(|n| Some((0..*n).map(|_| Some(1))));
            let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
            taken_apart(&RecordBatch::try_from_iter([("t", texts), ("l", lists)]).unwrap(), &[1]).unwrap()
        };
        assert_eq!(of(&[10; 100], &[10; 100]).0, 100);
        assert_eq!(of(&[], &[]), (0, 0));
        assert_eq!(of(&[100_000; 10], &[4; 10]).0, 2);
        let (rows, bytes) = of(&[1_000_000, 1], &[500, 1]);
        assert!(rows == 1 && bytes >= 500_000_000, "{rows} rows, {bytes} bytes");
        let (rows, _) = of(&[1_000_000, 1, 1], &[0, 500, 1]);
        assert_eq!(rows, 3, "nothing is copied beside an empty list");
    }
}
