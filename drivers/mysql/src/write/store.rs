//! The form in which a value goes to its column: exactly what reading makes the same value of, or a refusal. Strict mode tells of much, but rounds digits and cuts blanks in silence.

use crate::introspect::enum_values;
use crate::wire::bind::{Sent, sent};
use crate::wire::codec;
use crate::wire::declared::{Declared, Native};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{TargetColumn, Violation};
use querygate_types::{Error, ErrorCode, Result};

/// Whether a column of this declared type keeps values of a type.
///
/// # Errors
/// The server would make other values of some.
pub(super) fn keeps(native_type: &str, value_type: ValueType) -> Result<(), Refusal> {
    let lower = native_type.trim().to_ascii_lowercase();
    // Filled up with blanks or zeros.
    let padded =
        ["char(", "binary("].iter().any(|start| lower.starts_with(start)) || lower == "char" || lower == "binary";
    let kept = match (Declared::parse(native_type, None).native, value_type) {
        _ if padded => false,
        (Native::Truth, ValueType::Boolean) => true,
        (
            Native::Integer { .. },
            ValueType::Boolean | ValueType::Int16 | ValueType::Int32 | ValueType::Int64 | ValueType::Decimal128 { .. },
        ) => true,
        (Native::Decimal { .. } | Native::Double, ValueType::Decimal128 { .. }) => true,
        (Native::Float, ValueType::Float32 | ValueType::Float64) | (Native::Double, ValueType::Float64) => true,
        (Native::Text(_), ValueType::Text | ValueType::TextList) | (Native::Json, ValueType::TextList) => true,
        (Native::Listed, ValueType::Text) => lower.starts_with("enum("),
        (Native::Binary, ValueType::Binary) => true,
        (Native::Date, ValueType::Date) | (Native::Time(_), ValueType::Time) => true,
        (Native::DateTime(_) | Native::Timestamp(_), ValueType::Timestamp { .. }) => true,
        _ => false,
    };
    if kept {
        return Ok(());
    }
    let text = format!("a column declared as it is in the source does not keep each {}", value_type.name());
    Err(Refusal::new(RefusalReason::Encoding, text))
}

/// What is bound for a value.
///
/// # Errors
/// 22xxx: the column would give another value back.
pub(super) fn cell(column: &TargetColumn, value: &Value) -> Result<Sent> {
    let native = Declared::parse(&column.native_type, None).native;
    match (native, value) {
        (_, Value::Null(ValueType::Text | ValueType::TextList)) => Ok(Sent::NullText),
        (_, Value::Null(ValueType::Binary)) => Ok(Sent::NullBytes),
        (_, Value::Null(_)) => Ok(Sent::Null),
        (Native::Integer { .. }, Value::Decimal128 { value, scale, .. }) => whole(*value, *scale),
        (Native::Decimal { scale: places, .. }, Value::Decimal128 { value, scale, .. }) => {
            let more = u32::try_from(i16::from(*scale) - i16::from(places)).unwrap_or(0);
            if 10_i128.checked_pow(more).is_none_or(|power| value % power != 0) {
                return Err(inexact());
            }
            plain(&Value::clone(&Value::Decimal128 { value: *value, precision: 38, scale: *scale }))
        }
        (Native::Double, Value::Decimal128 { value, scale, .. }) => {
            let text = codec::decimal_text(*value, *scale).ok_or_else(inexact)?;
            let double: f64 = text.parse().map_err(Error::internal)?;
            let back = codec::parse_decimal(&double.to_string(), 38, *scale, true);
            if back == Some(*value) { Ok(Sent::Double(double)) } else { Err(inexact()) }
        }
        #[expect(clippy::cast_possible_truncation, reason = "what does not come back is refused")]
        (Native::Float, Value::Float64(value)) if f64::from(*value as f32).to_bits() != value.to_bits() => {
            Err(inexact())
        }
        (Native::Text(most), Value::Text(text)) => {
            // A count of characters, or of bytes where the type has no length of its own: the stricter of both is the server's.
            if u64::try_from(text.chars().count()).unwrap_or(u64::MAX) > most {
                return Err(Error::new(ErrorCode::StringDataTooLong, "text is too long"));
            }
            plain(value)
        }
        (Native::Listed, Value::Text(text)) => {
            // The server takes another case, and numbers, for one of them.
            let known = enum_values(&column.native_type).unwrap_or_default();
            if known.iter().any(|known| known.as_str() == text.as_ref()) {
                plain(value)
            } else {
                Err(Violation::Value.error())
            }
        }
        (_, Value::TextList(items)) => {
            Ok(Sent::Text(querygate_sql::write_texts(items.iter().map(Option::as_deref)).into()))
        }
        (Native::DateTime(digits) | Native::Timestamp(digits), Value::Timestamp { micros, .. })
        | (Native::Time(digits), Value::Time(micros)) => {
            let step = 6_u32.checked_sub(u32::from(digits)).map_or(1, |missing| 10_i64.pow(missing));
            if micros % step == 0 { plain(value) } else { Err(Violation::Value.error()) }
        }
        _ => plain(value),
    }
}

fn plain(value: &Value) -> Result<Sent> {
    sent(value).map_err(|refusal| Violation::Value.error().with_cause(refusal))
}

fn inexact() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "the source keeps fewer digits than the value has")
}

fn whole(value: i128, scale: i8) -> Result<Sent> {
    let power = 10_i128.checked_pow(u32::from(scale.unsigned_abs())).ok_or_else(inexact)?;
    if value % power != 0 {
        return Err(inexact());
    }
    // BIGINT UNSIGNED is wider than what is bound as a number.
    codec::decimal_text(value / power, 0).map(|text| Sent::Text(text.into())).ok_or_else(inexact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::Identifier;
    use querygate_driver_api::relation::{Collation, Encoding};

    #[test]
    fn what_strict_mode_would_change_is_refused() {
        let decimal = |value, scale| Value::Decimal128 { value, precision: 38, scale };
        let local = |micros| Value::Timestamp { micros, utc: false };
        for (native, value, kept) in [
            ("decimal(10,2)", decimal(1_005, 3), false),
            ("decimal(10,2)", decimal(1_000, 3), true),
            ("bigint(20) unsigned", decimal(i128::from(u64::MAX), 0), true),
            ("int(11)", decimal(15, 1), false),
            ("float", Value::Float64(0.1), false),
            ("float", Value::Float64(0.5), true),
            ("double", Value::Float64(f64::NAN), false),
            ("varchar(2)", Value::text("ab "), false),
            ("varchar(2)", Value::text("éé"), true),
            ("enum('a','B')", Value::text("b"), false),
            ("enum('a','B')", Value::text("1"), false),
            ("enum('a','B')", Value::text("B"), true),
            ("datetime(3)", local(1), false),
            ("datetime(3)", local(1_000), true),
            ("datetime", local(1_000), false),
        ] {
            let column = TargetColumn {
                name: Identifier::new("c").unwrap(),
                native_type: native.into(),
                value_type: value.value_type(),
                encoding: Encoding::Canonical,
                collation: Collation::Binary,
            };
            assert_eq!(cell(&column, &value).is_ok(), kept, "{native} {value:?}");
        }
        for (native, value_type, kept) in [
            ("char(3)", ValueType::Text, false),
            ("binary(3)", ValueType::Binary, false),
            ("set('a')", ValueType::Text, false),
            ("year(4)", ValueType::Int16, false),
            ("varchar(3)", ValueType::Text, true),
            ("varbinary(3)", ValueType::Binary, true),
        ] {
            assert_eq!(keeps(native, value_type).is_ok(), kept, "{native}");
        }
    }
}
