//! A decoded value and the Arrow array made of it. Knows no wire format.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, LargeBinaryArray, ListArray,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// A decimal with its own scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) value: i128,
    pub(crate) scale: u8,
}

/// Most digits of a numeric parameter.
pub(super) const DIGITS_MAX: u32 = 38;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// Integers and object numbers, within the range of their type.
    Int(i64),
    Float(f64),
    Decimal(Decimal),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds: of a day, or since 1970.
    Micros(i64),
    Interval(IntervalMonthDayNano),
    /// Elements of an array.
    List(Vec<Option<Value>>),
}

/// A list item of the kind that a type's array needs. `None` for NULL or for a value of another kind, which the decoder
/// of that type never makes.
macro_rules! items {
    ($values:expr, $kind:ident) => {
        $values
            .into_iter()
            .map(|value| match value {
                Some(Value::$kind(value)) => Ok(Some(value)),
                None => Ok(None),
                Some(_) => Err(Error::internal("a parameter was decoded as another kind than its type's")),
            })
            .collect::<Result<Vec<_>>>()?
    };
}

pub(super) fn array_of_one(pg_type: PgType, value: Value, data_type: &DataType) -> Result<ArrayRef> {
    array(pg_type, vec![Some(value)], data_type)
}

pub(super) fn array(pg_type: PgType, values: Vec<Option<Value>>, data_type: &DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from(items!(values, Bool))),
        DataType::Int16 => Arc::new(Int16Array::from(narrow(items!(values, Int))?)),
        DataType::Int32 => Arc::new(Int32Array::from(narrow(items!(values, Int))?)),
        DataType::Int64 => Arc::new(Int64Array::from(items!(values, Int))),
        DataType::UInt32 => Arc::new(UInt32Array::from(narrow(items!(values, Int))?)),
        DataType::Float32 => {
            let singles = items!(values, Float).into_iter().map(|value| value.map(|value| value as f32));
            Arc::new(singles.collect::<Float32Array>())
        }
        DataType::Float64 => Arc::new(Float64Array::from(items!(values, Float))),
        DataType::Decimal128(..) => Arc::new(decimals(items!(values, Decimal))?),
        DataType::LargeBinary if pg_type == PgType::Numeric => Arc::new(numeric_cells(items!(values, Decimal))?),
        DataType::Utf8 => Arc::new(StringArray::from(items!(values, Text))),
        DataType::Binary => Arc::new(items!(values, Bytes).into_iter().collect::<BinaryArray>()),
        DataType::FixedSizeBinary(length) => {
            let keys = items!(values, Bytes).into_iter();
            let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, *length);
            Arc::new(keys.map_err(Error::internal)?)
        }
        DataType::Date32 => Arc::new(Date32Array::from(items!(values, Date))),
        DataType::Time64(_) => Arc::new(Time64MicrosecondArray::from(items!(values, Micros))),
        DataType::Timestamp(_, zone) => {
            Arc::new(TimestampMicrosecondArray::from(items!(values, Micros)).with_timezone_opt(zone.clone()))
        }
        DataType::Interval(_) => Arc::new(IntervalMonthDayNanoArray::from(items!(values, Interval))),
        DataType::List(item) => {
            let element = pg_type.element().ok_or_else(|| Error::internal("a list type without an element"))?;
            let lists = items!(values, List);
            let lengths = OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
            let nulls = lists.iter().any(Option::is_none);
            let nulls = nulls.then(|| lists.iter().map(Option::is_some).collect::<NullBuffer>());
            let members = array(element, lists.into_iter().flatten().flatten().collect(), item.data_type())?;
            // Decimals choose their scale by their values.
            let field = Field::new(item.name(), members.data_type().clone(), true);
            let list = ListArray::try_new(Arc::new(field), lengths, members, nulls);
            Arc::new(list.map_err(Error::internal)?)
        }
        other => return Err(Error::internal(format!("no parameter has the Arrow type {other}"))),
    })
}

fn narrow<T: TryFrom<i64>>(values: Vec<Option<i64>>) -> Result<Vec<Option<T>>> {
    let narrowed = values.into_iter().map(|value| value.map(T::try_from).transpose());
    narrowed
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::internal("an integer was not checked for its width"))
}

/// Decimals of one array share the largest scale among them.
fn decimals(values: Vec<Option<Decimal>>) -> Result<Decimal128Array> {
    let scale = values.iter().flatten().map(|decimal| decimal.scale).max().unwrap_or_default();
    let scaled = values.into_iter().map(|decimal| decimal.map(|decimal| rescale(decimal, scale)).transpose());
    let scale = i8::try_from(scale).map_err(|_| too_many_digits())?;
    scaled.collect::<Result<Decimal128Array>>()?.with_precision_and_scale(38, scale).map_err(|_| too_many_digits())
}

/// Numerics of any width, each with its own places.
fn numeric_cells(values: Vec<Option<Decimal>>) -> Result<LargeBinaryArray> {
    let cell = |decimal: Decimal| {
        let scale = i8::try_from(decimal.scale).map_err(|_| too_many_digits())?;
        Ok(Numeric::from_digits(decimal.value, scale).to_cell())
    };
    values.into_iter().map(|value| value.map(cell).transpose()).collect()
}

fn rescale(decimal: Decimal, scale: u8) -> Result<i128> {
    let places = scale.checked_sub(decimal.scale).map(u32::from);
    let factor = places.and_then(|places| 10_i128.checked_pow(places)).ok_or_else(too_many_digits)?;
    let value = decimal.value.checked_mul(factor).ok_or_else(too_many_digits)?;
    if value.unsigned_abs() < 10_u128.pow(DIGITS_MAX) { Ok(value) } else { Err(too_many_digits()) }
}

pub(super) fn too_many_digits() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("numeric parameters have at most {DIGITS_MAX} digits"))
}
