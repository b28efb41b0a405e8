//! What hooks made of a row's values: which they set, and what is kept as it was given. A number that went through a script and is the
//! same there stays as it was, with all its digits.

use crate::write::target::{Targeted, closed};
use crate::write::values::rows::Row;
use querygate_catalog::write::WriteTarget;
use querygate_metadata::model::{FieldType, Object, ValueType};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;

/// The values of a row, and which of them hooks have set.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeRow {
    pub(crate) payload: Row,
    pub(crate) made: Vec<String>,
}

impl From<Row> for MadeRow {
    fn from(payload: Row) -> Self {
        Self { payload, made: Vec::new() }
    }
}

impl MadeRow {
    /// `payload` as a hook left it that saw `seen` and made `left` of it.
    pub(crate) fn of(payload: &Row, seen: &Row, left: &Row) -> Self {
        let mut own = Self::from(payload.clone());
        for (name, value) in left {
            if !seen.get(name).is_some_and(|seen| is_same(seen, value)) {
                own.payload.insert(name.clone(), value.clone());
                own.made.push(name.clone());
            }
        }
        own.payload.retain(|name, _| left.contains_key(name) || !seen.contains_key(name));
        own
    }

    /// Whether values that hooks set may be stored in this table at all.
    ///
    /// # Errors
    /// 42704: another key. 0A000: a value that the platform makes, or that is not looked up here.
    pub(crate) fn refuse_unfit(&self, object: &Object, table: &WriteTarget, previous: Option<&Row>) -> Result<()> {
        for name in &self.made {
            let Some(field) = object.field(name) else { continue };
            let value = self.payload.get(name).unwrap_or(&Value::Null);
            let is_key = table.place(name).is_some_and(|place| table.key().contains(&place));
            if let Some(previous) = previous.filter(|_| is_key)
                && !previous.get(name).is_some_and(|own| is_same(own, value))
            {
                let text = "a hook gave a record another key";
                return Err(Error::new(ErrorCode::UndefinedObject, text).with_vendor_code(VendorCode::ObjectNotFound));
            }
            if field.field_type == FieldType::Autonumber {
                return Err(closed(&format!("a hook gives a value to the autonumber '{name}'")));
            }
            if field.field_type == FieldType::Summary {
                return Err(closed(&format!("a hook gives a value to the roll-up '{name}'")));
            }
            let is_empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
            let is_person = field.reference.as_deref().is_none_or(|target| target.starts_with("sys_"));
            if field.field_type.is_reference() && !is_person && !is_empty {
                return Err(closed(&format!("a hook gives a value to the reference '{name}'")));
            }
        }
        Ok(())
    }
}

/// Whether two values are the same to a script, whose numbers are doubles.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || are_near(one.as_f64(), other.as_f64()),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
            _,
        ) => one == other,
    }
}

/// Whether two doubles differ by no more than the last bit, which the reading and printing of a script's engine does not always keep.
fn are_near(one: Option<f64>, other: Option<f64>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one == other };
    one == other || (one - other).abs() <= f64::EPSILON * one.abs().max(other.abs())
}

/// About what a value takes in memory.
pub(super) fn bytes(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes(value)).sum(),
    };
    size_of::<Value>() + inner
}

/// A row of a table as scripts see it: documents as what they hold, not as their texts.
pub(crate) fn shown(object: &Object, mut row: Row) -> Row {
    for (name, value) in &mut row {
        if let Value::String(text) = value
            && is_document(object, name)
            && let Ok(document) = querygate_types::json::value::value(text)
        {
            *value = document;
        }
    }
    row
}

fn is_document(object: &Object, name: &str) -> bool {
    let declared = object.field(name).map(querygate_metadata::model::Field::value_type);
    matches!(declared, Some(ValueType::Json | ValueType::JsonText))
}

/// A caller's values of a row as scripts see them, where a statement gives its documents as texts.
pub(crate) fn shown_payload(targeted: &Targeted, payload: &Row) -> Row {
    match targeted.intent().record() {
        Some(_) => payload.clone(),
        None => shown(&targeted.intent().object().object, payload.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn doubles_that_come_back_with_another_last_bit_are_the_same() {
        for number in [0.1_f64 + 0.2, 19.59, 1e21 / 7.0, -123_456.789, 5e-300] {
            let next = f64::from_bits(number.to_bits() + 1);
            assert!(is_same(&json!(number), &json!(next)), "{number:e}");
            assert!(!is_same(&json!(number), &json!(number * 1.000_000_1)), "{number:e}");
        }
        assert!(!is_same(&json!(1), &json!(2)) && is_same(&json!(1), &json!(1.0)));
    }

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_a_hook_set_is_its_own() {
        let payload = row(json!({"id": 9_007_199_254_740_993_i64, "a": 12.0, "b": "x", "c": 1}));
        let seen = row(json!({"id": 9_007_199_254_740_993_i64, "a": 12.0, "b": "x", "c": 1, "d": "default"}));
        let left = row(json!({"id": 9_007_199_254_740_992_i64, "a": 12, "b": "y", "d": "default", "e": null}));
        let made = MadeRow::of(&payload, &seen, &left);
        assert_eq!(made.made, ["b", "e"]);
        assert_eq!(
            Value::Object(made.payload),
            json!({"id": 9_007_199_254_740_993_i64, "a": 12.0, "b": "y", "e": null})
        );
    }
}
