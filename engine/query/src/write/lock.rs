//! The rows of a change, locked in the source's transaction as they were found.

use super::find::Find;
use super::intent::RowSource;
use super::store::{schema, together};
use super::target::{Targeted, closed};
use crate::write::forms::at_once::{ChangedRow, ReadyAtOnce};
use crate::write::forms::by_key::ByKey;
use crate::write::forms::record::{GivenRecord, denied, forbidden};
use crate::write::values::amounts::bytes_as_stored;
use crate::write::values::assignment::{fit, within};
use crate::write::values::texts::in_form;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{cast, take, take_record_batch};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use querygate_catalog::write::{LockedRead, WriteTarget};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{RenderedUpdate, Transaction, Violation};
use querygate_policy::RowFilter;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rows that no other transaction changes until this one ends. Of an insert: the new rows, which are in no other.
#[derive(Debug)]
pub(crate) struct Locked {
    targeted: Arc<Targeted>,
    /// All fields of each row, as they are stored; `None`: there are none yet.
    stored: Option<RecordBatch>,
    /// The statement's values for each of the assigned fields, in the types of their columns.
    given: Vec<ArrayRef>,
    count: usize,
    /// What the row was changed to with its lock.
    changed: Option<ChangedRow>,
}

impl Locked {
    /// Locks the found rows that the permit's target passes; others are no targets. `None`: one of them is not as it was found.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn of(
        targeted: &Arc<Targeted>,
        found: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Option<Self>> {
        if let Some(record) = targeted.intent().record() {
            let stored = match targeted.operation() {
                WriteOperation::Insert => None,
                WriteOperation::Update | WriteOperation::Delete => {
                    Some(by_record(targeted, record, transaction, context).await?)
                }
            };
            return Ok(Some(Self {
                targeted: Arc::clone(targeted),
                stored,
                given: Vec::new(),
                count: 1,
                changed: None,
            }));
        }
        if let Some(given) = new_rows(targeted, found)? {
            return Ok(Some(Self {
                targeted: Arc::clone(targeted),
                stored: None,
                given,
                count: found.num_rows(),
                changed: None,
            }));
        }
        let Some(find) = targeted.find() else {
            return Ok(Some(Self {
                targeted: Arc::clone(targeted),
                stored: None,
                given: Vec::new(),
                count: 1,
                changed: None,
            }));
        };
        let keys = keys(targeted, find, found)?;
        let stored = locked(targeted, &keys, targeted.permit().target(), transaction, context).await?;
        let Some((of_found, of_stored)) = matched(targeted, find, found, &stored)? else { return Ok(None) };
        let given = given(targeted, find, found, &of_found)?;
        let stored = take_record_batch(&stored, &of_stored).map_err(Error::internal)?;
        refuse_other_key(targeted, &stored, &given)?;
        let count = stored.num_rows();
        Ok(Some(Self { targeted: Arc::clone(targeted), count, stored: Some(stored), given, changed: None }))
    }

    /// Locks the row that a statement names by its key, if there is one that it may change.
    ///
    /// # Errors
    /// The source's; what an expression says of the row; 40001: the key is that of several rows.
    pub(super) async fn by_key(
        targeted: &Arc<Targeted>,
        by_key: &ByKey,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Self> {
        let find = targeted.find().ok_or_else(|| Error::internal("a change by key has no query"))?;
        let (stored, changed) = match by_key.at_once() {
            None => (locked_row(targeted, by_key, transaction, context).await?, None),
            Some(at_once) => match changed_row(targeted, at_once, transaction, context).await? {
                Some((stored, changed)) => {
                    targeted.native().changed_at_once(true);
                    (stored, Some(changed))
                }
                None => {
                    let stored = locked_row(targeted, by_key, transaction, context).await?;
                    if stored.num_rows() > 0 {
                        targeted.native().changed_at_once(false);
                    }
                    (stored, None)
                }
            },
        };
        let found = by_key.found(targeted, &stored)?;
        let all = UInt64Array::from_iter_values(0..found.num_rows() as u64);
        let given = given(targeted, find, &found, &all)?;
        context.charge(bytes_as_stored(&given))?;
        // What the source holds for equal may differ in the gate.
        if changed.is_some() && found.num_rows() != 1 {
            return Err(closed("source and gate differ in whether a row has a key"));
        }
        let stored = stored.slice(0, found.num_rows());
        refuse_other_key(targeted, &stored, &given)?;
        Ok(Self { targeted: Arc::clone(targeted), count: stored.num_rows(), stored: Some(stored), given, changed })
    }

    /// What the row was changed to with its lock, if it was.
    pub(super) fn changed(&self) -> Option<&ChangedRow> {
        self.changed.as_ref()
    }

    pub(crate) fn targeted(&self) -> &Arc<Targeted> {
        &self.targeted
    }

    pub(crate) fn stored(&self) -> Option<&RecordBatch> {
        self.stored.as_ref()
    }

    pub(crate) fn given(&self) -> &[ArrayRef] {
        &self.given
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

/// The row of a key, locked; none, if there is none that may be changed.
async fn locked_row(
    targeted: &Targeted,
    by_key: &ByKey,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<RecordBatch> {
    let batches = read(by_key.read(), transaction, context).await?;
    let stored = together(&schema(targeted.table()), batches)?;
    if stored.num_rows() > 1 {
        return Err(Violation::Serialization.error());
    }
    Ok(stored)
}

/// The row of a key as it was, and what it was changed to as it was locked. `None`: nothing was changed.
async fn changed_row(
    targeted: &Targeted,
    at_once: &ReadyAtOnce,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<(RecordBatch, ChangedRow)>> {
    let (table, read) = (targeted.table(), &at_once.read);
    let columns = at_once.columns(table);
    let (statement, values) = (&*read.statement, &read.values);
    let update = RenderedUpdate { table: table.remote(), columns: &columns, statement, values };
    let rows = transaction.update_row(update, context).await?;
    let Some(rows) = rows else { return Ok(None) };
    context.charge(bytes_as_stored(rows.columns()))?;
    let (stored, changed) = at_once.taken_apart(&rows, &schema(table))?;
    Ok(Some((stored, changed)))
}

/// The statement's values of rows that are in no table yet, for each of the assigned fields. `None`: it changes rows that are.
///
/// # Errors
/// Values that their columns do not hold.
pub(super) fn new_rows(targeted: &Targeted, found: &RecordBatch) -> Result<Option<Vec<ArrayRef>>> {
    if let RowSource::Streamed { .. } = targeted.intent().rows() {
        let object = &targeted.intent().object().object;
        let given = targeted.assigned().iter().zip(fitted(targeted, found.columns())?);
        let given = given.map(|(name, values)| match object.field(name) {
            Some(field) => in_form(values, field),
            None => Err(Error::internal("a value is for no field")),
        });
        return given.collect::<Result<_>>().map(Some);
    }
    match targeted.find() {
        Some(find) if find.seen.is_empty() => fitted(targeted, found.columns()).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// Locks the record of a key.
///
/// # Errors
/// `RECORD_NOT_FOUND`, also of one that the principal may neither change nor read; `PERMISSION_DENIED`, `FORBIDDEN` of one that it reads
/// and may not change; `CONCURRENT_UPDATE`.
async fn by_record(
    targeted: &Targeted,
    record: &GivenRecord,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<RecordBatch> {
    let table = targeted.table();
    let object = &targeted.intent().object().object;
    let Some(key) = record.key(table, object)? else { return Err(record.missing()) };
    let keys = [key];
    let by = KeyValues { places: table.key(), values: &keys };
    let stored = having(table, by, targeted.permit().target(), transaction, context).await?;
    if stored.num_rows() == 1 {
        record.refuse_other_version(table, &stored)?;
        record.refuse_other_key()?;
        return Ok(stored);
    }
    if having(table, by, targeted.readable(), transaction, context).await?.num_rows() == 0 {
        return Err(record.missing());
    }
    let passes = having(table, by, record.policy_rows(), transaction, context).await?.num_rows() == 1;
    Err(if passes { forbidden() } else { denied() })
}

/// A key may be given the value that it has; no other.
fn refuse_other_key(targeted: &Targeted, stored: &RecordBatch, given: &[ArrayRef]) -> Result<()> {
    let table = targeted.table();
    for place in table.key() {
        let is_it = |name: &String| table.place(name) == Some(*place);
        let Some(given) = targeted.assigned().iter().position(is_it).and_then(|at| given.get(at)) else { continue };
        let stored = stored.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
        let stored = cast(stored, given.data_type()).map_err(Error::internal)?;
        if stored.to_data() != given.to_data() {
            return Err(super::intent::unsupported("an UPDATE that changes a key"));
        }
    }
    Ok(())
}

/// The columns of the found rows that hold the table's key.
pub(super) fn key_columns<'a>(targeted: &Targeted, find: &Find, found: &'a RecordBatch) -> Result<Vec<&'a ArrayRef>> {
    let columns = targeted.intent().object().table.columns();
    let table = targeted.table();
    let mut keys = Vec::with_capacity(table.key().len());
    for place in table.key() {
        let is_it = |seen: &usize| columns.get(*seen).is_some_and(|column| column.is_raw(*place));
        let at = find.seen.iter().position(is_it).and_then(|at| found.columns().get(at));
        keys.push(at.ok_or_else(|| super::intent::unsupported("a change of rows whose key is not to be seen"))?);
    }
    Ok(keys)
}

fn keys(targeted: &Targeted, find: &Find, found: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let columns = key_columns(targeted, find, found)?;
    let row = |row: usize| columns.iter().map(|column| Value::from_array(column.as_ref(), row)).collect();
    (0..found.num_rows()).map(row).collect()
}

/// Locks the rows with these keys that pass a filter, as many at a time as one read takes.
pub(crate) async fn locked(
    targeted: &Targeted,
    keys: &[Vec<Value>],
    filter: &RowFilter,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<RecordBatch> {
    let table = targeted.table();
    having(table, KeyValues { places: table.key(), values: keys }, filter, transaction, context).await
}

/// Combinations of values that fields of a table have together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyValues<'a> {
    pub(crate) places: &'a [usize],
    pub(crate) values: &'a [Vec<Value>],
}

/// Locks the rows of a table with one of these combinations of values that pass a filter, and gives all fields of them.
pub(crate) async fn having(
    table: &WriteTarget,
    by: KeyValues<'_>,
    filter: &RowFilter,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    let KeyValues { places, values } = by;
    for some in values.chunks(table.rows_at_once(places.len())) {
        batches.extend(read(&table.having(places, some, filter)?, transaction, context).await?);
    }
    together(&schema(table), batches)
}

/// All rows of one locked read.
pub(crate) async fn read(
    read: &LockedRead,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Vec<RecordBatch>> {
    let of_read = ExecuteContext { by_key: read.by_key, ..context.clone() };
    let mut rows = transaction.query(&read.statement, &read.values, of_read).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        context.charge(bytes_as_stored(batch.columns()))?;
        batches.push(batch);
    }
    Ok(batches)
}

/// Which found row is which locked one: of several for one, the first. `None`: a value that was seen is another one now.
fn matched(
    targeted: &Targeted,
    find: &Find,
    found: &RecordBatch,
    stored: &RecordBatch,
) -> Result<Option<(UInt64Array, UInt64Array)>> {
    let scalar = |array: &ArrayRef, row| ScalarValue::try_from_array(array, row).map_err(Error::internal);
    let key_arrays: Vec<&ArrayRef> =
        targeted.table().key().iter().filter_map(|place| stored.columns().get(*place)).collect();
    let key_of = |arrays: &[&ArrayRef], row| arrays.iter().map(|array| scalar(array, row)).collect::<Result<Vec<_>>>();
    let mut places = HashMap::with_capacity(stored.num_rows());
    for row in 0..stored.num_rows() {
        places.insert(key_of(&key_arrays, row)?, row);
    }
    let columns = targeted.intent().object().table.columns();
    let mut views = Vec::with_capacity(find.seen.len());
    for (at, seen) in find.seen.iter().enumerate() {
        let view = match columns.get(*seen) {
            Some(column) => column.view(stored)?,
            None => None,
        };
        let was = found.columns().get(at).ok_or_else(|| Error::internal("a found row lacks a column"))?;
        let view = view.ok_or_else(|| Error::internal("a column of a found row cannot be looked at again"))?;
        views.push((was, cast(&view, was.data_type()).map_err(Error::internal)?));
    }
    let found_keys = key_columns(targeted, find, found)?;
    let (mut of_found, mut of_stored) = (Vec::new(), Vec::new());
    let mut known = HashSet::with_capacity(places.len());
    for row in 0..found.num_rows() {
        let Some(place) = places.get(&key_of(&found_keys, row)?) else { continue };
        if !known.insert(*place) {
            continue;
        }
        for (was, is) in &views {
            if scalar(was, row)? != scalar(is, *place)? {
                return Ok(None);
            }
        }
        of_found.push(row as u64);
        of_stored.push(*place as u64);
    }
    Ok(Some((UInt64Array::from(of_found), UInt64Array::from(of_stored))))
}

/// The statement's values of these rows, in the types of their columns.
pub(super) fn given(
    targeted: &Targeted,
    find: &Find,
    found: &RecordBatch,
    rows: &UInt64Array,
) -> Result<Vec<ArrayRef>> {
    let values = found.columns().iter().skip(find.seen.len());
    let values = values.map(|values| take(values, rows, None)).collect::<std::result::Result<Vec<_>, _>>();
    fitted(targeted, &values.map_err(Error::internal)?)
}

/// A value for each of the assigned fields, in the types of their columns.
fn fitted(targeted: &Targeted, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let table = targeted.table();
    let mut fitted = Vec::with_capacity(targeted.assigned().len());
    for (at, field) in targeted.assigned().iter().enumerate() {
        let lacks = || Error::internal("a change lacks the values of a column");
        let values = values.get(at).ok_or_else(lacks)?;
        let own = table.place(field).and_then(|place| table.fields().get(place)).ok_or_else(lacks)?;
        let values = fit(values, &own.value_type().to_arrow(), field)?;
        fitted.push(within(values, own.length_max())?);
    }
    Ok(fitted)
}

#[cfg(test)]
mod tests;
