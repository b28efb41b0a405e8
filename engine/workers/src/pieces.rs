//! Batches as they travel. Arrow writes every buffer that a column of views points into, once for each message: a few texts of a large
//! buffer would carry all of it. So columns of views get buffers of their own, and batches with such columns are cut to the size of a
//! message before that, not after it.

use arrow::array::{Array, ArrayRef, AsArray, ByteView, GenericByteViewArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{ByteViewType, DataType};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Bytes of a message, about: half of what the encoder cuts batches to.
const MESSAGE_BYTES: usize = 1 << 20;
/// Bytes that a buffer may have beside the values of a column without being copied.
const SLACK: usize = 16 << 10;

/// The rows of a batch in their order, in batches that carry little else.
pub(crate) fn pieces(batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
    let rows = batch.num_rows();
    if rows == 0 || !batch.columns().iter().any(|column| views(column).is_some()) {
        return Ok(vec![batch.clone()]);
    }
    let bytes: usize = batch.columns().iter().map(travelling).fold(0, usize::saturating_add);
    let each = rows.div_ceil(bytes.div_ceil(MESSAGE_BYTES).max(1)).max(1);
    (0..rows).step_by(each).map(|at| compact(&batch.slice(at, each.min(rows - at)))).collect()
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
            length if length > 12 && array.is_valid(row) => length,
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
fn travelling(array: &ArrayRef) -> usize {
    match views(array) {
        Some(Views { used, held }) => array.len().saturating_mul(16).saturating_add(used.min(held)),
        None => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().map(own).collect();
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(Error::internal)
}

/// The column, with buffers of its own where those that it has hold much else.
fn own(array: &ArrayRef) -> ArrayRef {
    let is_small = |views: Views| views.held <= views.used.saturating_mul(2).saturating_add(SLACK);
    if views(array).is_none_or(is_small) {
        return Arc::clone(array);
    }
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => Arc::clone(array),
    }
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
        let found = pieces(&few).unwrap();
        assert_eq!(found, [few.clone()]);
        assert!(written(&[few]) > 3 << 20 && written(&found) < 30_000, "{}", written(&found));
    }

    #[test]
    fn a_large_batch_is_cut_before_it_is_written() {
        let all = batch(20_000, 320);
        let found = pieces(&all).unwrap();
        let own = travelling(all.column(1)) + travelling(all.column(2)) + 160_000;
        assert!(found.len() >= 10 && written(&found) < own + own / 20, "{} {} {own}", found.len(), written(&found));
        assert!(found.iter().all(|piece| piece.columns().iter().map(travelling).sum::<usize>() < 2 * MESSAGE_BYTES));
        assert_eq!(concat_batches(&all.schema(), &found).unwrap(), all);
    }

    #[test]
    fn what_is_small_or_shared_is_not_copied() {
        let whole = batch(100, 160);
        let buffer = |batch: &RecordBatch| batch.column(1).as_string_view().data_buffers()[0].as_ptr();
        assert_eq!(buffer(&pieces(&whole).unwrap()[0]), buffer(&whole));
        // One long value of many rows: copying would make it many.
        let long = "x".repeat(100_000);
        let shared = StringViewArray::from_iter_values([long.as_str()]);
        let rows = arrow::compute::take(&shared, &arrow::array::UInt32Array::from(vec![0; 1_000]), None).unwrap();
        let shared = RecordBatch::try_from_iter([("t", rows)]).unwrap();
        let found = pieces(&shared).unwrap();
        assert!(found.len() == 1 && written(&found) < 200_000, "{}", written(&found));
        let nothing = whole.slice(0, 0);
        assert_eq!(pieces(&nothing).unwrap().len(), 1);
    }
}
