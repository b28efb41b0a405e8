//! Small batches become messages worth sending: rows wait until there are enough of them. Knows no message and no clock.

use arrow::array::{Array, AsArray as _};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Bytes of a message at most: measured best for both sides between half a megabyte and one.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;
/// Rows of a message at most.
pub(crate) const MESSAGE_ROWS: usize = 65_536;

/// Bytes from which rows are worth a message of their own. A batch of this size is never copied.
const ENOUGH_BYTES: usize = MESSAGE_BYTES / 2;

/// Gathers batches of one schema.
#[derive(Debug)]
pub(crate) struct Merger {
    schema: SchemaRef,
    waiting: Vec<RecordBatch>,
    bytes: usize,
    rows: usize,
    /// Whether batches may be joined at all.
    merges: bool,
}

impl Merger {
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        let merges = !schema.fields().iter().any(|field| holds_dictionary(field));
        Self { schema: Arc::clone(schema), waiting: Vec::new(), bytes: 0, rows: 0, merges }
    }

    /// Takes a batch; gives what is to be sent now, in order.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Vec<RecordBatch> {
        let (bytes, rows) = (wire_bytes(&batch), batch.num_rows());
        if rows == 0 {
            return Vec::new();
        }
        if !self.merges || bytes >= ENOUGH_BYTES || rows >= MESSAGE_ROWS {
            let mut now = self.flush();
            now.push(batch);
            return now;
        }
        let mut now = Vec::new();
        if self.bytes + bytes > MESSAGE_BYTES || self.rows + rows > MESSAGE_ROWS {
            now = self.flush();
        }
        self.waiting.push(batch);
        self.bytes += bytes;
        self.rows += rows;
        if self.bytes >= ENOUGH_BYTES || self.rows >= MESSAGE_ROWS {
            now.append(&mut self.flush());
        }
        debug_assert!(
            self.bytes < ENOUGH_BYTES && self.rows < MESSAGE_ROWS,
            "rows that are worth a message do not wait"
        );
        debug_assert_eq!(
            self.rows,
            self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>(),
            "all waiting rows count"
        );
        now
    }

    /// What waits, as one batch where it can be one.
    pub(crate) fn flush(&mut self) -> Vec<RecordBatch> {
        (self.bytes, self.rows) = (0, 0);
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.len() < 2 {
            return waiting;
        }
        match concat_batches(&self.schema, &waiting) {
            Ok(one) => vec![one],
            // Dictionaries that do not fit into one: each batch keeps its own.
            Err(_) => waiting,
        }
    }

    /// Bytes of what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Whether a dictionary is somewhere inside a list, a struct or a map, where it cannot be joined with another one.
fn holds_dictionary(field: &Field) -> bool {
    let inside = |field: &Field| matches!(field.data_type(), DataType::Dictionary(..)) || holds_dictionary(field);
    match field.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => inside(item),
        DataType::Struct(fields) => fields.iter().any(|field| inside(field)),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| inside(field)),
        DataType::RunEndEncoded(_, values) => inside(values),
        DataType::Dictionary(_, values) => matches!(**values, DataType::Dictionary(..)),
        _ => false,
    }
}

/// Bytes that the rows of a batch take in a message; dictionaries travel apart.
pub(crate) fn wire_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| array_bytes(column)).sum()
}

/// The IPC writer cuts lists to the rows of a slice; `get_slice_memory_size` counts all that is behind them.
fn array_bytes(array: &dyn Array) -> usize {
    let own = |offsets: usize| offsets + array.len().div_ceil(8);
    match array.data_type() {
        DataType::Dictionary(..) => array_bytes(array.as_any_dictionary().keys()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            own(4 * list.len()) + items(list.values(), list.value_offsets())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            own(8 * list.len()) + items(list.values(), list.value_offsets())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            own(4 * map.len()) + items(map.entries(), map.value_offsets())
        }
        DataType::Struct(_) => own(0) + array.as_struct().columns().iter().map(|c| array_bytes(c)).sum::<usize>(),
        _ => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

/// Bytes of the items between a slice's first offset and its last.
fn items<O: Copy + TryInto<usize>>(values: &dyn Array, offsets: &[O]) -> usize {
    let place = |offset: Option<&O>| offset.and_then(|o| (*o).try_into().ok()).unwrap_or(0);
    let (from, to): (usize, usize) = (place(offsets.first()), place(offsets.last()));
    array_bytes(&values.slice(from, to.saturating_sub(from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Int8Type, Int64Type, Schema};

    fn numbers(rows: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    /// Rows of what comes out for batches of these sizes, and of what is left.
    fn check(sizes: &[i64], expected: &[usize], left: &[usize]) {
        let mut merger = Merger::new(&numbers(0).schema());
        let rows = |batches: Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        let sent: Vec<usize> = sizes.iter().flat_map(|size| rows(merger.push(numbers(*size)))).collect();
        assert_eq!((sent.as_slice(), rows(merger.flush()).as_slice()), (expected, left), "{sizes:?}");
        assert!(!merger.waits());
    }

    #[test]
    fn rows_wait_until_they_are_worth_a_message() {
        check(&[], &[], &[]);
        check(&[0, 0], &[], &[]);
        check(&[10, 20, 30], &[], &[60]);
        check(&[40_000, 30_000, 5], &[40_000], &[30_005]);
        check(&[100_000], &[100_000], &[]);
        check(&[10, 100_000, 10], &[10, 100_000], &[10]);
    }

    #[test]
    fn dictionaries_that_do_not_fit_together_stay_apart() {
        let words = |from: usize| -> RecordBatch {
            let words: Vec<String> = (from..from + 100).map(|n| format!("word {n}")).collect();
            let words: DictionaryArray<Int8Type> = words.iter().map(String::as_str).collect();
            RecordBatch::try_from_iter([("w", Arc::new(words) as ArrayRef)]).unwrap()
        };
        let schema = words(0).schema();
        let mut merger = Merger::new(&schema);
        assert!(merger.push(words(0)).is_empty() && merger.push(words(50)).is_empty());
        let sent = merger.flush();
        assert_eq!(sent.iter().map(RecordBatch::num_rows).sum::<usize>(), 200);
        assert!(sent.iter().all(|batch| batch.schema() == schema));
    }

    #[test]
    fn a_slice_weighs_what_its_rows_do() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..10_000).map(|n| Some(vec![Some(n); 10])));
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
        assert!((800_000..900_000).contains(&wire_bytes(&batch)), "{}", wire_bytes(&batch));
        assert!((800..1_000).contains(&wire_bytes(&batch.slice(5_000, 10))), "{}", wire_bytes(&batch.slice(5_000, 10)));
    }

    #[test]
    fn a_dictionary_inside_a_list_is_left_alone() {
        let inner = Field::new("item", DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), true);
        assert!(holds_dictionary(&Field::new("l", DataType::List(Arc::new(inner.clone())), true)));
        assert!(!holds_dictionary(&inner));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let schema = Arc::new(Schema::new(vec![Field::new("t", texts.data_type().clone(), true)]));
        assert!(Merger::new(&schema).merges);
    }
}
