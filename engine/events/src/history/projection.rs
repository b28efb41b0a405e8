//! What is kept of a change: its key and tracked fields, as far as they are others than before.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use querygate_driver_api::write::RowsChanged;
use querygate_types::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows that are kept together, and bytes of them: they are read together, too.
const ROWS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;

/// The parts of a change that are kept; none of one that touched no tracked field.
///
/// # Errors
/// Internal: rows before and after differ in number or lack their key.
pub(super) fn keep_tracked(change: &RowsChanged, tracked: &BTreeSet<String>) -> Result<Vec<RowsChanged>> {
    let [key] = &*change.key else { return Ok(Vec::new()) };
    let Some(some) = change.after.as_ref().or(change.before.as_ref()) else { return Ok(Vec::new()) };
    let rows = some.num_rows();
    if [&change.before, &change.after].into_iter().flatten().any(|side| side.num_rows() != rows) {
        return Err(Error::internal("rows before and after a change are not in one order"));
    }
    let mut names: Vec<&str> = vec![key.as_str()];
    for field in some.schema_ref().fields() {
        let name = field.name().as_str();
        if name != key && tracked.contains(name) && differs(change, name) {
            names.push(name);
        }
    }
    let is_update = change.before.is_some() && change.after.is_some();
    if is_update && names.len() == 1 {
        return Ok(Vec::new());
    }
    let side = |rows: Option<&RecordBatch>| rows.map(|rows| only(rows, &names)).transpose();
    let (before, after) = (side(change.before.as_ref())?, side(change.after.as_ref())?);
    let bytes = before.iter().chain(&after).map(RecordBatch::get_array_memory_size).sum::<usize>();
    let at_once = (BYTES_MAX / (bytes / rows.max(1)).max(1)).clamp(1, ROWS_MAX);
    let part = |from: usize| {
        let cut = |rows: &RecordBatch| rows.slice(from, at_once.min(rows.num_rows() - from));
        RowsChanged {
            object: Arc::clone(&change.object),
            operation: change.operation,
            key: Arc::clone(&change.key),
            before: before.as_ref().map(cut),
            after: after.as_ref().map(cut),
        }
    };
    Ok((0..rows).step_by(at_once).map(part).collect())
}

/// Whether a field is another one than before in any row; of new and of removed rows, whether it has a value in any.
fn differs(change: &RowsChanged, name: &str) -> bool {
    let of = |rows: &Option<RecordBatch>| rows.as_ref().and_then(|rows| rows.column_by_name(name)).map(Arc::clone);
    let has_value = |values: ArrayRef| values.null_count() < values.len();
    match (of(&change.before), of(&change.after)) {
        (Some(before), Some(after)) => before.as_ref() != after.as_ref(),
        (Some(one), None) | (None, Some(one)) => has_value(one),
        (None, None) => false,
    }
}

fn only(rows: &RecordBatch, names: &[&str]) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for name in names {
        let Some(values) = rows.column_by_name(name) else { continue };
        fields.push(Field::new(*name, values.data_type().clone(), true));
        columns.push(Arc::clone(values));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(Error::internal)
}
