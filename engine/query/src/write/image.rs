//! Rows as a change is to leave them: the statement's values, defaults, stamps, and what the table's own rules make of them.

use super::check::{outside, passes};
use super::follow::{Masters, read_referred};
use super::hooks::{HookRow, Hooks, MadeRow, shown, shown_payload};
use super::lock::Locked;
use super::target::Targeted;
use crate::write::forms::record::{GivenRecord, refuse_roll_ups, refuse_unstored, refused, unfit};
use crate::write::values::given::with_places;
use crate::write::values::rows::{Row, json, records, scalar};
use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_metadata::model::{Field, FieldType, Object, StrictRule};
use querygate_policy::rules::{Attempt, Dropped, ObjectRules, Outcome, ReadonlyMode, ReferredRecords};
use querygate_policy::write::{Assignment, WriteOperation};
use querygate_types::{Error, ErrorCode, Result};
use std::borrow::Cow;
use std::sync::Arc;

/// Locked rows with what becomes of them. The rules found nothing wrong with the rows themselves; nothing else was asked yet.
#[derive(Debug)]
pub(crate) struct Imaged {
    locked: Locked,
    /// Each row before and after the change; of a delete, nothing after it.
    previous: Vec<Row>,
    records: Vec<Row>,
    /// Fields that are stored, as places of the table's, and their values.
    places: Vec<usize>,
    columns: Vec<ArrayRef>,
    /// What a caller gave and is not stored.
    dropped: Vec<Dropped>,
    inputs: Vec<Row>,
}

/// Values of the rows: as the statement gives them, as hooks left them, as they are to be stored.
#[derive(Clone, Copy)]
struct Values<'a> {
    payloads: &'a [Row],
    made: &'a [MadeRow],
    records: &'a [Row],
}

/// Other records that rules of the changed ones read.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) masters: &'a Masters,
    pub(super) referred: &'a ReferredRecords,
}

impl Imaged {
    /// # Errors
    /// What the permit says of the values, what hooks say of the rows, and the rules of the rows.
    pub(crate) async fn of(
        locked: Locked,
        masters: &Masters,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Self> {
        let targeted = Arc::clone(locked.targeted());
        let previous = match locked.stored() {
            Some(stored) => records(targeted.table().fields(), stored)?,
            None => Vec::new(),
        };
        if targeted.operation() == WriteOperation::Delete {
            let none = vec![Row::new(); previous.len()];
            hooked(&targeted, (&previous, &none), masters, transaction, context).await?;
            let none = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let (records, places, columns, dropped) = none;
            return Ok(Self { locked, previous, records, places, columns, dropped, inputs: Vec::new() });
        }
        let mut payloads = Vec::with_capacity(locked.count());
        for row in 0..locked.count() {
            let payload = payload(&targeted, locked.given(), row)?;
            targeted.permit().admit(previous.get(row), &payload)?;
            payloads.push(payload);
        }
        let made = hooked(&targeted, (&previous, &payloads), masters, transaction, context).await?;
        let referred = find_referred(&targeted, (&previous, &made), masters, transaction, context).await?;
        let beside = Beside { masters, referred: &referred };
        let mut records = Vec::with_capacity(locked.count());
        let (mut given, mut dropped) = (Vec::with_capacity(locked.count()), Vec::new());
        for (row, made) in made.iter().enumerate() {
            let outcome = record(&targeted, previous.get(row), made, beside)?;
            records.push(outcome.record);
            given.push(outcome.given);
            dropped.extend(outcome.dropped);
        }
        let places = places(&targeted, &records, &given);
        let mut columns = Vec::with_capacity(places.len());
        for place in &places {
            let of = Values { payloads: &payloads, made: &made, records: &records };
            columns.push(column(&targeted, *place, locked.given(), of)?);
        }
        let inputs = made.into_iter().map(|made| made.payload).collect();
        Ok(Self { locked, previous, records, places, columns, dropped, inputs })
    }

    /// What was given of each row, with what hooks made of it.
    pub(crate) fn inputs(&self) -> &[Row] {
        &self.inputs
    }

    pub(crate) fn locked(&self) -> &Locked {
        &self.locked
    }

    pub(crate) fn targeted(&self) -> &Arc<Targeted> {
        self.locked.targeted()
    }

    pub(crate) fn previous(&self) -> &[Row] {
        &self.previous
    }

    pub(crate) fn records(&self) -> &[Row] {
        &self.records
    }

    pub(crate) fn places(&self) -> &[usize] {
        &self.places
    }

    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    pub(crate) fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }
}

/// The statement's values of one row.
pub(super) fn payload(targeted: &Targeted, given: &[ArrayRef], row: usize) -> Result<Row> {
    if let Some(record) = targeted.intent().record() {
        return Ok(record.values().clone());
    }
    let object = &targeted.intent().object().object;
    let pairs = targeted.assigned().iter().zip(given);
    let value = |(field, values): (&String, &ArrayRef)| {
        let value = finite(field, values, json(values, row)?, row)?;
        Ok::<_, Error>((field.clone(), structured(object, field, value)))
    };
    pairs.map(value).collect()
}

/// A structure that a statement gives as its text, as the field's rules look at it; its text is what is stored. What is no JSON is left to
/// the rules, which refuse it.
fn structured(object: &Object, field: &str, value: serde_json::Value) -> serde_json::Value {
    use FieldType as F;
    let is_structure =
        |field: &Field| matches!(field.field_type, F::Location | F::Address | F::Composite | F::Record | F::Repeater);
    let text = value.as_str().filter(|_| object.field(field).is_some_and(is_structure));
    text.and_then(|text| querygate_types::json::value::value(text).ok()).unwrap_or(value)
}

/// Rules have no words for infinity and NaN, which would pass them all.
fn finite(field: &str, values: &ArrayRef, value: serde_json::Value, row: usize) -> Result<serde_json::Value> {
    if value.is_null() && values.data_type().is_floating() && !values.is_null(row) {
        let text = format!("infinity and NaN are not stored in column \"{field}\"");
        return Err(Error::new(ErrorCode::NumericOutOfRange, text));
    }
    Ok(value)
}

/// The values of the rows as hooks before the change leave them.
async fn hooked(
    targeted: &Targeted,
    (previous, payloads): (&[Row], &[Row]),
    masters: &Masters,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Vec<MadeRow>> {
    let Some(hooks) = Hooks::before(targeted) else {
        return Ok(payloads.iter().cloned().map(MadeRow::from).collect());
    };
    let object = &targeted.intent().object().object;
    let mut rows = Vec::with_capacity(payloads.len());
    for (row, payload) in payloads.iter().enumerate() {
        let before = previous.get(row).map(|before| shown(object, before.clone()));
        let mut input = shown_payload(targeted, payload);
        if targeted.operation() == WriteOperation::Insert {
            let own = shaped(targeted, None, &MadeRow::from(payload.clone()), masters).record;
            let is_stamp = |name: &String| targeted.stamps().iter().any(|stamp| stamp.field == *name);
            let defaults = shown(object, own).into_iter();
            let mut defaults: Row = defaults.filter(|(name, value)| !value.is_null() && !is_stamp(name)).collect();
            defaults.extend(input);
            input = defaults;
        }
        let mut submitted = None;
        if targeted.operation() == WriteOperation::Update && targeted.rules().follows(StrictRule::HookImage) {
            submitted = Some(input.clone());
            input.retain(|name, _| targeted.permit().assignment(name) != Some(Assignment::Dropped));
        }
        rows.push(HookRow { input, previous: before, submitted, ..HookRow::default() });
    }
    let seen: Vec<Row> = rows.iter().map(|row| row.input.clone()).collect();
    let left = hooks.run(rows, transaction, context).await?;
    let mut made = Vec::with_capacity(left.len());
    for (row, ((payload, seen), left)) in payloads.iter().zip(&seen).zip(&left).enumerate() {
        let own = MadeRow::of(payload, seen, left);
        own.refuse_unfit(object, targeted.table(), previous.get(row))?;
        made.push(own);
    }
    Ok(made)
}

/// Values with as many places as their columns have.
fn with_stored_places(targeted: &Targeted, mut payload: Row) -> Row {
    for (name, value) in &mut payload {
        if let Some(placed) = with_places(targeted, name, value) {
            *value = placed;
        }
    }
    payload
}

/// The records that the rows refer to, where validations read them. A writer who names a record that it does not see hears that, and
/// nothing that a validation finds of it.
async fn find_referred(
    targeted: &Targeted,
    (previous, made): (&[Row], &[MadeRow]),
    masters: &Masters,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<ReferredRecords> {
    let rules = targeted.rules();
    if rules.referred().is_empty() {
        return Ok(ReferredRecords::default());
    }
    let rows = made.iter().enumerate().map(|(row, made)| shaped(targeted, previous.get(row), made, masters));
    // What a value is refused for is said without them.
    let records = rows.filter(|outcome| outcome.violations.is_empty()).map(|outcome| outcome.record);
    let records: Vec<Row> = records.collect();
    if records.is_empty() {
        return Ok(ReferredRecords::default());
    }
    if let Some(given) = targeted.intent().record() {
        let is_outside = |record: &Row| matches!(passes(targeted.permit().check(), record), Ok(false));
        if given.place().is_none() && records.iter().any(is_outside) {
            return Ok(ReferredRecords::default());
        }
        given.refuse_absent()?;
    }
    read_referred(targeted, rules, &records, transaction, context).await
}

/// The row as its values make it.
fn shaped(targeted: &Targeted, previous: Option<&Row>, made: &MadeRow, masters: &Masters) -> Outcome {
    let beside = Beside { masters, referred: &ReferredRecords::default() };
    ask_rules(targeted, (previous, made), beside, ObjectRules::shape)
}

/// What rules say of a row, as far as they are asked.
fn ask_rules(
    targeted: &Targeted,
    (previous, made): (Option<&Row>, &MadeRow),
    beside: Beside<'_>,
    ask: fn(&ObjectRules, &Attempt<'_>) -> Outcome,
) -> Outcome {
    let is_given = targeted.intent().record().is_some();
    let payload = match is_given || !made.made.is_empty() {
        true => Cow::Owned(with_stored_places(targeted, made.payload.clone())),
        false => Cow::Borrowed(&made.payload),
    };
    let attempt = Attempt {
        payload: &payload,
        previous,
        parent: beside.masters.after(previous, &payload),
        referred: beside.referred,
        rights: targeted.following().rights(),
        principal: targeted.principal(),
        stamps: targeted.stamps(),
        readonly: if is_given { ReadonlyMode::Drop } else { ReadonlyMode::Refuse },
        made: &made.made,
        now_ms: targeted.now_ms(),
    };
    ask(targeted.rules(), &attempt)
}

/// The row as it would be stored.
pub(super) fn record(
    targeted: &Targeted,
    previous: Option<&Row>,
    made: &MadeRow,
    beside: Beside<'_>,
) -> Result<Outcome> {
    let outcome = ask_rules(targeted, (previous, made), beside, ObjectRules::evaluate);
    let made: Row = outcome.given.iter().filter(|(name, _)| made.made.contains(name)).map(owned).collect();
    refuse_unstored(targeted.table(), &made)?;
    if let Some(given) = targeted.intent().record() {
        if !outcome.violations.is_empty() {
            // Who may not store such a record hears that first, but of the rows of one change. What has no answer, as it is, is left to
            // the rules.
            let is_alone = given.place().is_none();
            if is_alone && matches!(passes(targeted.permit().check(), &outcome.record), Ok(false)) {
                return Err(outside(targeted));
            }
            let decision = &targeted.intent().object().decision;
            let reads = |name: &str| !decision.hidden_fields().contains(name) && !decision.masks().contains_key(name);
            return Err(refused(outcome.violations, &reads));
        }
        refuse_roll_ups(&targeted.intent().object().object, &outcome.given)?;
        refuse_unstored(targeted.table(), &outcome.given)?;
        return Ok(outcome);
    }
    if let Some(error) = targeted.refusal(&outcome.violations) {
        return Err(error);
    }
    if !outcome.dropped.is_empty() {
        return Err(Error::internal("a value was left out of a change"));
    }
    Ok(outcome)
}

fn owned((name, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (name.clone(), value.clone())
}

/// What is stored: fields of the statement, stamps, and of new rows everything that has a value. What a source lacks is not.
pub(super) fn places(targeted: &Targeted, records: &[Row], given: &[Row]) -> Vec<usize> {
    let table = targeted.table();
    let stamps = targeted.stamps();
    let is_insert = targeted.operation() == WriteOperation::Insert;
    let is_stored = |name: &String| {
        targeted.assigned().contains(name)
            || given.iter().any(|given| given.contains_key(name))
            || stamps.iter().any(|stamp| stamp.field == *name)
            || (is_insert && records.iter().any(|record| record.get(name).is_some_and(|value| !value.is_null())))
    };
    let is_key = |place: &usize| !is_insert && table.key().contains(place);
    let fields = table.fields().iter().enumerate();
    let stored = fields.filter(|(_, field)| is_stored(&field.name)).map(|(place, _)| place);
    stored.filter(|place| !is_key(place)).collect()
}

/// The values of one stored field: those of the statement as they were given, unless a rule made others of them.
fn column(
    targeted: &Targeted,
    place: usize,
    given: &[ArrayRef],
    Values { payloads, made, records }: Values<'_>,
) -> Result<ArrayRef> {
    let field =
        targeted.table().fields().get(place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
    let wanted = field.value_type().to_arrow();
    let own = targeted.assigned().iter().position(|name| *name == field.name).and_then(|at| given.get(at));
    let mut values = Vec::with_capacity(records.len());
    for (row, ((payload, made), record)) in payloads.iter().zip(made).zip(records).enumerate() {
        let value = record.get(&field.name).unwrap_or(&serde_json::Value::Null);
        let is_made = made.made.contains(&field.name);
        values.push(match own {
            Some(own) if !is_made && payload.get(&field.name) == Some(value) => {
                ScalarValue::try_from_array(own, row).map_err(Error::internal)?
            }
            Some(_) | None if is_made => {
                GivenRecord::stored(&targeted.intent().object().object, &field.name, value, &wanted)?
            }
            own => match targeted.intent().record().filter(|_| own.is_none()) {
                Some(record) => {
                    let object = &targeted.intent().object().object;
                    let stored = record.stored_as_given(object, &field.name, value, &wanted);
                    let is_given = payload.get(&field.name).is_some_and(|given| !given.is_null());
                    if is_given { stored.map_err(|error| unfit(object, &field.name, &wanted, error))? } else { stored? }
                }
                None => scalar(value, &wanted)?,
            },
        });
    }
    ScalarValue::iter_to_array(values).map_err(Error::internal)
}

#[cfg(test)]
mod tests;
