//! How many bytes rows take, and rows without what else lies in the buffers that they share. Knows no operator.

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, make_array};
use arrow::datatypes::{ArrowNativeType as _, DataType};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;

/// Bytes of an array's own rows, not of the buffers that it shares.
#[must_use]
pub fn own_bytes(array: &ArrayRef) -> usize {
    bytes_of(array.as_ref())
}

/// Arrow counts the places of views, and not what lies elsewhere, and for a slice of lists the items of all lists.
fn bytes_of(array: &dyn Array) -> usize {
    let whole = || array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size());
    let nulls = array.nulls().map_or(0, |_| array.len().div_ceil(8));
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used() + whole(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used() + whole(),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let offsets = lists.value_offsets();
            let ends = offsets.first().zip(offsets.last()).map(|(from, to)| (from.as_usize(), to.as_usize()));
            let items = ends.map_or(0, |(from, to)| bytes_of(lists.values().slice(from, to - from).as_ref()));
            size_of_val(offsets) + nulls + items
        }
        DataType::Struct(_) => nulls + array.as_struct().columns().iter().map(own_bytes).sum::<usize>(),
        _ => whole(),
    }
}

/// Bytes of a batch's own rows, not of the buffers that it shares.
#[must_use]
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| array_bytes(column.as_ref()) as u64).sum()
}

/// What a column's data says of the size of its slice, for the usual types without making that data.
fn array_bytes(array: &dyn Array) -> usize {
    let values = match array.data_type() {
        DataType::Utf8 => text_bytes(array.as_string::<i32>().value_offsets()),
        DataType::Binary => text_bytes(array.as_binary::<i32>().value_offsets()),
        DataType::Boolean => array.len().div_ceil(8),
        plain => match plain.primitive_width() {
            Some(width) => array.len() * width,
            None => return bytes_of(array),
        },
    };
    // Arrow leaves out a map without a NULL.
    if array.null_count() > 0 { values + array.len().div_ceil(8) } else { values }
}

/// Of texts that lie between these places, with the places.
fn text_bytes(offsets: &[i32]) -> usize {
    let between = offsets.first().zip(offsets.last()).map_or(0, |(first, last)| last - first);
    size_of_val(offsets) + usize::try_from(between).unwrap_or(0)
}

/// A batch with its sizes in bytes.
#[derive(Debug)]
pub struct Compacted {
    pub batch: RecordBatch,
    /// All buffers that it points into.
    pub held: usize,
    /// Its own rows.
    pub own: usize,
}

/// A batch without what else its buffers hold, where that is more than its rows and `slack` bytes.
///
/// # Errors
/// Arrow's: a column cannot be copied.
pub fn compact(batch: RecordBatch, slack: usize) -> Result<Compacted, ArrowError> {
    let own = usize::try_from(batch_bytes(&batch)).unwrap_or(usize::MAX);
    let held = batch.get_array_memory_size();
    if held <= own.saturating_mul(2).saturating_add(slack) {
        return Ok(Compacted { batch, held, own });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().map(copied).collect::<Result<_, _>>()?;
    let batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options)?;
    let held = batch.get_array_memory_size();
    Ok(Compacted { batch, held, own })
}

/// The array's rows in buffers of their own.
fn copied(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => {
            let data = array.to_data();
            let mut copy = MutableArrayData::new(vec![&data], false, array.len());
            copy.try_extend(0, 0, array.len())?;
            make_array(copy.freeze())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array,
        ListArray, ListBuilder, NullArray, StringArray, StringViewArray, StringViewBuilder, StructArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Field, Int32Type, Int64Type};

    #[test]
    fn bytes_are_those_that_arrow_counts_of_whole_columns_and_of_slices() {
        let texts = [Some("a"), None, Some(""), Some("longer than twelve bytes"), Some("b")];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(texts.to_vec())),
            Arc::new(StringArray::from(vec!["x", "yy", "zzz", "", "w"])),
            Arc::new(BinaryArray::from_opt_vec(texts.map(|text| text.map(str::as_bytes)).to_vec())),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None, None])),
            Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5])),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None, None])),
            Arc::new(Decimal128Array::from(vec![Some(1), None, Some(3), None, None])),
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4, 5])),
            // Those that are left to arrow.
            Arc::new(NullArray::new(5)),
            Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>()),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]; 5].into_iter()).unwrap()),
        ];
        for column in columns {
            for (from, length) in [(0, 5), (0, 0), (1, 3), (3, 2)] {
                let slice = column.slice(from, length);
                let counted = slice.to_data().get_slice_memory_size().unwrap_or(0);
                assert_eq!(array_bytes(slice.as_ref()), counted, "{} from {from}, {length}", column.data_type());
            }
        }
        assert_eq!(text_bytes(StringArray::from(Vec::<&str>::new()).value_offsets()), 4);
        let views = StringViewArray::from(vec!["a", "longer than twelve bytes", "b"]);
        let [whole, last] = [views.slice(0, 3), views.slice(2, 1)].map(|slice| array_bytes(&slice));
        assert_eq!((whole, last), (3 * 16 + "longer than twelve bytes".len(), 16));
    }

    /// A piece of a batch of arrays is no larger for those that are in the others.
    #[test]
    fn bytes_of_lists_are_those_of_their_own_items() {
        let texts = || Some((0..100).map(|n| Some(format!("more than twelve bytes: {n:03}"))));
        let mut views = ListBuilder::new(StringViewBuilder::new());
        (0..50).for_each(|_| views.append_option(texts()));
        let numbers = (0..50).map(|row| (row > 0).then(|| (0..100).map(Some)));
        let numbers = ListArray::from_iter_primitive::<Int64Type, _, _>(numbers);
        let whole = numbers.to_data().get_slice_memory_size().unwrap();
        assert_eq!(array_bytes(&numbers), whole);
        let field = Arc::new(Field::new("numbers", numbers.data_type().clone(), true));
        let rows = StructArray::from(vec![(field, Arc::new(numbers.clone()) as ArrayRef)]);
        let views = views.finish();
        let arrays: [(&dyn Array, usize); 3] = [(&numbers, 800), (&rows, 800), (&views, 100 * (16 + 27))];
        for (array, row) in arrays {
            let [all, one] = [array.slice(0, 50), array.slice(7, 1)].map(|slice| array_bytes(slice.as_ref()));
            assert!((row..row + 200).contains(&one), "{one}");
            assert!(all > 48 * row && all < 50 * (row + 200), "{all}");
        }
    }
}
