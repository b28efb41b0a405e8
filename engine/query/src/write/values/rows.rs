//! Rows of a change between the source's values and the JSON that rules look at. A value that a rule leaves as it is never takes
//! this way: it is stored as it was given.

use arrow::array::{Array, ArrayRef, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use datafusion::common::ScalarValue;
use querygate_catalog::write::TargetField;
use querygate_driver_api::value::Value;
use querygate_types::{Error, ErrorCode, Result};
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
    if matches!(array.data_type(), DataType::List(_) | DataType::Binary) {
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
            let time = DateTime::from_timestamp_micros(micros).ok_or_else(beyond)?;
            // As rules spell it, so that a time of microseconds is not taken for one that a rule has changed.
            let spelling = if time.timestamp_subsec_millis() == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
            Json::String(time.format(spelling).to_string())
        }
        Value::Timestamp { micros, .. } => {
            let instant = DateTime::from_timestamp_micros(micros).ok_or_else(beyond)?;
            Json::String(instant.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
        Value::Binary(_) | Value::TextList(_) => return other(array, row),
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

fn shown(array: &ArrayRef, row: usize) -> Result<String> {
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
        Json::Null => return ScalarValue::try_from(wanted).map_err(Error::internal),
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
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray};

    #[test]
    fn values_are_what_rules_expect() {
        let decimal = Decimal128Array::from(vec![150, -25]).with_precision_and_scale(10, 2).unwrap();
        let instant = TimestampMicrosecondArray::from(vec![1_500_000, 0]).with_timezone("UTC");
        let cases: Vec<(ArrayRef, Json)> = vec![
            (Arc::new(Int64Array::from(vec![Some(7), None])), Json::from(7)),
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

    /// Another spelling would be taken for a value that a rule made, which has milliseconds only.
    #[test]
    fn times_are_spelled_as_rules_spell_them() {
        let times: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![45_000_000_123, 45_000_250_123]));
        assert_eq!([json(&times, 0).unwrap(), json(&times, 1).unwrap()], ["12:30:00", "12:30:00.250"]);
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
