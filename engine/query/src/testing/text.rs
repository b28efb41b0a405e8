//! Rows as text. Knows no plan.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use querygate_query_api::values::wide_numeric::numeric_cell;

/// The rows of batches, cells parted by bars.
pub(crate) fn lines_of(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, at: usize| {
        batch.columns().iter().map(|column| cell(column.as_ref(), at)).collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) || array.data_type().is_null() {
        return "NULL".to_owned();
    }
    match array.data_type() {
        DataType::LargeBinary => numeric_cell(array.as_binary(), row).unwrap().to_string(),
        _ => ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(row).to_string(),
    }
}
