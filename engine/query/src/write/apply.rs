//! Checked rows given to their source, and CHECK once more on what it has stored: triggers, defaults and generated columns of the
//! source come after us.

use super::check::{Checked, outside, passes};
use super::intent::unsupported;
use super::lock::{locked, read};
use super::rows::records;
use super::target::Targeted;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use querygate_driver_api::ExecuteContext;
use querygate_driver_api::write::change::ROWS_MAX;
use querygate_driver_api::write::{ChangeOp, ChangeSet, NativeChange, Transaction, Violation};
use querygate_policy::{RowFilter, WriteOperation};
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// What a change did. Nothing of it holds before its transaction is committed.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) count: usize,
    /// All fields of each row as it is stored; of deleted rows, as they were.
    pub(crate) stored: RecordBatch,
}

impl Checked {
    /// Applies the change, and looks at what is stored.
    ///
    /// # Errors
    /// The source's; 40001: other rows were met than were locked; 42501, 23505: what is stored is not what was checked.
    pub(crate) async fn apply(self, transaction: &mut Transaction, context: &ExecuteContext) -> Result<Applied> {
        let imaged = self.imaged();
        let targeted = Arc::clone(imaged.targeted());
        let count = imaged.locked().count();
        let operation = targeted.operation();
        let op = match operation {
            WriteOperation::Insert => ChangeOp::Insert,
            WriteOperation::Update => ChangeOp::Update,
            WriteOperation::Delete => ChangeOp::Delete,
        };
        if operation == WriteOperation::Insert && imaged.places().is_empty() {
            return Err(unsupported("an INSERT of a row without a value"));
        }
        let change = targeted.table().change(targeted.permit(), op, imaged.places())?;
        let rows = rows(&self, &targeted, &change)?;
        let schema = schema(&targeted);
        let mut stored = Vec::new();
        let mut applied = 0;
        for first in (0..count).step_by(ROWS_MAX) {
            let part = rows.slice(first, ROWS_MAX.min(count - first));
            let some = transaction.apply(&change, &ChangeSet::new(&change.shape, part)?, context).await?;
            applied += usize::try_from(some.count).map_err(Error::internal)?;
            for batch in some.stored {
                stored.push(
                    RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).map_err(Error::internal)?,
                );
            }
        }
        if applied != count {
            return Err(Violation::Serialization.error());
        }
        let stored = match operation {
            WriteOperation::Delete => match imaged.locked().stored() {
                Some(stored) => stored.clone(),
                None => return Err(Error::internal("rows were deleted that were not locked")),
            },
            WriteOperation::Insert | WriteOperation::Update => {
                let stored = concat_batches(&schema, &stored).map_err(Error::internal)?;
                self.look(&targeted, &stored, transaction, context).await?;
                stored
            }
        };
        Ok(Applied { count, stored })
    }

    /// Whether what is stored passes: by the source's own judgement, which sees other rows, and by that of the records.
    async fn look(
        &self,
        targeted: &Targeted,
        stored: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<()> {
        let table = targeted.table();
        let keys = (0..stored.num_rows()).map(|row| table.values(stored, row, table.key()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let check = targeted.permit().check();
        // Rows that are given back must be such that the writer may read.
        let wanted = match targeted.returning() {
            Some(_) => RowFilter::And(vec![check.clone(), targeted.readable().clone()]),
            None => check.clone(),
        };
        let found = locked(targeted, &keys, &wanted, transaction, context).await?;
        if found.num_rows() != stored.num_rows() {
            return Err(outside(targeted));
        }
        for record in records(table.fields(), stored)? {
            if !passes(check, &record)? {
                return Err(outside(targeted));
            }
        }
        for (places, violation) in self.uniques() {
            unique(targeted, places, stored, transaction, context)
                .await?
                .then_some(())
                .ok_or_else(|| violation.clone())?;
        }
        Ok(())
    }
}

/// Whether no two rows of the table have the values that one of these has there. A NULL among them is like no other.
async fn unique(
    targeted: &Targeted,
    places: &[usize],
    stored: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<bool> {
    let table = targeted.table();
    let values = (0..stored.num_rows()).map(|row| table.values(stored, row, places));
    let values = values.collect::<Result<Vec<_>>>()?;
    let mut times: HashMap<Vec<ScalarValue>, usize> = HashMap::new();
    for some in values.chunks(table.rows_at_once(places.len())) {
        for batch in read(&table.having(places, some, &RowFilter::All)?, transaction, context).await? {
            for row in 0..batch.num_rows() {
                let value = |place: &usize| {
                    let array = batch.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
                    ScalarValue::try_from_array(array, row).map_err(Error::internal)
                };
                let found = places.iter().map(value).collect::<Result<Vec<_>>>()?;
                let before = times.entry(found).or_default();
                *before += 1;
            }
        }
    }
    // The organization may be NULL, which is one organization, too; it comes last.
    let counts = |found: &Vec<ScalarValue>| found.first().is_some_and(|first| !first.is_null());
    Ok(times.iter().all(|(found, times)| *times <= 1 || !counts(found)))
}

/// All fields of the table's rows.
fn schema(targeted: &Targeted) -> SchemaRef {
    let fields = targeted.table().fields().iter();
    Arc::new(Schema::new(
        fields.map(|field| Field::new(&field.name, field.value_type().to_arrow(), true)).collect::<Vec<_>>(),
    ))
}

/// The rows of a change: keys where rows are found by them, then what is stored.
fn rows(checked: &Checked, targeted: &Targeted, change: &NativeChange) -> Result<RecordBatch> {
    let imaged = checked.imaged();
    let mut columns: Vec<ArrayRef> = Vec::new();
    if let Some(stored) = imaged.locked().stored() {
        let key = targeted.table().key().iter().filter_map(|place| stored.columns().get(*place));
        columns.extend(key.map(Arc::clone));
    }
    columns.extend(imaged.columns().iter().map(Arc::clone));
    let named = change.shape.columns().zip(&columns);
    let fields = named.map(|(column, values)| Field::new(column.name.as_str(), values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(imaged.locked().count()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::internal)
}
