//! The shapes of structured values. Knows no field.

use querygate_metadata::model::FieldType;
use serde_json::{Map, Value};

/// Keys of an address, all of them texts.
const ADDRESS: [&str; 7] = ["street", "city", "state", "postalCode", "country", "countryCode", "formatted"];

/// Whether a value has its type's shape, or why not.
pub(in crate::rules) fn check(kind: FieldType, value: &Value) -> Result<(), String> {
    match kind {
        FieldType::Location => location(object(value)?),
        FieldType::Address => address(object(value)?),
        FieldType::Composite | FieldType::Record => object(value).map(|_| ()),
        FieldType::Repeater => {
            let items = value.as_array().ok_or_else(|| expected("array", value))?;
            items.iter().try_for_each(|item| object(item).map(|_| ()))
        }
        FieldType::Vector => {
            let items = value.as_array().ok_or_else(|| expected("array", value))?;
            items.iter().try_for_each(|item| if item.is_number() { Ok(()) } else { Err(expected("number", item)) })
        }
        _ => Ok(()),
    }
}

/// What should stand in place of a value.
pub(in crate::rules) fn expected(kind: &str, found: &Value) -> String {
    format!("Invalid input: expected {kind}, received {}", type_of(found))
}

pub(in crate::rules) const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| expected("object", value))
}

fn unknown_key(map: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("Unrecognized key: \"{key}\"")),
        None => Ok(()),
    }
}

fn location(map: &Map<String, Value>) -> Result<(), String> {
    for (key, is_needed) in [("lat", true), ("lng", true), ("altitude", false), ("accuracy", false)] {
        match map.get(key) {
            Some(Value::Number(_)) => {}
            None if is_needed => return Err("Invalid input: expected number, received undefined".to_owned()),
            None => {}
            Some(other) => return Err(expected("number", other)),
        }
    }
    unknown_key(map, &["lat", "lng", "altitude", "accuracy"])
}

fn address(map: &Map<String, Value>) -> Result<(), String> {
    for key in ADDRESS {
        if let Some(other) = map.get(key).filter(|value| !value.is_string()) {
            return Err(expected("string", other));
        }
    }
    unknown_key(map, &ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes() {
        for (kind, value, refused) in [
            (FieldType::Location, json!({"lat": 1, "lng": 2.5}), None),
            (FieldType::Location, json!({"lat": 1}), Some("Invalid input: expected number, received undefined")),
            (
                FieldType::Location,
                json!({"lat": "1", "lng": 2}),
                Some("Invalid input: expected number, received string"),
            ),
            (FieldType::Location, json!({"lat": 1, "lng": 2, "zoom": 3}), Some("Unrecognized key: \"zoom\"")),
            (FieldType::Address, json!("Bern"), Some("Invalid input: expected object, received string")),
            (FieldType::Address, json!({"city": "Bern"}), None),
            (FieldType::Address, json!({"city": 1}), Some("Invalid input: expected string, received number")),
            (FieldType::Repeater, json!({"a": 1}), Some("Invalid input: expected array, received object")),
            (FieldType::Repeater, json!([{"a": 1}]), None),
            (FieldType::Vector, json!([1, "x"]), Some("Invalid input: expected number, received string")),
            (FieldType::Json, json!("anything"), None),
        ] {
            assert_eq!(check(kind, &value).err().as_deref(), refused, "{kind:?} {value}");
        }
    }
}
