//! Roll-ups that a change of their children moves, computed anew in its transaction: an update of each master, which the platform
//! makes, with its stamps and the rules of the master, and with what follows of that.

use super::cascade::columns;
use super::referred::read_referred;
use super::total::Total;
use super::update_hooks::{UpdatedBy, UpdatedRows, are_unique, conclude_update, prepare_update};
use super::{DEPTH_MAX, RelatedTable, place};
use crate::write::hooks::MadeRow;
use crate::write::lock::{KeyValues, having};
use crate::write::store::{Assigned, RowsToStore, store};
use crate::write::target::{Targeted, closed};
use crate::write::values::rows::{Row, json, records, scalar};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Transaction;
use querygate_policy::RowFilter;
use querygate_policy::rules::{Attempt, ObjectRules, Outcome, ReadonlyMode, ReferredRecords, Stamp, SummaryUpdate};
use querygate_policy::write::{WriteOperation, events_of};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Rows of an object that a transaction has changed. Without the ones before, they are new; without the ones after, they are gone.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) object: String,
    pub(crate) before: Vec<Row>,
    pub(crate) after: Vec<Row>,
}

/// Locked masters, by the field whose values references to them hold.
#[derive(Clone, Copy)]
struct LockedParents<'a> {
    table: &'a WriteTarget,
    key: usize,
    rows: &'a RecordBatch,
}

/// Roll-ups of masters of one object, with the totals of each.
#[derive(Clone, Copy)]
struct Totals<'a> {
    updates: &'a [SummaryUpdate],
    totals: &'a [BTreeMap<String, Total>],
}

/// Computes the roll-ups of all masters of changed rows.
///
/// # Errors
/// 23514: a rule of a master. 23505: its hook gives it a value that another one has. 0A000: what is to be done with a master is not done here. 54001: masters of masters do not end.
pub(crate) async fn roll_up(
    targeted: &Targeted,
    mut changed: Vec<Changed>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<()> {
    for _ in 0..DEPTH_MAX {
        let updates = updates(targeted, &changed)?;
        if updates.is_empty() {
            return Ok(());
        }
        changed = Vec::with_capacity(updates.len());
        for (parent, updates) in updates {
            // ObjectStack updates a master once for each of its roll-ups, which only its hooks can tell.
            let at_once = if has_hooks(targeted, &parent) { 1 } else { updates.len() };
            for updates in updates.chunks(at_once) {
                changed.extend(of_parent(targeted, &parent, updates, transaction, context).await?);
            }
        }
    }
    if updates(targeted, &changed)?.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::StatementTooComplex, "summaries are made of summaries in too many levels"))
}

fn has_hooks(targeted: &Targeted, master: &str) -> bool {
    let (before, after) = events_of(WriteOperation::Update);
    [before, after].into_iter().any(|event| !targeted.following().hooks(master, event).is_empty())
}

/// The roll-ups to compute, by the object that has them, each with all of its masters.
fn updates(targeted: &Targeted, changed: &[Changed]) -> Result<BTreeMap<String, Vec<SummaryUpdate>>> {
    let mut all: BTreeMap<String, Vec<SummaryUpdate>> = BTreeMap::new();
    for changed in changed {
        let rules = targeted.following().rules(&changed.object)?;
        for row in 0..changed.before.len().max(changed.after.len()) {
            let (before, after) = (changed.before.get(row), changed.after.get(row));
            for update in rules.summary_updates(before, after, targeted.now_ms())? {
                let of_parent = all.entry(update.parent.clone()).or_default();
                let known = of_parent
                    .iter_mut()
                    .find(|known| known.field == update.field && known.relationship == update.relationship);
                match known {
                    Some(known) => {
                        let new = update.parents.into_iter().filter(|parent| !known.parents.contains(parent));
                        let new: Vec<Json> = new.collect();
                        known.parents.extend(new);
                    }
                    None => of_parent.push(update),
                }
            }
        }
    }
    Ok(all)
}

/// Updates the masters of one object. A master that is gone has no roll-up.
async fn of_parent(
    targeted: &Targeted,
    object: &str,
    updates: &[SummaryUpdate],
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<Changed>> {
    let following = targeted.following();
    let Some(parent) = following.related(object)? else { return Ok(None) };
    let decision = following.evaluator(targeted.principal(), targeted.now_ms()).decide_rollup(object);
    let permit = decision.permit().map_err(|_| closed("an object with a summary is not opened for writes"))?;
    following.admit(object, WriteOperation::Update)?;
    let table = &parent.table;
    let key = parent.referenced()?;
    // In the order of their keys, so that two writers do not wait for each other.
    let wanted: BTreeMap<String, &Json> =
        updates.iter().flat_map(|update| &update.parents).map(|value| (value.to_string(), value)).collect();
    let keys = wanted.values().map(|value| Ok(vec![typed(table, key, value)?])).collect::<Result<Vec<_>>>()?;
    // A master that is locked first shows all children that others have stored under its lock.
    let rows =
        having(table, KeyValues { places: &[key], values: &keys }, &RowFilter::All, transaction, context).await?;
    if rows.num_rows() == 0 {
        return Ok(None);
    }
    let before = records(table.fields(), &rows)?;
    let mut totals = Vec::with_capacity(updates.len());
    for update in updates {
        totals.push(counted(targeted, update, LockedParents { table, key, rows: &rows }, transaction, context).await?);
    }
    let totals = Totals { updates, totals: &totals };
    let name = table.fields().get(key).map(|field| field.name.clone()).unwrap_or_default();
    let payloads: Vec<Row> = before.iter().map(|record| rolled_up(&name, record, totals)).collect();
    let made =
        prepare_update(targeted, (parent, UpdatedBy::Platform), (&before, &payloads), transaction, context).await?;
    let images = images(targeted, parent, (&before, &made, permit.stamps()), transaction, context).await?;
    let mut places = Vec::with_capacity(updates.len());
    for update in updates {
        places.push(parent.place(&update.field)?);
    }
    let stamps = permit.stamps().iter().filter_map(|stamp| table.place(&stamp.field));
    let own = made.iter().flat_map(|made| &made.made).map(|name| parent.place(name)).collect::<Result<Vec<_>>>()?;
    for place in stamps.chain(own) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let columns = columns(table, &places, &images)?;
    let assigned = Assigned { places: &places, columns: &columns };
    let to_store = RowsToStore { locked: Some(&rows), assigned, count: rows.num_rows() };
    let stored = store(table, &permit, to_store, transaction, context).await?;
    let after = records(table.fields(), &stored)?;
    if !are_unique(parent, (&before, &after), &stored, transaction, context).await? {
        // Its own text would name a field that the principal may not see.
        let text = "a value of a record that this one belongs to is another record's, too";
        return Err(Error::new(ErrorCode::UniqueViolation, text).with_vendor_code(VendorCode::UniqueViolation));
    }
    let all = UpdatedRows { made, before: &before, after: &after };
    conclude_update(targeted, (parent, UpdatedBy::Platform), all, transaction, context).await?;
    Ok(Some(Changed { object: object.to_owned(), before, after }))
}

/// The new roll-ups of a master.
fn rolled_up(key: &str, record: &Row, Totals { updates, totals }: Totals<'_>) -> Row {
    let id = record.get(key).unwrap_or(&Json::Null);
    let mut payload = Row::new();
    for (update, totals) in updates.iter().zip(totals) {
        if update.parents.contains(id) {
            let total = totals.get(&id.to_string()).cloned().unwrap_or_default();
            payload.insert(update.field.clone(), total.value(update.function));
        }
    }
    payload
}

/// The masters with their new roll-ups.
async fn images(
    targeted: &Targeted,
    parent: &RelatedTable,
    (before, made, stamps): (&[Row], &[MadeRow], &[Stamp]),
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Vec<Row>> {
    let evaluator = targeted.following().evaluator(targeted.principal(), targeted.now_ms());
    let rights = evaluator.granted(&parent.rules);
    let asked = |ask: fn(&ObjectRules, &Attempt<'_>) -> Outcome, referred: &ReferredRecords| -> Vec<Outcome> {
        let outcome = |(record, made): (&Row, &MadeRow)| {
            let attempt = Attempt {
                payload: &made.payload,
                previous: Some(record),
                parent: None,
                referred,
                rights: &rights,
                principal: targeted.principal(),
                stamps,
                readonly: ReadonlyMode::Keep,
                made: &made.made,
                now_ms: targeted.now_ms(),
            };
            ask(&parent.rules, &attempt)
        };
        before.iter().zip(made).map(outcome).collect()
    };
    let mut found = ReferredRecords::default();
    if !parent.rules.referred().is_empty() {
        let records: Vec<Row> = asked(ObjectRules::shape, &found).into_iter().map(|outcome| outcome.record).collect();
        found = read_referred(targeted, &parent.rules, &records, transaction, context).await?;
    }
    let outcomes = asked(ObjectRules::evaluate, &found);
    if outcomes.iter().all(|outcome| outcome.violations.is_empty()) {
        return Ok(outcomes.into_iter().map(|outcome| outcome.record).collect());
    }
    // Its own text would be about a record that the principal may not see.
    Err(Error::new(ErrorCode::CheckViolation, "a rule of a record that this one belongs to does not allow the change"))
}

/// The totals of a roll-up, by the JSON text of what references to its masters hold.
async fn counted(
    targeted: &Targeted,
    update: &SummaryUpdate,
    parents: LockedParents<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<BTreeMap<String, Total>> {
    let child = if update.child == targeted.permit().object() {
        targeted.table()
    } else {
        let child = targeted.following().related(&update.child)?;
        &child.ok_or_else(|| Error::internal("rows of an object without a table were changed"))?.table
    };
    let relationship = place(child, &update.relationship)?;
    let mut wanted = vec![relationship];
    if let Some(field) = &update.child_field {
        wanted.push(place(child, field)?);
    }
    for column in update.filter.columns() {
        wanted.push(place(child, column)?);
    }
    let LockedParents { table, key, rows } = parents;
    let mut masters = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        masters.push(table.values(rows, row, &[key])?);
    }
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for some in masters.chunks(child.rows_at_once(1)) {
        let read = child.with(&[relationship], some, &wanted)?;
        let mut batches = transaction.query(&read.statement, &read.values, context.clone()).await?;
        while let Some(batch) = batches.try_next().await? {
            count(update, &batch, &mut totals)?;
        }
    }
    Ok(totals)
}

/// Counts children: of each, what it refers to, the field that is rolled up, and what the filter reads.
fn count(update: &SummaryUpdate, batch: &RecordBatch, totals: &mut BTreeMap<String, Total>) -> Result<()> {
    let column = |at: usize| batch.columns().get(at).ok_or_else(|| Error::internal("a child lacks a column"));
    let first = if update.child_field.is_some() { 2 } else { 1 };
    for row in 0..batch.num_rows() {
        let mut read = Row::new();
        for (at, name) in update.filter.columns().into_iter().enumerate() {
            read.insert(name.to_owned(), json(column(first + at)?, row)?);
        }
        if !crate::write::check::passes(&update.filter, &read)? {
            continue;
        }
        let value = match &update.child_field {
            Some(_) => Some(Value::from_array(column(1)?.as_ref(), row)?),
            None => None,
        };
        totals.entry(json(column(0)?, row)?.to_string()).or_default().add(value.as_ref())?;
    }
    Ok(())
}

/// A value of a reference in the type of what it refers to.
fn typed(table: &WriteTarget, key: usize, value: &Json) -> Result<Value> {
    let field = table.fields().get(key).ok_or_else(|| Error::internal("a field that is not the table's"))?;
    let array = scalar(value, &field.value_type().to_arrow())?.to_array().map_err(Error::internal)?;
    Value::from_array(array.as_ref(), 0)
}

#[cfg(test)]
mod tests;
