//! Batches as they travel. Arrow writes every buffer that a column of views points into, once for each message: a few texts of a large
//! buffer would carry all of it. So columns of views get buffers of their own, and batches with such columns are cut to the size of a
//! message before that, not after it. `querygate_resources::bytes::compact` would write a value once for each row that shares it; here it
//! stays shared.

use arrow::array::{
    Array, ArrayRef, AsArray, ByteView, GenericByteViewArray, GenericByteViewBuilder, RecordBatch, RecordBatchOptions,
};
use arrow::datatypes::{ByteViewType, DataType};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Bytes of a message, about: half of what the encoder cuts batches to.
const MESSAGE_BYTES: usize = 1 << 20;
/// By Arrow's format of views: bytes of a view, and of a value that lies in it.
const VIEW_BYTES: usize = 16;
const INLINE_BYTES_MAX: usize = 12;
/// Bytes that a buffer may have beside the values of a column without being copied.
const SLACK_BYTES: usize = 16 << 10;

/// The rows of a batch in their order, in batches that carry little else, each made when it is asked for.
pub(crate) fn pieces(batch: RecordBatch) -> Pieces {
    let rows = batch.num_rows();
    if rows == 0 || !batch.columns().iter().any(|column| views(column).is_some()) {
        return Pieces { left: vec![batch], whole: true };
    }
    let bytes = batch_bytes(&batch);
    let each = rows.div_ceil(bytes.div_ceil(MESSAGE_BYTES).max(1)).max(1);
    let mut left: Vec<RecordBatch> = (0..rows).step_by(each).map(|at| batch.slice(at, each.min(rows - at))).collect();
    left.reverse();
    Pieces { left, whole: false }
}

/// What is left of a batch, its last rows first.
pub(crate) struct Pieces {
    left: Vec<RecordBatch>,
    /// Goes as it is.
    whole: bool,
}

impl Iterator for Pieces {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let slice = self.left.pop()?;
            if self.whole {
                return Some(Ok(slice));
            }
            let own = match with_own_buffers(&slice) {
                Ok(own) => own,
                Err(error) => return Some(Err(error)),
            };
            // Of values that many rows share, a few rows may hold most.
            let rows = slice.num_rows();
            if rows < 2 || batch_bytes(&own) <= 2 * MESSAGE_BYTES {
                return Some(Ok(own));
            }
            self.left.extend([slice.slice(rows / 2, rows - rows / 2), slice.slice(0, rows / 2)]);
        }
    }
}

fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).fold(0, usize::saturating_add)
}

/// What a column of views points into.
#[derive(Debug, Clone, Copy)]
struct Views {
    /// Bytes of the values that do not fit into their views.
    used: usize,
    /// Bytes of all buffers.
    held: usize,
}

impl Views {
    fn of<T: ByteViewType>(array: &GenericByteViewArray<T>) -> Self {
        // Of a NULL, whatever its view says is no value.
        let used = |(row, view): (usize, &u128)| match ByteView::from(*view).length as usize {
            length if length > INLINE_BYTES_MAX && array.is_valid(row) => length,
            _ => 0,
        };
        Self {
            used: array.views().iter().enumerate().map(used).fold(0, usize::saturating_add),
            held: array.data_buffers().iter().map(|buffer| buffer.len()).sum(),
        }
    }
}

fn views(array: &ArrayRef) -> Option<Views> {
    match array.data_type() {
        DataType::Utf8View => Some(Views::of(array.as_string_view())),
        DataType::BinaryView => Some(Views::of(array.as_binary_view())),
        _ => None,
    }
}

/// Bytes of a column on its way. Many views may point at one value, which is not written for each.
fn column_bytes(array: &ArrayRef) -> usize {
    match views(array) {
        Some(Views { used, held }) => array.len().saturating_mul(VIEW_BYTES).saturating_add(used.min(held)),
        None => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

fn with_own_buffers(batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().map(own_column).collect();
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(Error::internal)
}

/// The column, with buffers of its own where those that it has hold much else.
fn own_column(array: &ArrayRef) -> ArrayRef {
    let is_small = |views: Views| views.held <= views.used.saturating_mul(2).saturating_add(SLACK_BYTES);
    if views(array).is_none_or(is_small) {
        return Arc::clone(array);
    }
    match array.data_type() {
        DataType::Utf8View => Arc::new(own_values(array.as_string_view())),
        DataType::BinaryView => Arc::new(own_values(array.as_binary_view())),
        _ => Arc::clone(array),
    }
}

/// The values in a buffer of their own. What many rows share is shared by them again.
fn own_values<T: ByteViewType>(array: &GenericByteViewArray<T>) -> GenericByteViewArray<T> {
    let Views { used, held } = Views::of(array);
    if used <= held {
        return array.gc();
    }
    let mut builder = GenericByteViewBuilder::<T>::with_capacity(array.len()).with_deduplicate_strings();
    array.iter().for_each(|value| builder.append_option(value));
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryViewArray, Int64Array, StringViewArray};
    use arrow::compute::concat_batches;
    use arrow::ipc::writer::StreamWriter;

    fn batch(rows: usize, length: usize) -> RecordBatch {
        let text = |row: usize| format!("{row:016}").repeat(length / 16);
        let texts = StringViewArray::from_iter((0..rows).map(|row| (row % 5 > 0).then(|| text(row))));
        let bytes = BinaryViewArray::from_iter_values((0..rows).map(|row| text(row).into_bytes()));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0_i64..).take(rows)));
        RecordBatch::try_from_iter([("n", numbers), ("t", Arc::new(texts) as ArrayRef), ("b", Arc::new(bytes))])
            .unwrap()
    }

    fn all_pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
        pieces(batch.clone()).map(Result::unwrap).collect()
    }

    /// Bytes of batches in Arrow's stream format.
    fn written(batches: &[RecordBatch]) -> usize {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap().len()
    }

    #[test]
    fn a_few_rows_carry_nothing_of_the_others() {
        let all = batch(20_000, 160);
        let few = all.slice(7_000, 50);
        let found = all_pieces(&few);
        assert_eq!(found, std::slice::from_ref(&few));
        assert!(written(&[few]) > 3 << 20 && written(&found) < 30_000, "{}", written(&found));
    }

    #[test]
    fn a_large_batch_is_cut_before_it_is_written() {
        let all = batch(20_000, 320);
        let found = all_pieces(&all);
        let own = column_bytes(all.column(1)) + column_bytes(all.column(2)) + 160_000;
        assert!(found.len() >= 10 && written(&found) < own + own / 20, "{} {} {own}", found.len(), written(&found));
        assert!(found.iter().all(|piece| piece.columns().iter().map(column_bytes).sum::<usize>() < 2 * MESSAGE_BYTES));
        assert_eq!(concat_batches(&all.schema(), &found).unwrap(), all);
    }

    #[test]
    fn what_is_small_or_shared_is_not_copied() {
        let whole = batch(100, 160);
        let buffer = |batch: &RecordBatch| batch.column(1).as_string_view().data_buffers()[0].as_ptr();
        assert_eq!(buffer(&all_pieces(&whole)[0]), buffer(&whole));
        // One long value of many rows: copying would make it many.
        let long = "x".repeat(100_000);
        let shared = StringViewArray::from_iter_values([long.as_str()]);
        let rows = arrow::compute::take(&shared, &arrow::array::UInt32Array::from(vec![0; 1_000]), None).unwrap();
        let shared = RecordBatch::try_from_iter([("t", rows)]).unwrap();
        let found = all_pieces(&shared);
        assert!(found.len() == 1 && written(&found) < 200_000, "{}", written(&found));
        let nothing = whole.slice(0, 0);
        assert_eq!(all_pieces(&nothing).len(), 1);
    }

    /// Each of a few hundred long values belongs to rows that lie far apart.
    #[test]
    fn values_that_rows_share_are_written_once_in_a_piece() {
        let values = StringViewArray::from_iter_values((0..400).map(|n| format!("{n:010}").repeat(1_000)));
        let places = arrow::array::UInt32Array::from_iter_values((0..8_000).map(|row| row % 400));
        let texts = arrow::compute::take(&values, &places, None).unwrap();
        let all = RecordBatch::try_from_iter([("t", texts)]).unwrap();
        let found = all_pieces(&all);
        assert!(found.iter().all(|piece| piece.num_rows() == 1 || batch_bytes(piece) <= 2 * MESSAGE_BYTES));
        // Nothing is left for the encoder to cut, which would write all of a piece's values for each part of it.
        assert!(found.iter().all(|piece| written(std::slice::from_ref(piece)) < 2 * MESSAGE_BYTES + SLACK_BYTES));
        assert_eq!(concat_batches(&all.schema(), &found).unwrap(), all);
    }
}
