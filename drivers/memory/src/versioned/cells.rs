//! Values of rows as columns of a batch, and as keys that equal each other exactly where the values do.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, ListBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::Violation;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The values of one row, in the order of its table's columns.
pub(super) type Cells = Arc<[Value]>;

/// Bytes of a row beside its values: its place in maps.
const ROW_BYTES: usize = 128;

/// Bytes that equal those of another value of the same type exactly where the values are equal. `None`: it has no value.
pub(super) fn key<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for value in values {
        match value {
            Value::Null(_) => return None,
            Value::Boolean(value) => key.push(u8::from(*value)),
            Value::Int16(value) => key.extend(value.to_be_bytes()),
            Value::Int32(value) => key.extend(value.to_be_bytes()),
            Value::Int64(value) => key.extend(value.to_be_bytes()),
            // Zero has two signs, and no number many forms.
            Value::Float32(value) if value.is_nan() => key.extend(f32::NAN.to_be_bytes()),
            Value::Float32(value) => key.extend((value + 0.0).to_be_bytes()),
            Value::Float64(value) if value.is_nan() => key.extend(f64::NAN.to_be_bytes()),
            Value::Float64(value) => key.extend((value + 0.0).to_be_bytes()),
            Value::Decimal128 { value, .. } => key.extend(value.to_be_bytes()),
            Value::Text(value) => framed(&mut key, value.as_bytes()),
            Value::Binary(value) => framed(&mut key, value),
            Value::Date(value) => key.extend(value.to_be_bytes()),
            Value::Time(value) => key.extend(value.to_be_bytes()),
            Value::Timestamp { micros, .. } => key.extend(micros.to_be_bytes()),
            Value::TextList(items) => {
                framed(&mut key, &items.len().to_be_bytes());
                for item in items.iter() {
                    key.push(u8::from(item.is_some()));
                    framed(&mut key, item.as_deref().unwrap_or_default().as_bytes());
                }
            }
        }
    }
    Some(key)
}

/// With its length, so that two values that follow each other are not taken for others.
fn framed(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend(bytes.len().to_be_bytes());
    key.extend(bytes);
}

/// The value as a column of this type stores it.
///
/// # Errors
/// 22000: it is none of the type.
pub(super) fn stored(value: Value, column: ValueType) -> Result<Value> {
    match value {
        Value::Null(_) => Ok(Value::Null(column)),
        Value::Float32(number) if number.is_nan() => Ok(Value::Float32(f32::NAN)),
        Value::Float64(number) if number.is_nan() => Ok(Value::Float64(f64::NAN)),
        Value::Decimal128 { value, .. } => match column {
            ValueType::Decimal128 { precision, scale }
                if value.unsigned_abs().checked_ilog10().is_none_or(|log| log < u32::from(precision)) =>
            {
                Ok(Value::Decimal128 { value, precision, scale })
            }
            _ => Err(Violation::Value.error()),
        },
        value if value.value_type() == column => Ok(value),
        _ => Err(Violation::Value.error()),
    }
}

/// About what a row takes.
pub(super) fn bytes(cells: &Cells) -> usize {
    let own = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::TextList(items) => items.iter().flatten().map(|item| item.len() + size_of::<Value>()).sum(),
        _ => 0,
    };
    cells.iter().map(|value| size_of::<Value>() + own(value)).sum::<usize>() + ROW_BYTES
}

/// Some columns of rows as a batch.
///
/// # Errors
/// Internal only: a column of another type than it should be.
pub(super) fn batch(rows: &[Cells], give: &[usize], types: &[ValueType], schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |(place, value_type): (&usize, &ValueType)| {
        let values: Option<Vec<&Value>> = rows.iter().map(|row| row.get(*place)).collect();
        column(*value_type, &values.ok_or_else(|| Error::internal("a row without one of its columns"))?)
    };
    let columns = give.iter().zip(types).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::internal)
}

fn column(value_type: ValueType, values: &[&Value]) -> Result<ArrayRef> {
    macro_rules! array {
        ($array:ty, $pattern:pat => $value:expr) => {
            each(values, |value| if let $pattern = value { Some($value) } else { None })?
                .into_iter()
                .collect::<$array>()
        };
    }
    Ok(match value_type {
        ValueType::Boolean => Arc::new(array!(BooleanArray, Value::Boolean(value) => *value)),
        ValueType::Int16 => Arc::new(array!(Int16Array, Value::Int16(value) => *value)),
        ValueType::Int32 => Arc::new(array!(Int32Array, Value::Int32(value) => *value)),
        ValueType::Int64 => Arc::new(array!(Int64Array, Value::Int64(value) => *value)),
        ValueType::Float32 => Arc::new(array!(Float32Array, Value::Float32(value) => *value)),
        ValueType::Float64 => Arc::new(array!(Float64Array, Value::Float64(value) => *value)),
        ValueType::Decimal128 { precision, scale } => {
            let array = array!(Decimal128Array, Value::Decimal128 { value, .. } => *value);
            Arc::new(array.with_precision_and_scale(precision, scale).map_err(Error::internal)?)
        }
        ValueType::Text => Arc::new(array!(StringArray, Value::Text(value) => value.as_ref())),
        ValueType::Binary => Arc::new(array!(BinaryArray, Value::Binary(value) => value.as_ref())),
        ValueType::Date => Arc::new(array!(Date32Array, Value::Date(value) => *value)),
        ValueType::Time => Arc::new(array!(Time64MicrosecondArray, Value::Time(value) => *value)),
        ValueType::Timestamp { utc } => {
            let array = array!(TimestampMicrosecondArray, Value::Timestamp { micros, .. } => *micros);
            Arc::new(if utc { array.with_timezone("UTC") } else { array })
        }
        ValueType::TextList => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for list in each(values, |value| if let Value::TextList(items) = value { Some(items) } else { None })? {
                list.into_iter()
                    .flat_map(|items| items.iter())
                    .for_each(|item| lists.values().append_option(item.as_deref()));
                lists.append(list.is_some());
            }
            Arc::new(lists.finish())
        }
        ValueType::List(_) => return Err(Error::internal("a column of lists that memory does not hold")),
    })
}

fn each<'a, T>(values: &[&'a Value], of: impl Fn(&'a Value) -> Option<T>) -> Result<Vec<Option<T>>> {
    let one = |value: &&'a Value| match of(value) {
        None if !value.is_null() => Err(Error::internal("a value of another type than its column's")),
        found => Ok(found),
    };
    values.iter().map(one).collect()
}
