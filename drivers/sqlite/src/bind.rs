//! Values → what is bound to SQLite. Refuses a value whose stored form would not compare as the value does.

use crate::codec;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::{BindingForm, NativeStatement};
use querygate_driver_api::value::Value;
use querygate_sql::{Segment, parse_like, prefix_end};
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;
use std::sync::Arc;

/// Bound on a pattern, in bytes: SQLite's own (50,000).
const PATTERN_BYTES_MAX: usize = 50_000;

/// A value as SQLite holds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(Arc<str>),
    Blob(Arc<[u8]>),
}

/// All native parameters of a statement, in order.
pub(crate) fn arguments(statement: &NativeStatement, values: &[Value]) -> Result<SqliteArguments, Refusal> {
    let mut arguments = SqliteArguments::default();
    for binding in &statement.bindings {
        let value = values
            .get(binding.parameter)
            .ok_or_else(|| Refusal::new(RefusalReason::Invalid, "statement parameter without a value"))?;
        add(&mut arguments, formed(value, binding.form)?)
            .map_err(|_| Refusal::new(RefusalReason::Value, "value cannot be bound"))?;
    }
    Ok(arguments)
}

pub(crate) fn add(arguments: &mut SqliteArguments, stored: Stored) -> Result<(), sqlx::error::BoxDynError> {
    match stored {
        Stored::Null => arguments.add(Option::<i64>::None),
        Stored::Integer(value) => arguments.add(value),
        Stored::Real(value) => arguments.add(value),
        Stored::Text(value) => arguments.add(Box::<str>::from(value.as_ref())),
        Stored::Blob(value) => arguments.add(value.to_vec()),
    }
}

fn formed(value: &Value, form: BindingForm) -> Result<Stored, Refusal> {
    if value.is_null() {
        return Ok(Stored::Null);
    }
    match form {
        BindingForm::Value => stored(value),
        BindingForm::AtLeastZero => at_least(value, 0),
        BindingForm::AtLeastOne => at_least(value, 1),
        BindingForm::NonEmpty => match value {
            Value::Text(text) if !text.is_empty() => stored(value),
            _ => Err(refuse("the source's function is not exact for an empty text")),
        },
        BindingForm::Pattern => Ok(Stored::Text(glob(text(value)?)?.into())),
        BindingForm::PatternPrefix => Ok(Stored::Text(prefix(text(value)?).into())),
        BindingForm::PatternPrefixEnd => match prefix_end(&prefix(text(value)?)) {
            Some(end) => Ok(Stored::Text(end.into())),
            None => Err(refuse("pattern has no prefix")),
        },
        BindingForm::List(_) => Err(Refusal::new(RefusalReason::Invalid, "a form that this source never prints")),
    }
}

fn refuse(text: &str) -> Refusal {
    Refusal::new(RefusalReason::Value, text)
}

fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Refusal::new(RefusalReason::Invalid, "pattern is not text")),
    }
}

fn at_least(value: &Value, least: i64) -> Result<Stored, Refusal> {
    match stored(value)? {
        Stored::Integer(number) if number >= least => Ok(Stored::Integer(number)),
        _ => Err(refuse("the source's function is not exact for this position")),
    }
}

/// A value in the canonical form of its type.
pub(crate) fn stored(value: &Value) -> Result<Stored, Refusal> {
    let dated = |text: Option<String>| match text {
        Some(text) => Ok(Stored::Text(text.into())),
        None => Err(refuse("date outside the years 0 to 9999 cannot be compared in the source")),
    };
    match value {
        Value::Null(_) => Ok(Stored::Null),
        Value::Boolean(value) => Ok(Stored::Integer(i64::from(*value))),
        Value::Int16(value) => Ok(Stored::Integer(i64::from(*value))),
        Value::Int32(value) => Ok(Stored::Integer(i64::from(*value))),
        Value::Int64(value) => Ok(Stored::Integer(*value)),
        Value::Float32(value) => real(f64::from(*value)),
        Value::Float64(value) => real(*value),
        Value::Decimal128 { value, .. } => i64::try_from(*value)
            .map(Stored::Integer)
            .map_err(|_| refuse("numeric is too large to be compared in the source")),
        Value::Text(text) if text.contains('\0') => Err(refuse("text with a NUL character")),
        Value::Text(text) => Ok(Stored::Text(Arc::clone(text))),
        Value::Binary(bytes) => Ok(Stored::Blob(Arc::clone(bytes))),
        Value::Date(days) => dated(codec::date_text(*days)),
        Value::Time(micros) => dated(codec::time_text(*micros)),
        Value::Timestamp { micros, utc } => dated(codec::timestamp_text(*micros, *utc)),
        Value::TextList(_) => Err(refuse("a list cannot be bound")),
    }
}

/// SQLite would bind NaN as NULL.
fn real(value: f64) -> Result<Stored, Refusal> {
    if value.is_nan() { Err(refuse("NaN cannot be bound")) } else { Ok(Stored::Real(value)) }
}

/// A LIKE pattern as GLOB. Brackets make `*`, `?` and `[` plain; GLOB reads U+FFFE and U+FFFF as U+FFFD.
fn glob(pattern: &str) -> Result<String, Refusal> {
    if pattern.contains(['\0', '\u{FFFD}', '\u{FFFE}', '\u{FFFF}']) {
        return Err(refuse("pattern has a character that the source does not match exactly"));
    }
    let mut glob = String::with_capacity(pattern.len());
    for segment in parse_like(pattern) {
        match segment {
            Segment::Any => glob.push('*'),
            Segment::One => glob.push('?'),
            Segment::Literal(text) => {
                for character in text.chars() {
                    if matches!(character, '*' | '?' | '[') {
                        glob.extend(['[', character, ']']);
                    } else {
                        glob.push(character);
                    }
                }
            }
        }
    }
    if glob.len() > PATTERN_BYTES_MAX {
        return Err(refuse("pattern is longer than the source accepts"));
    }
    Ok(glob)
}

fn prefix(pattern: &str) -> String {
    match parse_like(pattern).into_iter().next() {
        Some(Segment::Literal(text)) => text,
        Some(Segment::Any | Segment::One) | None => String::new(),
    }
}
