//! Batches that come to a statement from tasks that are not its own, and go to readers that are not.

use super::ledger::current;
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Batches of fewer bytes are not counted.
const SMALL: usize = 4 << 10;

/// Counts a batch that another task made as the statement's from now on.
pub fn receive(batch: &RecordBatch) {
    if let Some(ledger) = current() {
        ledger.add(own_buffers(batch));
    }
}

/// Counts a batch out of the statement: its reader frees it.
pub fn release(batch: &RecordBatch) {
    if let Some(ledger) = current() {
        ledger.add(-own_buffers(batch));
    }
}

/// Bytes of the buffers that nothing else points into. Those that views point into may be other views', too, and are left out.
pub(super) fn own_buffers(batch: &RecordBatch) -> i64 {
    if batch.get_array_memory_size() < SMALL {
        return 0;
    }
    let bytes: usize = batch.columns().iter().map(own_bytes).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn own_bytes(array: &ArrayRef) -> usize {
    if Arc::strong_count(array) > 1 {
        return 0;
    }
    let items = match array.data_type() {
        DataType::List(_) => own_bytes(array.as_list::<i32>().values()),
        DataType::Struct(_) => array.as_struct().columns().iter().map(own_bytes).sum(),
        _ => 0,
    };
    let data = array.to_data();
    let buffers = match array.data_type() {
        DataType::Utf8View | DataType::BinaryView => data.buffers().get(..1),
        _ => data.buffers().get(..),
    };
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    // The data points to each buffer once more.
    let own = buffers.unwrap_or_default().iter().chain(nulls).filter(|buffer| buffer.strong_count() <= 2);
    items + own.map(|buffer| buffer.capacity()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::Int64Type;

    #[test]
    fn only_buffers_that_nobody_else_has_are_counted() {
        let long = "a text of more than twelve bytes";
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter((0..1_000).map(|n| (n % 7 > 0).then_some(n)))),
            Arc::new(StringArray::from(vec![long; 1_000])),
            Arc::new(StringViewArray::from(vec![long; 1_000])),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..1_000).map(|n| Some(vec![Some(n)])))),
        ];
        for column in columns {
            let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
            let (own, held) = (own_buffers(&batch), i64::try_from(batch.get_array_memory_size()).unwrap());
            // Arrow counts what arrays are made of, too; what views point into is left out.
            let views = batch.column(0).data_type() == &DataType::Utf8View;
            assert!(own <= held && own > if views { 15_999 } else { held - 1_000 }, "{own} of {held}");
            let other = batch.clone();
            assert_eq!(own_buffers(&batch), 0, "the column is another batch's, too");
            drop(other);
            let slice = batch.slice(10, 500);
            assert!(own_buffers(&batch) < own / 2, "the buffers are the slice's, too");
            drop(slice);
            assert_eq!(own_buffers(&batch), own);
        }
        assert_eq!(
            own_buffers(&RecordBatch::try_from_iter([("c", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap()),
            0
        );
    }
}
