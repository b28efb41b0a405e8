//! Rows given to their source, set by set. Decides nothing.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::change::ROWS_MAX;
use querygate_driver_api::write::{ChangeOp, ChangeSet, NativeChange, Transaction, Violation};
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// What is stored of some rows: fields, as places of the table's, and the values of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assigned<'a> {
    pub(super) places: &'a [usize],
    pub(super) columns: &'a [ArrayRef],
}

/// Changes rows, which an update and a delete find by the keys of locked ones. Gives all fields of them as they are stored; of deleted
/// ones, as they were.
///
/// # Errors
/// The source's; 40001: other rows were met than were locked.
pub(super) async fn store(
    (table, permit): (&WriteTarget, &WritePermit),
    locked: Option<&RecordBatch>,
    assigned: Assigned<'_>,
    count: usize,
    (transaction, context): (&mut Transaction, &ExecuteContext),
) -> Result<RecordBatch> {
    let operation = permit.operation();
    let op = match operation {
        WriteOperation::Insert => ChangeOp::Insert,
        WriteOperation::Update => ChangeOp::Update,
        WriteOperation::Delete => ChangeOp::Delete,
    };
    let change = table.change(permit, op, assigned.places)?;
    let rows = rows(table, locked, assigned, count, &change)?;
    let schema = schema(table);
    let mut stored = Vec::new();
    let mut applied = 0;
    for first in (0..count).step_by(ROWS_MAX) {
        let part = rows.slice(first, ROWS_MAX.min(count - first));
        let some = transaction.apply(&change, &ChangeSet::new(&change.shape, part)?, context).await?;
        applied += usize::try_from(some.count).map_err(Error::internal)?;
        for batch in some.stored {
            stored.push(RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).map_err(Error::internal)?);
        }
    }
    if applied != count {
        return Err(Violation::Serialization.error());
    }
    match (operation, locked) {
        (WriteOperation::Delete, Some(locked)) => Ok(locked.clone()),
        (WriteOperation::Delete, None) => Err(Error::internal("rows were deleted that were not locked")),
        (WriteOperation::Insert | WriteOperation::Update, _) => {
            concat_batches(&schema, &stored).map_err(Error::internal)
        }
    }
}

/// All fields of a table's rows.
pub(super) fn schema(table: &WriteTarget) -> SchemaRef {
    let fields = table.fields().iter();
    Arc::new(Schema::new(
        fields.map(|field| Field::new(&field.name, field.value_type().to_arrow(), true)).collect::<Vec<_>>(),
    ))
}

/// The rows of a change, in the order of its columns: what is stored, and keys by which rows are found.
fn rows(
    table: &WriteTarget,
    locked: Option<&RecordBatch>,
    assigned: Assigned<'_>,
    count: usize,
    change: &NativeChange,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for place in table.places_of(change) {
        let own = assigned.places.iter().position(|own| *own == place).and_then(|at| assigned.columns.get(at));
        let found = || locked.and_then(|locked| locked.columns().get(place));
        let values = own.or_else(found).ok_or_else(|| Error::internal("a change of a column without values"))?;
        columns.push(Arc::clone(values));
    }
    let named = change.shape.columns().zip(&columns);
    let fields = named.map(|(column, values)| Field::new(column.name.as_str(), values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::internal)
}
