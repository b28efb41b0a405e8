//! Key columns as 64-bit integers, and back.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type,
};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use std::sync::Arc;

/// Whether each value of a type is a 64-bit integer.
pub(super) fn is_key_type(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(_, _)
    )
}

/// The values of a column of such a type.
///
/// # Errors
/// Internal: the column is of another one.
pub(super) fn to_keys(column: &ArrayRef) -> Result<Int64Array> {
    fn wider<T: ArrowPrimitiveType<Native: Into<i64>>>(column: &ArrayRef) -> Int64Array {
        column.as_primitive::<T>().unary(Into::into)
    }
    fn same<T: ArrowPrimitiveType<Native = i64>>(column: &ArrayRef) -> Int64Array {
        column.as_primitive::<T>().reinterpret_cast()
    }
    Ok(match column.data_type() {
        DataType::Int8 => wider::<Int8Type>(column),
        DataType::Int16 => wider::<Int16Type>(column),
        DataType::Int32 => wider::<Int32Type>(column),
        DataType::UInt8 => wider::<UInt8Type>(column),
        DataType::UInt16 => wider::<UInt16Type>(column),
        DataType::UInt32 => wider::<UInt32Type>(column),
        DataType::Date32 => wider::<Date32Type>(column),
        DataType::Int64 => column.as_primitive::<Int64Type>().clone(),
        DataType::Date64 => same::<Date64Type>(column),
        DataType::Timestamp(TimeUnit::Second, _) => same::<TimestampSecondType>(column),
        DataType::Timestamp(TimeUnit::Millisecond, _) => same::<TimestampMillisecondType>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => same::<TimestampMicrosecondType>(column),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => same::<TimestampNanosecondType>(column),
        other => return internal_err!("groups by keys of type {other}"),
    })
}

/// A column of such a type from its values.
///
/// # Errors
/// Internal: the type is another one, or does not hold a value.
pub(super) fn from_keys(keys: Vec<i64>, nulls: Option<NullBuffer>, data_type: &DataType) -> Result<ArrayRef> {
    fn narrower<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(
        keys: Vec<i64>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        let narrow = |key| T::Native::try_from(key).map_err(|_| internal_datafusion_err!("a key left its type"));
        let keys = keys.into_iter().map(narrow).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(PrimitiveArray::<T>::try_new(keys.into(), nulls)?))
    }
    fn same<T: ArrowPrimitiveType<Native = i64>>(
        keys: Vec<i64>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        Ok(Arc::new(PrimitiveArray::<T>::try_new(keys.into(), nulls)?.with_data_type(data_type.clone())))
    }
    match data_type {
        DataType::Int8 => narrower::<Int8Type>(keys, nulls),
        DataType::Int16 => narrower::<Int16Type>(keys, nulls),
        DataType::Int32 => narrower::<Int32Type>(keys, nulls),
        DataType::UInt8 => narrower::<UInt8Type>(keys, nulls),
        DataType::UInt16 => narrower::<UInt16Type>(keys, nulls),
        DataType::UInt32 => narrower::<UInt32Type>(keys, nulls),
        DataType::Date32 => narrower::<Date32Type>(keys, nulls),
        DataType::Int64 => same::<Int64Type>(keys, nulls, data_type),
        DataType::Date64 => same::<Date64Type>(keys, nulls, data_type),
        DataType::Timestamp(TimeUnit::Second, _) => same::<TimestampSecondType>(keys, nulls, data_type),
        DataType::Timestamp(TimeUnit::Millisecond, _) => same::<TimestampMillisecondType>(keys, nulls, data_type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => same::<TimestampMicrosecondType>(keys, nulls, data_type),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => same::<TimestampNanosecondType>(keys, nulls, data_type),
        other => internal_err!("groups by keys of type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_all_key_types_come_back_as_they_were() {
        let zone = Some("UTC".into());
        let types = [
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::Date32,
            DataType::Date64,
            DataType::Timestamp(TimeUnit::Second, None),
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, zone),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ];
        for data_type in types {
            assert!(is_key_type(&data_type));
            let nulls = Some(NullBuffer::from(vec![true, false, true]));
            let column = from_keys(vec![7, 0, 120], nulls, &data_type).unwrap();
            assert_eq!(column.data_type(), &data_type);
            let keys = to_keys(&column).unwrap();
            assert_eq!(keys.iter().collect::<Vec<_>>(), [Some(7), None, Some(120)], "{data_type}");
        }
    }

    #[test]
    fn other_types_are_refused() {
        for data_type in [DataType::UInt64, DataType::Utf8, DataType::Float64, DataType::Decimal128(10, 0)] {
            assert!(!is_key_type(&data_type));
            assert!(from_keys(Vec::new(), None, &data_type).is_err());
            assert!(to_keys(&arrow::array::new_empty_array(&data_type)).is_err());
        }
        assert!(from_keys(vec![300], None, &DataType::UInt8).is_err());
    }
}
