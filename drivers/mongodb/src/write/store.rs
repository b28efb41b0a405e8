//! The form in which a value goes into its field: exactly what reading makes the same value of, or a refusal. A field gets values of
//! the kind that its documents hold.

use crate::documents::kinds::{Kind, Kinds};
use crate::documents::{bind, cells};
use arrow::util::display::array_value_to_string;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, RawBsonRef};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{TargetColumn, Violation};
use querygate_types::{Error, ErrorCode, Result};

/// Whole numbers up to this are all doubles.
const WHOLE_DOUBLE_MAX: u64 = 1 << 53;

/// How a field holds values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a parameter compares with it.
    Exact,
    /// The smaller whole number that it fits.
    Whole,
    Long,
    /// A whole number, or what decimals are rounded to, as a double.
    Double,
    /// A decimal, or a whole number where it is one.
    WholeDecimal,
    ObjectId,
    /// Dates, times, instants and decimals as texts.
    Text,
}

/// In which form a field holds values of a type.
///
/// # Errors
/// It does not keep each of them, or holds values of several kinds of which none is the one to store.
pub(super) fn keeps(native_type: &str, value_type: ValueType) -> Result<Encoding, Refusal> {
    let kinds = Kinds::parse(native_type);
    let encoding = kinds.read_as(value_type)?;
    form(kinds, value_type, encoding)?;
    Ok(encoding)
}

fn form(kinds: Kinds, value_type: ValueType, encoding: Encoding) -> Result<Form, Refusal> {
    let refuse = || {
        let text = format!("a field with such values in the source does not keep each {}", value_type.name());
        Err(Refusal::new(RefusalReason::Encoding, text))
    };
    let texts = kinds.only(&[Kind::Text, Kind::Digits]);
    match (value_type, encoding) {
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Encoding::Canonical) => Ok(if kinds.has(Kind::Int) {
            Form::Whole
        } else if kinds.has(Kind::Long) {
            Form::Long
        } else if kinds.has(Kind::Decimal) {
            Form::WholeDecimal
        } else if kinds.has(Kind::Double) {
            Form::Double
        } else {
            Form::Exact
        }),
        (ValueType::Float64, Encoding::Canonical) => Ok(Form::Exact),
        (ValueType::Decimal128 { .. }, Encoding::Canonical | Encoding::Double) if kinds.has(Kind::Decimal) => {
            Ok(Form::Exact)
        }
        (ValueType::Decimal128 { .. }, Encoding::Canonical) if kinds.has(Kind::Int) || kinds.has(Kind::Long) => {
            Ok(Form::WholeDecimal)
        }
        (ValueType::Decimal128 { .. }, Encoding::Canonical) => Ok(Form::Exact),
        (ValueType::Decimal128 { .. }, Encoding::Double) => Ok(Form::Double),
        (ValueType::Text, Encoding::Canonical) if kinds.has(Kind::ObjectId) => Ok(Form::ObjectId),
        (
            ValueType::Boolean
            | ValueType::Text
            | ValueType::Binary
            | ValueType::Date
            | ValueType::Timestamp { .. }
            | ValueType::TextList,
            Encoding::Canonical,
        ) => Ok(Form::Exact),
        // What it is where nothing was seen, too.
        (
            ValueType::Decimal128 { .. } | ValueType::Date | ValueType::Timestamp { .. } | ValueType::Time,
            Encoding::Text,
        ) if texts => Ok(Form::Text),
        _ => refuse(),
    }
}

/// What is stored for a value. `None`: nothing, which reads as NULL.
///
/// # Errors
/// 22xxx: the field would give another value back.
pub(super) fn cell(column: &TargetColumn, value: &Value) -> Result<Option<Bson>> {
    if value.is_null() {
        return Ok(None);
    }
    let form = form(Kinds::parse(&column.native_type), column.value_type, column.encoding).map_err(Error::internal)?;
    let stored = match (form, value) {
        (
            Form::Whole | Form::Long | Form::WholeDecimal | Form::Double,
            Value::Int16(_) | Value::Int32(_) | Value::Int64(_),
        ) => whole(form, value)?,
        (Form::WholeDecimal, Value::Decimal128 { value: number, scale: 0, .. }) => match i64::try_from(*number) {
            Ok(number) => Bson::Int64(number),
            Err(_) => exact(value)?,
        },
        (Form::Double, Value::Decimal128 { .. }) => {
            let double: f64 = shown(value)?.parse().map_err(Error::internal)?;
            Bson::Double(double)
        }
        (Form::ObjectId, Value::Text(text)) => Bson::ObjectId(object_id(text)?),
        (Form::Text, _) => Bson::String(shown(value)?),
        (_, Value::TextList(items)) => {
            let item = |item: &Option<std::sync::Arc<str>>| match item {
                Some(text) => plain(text).map(|text| Bson::String(text.to_owned())),
                None => Ok(Bson::Null),
            };
            Bson::Array(items.iter().map(item).collect::<Result<_>>()?)
        }
        _ => exact(value)?,
    };
    reads_back(column, value, &stored)?;
    Ok(Some(stored))
}

fn whole(form: Form, value: &Value) -> Result<Bson> {
    let number = match value {
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        _ => return Err(Error::internal("a whole number of another type")),
    };
    match form {
        Form::Whole => Ok(i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)),
        Form::Double if number.unsigned_abs() > WHOLE_DOUBLE_MAX => Err(inexact()),
        #[expect(clippy::cast_precision_loss, reason = "looked at in the line before")]
        Form::Double => Ok(Bson::Double(number as f64)),
        Form::WholeDecimal => {
            let decimal = crate::documents::decimal::of(i128::from(number), 0).ok_or_else(inexact)?;
            Ok(Bson::Decimal128(decimal))
        }
        Form::Exact | Form::Long | Form::ObjectId | Form::Text => Ok(Bson::Int64(number)),
    }
}

fn exact(value: &Value) -> Result<Bson> {
    match value {
        Value::Text(text) => plain(text).map(|text| Bson::String(text.to_owned())),
        Value::Timestamp { micros, .. } if micros.rem_euclid(1_000) != 0 => {
            Err(Error::new(ErrorCode::DatetimeOverflow, "the source keeps instants in whole milliseconds"))
        }
        Value::Decimal128 { .. } => bind::exact(value).map_err(|refusal| inexact().with_cause(refusal)),
        other => bind::exact(other).map_err(|refusal| Violation::Value.error().with_cause(refusal)),
    }
}

/// A text that can be read back.
fn plain(text: &str) -> Result<&str> {
    if text.contains('\0') {
        return Err(Error::new(ErrorCode::CharacterNotInRepertoire, "text with a NUL character"));
    }
    Ok(text)
}

fn object_id(text: &str) -> Result<ObjectId> {
    let is_printed = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parsed = if is_printed { ObjectId::parse_str(text).ok() } else { None };
    parsed.ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidTextRepresentation,
            "the field holds ObjectIds: 24 hexadecimal digits in lower case",
        )
    })
}

/// The text of a date, a time, an instant or a decimal.
fn shown(value: &Value) -> Result<String> {
    let array = value.to_array()?;
    let text = array_value_to_string(array.as_ref(), 0).map_err(|_| Violation::Value.error())?;
    Ok(match value {
        // As ISO 8601 in UTC, whatever the array's own zone is called.
        Value::Timestamp { utc, .. } => {
            let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
            format!("{text}{}", if *utc { "Z" } else { "" })
        }
        _ => text,
    })
}

fn inexact() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "the source keeps fewer digits than the value has")
}

/// Whether reading makes the same value of what is stored, where that is of another form than the value.
fn reads_back(column: &TargetColumn, value: &Value, stored: &Bson) -> Result<()> {
    let (value_type, encoding) = (column.value_type, column.encoding);
    let stored = match stored {
        Bson::Double(number) => RawBsonRef::Double(*number),
        Bson::Decimal128(number) => RawBsonRef::Decimal128(*number),
        Bson::Int64(number) => RawBsonRef::Int64(*number),
        Bson::String(text) => RawBsonRef::String(text),
        _ => return Ok(()),
    };
    let is_same = match value {
        Value::Decimal128 { value, .. } => {
            cells::numeric(stored, value_type, encoding).is_ok_and(|read| read == *value)
        }
        Value::Date(days) => cells::day(stored, encoding).is_ok_and(|read| read == *days),
        Value::Time(micros) => cells::time(stored).is_ok_and(|read| read == *micros),
        Value::Timestamp { micros, .. } => cells::moment(stored, encoding).is_ok_and(|read| read == *micros),
        _ => true,
    };
    if is_same { Ok(()) } else { Err(Violation::Value.error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{DateTime, Decimal128};
    use querygate_driver_api::identifier::Identifier;
    use querygate_driver_api::relation::Collation;

    fn stored(native: &str, value: &Value) -> Option<Bson> {
        let value_type = value.value_type();
        let encoding = keeps(native, value_type).unwrap_or_else(|refusal| panic!("{native} {value:?}: {refusal}"));
        let name = Identifier::new("c").unwrap();
        let collation = Collation::Binary;
        cell(&TargetColumn { name, native_type: native.into(), value_type, encoding, collation }, value).ok().flatten()
    }

    #[test]
    fn a_field_gets_values_of_its_own_kind() {
        let decimal = |value| Value::Decimal128 { value, precision: 18, scale: 2 };
        let digits = |text: &str| Some(Bson::Decimal128(text.parse::<Decimal128>().unwrap()));
        let text = |text: &str| Some(Bson::String(text.to_owned()));
        let instant = |micros| Value::Timestamp { micros, utc: true };
        for (native, value, expected) in [
            ("int", Value::Int64(5), Some(Bson::Int32(5))),
            ("int", Value::Int64(1 << 40), Some(Bson::Int64(1 << 40))),
            ("long", Value::Int32(5), Some(Bson::Int64(5))),
            ("int|double", Value::Int32(5), Some(Bson::Int32(5))),
            ("double", Value::Int64(5), Some(Bson::Double(5.0))),
            ("double", Value::Int64((1 << 53) + 1), None),
            ("decimal", Value::Int64(5), digits("5")),
            ("null", Value::Int16(5), Some(Bson::Int32(5))),
            ("double", Value::Float64(2.5), Some(Bson::Double(2.5))),
            ("decimal", decimal(1_250), digits("12.50")),
            ("double", decimal(1_250), Some(Bson::Double(12.5))),
            ("double", decimal(999_999_999_999_999_999), None),
            ("string", decimal(-1_250), text("-12.50")),
            ("int|long", decimal(1_250), digits("12.50")),
            ("int", Value::Decimal128 { value: 7, precision: 18, scale: 0 }, Some(Bson::Int64(7))),
            ("string", Value::text("a"), text("a")),
            ("string", Value::text("a\0b"), None),
            (
                "objectId",
                Value::text("65f000000000000000000001"),
                ObjectId::parse_str("65f000000000000000000001").ok().map(Bson::ObjectId),
            ),
            ("objectId", Value::text("65F000000000000000000001"), None),
            ("objectId", Value::text("an id"), None),
            ("date", Value::Date(1), Some(Bson::DateTime(DateTime::from_millis(86_400_000)))),
            ("string", Value::Date(1), text("1970-01-02")),
            ("date", instant(1_000), Some(Bson::DateTime(DateTime::from_millis(1)))),
            ("date", instant(1), None),
            ("string", instant(1_500_000), text("1970-01-01T00:00:01.500Z")),
            ("string", instant(i64::MAX), None),
            ("string", Value::Time(1_500_000), text("00:00:01.500")),
            (
                "array",
                Value::TextList([Some("a".into()), None].into()),
                Some(Bson::Array(vec![Bson::String("a".into()), Bson::Null])),
            ),
            ("string", Value::Null(ValueType::Text), None),
        ] {
            assert_eq!(stored(native, &value), expected, "{native} {value:?}");
        }
    }

    #[test]
    fn fields_of_several_kinds_are_only_read() {
        for (native, value_type) in [
            ("json", ValueType::Text),
            ("string|objectId", ValueType::Text),
            ("int|string", ValueType::Text),
            ("decimal", ValueType::Float64),
            ("string|date", ValueType::Timestamp { utc: true }),
            ("int|numeric string", ValueType::Decimal128 { precision: 18, scale: 2 }),
            ("double", ValueType::Float32),
            ("binData", ValueType::Text),
        ] {
            assert!(keeps(native, value_type).is_err(), "{native} {value_type:?}");
        }
    }
}
