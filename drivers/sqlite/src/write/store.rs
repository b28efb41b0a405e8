//! The stored form of a value in a column: exactly what reading makes the same value of, or a refusal.

use crate::bind::{Stored, stored};
use crate::codec;
use crate::declared::{Affinity, affinity};
use crate::writer::decimal_text;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{TargetColumn, Violation};
use querygate_types::{Error, ErrorCode, Result};

/// Whole numbers up to this are doubles.
const WHOLE_DOUBLE_MAX: u64 = 1 << 53;

/// Whether a column of this declared type keeps values of a type in a form.
///
/// # Errors
/// SQLite would make other values of them.
pub(super) fn keeps(native: &str, value_type: ValueType, encoding: Encoding) -> Result<(), Refusal> {
    let refuse = |text: &str| Err(Refusal::new(RefusalReason::Encoding, text));
    match (value_type, encoding, affinity(native)) {
        (ValueType::List(_), ..) => refuse("no value of a statement is such a list"),
        // Texts that look like numbers would become numbers.
        (ValueType::Text, _, Affinity::Integer | Affinity::Real | Affinity::Numeric) => {
            refuse("a column declared as it is in the source changes texts that look like numbers")
        }
        _ => Ok(()),
    }
}

/// The stored form of a value.
///
/// # Errors
/// 22000, 22003, 22021: the column would give another value back.
pub(super) fn cell(column: &TargetColumn, value: &Value) -> Result<Stored> {
    if value.is_null() {
        return Ok(Stored::Null);
    }
    match (column.encoding, value) {
        (Encoding::Canonical, _) => canonical(value),
        (Encoding::Text, Value::Decimal128 { value, scale, .. }) => {
            Ok(Stored::Text(decimal_text(*value, *scale).into()))
        }
        (Encoding::Text, Value::Time(micros)) => dated(fine(codec::time_text(*micros), *micros, "")),
        (Encoding::Text, Value::Timestamp { micros, utc }) => {
            let zone = if *utc { "Z" } else { "" };
            dated(fine(codec::timestamp_text(*micros, *utc), *micros, zone))
        }
        (Encoding::Text, _) => canonical(value),
        (Encoding::Double, _) => double(column.value_type, value),
        (Encoding::EpochMillis, Value::Timestamp { micros, .. }) if micros % 1_000 == 0 => {
            Ok(Stored::Integer(micros / 1_000))
        }
        (Encoding::EpochSeconds, Value::Timestamp { micros, .. }) if micros % 1_000_000 == 0 => {
            Ok(Stored::Integer(micros / 1_000_000))
        }
        (Encoding::Json, Value::TextList(items)) => {
            if items.iter().flatten().any(|item| item.contains('\0')) {
                return Err(nul());
            }
            Ok(Stored::Text(querygate_sql::write_texts(items.iter().map(Option::as_deref)).into()))
        }
        (Encoding::EpochMillis | Encoding::EpochSeconds | Encoding::Json, _) => Err(Violation::Value.error()),
        // Of a column that is read only: what is written has one form.
        (Encoding::CanonicalOrNull | Encoding::OrNull(_), _) => Err(Violation::Value.error()),
    }
}

fn canonical(value: &Value) -> Result<Stored> {
    match value {
        // The form of a parameter that falls between two stored values is no stored value.
        Value::Time(micros) | Value::Timestamp { micros, .. } if micros % 1_000 != 0 => {
            Err(Error::new(ErrorCode::DatetimeOverflow, "the source keeps times in whole milliseconds"))
        }
        Value::Decimal128 { value, precision, .. } if beyond(*value, *precision) => Err(out_of_range()),
        Value::Text(text) if text.contains('\0') => Err(nul()),
        other => stored(other).map_err(|refusal| Violation::Value.error().with_cause(refusal)),
    }
}

fn nul() -> Error {
    Error::new(ErrorCode::CharacterNotInRepertoire, "text with a NUL character")
}

fn out_of_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "numeric field overflow")
}

fn beyond(value: i128, precision: u8) -> bool {
    10_u128.checked_pow(u32::from(precision)).is_none_or(|bound| value.unsigned_abs() >= bound)
}

fn dated(text: Option<String>) -> Result<Stored> {
    let beyond = || Error::new(ErrorCode::DatetimeOverflow, "the source keeps the years 0 to 9999");
    text.map(|text| Stored::Text(text.into())).ok_or_else(beyond)
}

/// A text form whose microseconds, if there are any, are six digits as ISO 8601 has them.
fn fine(text: Option<String>, micros: i64, zone: &str) -> Option<String> {
    if micros % 1_000 == 0 {
        return text;
    }
    let (whole, rest) = text?.split_once('.').map(|(whole, rest)| (whole.to_owned(), rest.to_owned()))?;
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{whole}.{digits}{zone}"))
}

/// A double that reads back as the value.
fn double(value_type: ValueType, value: &Value) -> Result<Stored> {
    let whole = |value: i64| {
        let exact = value.unsigned_abs() <= WHOLE_DOUBLE_MAX;
        if exact { Ok(Stored::Integer(value)) } else { Err(inexact()) }
    };
    match (value, value_type) {
        (Value::Int16(value), _) => whole(i64::from(*value)),
        (Value::Int32(value), _) => whole(i64::from(*value)),
        (Value::Int64(value), _) => whole(*value),
        (Value::Decimal128 { value, scale, .. }, ValueType::Decimal128 { precision, .. }) => {
            let text = decimal_text(*value, *scale);
            let double: f64 = text.parse().map_err(Error::internal)?;
            let back = codec::parse_decimal(&double.to_string(), precision, *scale, true);
            if back == Some(*value) { Ok(Stored::Real(double)) } else { Err(inexact()) }
        }
        (Value::Float32(_) | Value::Float64(_), _) => canonical(value),
        _ => Err(Violation::Value.error()),
    }
}

fn inexact() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "the source keeps fewer digits than the value has")
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::Identifier;
    use querygate_driver_api::relation::Collation;

    fn column(native: &str, value_type: ValueType, encoding: Encoding) -> TargetColumn {
        let name = Identifier::new("c").unwrap();
        TargetColumn { name, native_type: native.into(), value_type, encoding, collation: Collation::Binary }
    }

    #[test]
    fn values_have_the_form_that_reading_demands_or_none() {
        let money = ValueType::Decimal128 { precision: 18, scale: 4 };
        let decimal = |value| Value::Decimal128 { value, precision: 18, scale: 4 };
        let instant = |micros| Value::Timestamp { micros, utc: true };
        let text = |text: &str| Some(Stored::Text(text.into()));
        let utc = ValueType::Timestamp { utc: true };
        for (native, value_type, encoding, value, expected) in [
            ("float", money, Encoding::Double, decimal(12_345), Some(Stored::Real(1.2345))),
            ("float", money, Encoding::Double, decimal(10_i128.pow(18) - 1), None),
            ("DECIMAL_INT(18,4)", money, Encoding::Canonical, decimal(-1), Some(Stored::Integer(-1))),
            ("text", money, Encoding::Text, decimal(-1), text("-0.0001")),
            ("integer", utc, Encoding::EpochMillis, instant(5_000), Some(Stored::Integer(5))),
            ("integer", utc, Encoding::EpochMillis, instant(5_001), None),
            ("datetime", utc, Encoding::Canonical, instant(1_000), text("1970-01-01T00:00:00.001Z")),
            ("datetime", utc, Encoding::Canonical, instant(1), None),
            ("datetime", utc, Encoding::Text, instant(1), text("1970-01-01T00:00:00.000001Z")),
            ("real", ValueType::Int64, Encoding::Double, Value::Int64(1 << 53), Some(Stored::Integer(1 << 53))),
            ("real", ValueType::Int64, Encoding::Double, Value::Int64((1 << 53) + 1), None),
            ("real", ValueType::Float64, Encoding::Canonical, Value::Float64(f64::NAN), None),
            ("text", ValueType::Text, Encoding::Canonical, Value::text("a\0b"), None),
            ("text", ValueType::Text, Encoding::Canonical, Value::Null(ValueType::Text), Some(Stored::Null)),
        ] {
            let cell = cell(&column(native, value_type, encoding), &value);
            assert_eq!(cell.ok(), expected, "{native} {value:?}");
        }
        assert!(keeps("json", ValueType::Text, Encoding::Text).is_err());
        assert!(keeps("", ValueType::Text, Encoding::Text).is_ok());
        assert!(keeps("varchar(20)", ValueType::Text, Encoding::Canonical).is_ok());
    }
}
