//! Values of a column whose type is looked at once, not with each of them.

use super::cell::{day, decimal, instant, integer, plain, put_alone};
use super::form::Form;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use bytes::{BufMut, BytesMut};
use querygate_driver_api::value::Value;
use querygate_types::Result;

/// A column in the form that its values go in.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    form: Form,
    array: &'a ArrayRef,
    typed: Typed<'a>,
}

#[derive(Clone, Copy)]
enum Typed<'a> {
    Boolean(&'a BooleanArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, Option<(u8, i8)>, i8),
    Text(&'a StringArray, Option<usize>),
    Date(&'a Date32Array),
    Instant(&'a TimestampMicrosecondArray, i64),
    /// Each is taken out as a value of its own.
    Other,
}

impl<'a> Values<'a> {
    pub(super) fn of(form: Form, array: &'a ArrayRef) -> Self {
        let typed = match (form, array.data_type()) {
            (Form::Boolean, DataType::Boolean) => array.as_boolean_opt().map(Typed::Boolean),
            (Form::Int2 | Form::Int4 | Form::Int8, DataType::Int16) => {
                array.as_primitive_opt::<Int16Type>().map(Typed::Int16)
            }
            (Form::Int2 | Form::Int4 | Form::Int8, DataType::Int32) => {
                array.as_primitive_opt::<Int32Type>().map(Typed::Int32)
            }
            (Form::Int2 | Form::Int4 | Form::Int8, DataType::Int64) => {
                array.as_primitive_opt::<Int64Type>().map(Typed::Int64)
            }
            (Form::Float8, DataType::Float64) => array.as_primitive_opt::<Float64Type>().map(Typed::Float64),
            (Form::Numeric(column), DataType::Decimal128(_, scale)) => {
                let values = array.as_primitive_opt::<Decimal128Type>();
                values.map(|values| Typed::Decimal(values, column, *scale))
            }
            (Form::Text(most), DataType::Utf8) => array.as_string_opt().map(|values| Typed::Text(values, most)),
            (Form::Date, DataType::Date32) => array.as_primitive_opt::<Date32Type>().map(Typed::Date),
            (Form::Timestamp { step, .. }, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                let values = array.as_primitive_opt::<TimestampMicrosecondType>();
                values.map(|values| Typed::Instant(values, step))
            }
            _ => None,
        };
        Self { form, array, typed: typed.unwrap_or(Typed::Other) }
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    /// Writes a value that is not NULL.
    ///
    /// # Errors
    /// 22xxx: the column does not keep it.
    pub(super) fn put(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        match self.typed {
            Typed::Boolean(values) => out.put_u8(u8::from(values.value(row))),
            Typed::Int16(values) => integer(self.form, i64::from(values.value(row)), out)?,
            Typed::Int32(values) => integer(self.form, i64::from(values.value(row)), out)?,
            Typed::Int64(values) => integer(self.form, values.value(row), out)?,
            Typed::Float64(values) => out.put_f64(values.value(row)),
            Typed::Decimal(values, column, scale) => decimal(column, values.value(row), scale, out)?,
            Typed::Text(values, most) => out.put_slice(plain(values.value(row), most)?.as_bytes()),
            Typed::Date(values) => day(values.value(row), out)?,
            Typed::Instant(values, step) => instant(values.value(row), step, out)?,
            Typed::Other => put_alone(self.form, &Value::from_array(self.array.as_ref(), row)?, out)?,
        }
        Ok(())
    }
}
