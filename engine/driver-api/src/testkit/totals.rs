//! Sums and averages of the written semantics. Knows no rows.

use crate::testkit::functions;
use crate::testkit::reference::Fault;
use crate::value::{Value, ValueType};

/// A sum without nulls.
pub(super) fn sum(values: &[Value], to: ValueType) -> Result<Value, Fault> {
    match to {
        ValueType::Int64 => {
            let add = |sum: i64, value: &Value| sum.checked_add(functions::as_integer(value).ok()?);
            Ok(Value::Int64(values.iter().try_fold(0, add).ok_or("22003")?))
        }
        ValueType::Float64 => Ok(Value::Float64(values.iter().map(functions::as_double).sum::<Result<f64, Fault>>()?)),
        ValueType::Decimal128 { precision, scale } => {
            let add = |sum: i128, value: &Value| match value {
                Value::Decimal128 { value, .. } => sum.checked_add(*value),
                _ => None,
            };
            Ok(Value::Decimal128 { value: values.iter().try_fold(0, add).ok_or("22003")?, precision, scale })
        }
        other => Err(format!("sum to {} is not interpreted", other.name())),
    }
}

/// An average of decimals.
pub(super) fn mean(values: &[Value], count: i128, to: ValueType) -> Result<Value, Fault> {
    match (sum(values, to)?, values, to) {
        (
            Value::Decimal128 { value, .. },
            [Value::Decimal128 { scale: of, .. }, ..],
            ValueType::Decimal128 { precision, scale },
        ) => {
            let more = 10_i128.pow(u32::try_from(scale - of).map_err(|_| "an average of another scale")?);
            Ok(Value::Decimal128 { value: value.checked_mul(more).ok_or("22003")? / count, precision, scale })
        }
        _ => Err("an average of something else".to_owned()),
    }
}
