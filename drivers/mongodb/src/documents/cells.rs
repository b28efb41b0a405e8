//! One BSON value as one of a column's type. Converts exactly or says that it cannot: nothing is rounded but doubles read as decimals.

use crate::documents::bind::DAY_MILLIS;
use crate::documents::decimal;
use crate::error::{out_of_range, wrong_value};
use arrow::array::TimestampMicrosecondArray;
use arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
use arrow::datatypes::{Date32Type, Time64MicrosecondType};
use arrow::util::display::array_value_to_string;
use mongodb::bson::{Decimal128, RawBsonRef};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_types::{Error, ErrorCode, Result};

/// Whole numbers up to here are all doubles.
const DOUBLE_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn boolean(value: RawBsonRef<'_>) -> Result<bool> {
    match value {
        RawBsonRef::Boolean(value) => Ok(value),
        _ => Err(wrong_value("boolean")),
    }
}

/// A whole number, however it is stored.
pub(crate) fn integer(value: RawBsonRef<'_>, value_type: ValueType) -> Result<i64> {
    match value {
        RawBsonRef::Int32(value) => Ok(i64::from(value)),
        RawBsonRef::Int64(value) => Ok(value),
        RawBsonRef::Double(value) if value.is_finite() && value.fract() != 0.0 => Err(wrong_value(value_type.name())),
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        RawBsonRef::Double(value) if value.abs() <= DOUBLE_EXACT_MAX => Ok(value as i64),
        RawBsonRef::Double(_) => Err(out_of_range(value_type.name())),
        RawBsonRef::Decimal128(value) => match decimal::scaled(&value, 38, 0) {
            Some(value) => i64::try_from(value).map_err(|_| out_of_range(value_type.name())),
            None => Err(wrong_value(value_type.name())),
        },
        _ => Err(wrong_value(value_type.name())),
    }
}

/// A double. Decimals are read as the nearest one, when the column is one that is only read.
pub(crate) fn double(value: RawBsonRef<'_>, encoding: Encoding) -> Result<f64> {
    match value {
        RawBsonRef::Double(value) => Ok(value),
        RawBsonRef::Int32(value) => Ok(f64::from(value)),
        RawBsonRef::Int64(value) => {
            #[expect(clippy::cast_precision_loss, reason = "looked at in the next line")]
            let double = value as f64;
            #[expect(clippy::cast_possible_truncation, reason = "a whole number; what is cut is not equal")]
            let whole = double as i128;
            if whole == i128::from(value) { Ok(double) } else { Err(out_of_range("double precision")) }
        }
        RawBsonRef::Decimal128(value) if encoding == Encoding::Text => {
            let text = decimal::text(&value).to_ascii_lowercase();
            text.parse().map_err(|_| wrong_value("double precision"))
        }
        _ => Err(wrong_value("double precision")),
    }
}

/// A decimal of which no digit is lost.
pub(crate) fn exact(value: &Decimal128, value_type: ValueType) -> Result<i128> {
    let name = value_type.name();
    let ValueType::Decimal128 { precision, scale } = value_type else { return Err(wrong_value(name)) };
    decimal::scaled(value, precision, scale).ok_or_else(|| out_of_range(name))
}

pub(crate) fn numeric(value: RawBsonRef<'_>, value_type: ValueType, encoding: Encoding) -> Result<i128> {
    let name = value_type.name();
    let ValueType::Decimal128 { precision, scale } = value_type else { return Err(wrong_value(name)) };
    let whole = |value: i64| {
        let value = i128::from(value).checked_mul(10_i128.pow(scale.unsigned_abs().into()));
        let most = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
        value.filter(|value| value.abs() < most).ok_or_else(|| out_of_range(name))
    };
    match value {
        RawBsonRef::Decimal128(value) => exact(&value, value_type),
        RawBsonRef::Int32(value) => whole(value.into()),
        RawBsonRef::Int64(value) => whole(value),
        RawBsonRef::Double(value) if encoding == Encoding::Double => {
            rounded(&value.to_string(), precision, scale).ok_or_else(|| out_of_range(name))
        }
        RawBsonRef::String(text) if encoding == Encoding::Text => {
            digits(text, precision, scale).ok_or_else(|| wrong_value(name))
        }
        _ => Err(wrong_value(name)),
    }
}

/// Digits without an exponent, of which none may be lost.
fn digits(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let kept = usize::try_from(scale).ok()?;
    if fraction.get(kept..).is_some_and(|lost| lost.bytes().any(|digit| digit != b'0')) {
        return None;
    }
    rounded(text, precision, scale)
}

/// Digits without an exponent, rounded half away from zero to a scale.
fn rounded(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (kept, lost) = fraction.split_at(fraction.len().min(scale));
    let mut value = 0_i128;
    for digit in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', scale - kept.len())) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    value += i128::from(lost.bytes().next().is_some_and(|digit| digit >= b'5'));
    (value < 10_i128.checked_pow(precision.into())?).then_some(if negative { -value } else { value })
}

/// Microseconds since the epoch.
pub(crate) fn moment(value: RawBsonRef<'_>, encoding: Encoding) -> Result<i64> {
    match value {
        RawBsonRef::DateTime(date) => micros(date.timestamp_millis()),
        RawBsonRef::String(text) if encoding == Encoding::Text => {
            let nanos = string_to_timestamp_nanos(text).map_err(|_| wrong_value("timestamp"))?;
            if nanos % 1_000 == 0 { Ok(nanos / 1_000) } else { Err(too_far()) }
        }
        _ => Err(wrong_value("timestamp")),
    }
}

/// An instant of the source.
#[inline]
pub(crate) fn micros(millis: i64) -> Result<i64> {
    millis.checked_mul(1_000).ok_or_else(too_far)
}

fn too_far() -> Error {
    Error::new(ErrorCode::DatetimeOverflow, "source holds an instant that microseconds cannot hold")
}

/// Days since the epoch: an instant at midnight in UTC.
pub(crate) fn day(value: RawBsonRef<'_>, encoding: Encoding) -> Result<i32> {
    match value {
        RawBsonRef::DateTime(date) if date.timestamp_millis() % DAY_MILLIS == 0 => {
            i32::try_from(date.timestamp_millis() / DAY_MILLIS).map_err(|_| too_far())
        }
        RawBsonRef::String(text) if encoding == Encoding::Text => {
            Date32Type::parse(text).ok_or_else(|| wrong_value("date"))
        }
        _ => Err(wrong_value("date")),
    }
}

/// Microseconds since midnight.
pub(crate) fn time(value: RawBsonRef<'_>) -> Result<i64> {
    match value {
        RawBsonRef::String(text) => Time64MicrosecondType::parse(text).ok_or_else(|| wrong_value("time")),
        _ => Err(wrong_value("time")),
    }
}

/// NUL cannot exist in a Postgres text.
pub(crate) fn without_nul(text: &str) -> Result<&str> {
    if text.contains('\0') {
        return Err(Error::new(ErrorCode::CharacterNotInRepertoire, "source holds a text with a NUL"));
    }
    Ok(text)
}

/// An instant as ISO 8601 in UTC.
pub(crate) fn moment_text(millis: i64) -> Result<String> {
    let micros = millis.checked_mul(1_000).ok_or_else(too_far)?;
    let array = TimestampMicrosecondArray::from(vec![micros]);
    array_value_to_string(&array, 0).map(|text| format!("{text}Z")).map_err(|_| too_far())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept_or_refused_and_doubles_rounded() {
        for (text, exact, near) in [
            ("1.005", None, Some(101)),
            ("-1.005", None, Some(-101)),
            ("1.50", Some(150), Some(150)),
            ("1.5000", Some(150), Some(150)),
            ("7", Some(700), Some(700)),
            ("100000", None, None),
            ("1e3", None, None),
            ("", None, None),
            ("-", None, None),
        ] {
            assert_eq!((digits(text, 5, 2), rounded(text, 5, 2)), (exact, near), "{text}");
        }
        assert_eq!(integer(RawBsonRef::Double(5.0), ValueType::Int64).unwrap(), 5);
        for double in [5.5, 1e17, f64::NAN, f64::INFINITY] {
            assert!(integer(RawBsonRef::Double(double), ValueType::Int64).is_err(), "{double}");
        }
        assert!(double(RawBsonRef::Int64((1 << 53) + 1), Encoding::Canonical).is_err());
        assert_eq!(moment_text(-1).unwrap(), "1969-12-31T23:59:59.999Z");
    }
}
