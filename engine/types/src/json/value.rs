//! Values of JSON as doors, rules and hooks work on them. A number is the double that is nearest to what is written, or a whole number
//! of 64 bits.

use super::read::{Fault, FaultKind, Made, double, read, read_bytes};
use serde_json::{Map, Number, Value};

/// Deeper values are refused: what works on them recurses.
const DEPTH_MAX: usize = 128;

/// Reads a text as a value.
///
/// # Errors
/// It is no JSON, or has a number beyond the largest double, or half a character.
pub fn value(text: &str) -> Result<Value, Fault> {
    read(text, DEPTH_MAX)
}

/// Reads bytes as a value.
///
/// # Errors
/// As [`value`]; they are not UTF-8.
pub fn value_of_bytes(bytes: &[u8]) -> Result<Value, Fault> {
    read_bytes(bytes, DEPTH_MAX)
}

/// Reads a text as an object.
///
/// # Errors
/// As [`value`]; it is another value.
pub fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    match value(text)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Fault { kind: FaultKind::Syntax, at: 0 })
        }
    }
}

/// A number of JSON. `None`: it is none, or beyond the largest double.
#[must_use]
pub fn number(text: &str) -> Option<Number> {
    match value(text).ok()? {
        Value::Number(number) => Some(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number that is one by the grammar. `None`: it is beyond the largest double.
fn nearest(text: &str) -> Option<Number> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && text != "-0" {
        if let Ok(whole) = text.parse::<u64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
    }
    double(text).and_then(Number::from_f64)
}

impl Made for Value {
    type Members = Map<String, Value>;
    const HOLDS_NUL: bool = true;

    fn null() -> Self {
        Self::Null
    }

    fn boolean(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Option<Self> {
        nearest(text).map(Self::Number)
    }

    fn string(text: String) -> Self {
        Self::String(text)
    }

    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }

    /// The last of equal keys, as JavaScript's reader has it.
    fn add(members: &mut Self::Members, key: String, value: Self) {
        members.insert(key, value);
    }

    fn object(members: Self::Members) -> Self {
        Self::Object(members)
    }
}
