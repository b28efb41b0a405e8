//! What a client's arrays take once each value has room of its own: in a message, keys of a dictionary, views and runs may share one long
//! value by the thousand. Knows no message.

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;

/// Bytes of an array with all values written out.
pub(crate) fn plain_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let lengths = lengths(dictionary.values());
            let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            keys.iter().map(|key| lengths.get(*key).copied().unwrap_or(0)).fold(0, usize::saturating_add)
        }
        DataType::Utf8View | DataType::BinaryView => lengths(array).into_iter().fold(0, usize::saturating_add),
        // What a run holds is not looked at: it may be all of the array's rows.
        DataType::RunEndEncoded(..) => array.get_array_memory_size().saturating_mul(array.len()),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

/// Bytes of each value.
fn lengths(values: &ArrayRef) -> Vec<usize> {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().offsets().lengths().collect(),
        DataType::LargeUtf8 => values.as_string::<i64>().offsets().lengths().collect(),
        DataType::Binary => values.as_binary::<i32>().offsets().lengths().collect(),
        DataType::LargeBinary => values.as_binary::<i64>().offsets().lengths().collect(),
        // A view begins with its length.
        DataType::Utf8View => values.as_string_view().views().iter().map(|view| *view as u32 as usize).collect(),
        DataType::BinaryView => values.as_binary_view().views().iter().map(|view| *view as u32 as usize).collect(),
        _ => vec![plain_bytes(values).checked_div(values.len()).unwrap_or(0); values.len()],
    }
}

/// Bytes of all columns of a batch.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(plain_bytes).fold(0, usize::saturating_add)
}

/// A batch in pieces that take `most` bytes each, or hold one row.
pub(crate) fn pieces(batch: &RecordBatch, most: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    if rows <= 1 || batch_bytes(batch) <= most {
        return vec![batch.clone()];
    }
    let half = rows / 2;
    let mut cut = pieces(&batch.slice(0, half), most);
    cut.append(&mut pieces(&batch.slice(half, rows - half), most));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int16Array, Int64Array, StringArray, StringViewArray};
    use std::sync::Arc;

    #[test]
    fn shared_values_count_as_often_as_they_are_there() {
        let long = "x".repeat(1_000);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(), "y"]));
        let keys = Int16Array::from(vec![Some(0), Some(0), Some(1), None]);
        let dictionary: ArrayRef = Arc::new(DictionaryArray::try_new(keys, Arc::clone(&texts)).unwrap());
        let counted = plain_bytes(&dictionary);
        assert!((2_001..4_000).contains(&counted), "{counted}");
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![long.as_str(); 3]));
        assert_eq!(plain_bytes(&views), 3_000);
        let none: ArrayRef =
            Arc::new(DictionaryArray::try_new(Int16Array::from(vec![None]), texts.slice(0, 0)).unwrap());
        assert_eq!(plain_bytes(&none), 0);
    }

    #[test]
    fn pieces_hold_all_rows_in_their_order() {
        let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1_000)]));
        let keys = Int16Array::from(vec![0; 100]);
        let texts: ArrayRef = Arc::new(DictionaryArray::try_new(keys, long).unwrap());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let batch = RecordBatch::try_from_iter([("t", texts), ("n", numbers)]).unwrap();
        let cut = pieces(&batch, 10_000);
        assert!(cut.len() >= 10 && cut.iter().all(|piece| batch_bytes(piece) <= 10_000));
        let numbers = cut
            .iter()
            .flat_map(|piece| piece.column(1).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec());
        assert!(numbers.eq(0..100));
        assert_eq!(pieces(&batch, usize::MAX).len(), 1);
    }
}
