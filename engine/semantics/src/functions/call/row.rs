//! One row's arguments and its result.

use crate::functions::patterns::compiled::Patterns;
use crate::numbers::wide;
use crate::times::datetime::interval::Interval;
use crate::times::zone::Zone;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, internal_err};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_query_api::values::network::network_at;
use querygate_query_api::values::timetz::TimeTz;
use querygate_resources::bytes::own_bytes;
use querygate_types::network::Inet;
use querygate_types::numeric::Numeric;
use std::sync::Arc;

/// The arguments of one row. Getters expect the parameter's type and a value that is not NULL.
pub(crate) struct Row<'a> {
    pub(in crate::functions) args: &'a [ArrayRef],
    pub(in crate::functions) fields: &'a [FieldRef],
    pub(in crate::functions) at: usize,
    pub(crate) zone: Zone,
    /// The result's type.
    pub(in crate::functions) returns: &'a FieldRef,
    /// Regular expressions and pictures of this call.
    pub(in crate::functions) patterns: &'a Patterns,
}

impl Row<'_> {
    pub(crate) fn len(&self) -> usize {
        self.args.len()
    }

    /// The row of an argument: a constant has one for all.
    fn place(&self, arg: usize) -> usize {
        if self.args[arg].len() == 1 { 0 } else { self.at }
    }

    pub(crate) fn is_null(&self, arg: usize) -> bool {
        self.args[arg].data_type() == &DataType::Null || self.args[arg].is_null(self.place(arg))
    }

    pub(crate) fn text(&self, arg: usize) -> &str {
        self.args[arg].as_string::<i32>().value(self.place(arg))
    }

    pub(crate) fn int(&self, arg: usize) -> i64 {
        match self.args[arg].data_type() {
            DataType::Int32 => i64::from(self.args[arg].as_primitive::<Int32Type>().value(self.place(arg))),
            _ => self.args[arg].as_primitive::<Int64Type>().value(self.place(arg)),
        }
    }

    pub(crate) fn double(&self, arg: usize) -> f64 {
        self.args[arg].as_primitive::<Float64Type>().value(self.place(arg))
    }

    /// Digits and scale.
    pub(crate) fn decimal(&self, arg: usize) -> (i128, i8) {
        let scale = match self.args[arg].data_type() {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        };
        (self.args[arg].as_primitive::<Decimal128Type>().value(self.place(arg)), scale)
    }

    pub(crate) fn real(&self, arg: usize) -> f32 {
        self.args[arg].as_primitive::<Float32Type>().value(self.place(arg))
    }

    /// A number of any exact type, or a literal that is read as one.
    pub(crate) fn wide(&self, arg: usize) -> Result<Numeric> {
        wide::at(&self.args[arg], self.place(arg))
    }

    pub(crate) fn bool(&self, arg: usize) -> bool {
        self.args[arg].as_boolean().value(self.place(arg))
    }

    pub(crate) fn bytes(&self, arg: usize) -> &[u8] {
        self.args[arg].as_binary::<i32>().value(self.place(arg))
    }

    pub(crate) fn date(&self, arg: usize) -> i32 {
        self.args[arg].as_primitive::<Date32Type>().value(self.place(arg))
    }

    /// Of a time stamp, with or without a zone, or of a time of day.
    pub(crate) fn micros(&self, arg: usize) -> i64 {
        match self.args[arg].data_type() {
            DataType::Time64(_) => self.args[arg].as_primitive::<Time64MicrosecondType>().value(self.place(arg)),
            _ => self.args[arg].as_primitive::<TimestampMicrosecondType>().value(self.place(arg)),
        }
    }

    pub(crate) fn interval(&self, arg: usize) -> Interval {
        let value = self.args[arg].as_primitive::<IntervalMonthDayNanoType>().value(self.place(arg));
        of_arrow(value)
    }

    /// A time of day with its zone.
    pub(crate) fn timetz(&self, arg: usize) -> Result<TimeTz> {
        let keys = self.args[arg].as_fixed_size_binary();
        match TimeTz::of_key(keys.value(self.place(arg))) {
            Some(time) => Ok(time),
            None => internal_err!("a key of a time is not its length"),
        }
    }

    /// An address and the length of its prefix.
    pub(crate) fn inet(&self, arg: usize) -> Result<Inet> {
        network_at(self.args[arg].as_fixed_size_binary(), self.place(arg)).map_err(crate::fault::external)
    }

    /// The elements of an array.
    pub(crate) fn list(&self, arg: usize) -> ArrayRef {
        self.args[arg].as_list::<i32>().value(self.place(arg))
    }

    pub(crate) fn texts(&self, arg: usize) -> Vec<Option<String>> {
        let items = self.list(arg);
        items.as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect()
    }

    pub(crate) fn array(&self, arg: usize) -> (&ArrayRef, usize) {
        (&self.args[arg], self.place(arg))
    }

    pub(crate) fn field(&self, arg: usize) -> &FieldRef {
        &self.fields[arg]
    }

    /// The Postgres type that an argument's field names.
    pub(crate) fn pg_type(&self, arg: usize) -> Option<&str> {
        self.fields[arg].metadata().get(PG_TYPE_KEY).map(String::as_str)
    }

    /// Digits after the point of the result.
    pub(crate) fn scale(&self) -> i8 {
        match self.returns.data_type() {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        }
    }
}

pub(crate) const fn of_arrow(value: IntervalMonthDayNano) -> Interval {
    Interval { months: value.months as i64, days: value.days as i64, micros: value.nanoseconds / 1_000 }
}

/// An interval in Arrow's type; `None` when it does not fit.
pub(crate) fn to_arrow(value: Interval) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano {
        months: i32::try_from(value.months).ok()?,
        days: i32::try_from(value.days).ok()?,
        nanoseconds: value.micros.checked_mul(1_000)?,
    })
}

/// Digits, where there are no more than a numeric has.
pub(super) fn within(digits: i128) -> Result<i128> {
    const END: u128 = 10_u128.pow(38);
    if digits.unsigned_abs() < END { Ok(digits) } else { Err(crate::fault::Fault::OutOfRange("numeric").error()) }
}

/// A row's result.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Text(String),
    Int(i64),
    Double(f64),
    Digits(i128),
    Wide(Numeric),
    Bool(bool),
    Date(i32),
    Micros(i64),
    Interval(Interval),
    Timetz(TimeTz),
    Bytes(Vec<u8>),
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    Any(ScalarValue),
}

impl Value {
    /// Bytes that the value takes, about.
    pub(in crate::functions) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Wide(value) => value.size(),
            Self::Texts(texts) => texts.iter().map(|t| t.as_ref().map_or(8, |t| t.len() + 8)).sum(),
            Self::Ints(ints) => ints.len() * 8,
            // One row of an array that many share.
            Self::Any(ScalarValue::Struct(row)) => own_bytes(&(Arc::clone(row) as ArrayRef)),
            Self::Any(ScalarValue::List(list)) => own_bytes(&(Arc::clone(list) as ArrayRef)),
            Self::Any(scalar) => scalar.size(),
            _ => 16,
        }
    }

    /// In the result's type.
    pub(in crate::functions) fn scalar(self, data_type: &DataType) -> Result<ScalarValue> {
        Ok(match (self, data_type) {
            (Self::Null, _) => ScalarValue::try_from(data_type)?,
            (Self::Text(text), _) => ScalarValue::Utf8(Some(text)),
            (Self::Int(value), DataType::Int32) => match i32::try_from(value) {
                Ok(value) => ScalarValue::Int32(Some(value)),
                Err(_) => return Err(crate::fault::Fault::OutOfRange("integer").error()),
            },
            (Self::Int(value), DataType::Decimal128(p, s)) => ScalarValue::Decimal128(Some(i128::from(value)), *p, *s),
            (Self::Int(value), _) => ScalarValue::Int64(Some(value)),
            (Self::Double(value), _) => ScalarValue::Float64(Some(value)),
            (Self::Digits(value), DataType::Decimal128(p, s)) => ScalarValue::Decimal128(Some(within(value)?), *p, *s),
            (Self::Wide(value), _) => ScalarValue::LargeBinary(Some(value.to_cell())),
            (Self::Bool(value), _) => ScalarValue::Boolean(Some(value)),
            (Self::Date(value), _) => ScalarValue::Date32(Some(value)),
            (Self::Micros(value), DataType::Time64(_)) => ScalarValue::Time64Microsecond(Some(value)),
            (Self::Micros(value), DataType::Timestamp(_, zone)) => {
                ScalarValue::TimestampMicrosecond(Some(value), zone.clone())
            }
            (Self::Interval(value), _) => match to_arrow(value) {
                Some(value) => ScalarValue::IntervalMonthDayNano(Some(value)),
                None => return Err(crate::times::datetime::Wrong::Range.error("interval")),
            },
            (Self::Timetz(time), _) => ScalarValue::FixedSizeBinary(12, Some(time.key().to_vec())),
            (Self::Bytes(bytes), _) => ScalarValue::Binary(Some(bytes)),
            (Self::Texts(texts), _) => {
                let items: Vec<ScalarValue> = texts.into_iter().map(ScalarValue::Utf8).collect();
                ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Utf8))
            }
            (Self::Ints(ints), DataType::List(item)) => {
                let items = ints.into_iter().map(|i| i.map_or(Self::Null, Self::Int).scalar(item.data_type()));
                let items = items.collect::<Result<Vec<_>>>()?;
                ScalarValue::List(Arc::clone(&ScalarValue::new_list_nullable(&items, item.data_type())))
            }
            (Self::Any(scalar), _) => scalar,
            (value, other) => return internal_err!("{value:?} is no {other}"),
        })
    }
}
