//! What is stored of values that a caller gives of a record: known before its row is made, and by the same steps.

use crate::write::target::Targeted;
use crate::write::values::rows::{json, scalar, shown};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use serde_json::Value as Json;
use std::collections::HashSet;

/// A number with as many places as its column has, so that rules look at what will be stored. `None`: it stays as it is. Of a field that
/// says how many places it takes, the field's own contract refuses more.
pub(in crate::write) fn with_places(targeted: &Targeted, name: &str, value: &Json) -> Option<Json> {
    let own = column_type(targeted, name)?;
    let is_open = targeted.intent().object().object.field(name).is_some_and(|field| field.scale.is_none());
    if !is_open || !matches!(own, DataType::Decimal128(..)) || !(value.is_number() || value.is_string()) {
        return None;
    }
    // What is no such number, its contract refuses in its own words.
    let scalar_of = |value: &Json| scalar(value, &own).ok();
    let stored = scalar_of(value)?;
    let array = stored.to_array().ok()?;
    let made = json(&array, 0).ok()?;
    // More digits than a double has stay a text.
    if scalar_of(&made).as_ref() == Some(&stored) { Some(made) } else { shown(&array, 0).ok().map(Json::from) }
}

/// The keys that a value of a reference will name when it is stored, each once, in the type in which its column has them: a number is
/// the same reference however it is written. None of a value that is refused, which is said when its row is made.
pub(crate) fn referred(targeted: &Targeted, name: &str, value: &Json) -> Vec<ScalarValue> {
    let placed = with_places(targeted, name, value);
    let stored = targeted.rules().stored_value(name, placed.as_ref().unwrap_or(value));
    let (Some(stored), Some(own)) = (stored, column_type(targeted, name)) else { return Vec::new() };
    let own = match own {
        DataType::List(member) => member.data_type().clone(),
        other => other,
    };
    let members = match &stored {
        Json::Array(members) => members.as_slice(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            std::slice::from_ref(&stored)
        }
    };
    let is_key = |member: &&Json| !member.is_null() && member.as_str() != Some("");
    let mut known = HashSet::new();
    let keys = members.iter().filter(is_key).filter_map(|member| scalar(member, &own).ok());
    keys.filter(|key| known.insert(key.clone())).collect()
}

/// The type of a field's column. `None`: the source has none.
fn column_type(targeted: &Targeted, name: &str) -> Option<DataType> {
    let table = targeted.table();
    let own = table.place(name).and_then(|place| table.fields().get(place))?;
    Some(own.value_type().to_arrow())
}
