//! INSERT … ON CONFLICT: which new rows are stored, which change the row that has their key, and which are left out.

pub(crate) mod intent;
pub(crate) mod query;

use crate::write::apply::{Applied, Attempt};
use crate::write::find::Find;
use crate::write::lock::{Locked, given, read};
use crate::write::target::Targeted;
use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use datafusion::common::ScalarValue;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Transaction, Violation};
use querygate_policy::RowFilter;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// The savepoint before rows are inserted. Those of a session have small numbers.
const BEFORE_INSERT: u32 = u32::MAX;

/// The values of a key.
type Key = Vec<ScalarValue>;

/// What becomes of new rows whose key is taken.
#[derive(Debug)]
pub(crate) struct Conflict {
    /// Sets of places that the source keeps unique.
    keys: Vec<Vec<usize>>,
    /// Of the row that is there; `None`: it stays, and the new one is left out.
    update: Option<Arc<Targeted>>,
}

/// The found rows of a statement, by what they are for.
struct Proposed {
    /// Values of the new rows.
    insert: RecordBatch,
    /// Of each, the row with its key as it was found, and the values that the update computes; without an update, no columns.
    update: RecordBatch,
    /// Whether a row with its key was found, and whether it is to be updated.
    there: Vec<bool>,
    wanted: Vec<bool>,
}

/// Which rows are inserted and which update the row that is there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    insert: Vec<u64>,
    update: Vec<u64>,
    /// Their key is taken by a row that was not found.
    unseen: Vec<usize>,
}

/// Values of one key in new rows. `None`: the row has none that another row could have.
#[derive(Clone, Copy)]
struct NewKeys<'a> {
    places: &'a [usize],
    values: &'a [Option<Key>],
}

/// New rows whose keys were found to be free.
#[derive(Clone, Copy)]
struct FreeRows<'a> {
    conflict: &'a Conflict,
    /// Of each key of the table, the values of all new rows.
    keys: &'a [Vec<Option<Key>>],
    split: &'a Split,
}

impl Conflict {
    pub(in crate::write) fn new(keys: Vec<Vec<usize>>, update: Option<Targeted>) -> Self {
        Self { keys, update: update.map(Arc::new) }
    }

    /// Columns of the query beside those of the new rows.
    pub(in crate::write) fn columns(update: &Find) -> usize {
        1 + update.seen.len() + update.assigned.len()
    }

    /// The column with which the values of new rows begin.
    pub(in crate::write) fn first(&self) -> usize {
        self.update.as_ref().and_then(|update| update.find()).map_or(0, |find| 1 + find.seen.len())
    }

    /// The changes that the found rows may lead to, each with its rows.
    ///
    /// # Errors
    /// Internal: rows of another query.
    pub(crate) fn parts(
        &self,
        insert: &Arc<Targeted>,
        found: &RecordBatch,
    ) -> Result<Vec<(Arc<Targeted>, RecordBatch)>> {
        let proposed = self.proposed(insert, found)?;
        let chosen = |flags: &[bool], wanted: bool| {
            let rows = flags.iter().enumerate().filter(|(_, flag)| **flag == wanted);
            rows.map(|(row, _)| row as u64).collect::<Vec<_>>()
        };
        let mut parts = vec![(Arc::clone(insert), taken(&proposed.insert, chosen(&proposed.there, false))?)];
        if let Some(update) = &self.update {
            parts.push((Arc::clone(update), taken(&proposed.update, chosen(&proposed.wanted, true))?));
        }
        Ok(parts)
    }

    fn proposed(&self, insert: &Targeted, found: &RecordBatch) -> Result<Proposed> {
        let lost = |_| Error::internal("rows of another query");
        let all = found.num_rows();
        let Some((update, find)) = self.update.as_ref().and_then(|update| Some((update, update.find()?))) else {
            let none = found.project(&[]).map_err(lost)?;
            return Ok(Proposed {
                insert: found.clone(),
                update: none,
                there: vec![false; all],
                wanted: vec![false; all],
            });
        };
        let (seen, new) = (1 + find.seen.len(), insert.assigned().len());
        let computed = seen + new..seen + new + update.assigned().len();
        let own: Vec<usize> = (1..seen).chain(computed).collect();
        let new: Vec<usize> = (seen..seen + new).collect();
        let columns = update.intent().object().table.columns();
        let is_key = |place: &usize| {
            let column = find.seen.iter().position(|seen| columns.get(*seen).is_some_and(|own| own.is_raw(*place)));
            column.and_then(|at| found.columns().get(1 + at))
        };
        let key = update.table().key().iter().find_map(is_key);
        let key =
            key.ok_or_else(|| crate::write::intent::unsupported("a change of rows whose key is not to be seen"))?;
        let wanted = found.columns().first().and_then(|flags| flags.as_boolean_opt());
        let wanted = wanted.ok_or_else(|| Error::internal("rows of another query"))?;
        Ok(Proposed {
            insert: found.project(&new).map_err(lost)?,
            update: found.project(&own).map_err(lost)?,
            there: (0..all).map(|row| !key.is_null(row)).collect(),
            wanted: (0..all).map(|row| wanted.is_valid(row) && wanted.value(row)).collect(),
        })
    }

    /// Which rows are which, given the keys that are taken. `None`: a row that was found is not there any more.
    ///
    /// # Errors
    /// 21000: two new rows for one that is there.
    fn split(&self, keys: &[Vec<Option<Key>>], taken: &[HashSet<Key>], proposed: &Proposed) -> Result<Option<Split>> {
        let mut own: Vec<HashSet<&Key>> = vec![HashSet::new(); keys.len()];
        let mut split = Split::default();
        for row in 0..proposed.there.len() {
            let of_row = |at: usize| keys.get(at).and_then(|values| values.get(row)).and_then(Option::as_ref);
            let is_in = |at: usize, key: &Key| taken.get(at).is_some_and(|taken| taken.contains(key));
            let is_taken = (0..keys.len()).any(|at| of_row(at).is_some_and(|key| is_in(at, key)));
            let is_again = own.iter().enumerate().any(|(at, own)| of_row(at).is_some_and(|key| own.contains(key)));
            let (there, wanted) = (proposed.there.get(row) == Some(&true), proposed.wanted.get(row) == Some(&true));
            match (&self.update, is_again, is_taken) {
                (None, true, _) | (None, _, true) => continue,
                (Some(_), true, _) => return Err(twice()),
                (Some(_), false, false) if there => return Ok(None),
                (_, false, false) => split.insert.push(row as u64),
                (Some(_), false, true) if !there => {
                    split.unseen.push(row);
                    continue;
                }
                (Some(_), false, true) if wanted => split.update.push(row as u64),
                (Some(_), false, true) => continue,
            }
            for (at, own) in own.iter_mut().enumerate() {
                own.extend(of_row(at));
            }
        }
        Ok(Some(split))
    }
}

/// Stores new rows and changes those that are there. `None`: others did meanwhile.
///
/// # Errors
/// 21000: a row would change twice. 42501: a row that is there may not be changed. 23505: it is hidden, or another key is taken.
pub(crate) async fn change(
    targeted: &Arc<Targeted>,
    conflict: &Conflict,
    found: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<Applied>> {
    let proposed = conflict.proposed(targeted, found)?;
    let keys = keys(targeted, conflict, &proposed)?;
    let mut taken_keys = Vec::with_capacity(keys.len());
    for (places, values) in conflict.keys.iter().zip(&keys) {
        taken_keys.push(existing(targeted, NewKeys { places, values }, &RowFilter::All, transaction, context).await?);
    }
    let Some(split) = conflict.split(&keys, &taken_keys, &proposed)? else { return Ok(None) };
    if !split.unseen.is_empty() {
        for (places, values) in conflict.keys.iter().zip(&keys) {
            let unseen = split.unseen.iter().map(|row| values.get(*row).cloned().flatten()).collect::<Vec<_>>();
            let readable = targeted.readable();
            if !existing(targeted, NewKeys { places, values: &unseen }, readable, transaction, context)
                .await?
                .is_empty()
            {
                return Ok(None);
            }
        }
        return Err(Violation::Unique.error());
    }
    // All rows are locked before one is changed: a statement that begins anew has changed nothing.
    let locked = match conflict.update.as_ref().filter(|_| !split.update.is_empty()) {
        None => None,
        Some(update) => {
            let rows = taken(&proposed.update, split.update.clone())?;
            let Some(locked) = Locked::of(update, &rows, transaction, context).await? else { return Ok(None) };
            if locked.count() != rows.num_rows() {
                let shown = &update.intent().object().sql_name;
                let text = "new row violates row-level security policy (USING expression) for table";
                return Err(Error::new(ErrorCode::InsufficientPrivilege, format!("{text} \"{shown}\"")));
            }
            Some(locked)
        }
    };
    let mut applied: Vec<Applied> = Vec::new();
    if !split.insert.is_empty() {
        let rows = taken(&proposed.insert, split.insert.clone())?;
        let free = FreeRows { conflict, keys: &keys, split: &split };
        let Some(inserted) = inserted(targeted, free, &rows, transaction, context).await? else {
            return Ok(None);
        };
        applied.push(inserted);
    }
    if let Some(locked) = locked {
        applied.push(Applied::of(locked, transaction, context).await?.applied()?);
    }
    together(applied)
}

/// Inserts rows whose keys are free. `None`: they were taken meanwhile.
async fn inserted(
    targeted: &Arc<Targeted>,
    FreeRows { conflict, keys, split }: FreeRows<'_>,
    rows: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<Applied>> {
    let Some(locked) = Locked::of(targeted, rows, transaction, context).await? else { return Ok(None) };
    let savepoints = targeted.table().writer()?.capabilities().savepoints;
    if savepoints {
        transaction.savepoint(BEFORE_INSERT).await?;
    }
    match Applied::of(locked, transaction, context).await.and_then(Attempt::applied) {
        Ok(applied) => {
            if savepoints {
                transaction.release(BEFORE_INSERT).await?;
            }
            Ok(Some(applied))
        }
        Err(error) if savepoints && error.code() == ErrorCode::UniqueViolation => {
            transaction.rollback_to(BEFORE_INSERT).await?;
            transaction.release(BEFORE_INSERT).await?;
            for (places, values) in conflict.keys.iter().zip(keys) {
                let row = |row: &u64| usize::try_from(*row).ok().and_then(|row| values.get(row)).cloned().flatten();
                let own = split.insert.iter().map(row).collect::<Vec<_>>();
                if !existing(targeted, NewKeys { places, values: &own }, &RowFilter::All, transaction, context)
                    .await?
                    .is_empty()
                {
                    return Ok(None);
                }
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Of each key, the values of each new row. `None`: it has a NULL there, which is like no other, or its value is not the statement's.
fn keys(targeted: &Targeted, conflict: &Conflict, proposed: &Proposed) -> Result<Vec<Vec<Option<Key>>>> {
    let count = proposed.insert.num_rows();
    let Some(find) = targeted.find() else { return Ok(vec![vec![None; count]; conflict.keys.len()]) };
    let all = UInt64Array::from_iter_values(0..count as u64);
    let arrays = given(targeted, find, &proposed.insert, &all)?;
    let field = |place: &usize| targeted.table().fields().get(*place).map(|field| &field.name);
    let mut keys = Vec::with_capacity(conflict.keys.len());
    for places in &conflict.keys {
        let of_place = |place| {
            let at = targeted.assigned().iter().position(|name| Some(name) == field(place))?;
            arrays.get(at)
        };
        let Some(columns) = places.iter().map(of_place).collect::<Option<Vec<_>>>() else {
            keys.push(vec![None; count]);
            continue;
        };
        let mut values = Vec::with_capacity(count);
        for row in 0..count {
            let key = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
            let key = key.collect::<std::result::Result<Key, _>>().map_err(Error::internal)?;
            values.push(key.iter().all(|value| !value.is_null()).then_some(key));
        }
        keys.push(values);
    }
    Ok(keys)
}

/// Those of some keys that rows have, which are locked, as far as they pass a filter.
async fn existing(
    targeted: &Targeted,
    keys: NewKeys<'_>,
    filter: &RowFilter,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<HashSet<Key>> {
    let table = targeted.table();
    let NewKeys { places, values: wanted } = keys;
    let distinct: HashSet<&Key> = wanted.iter().flatten().collect();
    let value = |value: &ScalarValue| {
        let array = value.to_array().map_err(Error::internal)?;
        Value::from_array(array.as_ref(), 0)
    };
    let values = distinct.into_iter().map(|key| key.iter().map(value).collect::<Result<Vec<_>>>());
    let values = values.collect::<Result<Vec<_>>>()?;
    let mut existing = HashSet::new();
    for some in values.chunks(table.rows_at_once(places.len())) {
        for batch in read(&table.having(places, some, filter)?, transaction, context).await? {
            for row in 0..batch.num_rows() {
                let value = |place: &usize| {
                    let array = batch.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
                    ScalarValue::try_from_array(array, row).map_err(Error::internal)
                };
                existing.insert(places.iter().map(value).collect::<Result<Key>>()?);
            }
        }
    }
    Ok(existing)
}

/// Some of the rows, which may be without columns.
pub(in crate::write) fn taken(rows: &RecordBatch, places: Vec<u64>) -> Result<RecordBatch> {
    if rows.num_columns() == 0 {
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        return RecordBatch::try_new_with_options(rows.schema(), Vec::new(), &options).map_err(Error::internal);
    }
    take_record_batch(rows, &UInt64Array::from(places)).map_err(Error::internal)
}

/// What several changes of one table did.
fn together(applied: Vec<Applied>) -> Result<Option<Applied>> {
    let Some(first) = applied.first() else { return Ok(Some(Applied::none())) };
    let schema = first.stored.schema();
    let stored = concat_batches(&schema, applied.iter().map(|one| &one.stored)).map_err(Error::internal)?;
    Ok(Some(Applied { count: applied.iter().map(|one| one.count).sum(), stored, dropped: Vec::new() }))
}

fn twice() -> Error {
    let text = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    Error::new(ErrorCode::CardinalityViolation, text).with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

#[cfg(test)]
mod tests;
