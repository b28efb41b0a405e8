//! Rows of a change between the source's values and the JSON that rules look at. A value that a rule leaves as it is never takes
//! this way: it is stored as it was given.

use arrow::array::{Array, ArrayRef, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{Days, NaiveDate};
use datafusion::common::ScalarValue;
use querygate_catalog::write::TargetField;
use querygate_driver_api::value::Value;
use querygate_policy::rules::{instant_of_micros, time_of_micros};
use querygate_types::json::read::double;
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode, Result, bytes};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// A record by field name.
pub(crate) type Row = Map<String, Json>;

/// Rows of a table as records.
pub(crate) fn records(fields: &[TargetField], batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, array) in fields.iter().zip(batch.columns()) {
        for (at, row) in rows.iter_mut().enumerate() {
            row.insert(field.name.clone(), json(array, at)?);
        }
    }
    Ok(rows)
}

/// One value as rules see it.
pub(crate) fn json(array: &ArrayRef, row: usize) -> Result<Json> {
    if array.is_null(row) || array.data_type().is_null() {
        return Ok(Json::Null);
    }
    if matches!(array.data_type(), DataType::List(_)) {
        return other(array, row);
    }
    Ok(match Value::from_array(array.as_ref(), row)? {
        Value::Null(_) => Json::Null,
        Value::Boolean(value) => Json::Bool(value),
        Value::Int16(value) => Json::from(value),
        Value::Int32(value) => Json::from(value),
        Value::Int64(value) => Json::from(value),
        Value::Float32(value) => Json::from(f64::from(value)),
        Value::Float64(value) => Json::from(value),
        Value::Decimal128 { .. } => return number(array, row),
        Value::Text(text) => Json::String(text.as_ref().to_owned()),
        Value::Date(days) => Json::String(date(days)?.format("%Y-%m-%d").to_string()),
        Value::Time(micros) => {
            // As rules spell it, so that a time is not taken for one that a rule has changed.
            Json::String(time_of_micros(micros).ok_or_else(beyond)?)
        }
        Value::Timestamp { micros, .. } => Json::String(instant_of_micros(micros).ok_or_else(beyond)?),
        Value::Binary(bytes) => Json::String(bytes::text(&bytes)),
        Value::TextList(_) => return other(array, row),
    })
}

/// A decimal as a JSON number; rules compute with doubles.
fn number(array: &ArrayRef, row: usize) -> Result<Json> {
    let text = shown(array, row)?;
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(Json::from(whole));
    }
    text.parse::<f64>().map(Json::from).map_err(Error::internal)
}

/// Lists member by member; what has no form of its own as text.
fn other(array: &ArrayRef, row: usize) -> Result<Json> {
    let list = array.as_any().downcast_ref::<arrow::array::ListArray>();
    match list {
        Some(list) => {
            let members = list.value(row);
            (0..members.len()).map(|at| json(&members, at)).collect::<Result<_>>().map(Json::Array)
        }
        None => shown(array, row).map(Json::String),
    }
}

pub(super) fn shown(array: &ArrayRef, row: usize) -> Result<String> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options).map_err(Error::internal)?;
    formatter.value(row).try_to_string().map_err(Error::internal)
}

fn date(days: i32) -> Result<NaiveDate> {
    let epoch = NaiveDate::default();
    let moved = Days::new(u64::from(days.unsigned_abs()));
    let date = if days < 0 { epoch.checked_sub_days(moved) } else { epoch.checked_add_days(moved) };
    date.ok_or_else(beyond)
}

fn beyond() -> Error {
    Error::new(ErrorCode::DatetimeOverflow, "date out of range")
}

/// A value that a rule made, in the type of its column.
///
/// # Errors
/// 22000: the column does not hold it.
pub(crate) fn scalar(value: &Json, wanted: &DataType) -> Result<ScalarValue> {
    let made = match value {
        // Text is a form of bytes, not bytes itself.
        Json::String(text) if *wanted == DataType::Binary => {
            let bytes = bytes::read(text).map_err(|_| refused(&"a text that stands for no bytes"))?;
            return Ok(ScalarValue::Binary(Some(bytes)));
        }
        _ if *wanted == DataType::Binary && !value.is_null() => return Err(refused(&"no text, where bytes belong")),
        Json::Null => return ScalarValue::try_from(wanted).map_err(Error::internal),
        // By its digits, as SQL reads a number that is written so: the double next to 1.005 rounds to 1.00.
        Json::Number(number) if matches!(wanted, DataType::Decimal128(..)) => {
            return decimal(&number.to_string(), wanted);
        }
        Json::String(text) if matches!(wanted, DataType::Decimal128(..)) => return decimal(text, wanted),
        Json::String(text) if *wanted == DataType::Float64 && double(text).is_some() => {
            ScalarValue::Float64(double(text))
        }
        Json::Bool(flag) => ScalarValue::Boolean(Some(*flag)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => ScalarValue::Int64(Some(whole)),
            (None, double) => ScalarValue::Float64(double),
        },
        Json::String(text) => ScalarValue::Utf8(Some(text.clone())),
        Json::Array(items) if matches!(wanted, DataType::List(_)) => return list(items, wanted),
        // A structure is kept as its text.
        Json::Array(_) | Json::Object(_) if *wanted == DataType::Utf8 => ScalarValue::Utf8(Some(value.to_string())),
        Json::Array(_) | Json::Object(_) => return Err(refused(&"a list or an object")),
    };
    if wanted.is_integer() && is_no_whole_number(&made) {
        return Err(refused(&"no whole number"));
    }
    let array = made.to_array().map_err(Error::internal)?;
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    let cast = cast_with_options(&array, wanted, &options).map_err(|error| refused(&error))?;
    ScalarValue::try_from_array(&cast, 0).map_err(Error::internal)
}

/// A number with the digits of its column, rounded as PostgreSQL rounds what is assigned.
fn decimal(text: &str, wanted: &DataType) -> Result<ScalarValue> {
    let DataType::Decimal128(precision, scale) = *wanted else { return Err(refused(&"a decimal")) };
    let number: Numeric = text.parse().map_err(|_| refused(&"a text that is no number"))?;
    let fitting = number.in_type(precision.into(), scale.into()).map_err(|error| refused(&error))?;
    let Numeric::Finite(_) = fitting else { return Err(refused(&"no finite number")) };
    let (digits, places) = fitting.to_digits().ok_or_else(|| refused(&"a number of too many digits"))?;
    let zeros = i32::from(scale) - i32::from(places);
    let moved = u32::try_from(zeros).ok().and_then(|zeros| digits.checked_mul(10_i128.checked_pow(zeros)?));
    let digits = moved.ok_or_else(|| Error::internal("a number kept more places than its column has"))?;
    Ok(ScalarValue::Decimal128(Some(digits), precision, scale))
}

/// A cast would make a whole number of it.
fn is_no_whole_number(made: &ScalarValue) -> bool {
    match made {
        ScalarValue::Boolean(_) => true,
        ScalarValue::Float64(Some(double)) => double.fract() != 0.0,
        _ => false,
    }
}

/// A list of texts.
fn list(items: &[Json], wanted: &DataType) -> Result<ScalarValue> {
    let DataType::List(item) = wanted else { return Err(refused(&"a list")) };
    if *item.data_type() != DataType::Utf8 || !item.is_nullable() {
        return Err(refused(&"a list of texts"));
    }
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item));
    for item in items {
        match item {
            Json::String(text) => builder.values().append_value(text),
            Json::Null => builder.values().append_null(),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                return Err(refused(&"a list of other values than texts"));
            }
        }
    }
    builder.append(true);
    ScalarValue::try_from_array(&builder.finish(), 0).map_err(Error::internal)
}

fn refused(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::DataException, "a value that the table's rules make does not fit its column")
        .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, Date32Array, Decimal128Array, Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray,
    };

    #[test]
    fn values_are_what_rules_expect() {
        let decimal = Decimal128Array::from(vec![150, -25]).with_precision_and_scale(10, 2).unwrap();
        let instant = TimestampMicrosecondArray::from(vec![1_500_000, 0]).with_timezone("UTC");
        let cases: Vec<(ArrayRef, Json)> = vec![
            (Arc::new(Int64Array::from(vec![Some(7), None])), Json::from(7)),
            (Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), Json::from("\\x00ff")),
            (Arc::new(BinaryArray::from(vec![&b"A\xc3\xa9"[..]])), Json::from("\\x41c3a9")),
            (Arc::new(decimal), Json::from(1.5)),
            (Arc::new(Date32Array::from(vec![-1, 0])), Json::from("1969-12-31")),
            (Arc::new(instant), Json::from("1970-01-01T00:00:01.500Z")),
        ];
        for (array, expected) in cases {
            assert_eq!(json(&array, 0).unwrap(), expected);
            let back = scalar(&expected, array.data_type()).unwrap();
            assert_eq!(back, ScalarValue::try_from_array(&array, 0).unwrap(), "{expected}");
        }
    }

    #[test]
    fn decimals_are_read_by_their_digits() {
        let of = |value: Json, precision, scale| match scalar(&value, &DataType::Decimal128(precision, scale)) {
            Ok(ScalarValue::Decimal128(digits, ..)) => digits,
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        };
        let cases = [
            (Json::from(1.005), 10, 2, Some(101)),
            (Json::from(-2.675), 10, 2, Some(-268)),
            (Json::from(0.1), 20, 18, Some(100_000_000_000_000_000)),
            (Json::from(1e-7), 10, 8, Some(10)),
            (Json::from(1e20), 38, 2, Some(10_i128.pow(22))),
            (Json::from(u64::MAX), 20, 0, Some(i128::from(u64::MAX))),
            (Json::from(7), 10, 3, Some(7_000)),
            (Json::from(-0.0), 10, 2, Some(0)),
            (Json::from("12345678901234567890.12345678"), 38, 8, Some(1_234_567_890_123_456_789_012_345_678)),
            (Json::from("1.5e3"), 10, 1, Some(15_000)),
            (Json::from(1e9), 10, 2, None),
            (Json::from(1e300), 38, 0, None),
            (Json::from("NaN"), 10, 2, None),
            (Json::from("x"), 10, 2, None),
        ];
        for (value, precision, scale, digits) in cases {
            assert_eq!(of(value.clone(), precision, scale), digits, "{value} in numeric({precision},{scale})");
        }
    }

    /// Another spelling would be taken for a value that a rule made.
    #[test]
    fn times_are_spelled_as_rules_spell_them() {
        let times: ArrayRef =
            Arc::new(Time64MicrosecondArray::from(vec![45_000_000_123, 45_000_250_000, 45_000_000_000]));
        let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, -1, 250_000]));
        for (array, texts) in [
            (times, ["12:30:00.000123", "12:30:00.250", "12:30:00"]),
            (instants, ["1970-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.250Z"]),
        ] {
            for (row, text) in texts.into_iter().enumerate() {
                let shown = json(&array, row).unwrap();
                assert_eq!(shown, text);
                let stored = ScalarValue::try_from_array(&array, row).unwrap();
                assert_eq!(scalar(&shown, array.data_type()).unwrap(), stored, "{text}");
            }
        }
    }

    #[test]
    fn what_a_column_does_not_hold_is_refused() {
        for wrong in [Json::from("x"), Json::from("5.5"), Json::from(5.5), Json::from(true), Json::from(1e19)] {
            assert!(scalar(&wrong, &DataType::Int64).is_err(), "{wrong}");
        }
        assert_eq!(scalar(&Json::from(5.0), &DataType::Int64).unwrap(), ScalarValue::Int64(Some(5)));
        assert!(scalar(&Json::from("soon"), &DataType::Date32).is_err());
        let texts = DataType::new_list(DataType::Utf8, true);
        assert!(scalar(&serde_json::json!([1]), &texts).is_err());
        let made = scalar(&serde_json::json!(["a", null]), &texts).unwrap();
        assert_eq!(json(&made.to_array().unwrap(), 0).unwrap(), serde_json::json!(["a", null]));
        assert_eq!(scalar(&serde_json::json!({"a": 1}), &DataType::Utf8).unwrap(), ScalarValue::from("{\"a\":1}"));
        assert!(scalar(&serde_json::json!([1]), &DataType::Int64).is_err());
        assert!(scalar(&Json::Null, &DataType::Date32).unwrap().is_null());
    }
}
