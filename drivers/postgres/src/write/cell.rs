//! One value in the binary form of its column's own type, or why the column would not give it back as it is.

use super::form::Form;
use crate::wire::bind::{EPOCH_DAYS, EPOCH_MICROS};
use crate::wire::numeric;
use bytes::{BufMut, BytesMut};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Violation;
use querygate_types::json::jsonb;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// First and last day, from 2000-01-01: 4714-11-24 BC and 5874897-12-31.
const DAYS: std::ops::RangeInclusive<i32> = -2_451_545..=2_145_031_948;
/// First and last microsecond, from 2000-01-01: 4714-11-24 BC, and before 294277-01-01.
const MICROS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

fn out_of_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "value is out of range")
}

fn beyond() -> Error {
    Error::new(ErrorCode::DatetimeOverflow, "date or time is out of range")
}

/// Writes a value that is not NULL. In an array, a list of texts is written as its text.
///
/// # Errors
/// 22xxx: the column does not keep the value.
pub(super) fn put(form: Form, value: &Value, out: &mut BytesMut) -> Result<()> {
    match (form, value) {
        (Form::Boolean, Value::Boolean(value)) => out.put_u8(u8::from(*value)),
        (Form::Int2 | Form::Int4 | Form::Int8, value) => integer(form, whole(value)?, out)?,
        (Form::Float4, value) => out.put_f32(single(value)?),
        (Form::Float8, value) => out.put_f64(double(value)?),
        (Form::Numeric(column), Value::Decimal128 { value, scale, .. }) => decimal(column, *value, *scale, out)?,
        (Form::Text(most), Value::Text(text)) => out.put_slice(plain(text, most)?.as_bytes()),
        (Form::Json, Value::Text(text)) => out.put_slice(plain(text, None)?.as_bytes()),
        (Form::Jsonb, Value::Text(text)) => {
            // The version of the form.
            out.put_u8(1);
            out.put_slice(document(text)?.as_bytes());
        }
        (Form::Uuid, Value::Text(text)) => out.put_u128(uuid(text)?),
        (Form::Bytea, Value::Binary(bytes)) => out.put_slice(bytes),
        (Form::Date, Value::Date(days)) => day(*days, out)?,
        (Form::Time(step), Value::Time(micros)) => {
            if !(0..DAY_MICROS).contains(micros) {
                return Err(beyond());
            }
            out.put_i64(stepped(*micros, step)?);
        }
        (Form::Timestamp { step, .. }, Value::Timestamp { micros, .. }) => instant(*micros, step, out)?,
        (Form::TextArray(_, most), Value::TextList(items)) => literal(items, most, out)?,
        _ => return Err(Error::internal("a value of another type than its column's")),
    }
    Ok(())
}

pub(super) fn day(days: i32, out: &mut BytesMut) -> Result<()> {
    let days = days.checked_sub(EPOCH_DAYS).filter(|days| DAYS.contains(days));
    out.put_i32(days.ok_or_else(beyond)?);
    Ok(())
}

pub(super) fn instant(micros: i64, step: i64, out: &mut BytesMut) -> Result<()> {
    let micros = micros.checked_sub(EPOCH_MICROS).filter(|micros| MICROS.contains(micros));
    out.put_i64(stepped(micros.ok_or_else(beyond)?, step)?);
    Ok(())
}

/// Writes a value that is not NULL as COPY wants it: as `put`, but that a list is one.
///
/// # Errors
/// As for `put`.
pub(super) fn put_alone(form: Form, value: &Value, out: &mut BytesMut) -> Result<()> {
    let (Form::TextArray(varchar, most), Value::TextList(items)) = (form, value) else {
        return put(form, value, out);
    };
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(i32::from(items.iter().any(Option::is_none)));
    out.put_u32(if varchar { Type::VARCHAR.oid() } else { Type::TEXT.oid() });
    if !items.is_empty() {
        out.put_i32(i32::try_from(items.len()).map_err(Error::internal)?);
        out.put_i32(1);
    }
    for item in items.iter() {
        match item {
            None => out.put_i32(-1),
            Some(item) => {
                let item = plain(item, most)?;
                out.put_i32(i32::try_from(item.len()).map_err(Error::internal)?);
                out.put_slice(item.as_bytes());
            }
        }
    }
    Ok(())
}

pub(super) fn integer(form: Form, value: i64, out: &mut BytesMut) -> Result<()> {
    match form {
        Form::Int2 => out.put_i16(i16::try_from(value).map_err(|_| out_of_range())?),
        Form::Int4 => out.put_i32(i32::try_from(value).map_err(|_| out_of_range())?),
        _ => out.put_i64(value),
    }
    Ok(())
}

/// A whole number. Of a decimal: without digits after the point.
fn whole(value: &Value) -> Result<i64> {
    match value {
        Value::Int16(value) => Ok(i64::from(*value)),
        Value::Int32(value) => Ok(i64::from(*value)),
        Value::Int64(value) => Ok(*value),
        Value::Decimal128 { value, scale, .. } => {
            let power = 10_i128.checked_pow(u32::from(scale.unsigned_abs())).ok_or_else(out_of_range)?;
            if value % power != 0 {
                return Err(inexact());
            }
            i64::try_from(value / power).map_err(|_| out_of_range())
        }
        _ => Err(Error::internal("a value of another type than its column's")),
    }
}

fn inexact() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "the source keeps fewer digits than the value has")
}

#[expect(clippy::cast_possible_truncation, reason = "what does not come back is refused")]
fn single(value: &Value) -> Result<f32> {
    match value {
        Value::Float32(value) => Ok(*value),
        Value::Float64(value) if value.is_nan() => Ok(f32::NAN),
        Value::Float64(value) => {
            let single = *value as f32;
            if f64::from(single).to_bits() == value.to_bits() { Ok(single) } else { Err(inexact()) }
        }
        Value::Decimal128 { value, scale, .. } => {
            let single: f32 = digits(*value, *scale).parse().map_err(Error::internal)?;
            if numeric::rounded(f64::from(single), *scale) == Some(*value) { Ok(single) } else { Err(inexact()) }
        }
        _ => Err(Error::internal("a value of another type than its column's")),
    }
}

fn double(value: &Value) -> Result<f64> {
    match value {
        Value::Float64(value) => Ok(*value),
        Value::Decimal128 { value, scale, .. } => {
            let double: f64 = digits(*value, *scale).parse().map_err(Error::internal)?;
            if numeric::rounded(double, *scale) == Some(*value) { Ok(double) } else { Err(inexact()) }
        }
        _ => Err(Error::internal("a value of another type than its column's")),
    }
}

fn digits(value: i128, scale: i8) -> String {
    format!("{value}e-{scale}")
}

pub(super) fn decimal(column: Option<(u8, i8)>, value: i128, scale: i8, out: &mut BytesMut) -> Result<()> {
    if let Some((precision, places)) = column {
        let power = |digits: i32| u32::try_from(digits).ok().and_then(|digits| 10_i128.checked_pow(digits));
        let more = i32::from(scale) - i32::from(places);
        // The server would round, and say nothing.
        if more > 0 && power(more).is_none_or(|power| value % power != 0) {
            return Err(inexact());
        }
        let most = power(i32::from(precision) - i32::from(places) + i32::from(scale));
        if most.is_some_and(|most| value.unsigned_abs() >= most.unsigned_abs()) {
            return Err(Error::new(ErrorCode::NumericOutOfRange, "numeric field overflow"));
        }
    }
    numeric::encode(value, scale, out);
    Ok(())
}

/// The server has no NUL in texts, and cuts blanks off the end of one that is too long.
pub(super) fn plain(text: &str, most: Option<usize>) -> Result<&str> {
    if text.contains('\0') {
        return Err(Error::new(ErrorCode::CharacterNotInRepertoire, "text with a NUL character"));
    }
    if most.is_some_and(|most| text.len() > most && text.chars().count() > most) {
        return Err(Error::new(ErrorCode::StringDataTooLong, "text is too long"));
    }
    Ok(text)
}

/// A text that jsonb holds; it keeps its keys in order, each once, as it does for every client.
fn document(text: &Arc<str>) -> Result<&str> {
    let invalid = || Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type json");
    jsonb(text).map(|_| text.as_ref()).ok_or_else(invalid)
}

/// The text that the server prints of a uuid. It reads others too, and gives this one back.
fn uuid(text: &str) -> Result<u128> {
    let dashes = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| dashes);
    number.ok_or_else(|| Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type uuid"))
}

fn stepped(micros: i64, step: i64) -> Result<i64> {
    if micros % step == 0 { Ok(micros) } else { Err(Violation::Value.error()) }
}

/// `{"a",NULL}`.
fn literal(items: &[Option<Arc<str>>], most: Option<usize>, out: &mut BytesMut) -> Result<()> {
    out.put_u8(b'{');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.put_u8(b',');
        }
        let Some(item) = item else {
            out.put_slice(b"NULL");
            continue;
        };
        out.put_u8(b'"');
        for byte in plain(item, most)?.bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.put_u8(b'\\');
            }
            out.put_u8(byte);
        }
        out.put_u8(b'"');
    }
    out.put_u8(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_would_change_is_refused() {
        let decimal = |value, scale| Value::Decimal128 { value, precision: 38, scale };
        let cents = Form::Numeric(Some((10, 2)));
        for (form, value, code) in [
            (Form::Int2, Value::Int64(40_000), Some(ErrorCode::NumericOutOfRange)),
            (Form::Int4, decimal(150, 2), Some(ErrorCode::NumericOutOfRange)),
            (Form::Int4, decimal(100, 2), None),
            (Form::Float4, Value::Float64(0.1), Some(ErrorCode::NumericOutOfRange)),
            (Form::Float4, Value::Float64(0.5), None),
            (Form::Float8, decimal(10_i128.pow(30) + 1, 2), Some(ErrorCode::NumericOutOfRange)),
            (Form::Float8, decimal(1_005, 3), None),
            (cents, decimal(1_005, 3), Some(ErrorCode::NumericOutOfRange)),
            (cents, decimal(1_000, 3), None),
            (cents, decimal(10_i128.pow(10), 2), Some(ErrorCode::NumericOutOfRange)),
            (cents, decimal(10_i128.pow(10) - 1, 2), None),
            (cents, decimal(10_i128.pow(8), 0), Some(ErrorCode::NumericOutOfRange)),
            (Form::Text(Some(2)), Value::text("ab "), Some(ErrorCode::StringDataTooLong)),
            (Form::Text(Some(2)), Value::text("éé"), None),
            (Form::Text(None), Value::text("a\0"), Some(ErrorCode::CharacterNotInRepertoire)),
            (Form::Time(1_000), Value::Time(1_001), Some(ErrorCode::DataException)),
            (Form::Time(1), Value::Time(DAY_MICROS), Some(ErrorCode::DatetimeOverflow)),
            (Form::Date, Value::Date(i32::MAX), Some(ErrorCode::DatetimeOverflow)),
            (
                Form::Uuid,
                Value::text("A0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                Some(ErrorCode::InvalidTextRepresentation),
            ),
            (Form::Uuid, Value::text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), None),
            (
                Form::Uuid,
                Value::text("é0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"),
                Some(ErrorCode::InvalidTextRepresentation),
            ),
        ] {
            let put = put(form, &value, &mut BytesMut::new());
            assert_eq!(put.err().map(|error| error.code()), code, "{form:?} {value:?}");
        }
    }

    #[test]
    fn a_list_is_quoted_whatever_its_items_are() {
        let items = [Some("a\"\\,{}".into()), None, Some("".into()), Some("NULL".into())];
        let mut out = BytesMut::new();
        literal(&items, None, &mut out).unwrap();
        assert_eq!(out, br#"{"a\"\\,{}",NULL,"","NULL"}"#[..]);
    }
}
