//! Comparands of the filter language: scalars, null and tokens. Refuses every other JSON value by its type.

use super::{FilterContext, FilterError, tokens};
use crate::expression::Provenance;
use crate::value::Scalar;
use serde_json::Value;

const ALLOWED: &str = "a string, number, bigint, boolean, null or Date";

/// A comparand that was read.
pub(super) enum Comparand {
    Null,
    Scalar(Scalar, Provenance),
}

/// Reads a comparand; `slot` names its place for the error.
pub(super) fn read(slot: &str, value: &Value, context: &FilterContext) -> Result<Comparand, FilterError> {
    let literal = |scalar| Ok(Comparand::Scalar(scalar, Provenance::Literal));
    match value {
        Value::Null => Ok(Comparand::Null),
        Value::Bool(b) => literal(Scalar::Boolean(*b)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => literal(Scalar::Integer(n)),
            // What is beyond 64 bits has its digits as a text.
            (None, _) if number.is_u64() => literal(Scalar::Text(number.to_string())),
            (None, Some(n)) if n.is_finite() => literal(Scalar::Float(n)),
            (None, _) => Err(FilterError::invalid(refused(slot, "a number that is not finite"))),
        },
        Value::String(text) => {
            let (text, from) = tokens::resolve(text, context)?;
            Ok(Comparand::Scalar(Scalar::Text(text), from))
        }
        Value::Array(_) | Value::Object(_) => Err(FilterError::invalid(refused(slot, describe(value)))),
    }
}

/// A whole number that a column of doubles has no value for.
pub(super) fn beyond(slot: &str) -> FilterError {
    FilterError::invalid(refused(slot, "a bigint beyond ±2^53"))
}

/// The text of a refusal by type.
pub(super) fn refused(slot: &str, what: &str) -> String {
    format!("{slot} got {what}; a comparand is {ALLOWED}")
}

/// What a JSON value is, in words.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a plain object",
    }
}
