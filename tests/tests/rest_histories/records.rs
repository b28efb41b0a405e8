//! A record of an answer against the recorded one, field by field: what is not compared is a single field, with its reason.

use crate::comparison::Sent;
use crate::recording::{STAMPS, fits, resolved};
use querygate_metadata::model::{DefaultValue, Field, FieldType, Object};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The first field that has another value. `is_new`: the record may have been made by the request.
pub(crate) fn record(
    sent: &Sent<'_>,
    (object, is_new): (&str, bool),
    (theirs, ours): (&Value, &Value),
    notes: &mut BTreeSet<&'static str>,
) -> Option<String> {
    let declared = sent.recording.snapshot.object(object)?;
    let theirs = theirs.as_object()?;
    let Some(ours) = ours.as_object() else {
        notes.insert("a record that is written and not read: its values are not answered");
        return None;
    };
    if ours.len() == 1 && ours.contains_key("id") {
        notes.insert("a record that is written and not read: its values are not answered");
        return None;
    }
    if let Some(extra) = ours.keys().find(|name| !theirs.contains_key(*name)) {
        return Some(format!("{object}: {extra} is shown"));
    }
    for (name, value) in theirs {
        let field = declared.field(name);
        if !ours.contains_key(name) && field.is_some_and(|field| tells_of_hidden(declared, field, theirs)) {
            notes.insert("a formula that tells of a hidden field: it is not shown");
            continue;
        }
        let Some(mine) = ours.get(name) else { return Some(format!("{object}: {name} is not shown")) };
        if is_of_other_clock(sent, field, (name, value), is_new) {
            continue;
        }
        if !fits(declared, name, value) {
            // What the vendor stores in columns of other types, the source of this test does not hold.
            notes.insert("a text in a column of another type: the field is not compared");
            continue;
        }
        let is_derived = field.is_some_and(|field| is_of_unfit(declared, field, theirs));
        if is_derived {
            notes.insert("a formula over a text in a column of another type: the field is not compared");
        } else if !is_equal(&resolved(value, sent.number), mine) {
            return Some(format!("{object} {name}: {mine} for {value}"));
        }
    }
    None
}

/// Whether a value is of the vendor's clock or counters, or a secret.
fn is_of_other_clock(sent: &Sent<'_>, field: Option<&Field>, (name, value): (&String, &Value), is_new: bool) -> bool {
    // The clock of this step; that of an earlier one was stored.
    let is_now = value.as_str().is_some_and(|text| {
        matches!(text, "$now" | "$today" | "$time") || text.starts_with("2026-03-15") || text == sent.clock()
    });
    is_now
        || STAMPS.contains(&name.as_str())
        || field.is_some_and(|field| match field.field_type {
            FieldType::Password | FieldType::Secret => true,
            FieldType::Autonumber => is_new,
            _ => is_new && matches!(field.default, Some(DefaultValue::Now)),
        })
}

/// The names of an object's fields that a formula reads.
fn read_by<'o>(object: &'o Object, formula: &'o Field) -> impl Iterator<Item = &'o String> {
    let source = formula.expression.as_ref().map(|expression| format!("{expression:?}")).unwrap_or_default();
    let is_formula = formula.field_type == FieldType::Formula;
    object.fields.keys().filter(move |name| is_formula && source.contains(&format!("record.{name}")))
}

/// Whether a formula reads a field that the same record does not show.
fn tells_of_hidden(object: &Object, field: &Field, record: &Map<String, Value>) -> bool {
    read_by(object, field).any(|name| !record.contains_key(name))
}

/// Whether a formula reads a value that its column does not hold.
fn is_of_unfit(object: &Object, field: &Field, record: &Map<String, Value>) -> bool {
    read_by(object, field).any(|name| record.get(name).is_some_and(|value| !fits(object, name, value)))
}

fn is_equal(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Number(theirs), Value::Number(ours)) => theirs.as_f64() == ours.as_f64(),
        _ => theirs == ours,
    }
}
