//! Values to and from Arrow arrays. Refuses every conversion that would lose something.

use crate::value::{Value, ValueType};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

impl Value {
    /// The value as an array of one element, in [`ValueType::to_arrow`]'s type.
    ///
    /// # Errors
    /// A decimal outside its precision (22003).
    pub fn to_array(&self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Null(value_type) => new_null_array(&value_type.to_arrow(), 1),
            Self::Boolean(v) => Arc::new(BooleanArray::from(vec![*v])),
            Self::Int16(v) => Arc::new(Int16Array::from(vec![*v])),
            Self::Int32(v) => Arc::new(Int32Array::from(vec![*v])),
            Self::Int64(v) => Arc::new(Int64Array::from(vec![*v])),
            Self::Float32(v) => Arc::new(Float32Array::from(vec![*v])),
            Self::Float64(v) => Arc::new(Float64Array::from(vec![*v])),
            Self::Decimal128 { value, precision, scale } => {
                let array = Decimal128Array::from(vec![*value])
                    .with_precision_and_scale(*precision, *scale)
                    .map_err(|_| decimal_range())?;
                array.validate_decimal_precision(*precision).map_err(|_| decimal_range())?;
                Arc::new(array)
            }
            Self::Text(v) => Arc::new(StringArray::from(vec![v.as_ref()])),
            Self::Binary(v) => Arc::new(BinaryArray::from(vec![v.as_ref()])),
            Self::Date(v) => Arc::new(Date32Array::from(vec![*v])),
            Self::Time(v) => Arc::new(Time64MicrosecondArray::from(vec![*v])),
            Self::Timestamp { micros, utc } => {
                let array = TimestampMicrosecondArray::from(vec![*micros]);
                Arc::new(if *utc { array.with_timezone("UTC") } else { array })
            }
            Self::TextList(items) => {
                let mut list = ListBuilder::new(StringBuilder::new());
                for item in items.iter() {
                    list.values().append_option(item.as_deref());
                }
                list.append(true);
                Arc::new(list.finish())
            }
        })
    }

    /// Reads one element. Beside the canonical types it takes the other text and binary layouts and time stamps of
    /// other units whose value is whole microseconds.
    ///
    /// # Errors
    /// A type without a [`ValueType`] (0A000), or a time stamp that microseconds cannot hold (22008).
    pub fn from_array(array: &dyn Array, row: usize) -> Result<Self> {
        let data_type = array.data_type();
        if row >= array.len() {
            return Err(Error::internal("value row out of range"));
        }
        if let DataType::Timestamp(unit, zone) = data_type {
            return timestamp_at(array, row, *unit, zone.is_some());
        }
        let no_place = || Error::new(ErrorCode::FeatureNotSupported, "type has no place in a source statement");
        let Some(value_type) = ValueType::from_arrow(data_type) else {
            return Err(no_place().with_cause(data_type));
        };
        if array.is_null(row) {
            return Ok(Self::Null(value_type));
        }
        Ok(match value_type {
            ValueType::Boolean => Self::Boolean(array.as_boolean().value(row)),
            ValueType::Int16 => Self::Int16(array.as_primitive::<Int16Type>().value(row)),
            ValueType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().value(row)),
            ValueType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().value(row)),
            ValueType::Float32 => Self::Float32(array.as_primitive::<Float32Type>().value(row)),
            ValueType::Float64 => Self::Float64(array.as_primitive::<Float64Type>().value(row)),
            ValueType::Decimal128 { precision, scale } => {
                Self::Decimal128 { value: array.as_primitive::<Decimal128Type>().value(row), precision, scale }
            }
            ValueType::Text => Self::Text(text_at(array, row).into()),
            ValueType::Binary => Self::Binary(binary_at(array, row).into()),
            ValueType::Date => Self::Date(array.as_primitive::<Date32Type>().value(row)),
            ValueType::Time => Self::Time(array.as_primitive::<Time64MicrosecondType>().value(row)),
            ValueType::Timestamp { utc } => {
                Self::Timestamp { micros: array.as_primitive::<TimestampMicrosecondType>().value(row), utc }
            }
            ValueType::TextList => {
                let items = array.as_list::<i32>().value(row);
                let texts = items.as_string::<i32>();
                Self::TextList(texts.iter().map(|item| item.map(Arc::from)).collect())
            }
            ValueType::List(_) => return Err(no_place().with_cause(data_type)),
        })
    }
}

fn decimal_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "numeric field overflow")
}

fn text_at(array: &dyn Array, row: usize) -> &str {
    match array.data_type() {
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        DataType::Utf8View => array.as_string_view().value(row),
        _ => array.as_string::<i32>().value(row),
    }
}

fn binary_at(array: &dyn Array, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        _ => array.as_binary::<i32>().value(row),
    }
}

fn timestamp_at(array: &dyn Array, row: usize, unit: TimeUnit, utc: bool) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null(ValueType::Timestamp { utc }));
    }
    let micros = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000),
        TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(row);
            (nanos % 1_000 == 0).then_some(nanos / 1_000)
        }
    };
    let out_of_range = || Error::new(ErrorCode::DatetimeOverflow, "timestamp is not a whole number of microseconds");
    Ok(Value::Timestamp { micros: micros.ok_or_else(out_of_range)?, utc })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{LargeStringArray, TimestampNanosecondArray, UInt64Array};

    #[test]
    fn values_round_trip_through_arrays_of_their_type() {
        let decimal = Value::Decimal128 { value: 10_i128.pow(38) - 1, precision: 38, scale: 10 };
        let list = Value::TextList([Some("a".into()), None].into());
        let values = [
            Value::Boolean(true),
            Value::Int16(i16::MIN),
            Value::Int32(i32::MAX),
            Value::Int64(i64::MIN),
            Value::Float32(0.5),
            Value::Float64(-0.0),
            decimal,
            Value::text("é\u{301}😀"),
            Value::Binary([0, 255][..].into()),
            Value::Date(-719_162),
            Value::Time(86_399_999_999),
            Value::Timestamp { micros: -62_135_596_800_000_000, utc: false },
            Value::Timestamp { micros: 1, utc: true },
            list,
        ];
        for value in values {
            let array = value.to_array().unwrap();
            assert_eq!(array.data_type(), &value.value_type().to_arrow());
            assert_eq!(ValueType::from_arrow(array.data_type()), Some(value.value_type()));
            assert_eq!(Value::from_array(array.as_ref(), 0).unwrap(), value);
            let null = Value::Null(value.value_type());
            assert_eq!(Value::from_array(null.to_array().unwrap().as_ref(), 0).unwrap(), null);
        }
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        let nanos = |value| TimestampNanosecondArray::from(vec![value]);
        assert_eq!(Value::from_array(&nanos(2_000), 0).unwrap(), Value::Timestamp { micros: 2, utc: false });
        assert_eq!(Value::from_array(&nanos(2_001), 0).unwrap_err().code(), ErrorCode::DatetimeOverflow);
        let unsigned = UInt64Array::from(vec![1]);
        assert_eq!(Value::from_array(&unsigned, 0).unwrap_err().code(), ErrorCode::FeatureNotSupported);
        assert!(Value::from_array(&unsigned, 1).is_err());
        assert_eq!(Value::from_array(&LargeStringArray::from(vec!["a"]), 0).unwrap(), Value::text("a"));
        let wide = Value::Decimal128 { value: 1_000, precision: 3, scale: 0 };
        assert_eq!(wide.to_array().unwrap_err().code(), ErrorCode::NumericOutOfRange);
    }
}
