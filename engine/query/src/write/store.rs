//! Rows given to their source, set by set. Decides nothing.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::{StreamExt, stream};
use querygate_catalog::write::{LockedRead, WriteTarget};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::change::ROWS_MAX;
use querygate_driver_api::write::{ChangeOp, ChangeSet, NativeChange, ReadAfter, RowsChanged, Transaction, Violation};
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_resources::bytes::compact;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// What is stored of some rows: fields, as places of the table's, and the values of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assigned<'a> {
    pub(super) places: &'a [usize],
    pub(super) columns: &'a [ArrayRef],
}

/// Rows of a change: those that were locked for it, and the values that are stored of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsToStore<'a> {
    pub(super) locked: Option<&'a RecordBatch>,
    pub(super) assigned: Assigned<'a>,
    pub(super) count: usize,
}

/// Changes rows, which an update and a delete find by the keys of locked ones. Gives all fields of them as they are stored; of deleted
/// ones, as they were.
///
/// # Errors
/// The source's; 40001: other rows were met than were locked.
pub(super) async fn store(
    table: &WriteTarget,
    permit: &WritePermit,
    rows: RowsToStore<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<RecordBatch> {
    let change = table.change(permit, operation(permit.operation()), rows.assigned.places)?;
    Storing { table, change: &change, rows }.store(transaction, context).await
}

/// Bytes beside its rows that a kept batch may take.
const KEPT_SLACK: usize = 1_024;

/// Keeps changed rows for those who follow changes of their object. `rows`: as they were locked, and as they are stored; of a delete, as
/// they were.
///
/// # Errors
/// 54000: the transaction has changed more than is kept.
pub(super) fn keep(
    table: &WriteTarget,
    operation: ChangeOp,
    (locked, stored): (Option<&RecordBatch>, &RecordBatch),
    transaction: &mut Transaction,
) -> Result<()> {
    if !transaction.captures(table.object()) {
        return Ok(());
    }
    let (before, after) = match operation {
        ChangeOp::Insert => (None, Some(stored)),
        ChangeOp::Update => (locked, Some(stored)),
        ChangeOp::Delete => (Some(stored), None),
    };
    let names = table.key().iter().filter_map(|place| table.fields().get(*place)).map(|field| field.name.clone());
    // A driver's buffers have room for a whole batch, which a transaction of many changes would hold and be charged for each time.
    let own = |rows: &RecordBatch| compact(rows.clone(), KEPT_SLACK).map(|own| own.batch).map_err(Error::internal);
    transaction.changed(RowsChanged {
        object: Arc::clone(table.object()),
        operation,
        key: names.collect(),
        before: before.map(own).transpose()?,
        after: after.map(own).transpose()?,
    })
}

/// The change of a permitted operation.
pub(super) const fn operation(operation: WriteOperation) -> ChangeOp {
    match operation {
        WriteOperation::Insert => ChangeOp::Insert,
        WriteOperation::Update => ChangeOp::Update,
        WriteOperation::Delete => ChangeOp::Delete,
    }
}

/// Rows that are to be stored by a rendered change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storing<'a> {
    pub(super) table: &'a WriteTarget,
    pub(super) change: &'a NativeChange,
    pub(super) rows: RowsToStore<'a>,
}

impl Storing<'_> {
    /// As [`store`], which makes the change.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn store(self, transaction: &mut Transaction, context: &ExecuteContext) -> Result<RecordBatch> {
        let rows = self.batch()?;
        let mut stored = Vec::new();
        let mut applied = 0;
        for first in (0..self.rows.count).step_by(ROWS_MAX) {
            let part = ChangeSet::new(&self.change.shape, rows.slice(first, ROWS_MAX.min(self.rows.count - first)))?;
            let some = transaction.apply(self.change, &part, context).await?;
            applied += usize::try_from(some.count).map_err(Error::internal)?;
            stored.extend(some.stored);
        }
        let stored = self.stored(applied, stored)?;
        self.keep(&stored, transaction)?;
        Ok(stored)
    }

    /// Inserts the rows in the source's fastest way, which gives nothing back but their number.
    ///
    /// # Errors
    /// The source's.
    pub(super) async fn load(self, transaction: &mut Transaction, context: &ExecuteContext) -> Result<u64> {
        let rows = stream::iter([Ok(self.batch()?)]).boxed();
        transaction.load(self.change, rows, context).await
    }

    /// As [`store`](Self::store), of rows that one set holds, and reads what is stored then.
    ///
    /// # Errors
    /// As there; those of the read.
    pub(super) async fn store_and_read(
        self,
        read: &LockedRead,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<(RecordBatch, RecordBatch)> {
        let rows = ChangeSet::new(&self.change.shape, self.batch()?)?;
        let context = ExecuteContext { by_key: read.by_key, ..context.clone() };
        let read = ReadAfter { statement: &read.statement, values: &read.values };
        let (applied, found) = transaction.apply_and_read(self.change, &rows, read, &context).await?;
        let count = usize::try_from(applied.count).map_err(Error::internal)?;
        let stored = self.stored(count, applied.stored)?;
        self.keep(&stored, transaction)?;
        Ok((stored, together(&schema(self.table), found)?))
    }

    /// Keeps the rows for those who follow changes.
    fn keep(&self, stored: &RecordBatch, transaction: &mut Transaction) -> Result<()> {
        keep(self.table, self.change.shape.op, (self.rows.locked, stored), transaction)
    }

    /// The keys of the rows; `None`: the source makes them, or they are more than one read looks for.
    pub(super) fn keys(self) -> Result<Option<Vec<Vec<Value>>>> {
        let shape = &self.change.shape;
        let makes_keys = shape.op == ChangeOp::Insert && shape.key.is_empty();
        if makes_keys || self.rows.count > self.table.rows_at_once(shape.key.len()).min(ROWS_MAX) {
            return Ok(None);
        }
        let rows = self.batch()?;
        let keys = rows.columns().get(..shape.key.len()).unwrap_or_default();
        let key = |row| keys.iter().map(|values| Value::from_array(values.as_ref(), row)).collect();
        (0..self.rows.count).map(key).collect::<Result<_>>().map(Some)
    }

    fn stored(self, applied: usize, stored: Vec<RecordBatch>) -> Result<RecordBatch> {
        if applied != self.rows.count {
            return Err(Violation::Serialization.error());
        }
        match (self.change.shape.op, self.rows.locked) {
            (ChangeOp::Delete, Some(locked)) => Ok(locked.clone()),
            (ChangeOp::Delete, None) => Err(Error::internal("rows were deleted that were not locked")),
            (ChangeOp::Insert | ChangeOp::Update, _) => together(&schema(self.table), stored),
        }
    }

    /// The rows of the change, in the order of its columns: what is stored, and keys by which rows are found.
    fn batch(self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for place in self.table.places_of(self.change) {
            let own = self.rows.assigned.places.iter().position(|own| *own == place);
            let own = own.and_then(|at| self.rows.assigned.columns.get(at));
            let found = || self.rows.locked.and_then(|locked| locked.columns().get(place));
            let values = own.or_else(found).ok_or_else(|| Error::internal("a change of a column without values"))?;
            columns.push(Arc::clone(values));
        }
        let named = self.change.shape.columns().zip(&columns);
        let fields = named.map(|(column, values)| Field::new(column.name.as_str(), values.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.count));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::internal)
    }
}

/// Batches of all fields of a table under their names.
pub(super) fn together(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    let named = |batch: RecordBatch| RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec());
    let batches = batches.into_iter().map(named).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    concat_batches(schema, &batches).map_err(Error::internal)
}

/// All fields of a table's rows.
pub(super) fn schema(table: &WriteTarget) -> SchemaRef {
    let fields = table.fields().iter();
    Arc::new(Schema::new(
        fields.map(|field| Field::new(&field.name, field.value_type().to_arrow(), true)).collect::<Vec<_>>(),
    ))
}
