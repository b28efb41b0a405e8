//! Values → what is bound to the server. Refuses a value that it cannot hold, since it would compare another one.

use crate::wire::codec;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::{BindingForm, NativeStatement};
use querygate_driver_api::value::{Value, ValueType};
use querygate_sql::{Segment, parse_like};
use sqlx::Arguments;
use sqlx::mysql::MySqlArguments;
use std::sync::Arc;

/// Escapes wildcards in patterns: a character that means nothing else to the server, in either backslash mode.
pub(crate) const PATTERN_ESCAPE: char = '|';
/// Bytes of all values of one statement, below the server's usual `max_allowed_packet` of 16 MiB.
const VALUES_BYTES_MAX: usize = 12 * 1024 * 1024;

/// A value as the binary protocol sends it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sent {
    Null,
    NullText,
    /// Bytes compared with a NULL of another type would be compared as numbers.
    NullBytes,
    Integer(i64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// All native parameters of a statement, in order.
pub(crate) fn arguments(statement: &NativeStatement, values: &[Value]) -> Result<MySqlArguments, Refusal> {
    let mut arguments = MySqlArguments::default();
    let mut bytes = 0_usize;
    for binding in &statement.bindings {
        let value = values
            .get(binding.parameter)
            .ok_or_else(|| Refusal::new(RefusalReason::Invalid, "statement parameter without a value"))?;
        let sent = formed(value, binding.form)?;
        bytes = bytes.saturating_add(match &sent {
            Sent::Text(text) => text.len(),
            Sent::Bytes(bytes) => bytes.len(),
            Sent::Null | Sent::NullText | Sent::NullBytes | Sent::Integer(_) | Sent::Double(_) => 16,
        });
        if bytes > VALUES_BYTES_MAX {
            return Err(Refusal::new(RefusalReason::Size, "values are too large for one statement of the source"));
        }
        add(&mut arguments, sent).map_err(|_| refuse("value cannot be bound"))?;
    }
    Ok(arguments)
}

pub(crate) fn add(arguments: &mut MySqlArguments, sent: Sent) -> Result<(), sqlx::error::BoxDynError> {
    match sent {
        Sent::Null => Arguments::add(arguments, Option::<i64>::None),
        Sent::NullText => Arguments::add(arguments, Option::<String>::None),
        Sent::NullBytes => Arguments::add(arguments, Option::<Vec<u8>>::None),
        Sent::Integer(value) => Arguments::add(arguments, value),
        Sent::Double(value) => Arguments::add(arguments, value),
        Sent::Text(value) => Arguments::add(arguments, value),
        Sent::Bytes(value) => Arguments::add(arguments, value),
    }
}

fn refuse(text: &str) -> Refusal {
    Refusal::new(RefusalReason::Value, text)
}

fn formed(value: &Value, form: BindingForm) -> Result<Sent, Refusal> {
    if let Value::Null(value_type) = value {
        return Ok(match value_type {
            ValueType::Text => Sent::NullText,
            ValueType::Binary => Sent::NullBytes,
            _ => Sent::Null,
        });
    }
    match form {
        BindingForm::Value => sent(value),
        BindingForm::AtLeastZero => at_least(value, 0),
        BindingForm::AtLeastOne => at_least(value, 1),
        BindingForm::NonEmpty => match value {
            Value::Text(text) if !text.is_empty() => sent(value),
            _ => Err(refuse("the source's function is not exact for an empty text")),
        },
        BindingForm::Pattern => Ok(Sent::Text(escaped(text(value)?).into())),
        BindingForm::PatternPrefix => Ok(Sent::Text(prefix(text(value)?).into())),
        BindingForm::PatternPrefixEnd | BindingForm::List(_) => {
            Err(Refusal::new(RefusalReason::Invalid, "a form that this source never prints"))
        }
    }
}

fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Refusal::new(RefusalReason::Invalid, "pattern is not text")),
    }
}

fn at_least(value: &Value, least: i64) -> Result<Sent, Refusal> {
    match sent(value)? {
        Sent::Integer(number) if number >= least => Ok(Sent::Integer(number)),
        _ => Err(refuse("the source's function is not exact for this position")),
    }
}

/// A value in the form in which the dialect's parameter expects it.
pub(crate) fn sent(value: &Value) -> Result<Sent, Refusal> {
    let in_range = |text: Option<String>| match text {
        Some(text) => Ok(Sent::Text(text.into())),
        None => Err(refuse("the source has no dates outside the years 1 to 9999")),
    };
    match value {
        Value::Null(_) => Ok(Sent::Null),
        Value::Boolean(value) => Ok(Sent::Integer(i64::from(*value))),
        Value::Int16(value) => Ok(Sent::Integer(i64::from(*value))),
        Value::Int32(value) => Ok(Sent::Integer(i64::from(*value))),
        Value::Int64(value) => Ok(Sent::Integer(*value)),
        Value::Float32(value) => double(f64::from(*value)),
        Value::Float64(value) => double(*value),
        Value::Decimal128 { value, scale, .. } => codec::decimal_text(*value, *scale)
            .map(|text| Sent::Text(text.into()))
            .ok_or_else(|| refuse("numeric scale")),
        Value::Text(text) => Ok(Sent::Text(Arc::clone(text))),
        Value::Binary(bytes) => Ok(Sent::Bytes(Arc::clone(bytes))),
        Value::Date(days) => in_range(codec::date_text(*days)),
        Value::Time(micros) => in_range(codec::time_text(*micros)),
        Value::Timestamp { micros, .. } => in_range(codec::timestamp_text(*micros)),
        Value::TextList(_) => Err(refuse("a list cannot be bound")),
    }
}

/// The server has neither NaN nor infinities.
fn double(value: f64) -> Result<Sent, Refusal> {
    if value.is_finite() { Ok(Sent::Double(value)) } else { Err(refuse("the source has no NaN and no infinity")) }
}

/// A LIKE pattern with our own escape character.
fn escaped(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    for segment in parse_like(pattern) {
        match segment {
            Segment::Any => escaped.push('%'),
            Segment::One => escaped.push('_'),
            Segment::Literal(text) => {
                for character in text.chars() {
                    if matches!(character, '%' | '_' | PATTERN_ESCAPE) {
                        escaped.push(PATTERN_ESCAPE);
                    }
                    escaped.push(character);
                }
            }
        }
    }
    escaped
}

fn prefix(pattern: &str) -> String {
    match parse_like(pattern).into_iter().next() {
        Some(Segment::Literal(text)) => text,
        Some(Segment::Any | Segment::One) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_escaped_anew() {
        for (pattern, expected) in
            [("a%b_", "a%b_"), (r"100\%", "100|%"), ("a|b", "a||b"), (r"a\", r"a\"), (r"\\_", r"\_"), ("", "")]
        {
            assert_eq!(escaped(pattern), expected, "{pattern}");
        }
        assert_eq!((prefix(r"a\%b%c"), prefix("%a")), ("a%b".to_owned(), String::new()));
    }

    #[test]
    fn values_that_the_source_cannot_hold_are_refused() {
        for value in [
            Value::Float64(f64::NAN),
            Value::Float64(f64::INFINITY),
            Value::Date(2_932_897),
            Value::Time(-1),
            Value::Timestamp { micros: i64::MAX, utc: true },
            Value::TextList([].into()),
        ] {
            assert_eq!(sent(&value).unwrap_err().reason, RefusalReason::Value, "{value:?}");
        }
        assert_eq!(sent(&Value::Decimal128 { value: -150, precision: 9, scale: 2 }), Ok(Sent::Text("-1.50".into())));
    }
}
