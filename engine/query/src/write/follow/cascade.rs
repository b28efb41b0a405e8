//! What a delete takes along: dependents that go with their targets, and dependents that lose a reference. All of it is decided as the
//! principal and before anything is changed; whatever forbids it has one text.

use super::restriction::{referenced_still, restricted};
use super::update_hooks::{UpdatedBy, UpdatedRows, are_unique, conclude_update, prepare_update};
use super::{DEPTH_MAX, RelatedTable, place, referenced, retire};
use crate::write::check::passes;
use crate::write::follow::Changed;
use crate::write::hooks::{HookRow, Hooks};
use crate::write::lock::{KeyValues, having};
use crate::write::store::{Assigned, RowsToStore, store};
use crate::write::target::{Targeted, closed};
use crate::write::values::rows::{Row, records, scalar};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Transaction;
use querygate_policy::RowFilter;
use querygate_policy::rules::{Attempt, ReadonlyMode, ReferredRecords};
use querygate_policy::write::{DependentAction, WriteDecision, WriteOperation, WritePermit, events_of};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashSet};

/// Rows that one delete takes along or changes, and bytes of them, at most.
const ROWS_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;

/// Dependents of deleted rows, locked and found to be such that the principal may do this to them.
#[derive(Debug)]
pub(crate) struct Taken {
    /// In the order in which they are changed: references are emptied first, and dependents go before what they refer to.
    emptied: Vec<Emptied>,
    deleted: Vec<Deleted>,
}

#[derive(Debug)]
struct Deleted {
    object: String,
    permit: WritePermit,
    rows: RecordBatch,
}

#[derive(Debug)]
struct Emptied {
    object: String,
    permit: WritePermit,
    field: usize,
    rows: RecordBatch,
}

/// A look for dependents, level by level.
struct Search<'a> {
    targeted: &'a Targeted,
    transaction: &'a mut Transaction,
    context: &'a ExecuteContext,
    /// Keys of the rows that go, by object.
    gone: BTreeMap<String, HashSet<Vec<ScalarValue>>>,
    taken: Taken,
    rows: usize,
    bytes: usize,
}

impl Taken {
    /// Finds what goes with the deleted rows.
    ///
    /// # Errors
    /// 23503: dependents forbid the delete. 54000: they are too many. 0A000: what it asks for is not done here.
    pub(crate) async fn with(
        targeted: &Targeted,
        deleted: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Self> {
        let taken = Self { emptied: Vec::new(), deleted: Vec::new() };
        let (gone, object) = (BTreeMap::new(), targeted.permit().object());
        if targeted.following().dependents(object).is_empty() {
            return Ok(taken);
        }
        let mut search = Search { targeted, transaction, context, gone, taken, rows: 0, bytes: 0 };
        search.go(object, targeted.table(), deleted)?;
        let key = referenced(targeted.rules().object(), targeted.table())?;
        search.follow(object, targeted.table(), key, deleted, 0).await?;
        search.spare()?;
        Ok(search.taken)
    }

    /// Does it, and tells what was changed.
    ///
    /// # Errors
    /// The source's. 23503: a row that lost a reference is not what the principal may leave.
    pub(crate) async fn apply(
        &self,
        targeted: &Targeted,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Vec<Changed>> {
        let mut changed = Vec::new();
        for emptied in &self.emptied {
            let related = targeted.following().related(&emptied.object)?.ok_or_else(lost)?;
            changed.push(emptied.apply(related, targeted, transaction, context).await?);
        }
        for deleted in &self.deleted {
            let related = targeted.following().related(&deleted.object)?.ok_or_else(lost)?;
            let before = records(related.table.fields(), &deleted.rows)?;
            let rows: Vec<HookRow> = before.iter().map(|row| HookRow::gone(&related.object, row)).collect();
            let (event_before, event_after) = events_of(WriteOperation::Delete);
            if let Some(hooks) = Hooks::following(targeted, &deleted.object, event_before) {
                hooks.run(rows.clone(), transaction, context).await?;
            }
            let none = Assigned { places: &[], columns: &[] };
            let to_store = RowsToStore { locked: Some(&deleted.rows), assigned: none, count: deleted.rows.num_rows() };
            retire(&related.table, &related.rules, &deleted.rows).await?;
            store(&related.table, &deleted.permit, to_store, transaction, context).await?;
            if let Some(hooks) = Hooks::following(targeted, &deleted.object, event_after) {
                hooks.conclude(rows, transaction, context).await?;
            }
            changed.push(Changed { object: deleted.object.clone(), before, after: Vec::new() });
        }
        Ok(changed)
    }

    /// Looks once more for references to rows that are gone now, where hooks of what went along may have added some.
    ///
    /// # Errors
    /// 23503: there are some.
    pub(crate) async fn refuse_new_references(
        &self,
        targeted: &Targeted,
        deleted: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<()> {
        if !self.has_hooks(targeted) {
            return Ok(());
        }
        let following = targeted.following();
        let key = referenced(targeted.rules().object(), targeted.table())?;
        let mut gone = vec![(targeted.permit().object(), targeted.table(), key, deleted)];
        for Deleted { object, rows, .. } in &self.deleted {
            if !following.dependents(object).is_empty() {
                let related = following.related(object)?.ok_or_else(lost)?;
                gone.push((object.as_str(), &related.table, related.referenced()?, rows));
            }
        }
        for (object, table, key, rows) in gone {
            let values = distinct(table, rows, key)?;
            for dependent in following.dependents(object) {
                let Some(child) = following.related(&dependent.object)? else { continue };
                let field = place(&child.table, &dependent.field)?;
                let is_left = if child.object.field(&dependent.field).is_some_and(|field| field.multiple) {
                    is_listed(&child.table, field, &values, transaction, context).await?
                } else {
                    let by = KeyValues { places: &[field], values: &values };
                    having(&child.table, by, &RowFilter::All, transaction, context).await?.num_rows() > 0
                };
                if is_left {
                    return Err(referenced_still());
                }
            }
        }
        Ok(())
    }

    /// Whether hooks run beside what goes along.
    fn has_hooks(&self, targeted: &Targeted) -> bool {
        let events = |operation| <[_; 2]>::from(events_of(operation));
        let of = |object: &str, operation| {
            events(operation).into_iter().any(|event| Hooks::following(targeted, object, event).is_some())
        };
        self.deleted.iter().any(|deleted| of(&deleted.object, WriteOperation::Delete))
            || self.emptied.iter().any(|emptied| of(&emptied.object, WriteOperation::Update))
    }
}

fn lost() -> Error {
    Error::internal("a table that was found is not there")
}

/// Whether a field of lists has one of these keys in any row. No source is asked for what is in its lists, so that all are read, a
/// batch at a time.
async fn is_listed(
    table: &WriteTarget,
    field: usize,
    keys: &[Vec<Value>],
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<bool> {
    let texts = keys.iter().flatten().map(|key| match key {
        Value::Text(text) => Ok(text.to_string()),
        Value::Int16(number) => Ok(number.to_string()),
        Value::Int32(number) => Ok(number.to_string()),
        Value::Int64(number) => Ok(number.to_string()),
        _ => Err(closed("lists hold no keys of this type")),
    });
    let texts = texts.collect::<Result<HashSet<String>>>()?;
    let read = table.texts(field, "", None)?;
    let mut batches = transaction.query(&read.statement, &read.values, context.clone()).await?;
    while let Some(batch) = batches.try_next().await? {
        let lists = batch.columns().first().and_then(|column| column.as_list_opt::<i32>());
        for list in lists.ok_or_else(|| closed("references are in no list of texts"))?.iter().flatten() {
            let items = list.as_string_opt::<i32>().ok_or_else(|| closed("references are in no list of texts"))?;
            if items.iter().flatten().any(|item| texts.contains(item)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Search<'_> {
    /// Notes that rows go.
    fn go(&mut self, object: &str, table: &WriteTarget, rows: &RecordBatch) -> Result<()> {
        let keys = (0..rows.num_rows()).map(|row| key(table, rows, row)).collect::<Result<Vec<_>>>()?;
        self.gone.entry(object.to_owned()).or_default().extend(keys);
        Ok(())
    }

    /// The rows without those that go anyway.
    fn left(&self, object: &str, table: &WriteTarget, rows: &RecordBatch) -> Result<RecordBatch> {
        let Some(gone) = self.gone.get(object) else { return Ok(rows.clone()) };
        let stays = |row| Ok(Some(!gone.contains(&key(table, rows, row)?)));
        let stays = (0..rows.num_rows()).map(stays).collect::<Result<BooleanArray>>()?;
        filter_record_batch(rows, &stays).map_err(Error::internal)
    }

    /// Follows the references to rows that go. `key`: the field whose values references hold.
    fn follow<'s>(
        &'s mut self,
        object: &'s str,
        table: &'s WriteTarget,
        referenced: usize,
        rows: &'s RecordBatch,
        depth: usize,
    ) -> BoxFuture<'s, Result<()>> {
        async move {
            let following = self.targeted.following();
            let values = distinct(table, rows, referenced)?;
            for dependent in following.dependents(object) {
                let Some(child) = following.related(&dependent.object)? else { continue };
                let field = place(&child.table, &dependent.field)?;
                if child.object.field(&dependent.field).is_some_and(|field| field.multiple) {
                    if is_listed(&child.table, field, &values, self.transaction, self.context).await? {
                        return Err(match &dependent.action {
                            DependentAction::Restrict => referenced_still(),
                            // No list is changed here.
                            DependentAction::Delete(_) | DependentAction::Empty(_) => {
                                closed("records refer to it in lists")
                            }
                        });
                    }
                    continue;
                }
                let by = KeyValues { places: &[field], values: &values };
                let found = having(&child.table, by, &RowFilter::All, self.transaction, self.context).await?;
                let found = self.left(&dependent.object, &child.table, &found)?;
                if found.num_rows() == 0 {
                    continue;
                }
                self.bound(&found)?;
                match &dependent.action {
                    DependentAction::Restrict if depth == 0 => {
                        return Err(restricted(self.targeted, child, &dependent.field, &found)?);
                    }
                    DependentAction::Restrict => return Err(referenced_still()),
                    DependentAction::Delete(decision) => {
                        let permit = self.allowed(child, decision, &found).await?;
                        if depth + 1 >= DEPTH_MAX {
                            return Err(referenced_still());
                        }
                        self.go(&dependent.object, &child.table, &found)?;
                        if !following.dependents(&dependent.object).is_empty() {
                            let key = child.referenced()?;
                            self.follow(&dependent.object, &child.table, key, &found, depth + 1).await?;
                        }
                        let object = dependent.object.clone();
                        self.taken.deleted.push(Deleted { object, permit, rows: found });
                    }
                    DependentAction::Empty(decision) => {
                        let permit = self.allowed(child, decision, &found).await?;
                        let object = dependent.object.clone();
                        self.taken.emptied.push(Emptied { object, permit, field, rows: found });
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Whether the principal may do this to all of these rows: by the source's judgement, and by that of the records.
    async fn allowed(
        &mut self,
        child: &RelatedTable,
        decision: &WriteDecision,
        rows: &RecordBatch,
    ) -> Result<WritePermit> {
        let permit = decision.permit().map_err(|_| referenced_still())?;
        self.targeted.following().admit(decision.object(), decision.operation())?;
        let table = &child.table;
        for record in records(table.fields(), rows)? {
            if !passes(permit.target(), &record)? {
                return Err(referenced_still());
            }
        }
        let keys = (0..rows.num_rows()).map(|row| table.values(rows, row, table.key())).collect::<Result<Vec<_>>>()?;
        let passed = having(
            table,
            KeyValues { places: table.key(), values: &keys },
            permit.target(),
            self.transaction,
            self.context,
        )
        .await?;
        if passed.num_rows() == rows.num_rows() { Ok(permit) } else { Err(referenced_still()) }
    }

    fn bound(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows();
        self.bytes += rows.get_array_memory_size();
        if self.rows > ROWS_MAX || self.bytes > BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the statement changes too many rows at once"));
        }
        Ok(())
    }

    /// Rows that go keep their references: nothing is emptied in them.
    fn spare(&mut self) -> Result<()> {
        for mut emptied in std::mem::take(&mut self.taken.emptied) {
            let related = self.targeted.following().related(&emptied.object)?.ok_or_else(lost)?;
            emptied.rows = self.left(&emptied.object, &related.table, &emptied.rows)?;
            if emptied.rows.num_rows() > 0 {
                self.taken.emptied.push(emptied);
            }
        }
        Ok(())
    }
}

impl Emptied {
    /// An update by the principal, with its stamps, the rules of the records and CHECK.
    async fn apply(
        &self,
        child: &RelatedTable,
        targeted: &Targeted,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Changed> {
        let table = &child.table;
        // An earlier step may have emptied another reference of the same rows.
        let keys = (0..self.rows.num_rows()).map(|row| table.values(&self.rows, row, table.key()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let rows =
            having(table, KeyValues { places: table.key(), values: &keys }, &RowFilter::All, transaction, context)
                .await?;
        let before = records(table.fields(), &rows)?;
        let name = table.fields().get(self.field).map(|field| field.name.clone()).ok_or_else(lost)?;
        let payload = Row::from_iter([(name.clone(), Json::Null)]);
        let payloads = vec![payload; before.len()];
        let by = UpdatedBy::Principal;
        let made = prepare_update(targeted, (child, by), (&before, &payloads), transaction, context).await?;
        let evaluator = targeted.following().evaluator(targeted.principal(), targeted.now_ms());
        let rights = evaluator.granted(&child.rules);
        let mut images = Vec::with_capacity(before.len());
        for (previous, made) in before.iter().zip(&made) {
            let outcome = child.rules.evaluate(&Attempt {
                payload: &made.payload,
                previous: Some(previous),
                parent: None,
                // As ObjectStack does: a validation that reads a record has no answer for one that loses a reference.
                referred: &ReferredRecords::default(),
                rights: &rights,
                principal: targeted.principal(),
                stamps: self.permit.stamps(),
                readonly: ReadonlyMode::Drop,
                made: &made.made,
                now_ms: targeted.now_ms(),
            });
            let is_empty = outcome.record.get(&name).is_none_or(Json::is_null);
            if !outcome.violations.is_empty() || !is_empty || !passes(self.permit.check(), &outcome.record)? {
                return Err(referenced_still());
            }
            images.push(outcome.record);
        }
        let stamps = self.permit.stamps().iter().filter_map(|stamp| table.place(&stamp.field));
        let mut places: Vec<usize> = stamps.filter(|place| *place != self.field).collect();
        places.push(self.field);
        let own = made.iter().flat_map(|made| &made.made).map(|name| child.place(name)).collect::<Result<Vec<_>>>()?;
        for place in own {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let columns = columns(table, &places, &images)?;
        let assigned = Assigned { places: &places, columns: &columns };
        let to_store = RowsToStore { locked: Some(&rows), assigned, count: rows.num_rows() };
        let stored = store(table, &self.permit, to_store, transaction, context).await?;
        let after = records(table.fields(), &stored)?;
        let left =
            having(table, KeyValues { places: table.key(), values: &keys }, self.permit.check(), transaction, context)
                .await?;
        if left.num_rows() != rows.num_rows() {
            return Err(referenced_still());
        }
        for record in &after {
            if !passes(self.permit.check(), record)? {
                return Err(referenced_still());
            }
        }
        if !are_unique(child, (&before, &after), &stored, transaction, context).await? {
            return Err(referenced_still());
        }
        let all = UpdatedRows { made, before: &before, after: &after };
        conclude_update(targeted, (child, by), all, transaction, context).await?;
        Ok(Changed { object: self.object.clone(), before, after })
    }
}

/// Fields of records as they are stored.
pub(super) fn columns(table: &WriteTarget, places: &[usize], records: &[Row]) -> Result<Vec<ArrayRef>> {
    let column = |place: &usize| {
        let field = table.fields().get(*place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
        let wanted = field.value_type().to_arrow();
        let value = |record: &Row| scalar(record.get(&field.name).unwrap_or(&Json::Null), &wanted);
        let values = records.iter().map(value).collect::<Result<Vec<_>>>()?;
        ScalarValue::iter_to_array(values).map_err(Error::internal)
    };
    places.iter().map(column).collect()
}

/// What tells a row from others of its table.
pub(super) fn key(table: &WriteTarget, rows: &RecordBatch, row: usize) -> Result<Vec<ScalarValue>> {
    let value = |place: &usize| {
        let array = rows.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
        ScalarValue::try_from_array(array, row).map_err(Error::internal)
    };
    table.key().iter().map(value).collect()
}

/// The values of a field, each once, without NULL.
fn distinct(table: &WriteTarget, rows: &RecordBatch, field: usize) -> Result<Vec<Vec<Value>>> {
    let array = rows.columns().get(field).ok_or_else(|| Error::internal("rows of another table"))?;
    let mut known = HashSet::new();
    let mut values = Vec::new();
    for row in 0..rows.num_rows() {
        let scalar = ScalarValue::try_from_array(array, row).map_err(Error::internal)?;
        if !scalar.is_null() && known.insert(scalar) {
            values.push(table.values(rows, row, &[field])?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
