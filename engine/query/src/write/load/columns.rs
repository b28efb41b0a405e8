//! Whether all values of a column are stored as they are given.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use querygate_policy::rules::{GivenValue, ValueContract};

/// `false` also where it is not known.
pub(super) fn keeps(contract: &ValueContract<'_>, values: &ArrayRef) -> bool {
    if values.logical_null_count() > 0 && !contract.keeps_null() {
        return false;
    }
    let kept = |value| contract.keeps(value);
    match values.data_type() {
        DataType::Null => true,
        DataType::Boolean => {
            let flags = values.as_boolean_opt();
            flags.is_some_and(|flags| flags.iter().flatten().all(|flag| kept(GivenValue::Boolean(flag))))
        }
        DataType::Int16 => each::<Int16Type>(values, |value| kept(GivenValue::Whole(i64::from(value)))),
        DataType::Int32 => each::<Int32Type>(values, |value| kept(GivenValue::Whole(i64::from(value)))),
        DataType::Int64 => each::<Int64Type>(values, |value| kept(GivenValue::Whole(value))),
        DataType::Float32 => each::<Float32Type>(values, |value| kept(GivenValue::Double(f64::from(value)))),
        DataType::Float64 => each::<Float64Type>(values, |value| kept(GivenValue::Double(value))),
        DataType::Decimal128(_, scale) => {
            let Ok(scale) = u8::try_from(*scale) else { return false };
            each::<Decimal128Type>(values, |value| kept(GivenValue::Decimal { value, scale }))
        }
        DataType::Utf8 => {
            let texts = values.as_string_opt::<i32>();
            texts.is_some_and(|texts| texts.iter().flatten().all(|text| kept(GivenValue::Text(text))))
        }
        DataType::Date32 => each::<Date32Type>(values, |value| kept(GivenValue::Date(value))),
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(values, |value| kept(GivenValue::Time(value)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType>(values, |value| kept(GivenValue::Instant(value)))
        }
        _ => false,
    }
}

fn each<T: ArrowPrimitiveType>(values: &ArrayRef, is_kept: impl Fn(T::Native) -> bool) -> bool {
    values.as_primitive_opt::<T>().is_some_and(|values| values.iter().flatten().all(is_kept))
}
