//! What a call gives, row by row: in a builder of the result's type, and as single values only where that is none of ours.

use super::row::{Value, to_arrow};
use crate::fault::Fault;
use crate::times::datetime::Wrong;
use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, IntervalMonthDayNanoBuilder, LargeBinaryBuilder, ListBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use std::sync::Arc;

/// Bytes of a text that are made room for, before it is known how long they are.
const TEXT_BYTES: usize = 16;

enum Column {
    Text(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Digits(Decimal128Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Moment(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Bytes(BinaryBuilder),
    Wide(LargeBinaryBuilder),
    Texts(ListBuilder<StringBuilder>),
    Scalars(Vec<ScalarValue>),
}

/// The results of a call.
pub(super) struct Results {
    returns: DataType,
    column: Column,
}

impl Results {
    pub(super) fn new(returns: &DataType, rows: usize) -> Result<Self> {
        let column = match returns {
            DataType::Utf8 => Column::Text(StringBuilder::with_capacity(rows, rows * TEXT_BYTES)),
            DataType::Int32 => Column::Int(Int32Builder::with_capacity(rows)),
            DataType::Int64 => Column::Long(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Column::Double(Float64Builder::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::with_capacity(rows).with_precision_and_scale(*precision, *scale)?;
                Column::Digits(builder)
            }
            DataType::Boolean => Column::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::Date32 => Column::Date(Date32Builder::with_capacity(rows)),
            DataType::Time64(TimeUnit::Microsecond) => Column::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows);
                Column::Moment(builder.with_timezone_opt(zone.clone()))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Column::Interval(IntervalMonthDayNanoBuilder::with_capacity(rows))
            }
            DataType::Binary => Column::Bytes(BinaryBuilder::with_capacity(rows, rows * TEXT_BYTES)),
            DataType::LargeBinary => Column::Wide(LargeBinaryBuilder::with_capacity(rows, rows * TEXT_BYTES)),
            list if *list == super::form::list(DataType::Utf8) => {
                Column::Texts(ListBuilder::with_capacity(StringBuilder::new(), rows))
            }
            _ => Column::Scalars(Vec::with_capacity(rows)),
        };
        Ok(Self { returns: returns.clone(), column })
    }

    pub(super) fn push(&mut self, value: Value) -> Result<()> {
        match (&mut self.column, value) {
            (Column::Text(to), Value::Text(text)) => to.append_value(text),
            (Column::Int(to), Value::Int(value)) => {
                to.append_value(i32::try_from(value).map_err(|_| Fault::OutOfRange("integer").error())?);
            }
            (Column::Long(to), Value::Int(value)) => to.append_value(value),
            (Column::Double(to), Value::Double(value)) => to.append_value(value),
            (Column::Digits(to), Value::Int(value)) => to.append_value(i128::from(value)),
            (Column::Digits(to), Value::Digits(value)) => to.append_value(super::row::within(value)?),
            (Column::Bool(to), Value::Bool(value)) => to.append_value(value),
            (Column::Date(to), Value::Date(value)) => to.append_value(value),
            (Column::Time(to), Value::Micros(value)) => to.append_value(value),
            (Column::Moment(to), Value::Micros(value)) => to.append_value(value),
            (Column::Interval(to), Value::Interval(value)) => {
                to.append_value(to_arrow(value).ok_or_else(|| Wrong::Range.error("interval"))?);
            }
            (Column::Bytes(to), Value::Bytes(bytes)) => to.append_value(bytes),
            (Column::Wide(to), Value::Wide(value)) => to.append_value(value.to_cell()),
            (Column::Texts(to), Value::Texts(texts)) => {
                texts.iter().for_each(|text| to.values().append_option(text.as_deref()));
                to.append(true);
            }
            (Column::Scalars(to), value) => to.push(value.scalar(&self.returns)?),
            (_, Value::Null) => self.push_null(),
            (_, value) => self.push_other(value)?,
        }
        Ok(())
    }

    fn push_null(&mut self) {
        match &mut self.column {
            Column::Text(to) => to.append_null(),
            Column::Int(to) => to.append_null(),
            Column::Long(to) => to.append_null(),
            Column::Double(to) => to.append_null(),
            Column::Digits(to) => to.append_null(),
            Column::Bool(to) => to.append_null(),
            Column::Date(to) => to.append_null(),
            Column::Time(to) => to.append_null(),
            Column::Moment(to) => to.append_null(),
            Column::Interval(to) => to.append_null(),
            Column::Bytes(to) => to.append_null(),
            Column::Wide(to) => to.append_null(),
            Column::Texts(to) => to.append(false),
            Column::Scalars(_) => {}
        }
    }

    /// A value that the builder does not take: all of them are single values from now on.
    fn push_other(&mut self, value: Value) -> Result<()> {
        let built = self.built()?;
        let mut scalars = Vec::with_capacity(built.len() + 1);
        for at in 0..built.len() {
            scalars.push(ScalarValue::try_from_array(&built, at)?);
        }
        scalars.push(value.scalar(&self.returns)?);
        self.column = Column::Scalars(scalars);
        Ok(())
    }

    fn built(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.column {
            Column::Text(from) => Arc::new(from.finish()),
            Column::Int(from) => Arc::new(from.finish()),
            Column::Long(from) => Arc::new(from.finish()),
            Column::Double(from) => Arc::new(from.finish()),
            Column::Digits(from) => Arc::new(from.finish()),
            Column::Bool(from) => Arc::new(from.finish()),
            Column::Date(from) => Arc::new(from.finish()),
            Column::Time(from) => Arc::new(from.finish()),
            Column::Moment(from) => Arc::new(from.finish()),
            Column::Interval(from) => Arc::new(from.finish()),
            Column::Bytes(from) => Arc::new(from.finish()),
            Column::Wide(from) => Arc::new(from.finish()),
            Column::Texts(from) => Arc::new(from.finish()),
            Column::Scalars(from) => ScalarValue::iter_to_array(std::mem::take(from))?,
        })
    }

    /// All of them, in the result's type.
    pub(super) fn array(mut self) -> Result<ArrayRef> {
        let array = self.built()?;
        Ok(if array.data_type() == &self.returns { array } else { arrow::compute::cast(&array, &self.returns)? })
    }

    /// The only one.
    pub(super) fn scalar(mut self) -> Result<ScalarValue> {
        match self.column {
            Column::Scalars(mut only) if only.len() == 1 => Ok(only.remove(0)),
            _ => ScalarValue::try_from_array(&self.built()?, 0),
        }
    }
}
