//! What a reference holds of the key that it is to: its text, of a number its digits.

use serde_json::Value;
use std::borrow::Cow;

/// A key, or a reference to one, as a text; `None` of what is neither.
#[must_use]
pub fn reference_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a field's value refers to a key, by itself or by one of its members.
#[must_use]
pub fn refers_to(value: &Value, key: &str) -> bool {
    match value {
        Value::Array(members) => members.iter().any(|member| reference_text(member).as_deref() == Some(key)),
        one => reference_text(one).as_deref() == Some(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_texts_are_keys() {
        for (value, refers) in [
            (json!("7"), true),
            (json!(7), true),
            (json!([1, 7]), true),
            (json!(["7"]), true),
            (json!("07"), false),
            (json!([]), false),
            (json!(null), false),
            (json!(true), false),
        ] {
            assert_eq!(refers_to(&value, "7"), refers, "{value}");
        }
    }
}
