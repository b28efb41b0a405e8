//! Binary rows → Arrow, column by column. A value that its column's type does not hold is an error, never a guess.

use crate::bind::{EPOCH_DAYS, EPOCH_MICROS};
use crate::error::schema_changed;
use crate::numeric::{self, Unreadable};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use querygate_driver_api::{NativeStatement, ValueType};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Column as WireColumn, Row};

const DAY_MICROS: i64 = 86_400_000_000;

/// Collects rows into batches of one schema.
pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    value_type: ValueType,
    wire: Wire,
    builder: Builder,
}

/// Forms in which the server sends what we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Boolean,
    Integer,
    /// Four bytes without a sign.
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TextArray,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
}

/// A cell's bytes, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }
}

impl Decoder {
    /// # Errors
    /// The server delivers other columns than the statement was made for.
    pub(crate) fn new(
        source: &str,
        statement: &NativeStatement,
        delivered: &[WireColumn],
        batch_rows: usize,
    ) -> Result<Self> {
        if delivered.len() != statement.output.len() {
            return Err(schema_changed(source));
        }
        let columns = statement.output.iter().zip(delivered).map(|((column, _), delivered)| {
            let value_type = column.value_type;
            let wire = wire(delivered.type_()).filter(|wire| reads(*wire, value_type));
            let wire = wire.ok_or_else(|| schema_changed(source).with_cause(delivered.type_()))?;
            Ok(Column { value_type, wire, builder: builder(value_type, batch_rows) })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { schema: Arc::clone(&statement.schema), columns, rows: 0, bytes: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows since the last batch, as they came.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let cell: Option<Raw<'_>> = row.try_get(index).map_err(Error::internal)?;
            match cell {
                None => column.null(),
                Some(Raw(bytes)) => {
                    self.bytes += bytes.len();
                    column.push(bytes)?;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows since the last batch.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(Error::internal)
    }
}

fn wire(sql_type: &Type) -> Option<Wire> {
    Some(match *sql_type {
        Type::BOOL => Wire::Boolean,
        Type::INT2 | Type::INT4 | Type::INT8 => Wire::Integer,
        Type::OID => Wire::Oid,
        Type::FLOAT4 => Wire::Float4,
        Type::FLOAT8 => Wire::Float8,
        Type::NUMERIC => Wire::Numeric,
        Type::TEXT | Type::VARCHAR => Wire::Text,
        Type::BYTEA => Wire::Bytea,
        Type::DATE => Wire::Date,
        Type::TIME => Wire::Time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Wire::Timestamp,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => Wire::TextArray,
        _ => return None,
    })
}

/// Whether values in this form are values of the type, or fail to be.
fn reads(wire: Wire, value_type: ValueType) -> bool {
    match value_type {
        ValueType::Boolean => wire == Wire::Boolean,
        ValueType::Int16 | ValueType::Int32 => wire == Wire::Integer,
        ValueType::Int64 => matches!(wire, Wire::Integer | Wire::Oid),
        ValueType::Float32 => wire == Wire::Float4,
        ValueType::Float64 => matches!(wire, Wire::Float4 | Wire::Float8),
        ValueType::Decimal128 { .. } => {
            matches!(wire, Wire::Numeric | Wire::Integer | Wire::Oid | Wire::Float4 | Wire::Float8)
        }
        ValueType::Text => wire == Wire::Text,
        ValueType::Binary => wire == Wire::Bytea,
        ValueType::Date => wire == Wire::Date,
        ValueType::Time => wire == Wire::Time,
        ValueType::Timestamp { .. } => wire == Wire::Timestamp,
        ValueType::TextList => wire == Wire::TextArray,
    }
}

fn builder(value_type: ValueType, rows: usize) -> Builder {
    match value_type {
        ValueType::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(rows)),
        ValueType::Int16 => Builder::Int16(Int16Builder::with_capacity(rows)),
        ValueType::Int32 => Builder::Int32(Int32Builder::with_capacity(rows)),
        ValueType::Int64 => Builder::Int64(Int64Builder::with_capacity(rows)),
        ValueType::Float32 => Builder::Float32(Float32Builder::with_capacity(rows)),
        ValueType::Float64 => Builder::Float64(Float64Builder::with_capacity(rows)),
        ValueType::Decimal128 { .. } => {
            Builder::Decimal128(Decimal128Builder::with_capacity(rows).with_data_type(value_type.to_arrow()))
        }
        ValueType::Text => Builder::Text(StringBuilder::with_capacity(rows, rows * 16)),
        ValueType::Binary => Builder::Binary(BinaryBuilder::with_capacity(rows, rows * 16)),
        ValueType::Date => Builder::Date(Date32Builder::with_capacity(rows)),
        ValueType::Time => Builder::Time(Time64MicrosecondBuilder::with_capacity(rows)),
        ValueType::Timestamp { .. } => {
            Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(value_type.to_arrow()))
        }
        ValueType::TextList => Builder::TextList(ListBuilder::new(StringBuilder::new())),
    }
}

impl Column {
    fn null(&mut self) {
        match &mut self.builder {
            Builder::Boolean(builder) => builder.append_null(),
            Builder::Int16(builder) => builder.append_null(),
            Builder::Int32(builder) => builder.append_null(),
            Builder::Int64(builder) => builder.append_null(),
            Builder::Float32(builder) => builder.append_null(),
            Builder::Float64(builder) => builder.append_null(),
            Builder::Decimal128(builder) => builder.append_null(),
            Builder::Text(builder) => builder.append_null(),
            Builder::Binary(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Time(builder) => builder.append_null(),
            Builder::Timestamp(builder) => builder.append_null(),
            Builder::TextList(builder) => builder.append_null(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let (value_type, wire) = (self.value_type, self.wire);
        match &mut self.builder {
            Builder::Boolean(builder) => builder.append_value(bytes == [1]),
            Builder::Int16(builder) => builder.append_value(narrow(integer(bytes, wire)?)?),
            Builder::Int32(builder) => builder.append_value(narrow(integer(bytes, wire)?)?),
            Builder::Int64(builder) => builder.append_value(integer(bytes, wire)?),
            Builder::Float32(builder) => builder.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Builder::Float64(builder) => builder.append_value(float(bytes, wire)?),
            Builder::Decimal128(builder) => builder.append_value(decimal(bytes, wire, value_type)?),
            Builder::Text(builder) => builder.append_value(text(bytes)?),
            Builder::Binary(builder) => builder.append_value(bytes),
            Builder::Date(builder) => {
                let days = i32::from_be_bytes(fixed(bytes)?);
                let finite = days != i32::MAX && days != i32::MIN;
                let days = days.checked_add(EPOCH_DAYS).filter(|_| finite);
                builder.append_value(days.ok_or_else(|| beyond(value_type))?);
            }
            Builder::Time(builder) => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                // 24:00:00 is a time of the server's that no clock of ours shows.
                if !(0..DAY_MICROS).contains(&micros) {
                    return Err(beyond(value_type));
                }
                builder.append_value(micros);
            }
            Builder::Timestamp(builder) => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                let finite = micros != i64::MAX && micros != i64::MIN;
                let micros = micros.checked_add(EPOCH_MICROS).filter(|_| finite);
                builder.append_value(micros.ok_or_else(|| beyond(value_type))?);
            }
            Builder::TextList(builder) => {
                texts(bytes, builder.values())?;
                builder.append(true);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Int16(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => Arc::new(builder.finish()),
            Builder::Float32(builder) => Arc::new(builder.finish()),
            Builder::Float64(builder) => Arc::new(builder.finish()),
            Builder::Decimal128(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Binary(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::TextList(builder) => Arc::new(builder.finish()),
        }
    }
}

fn malformed() -> Error {
    Error::internal("a source's value is not in the binary form of its type")
}

/// `infinity`, and what lies beyond our calendar.
fn beyond(value_type: ValueType) -> Error {
    Error::new(ErrorCode::DatetimeOverflow, format!("source holds a {} that is out of range", value_type.name()))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed())
}

/// Two, four or eight bytes.
fn integer(bytes: &[u8], wire: Wire) -> Result<i64> {
    match bytes.len() {
        4 if wire == Wire::Oid => Ok(i64::from(u32::from_be_bytes(fixed(bytes)?))),
        2 => Ok(i64::from(i16::from_be_bytes(fixed(bytes)?))),
        4 => Ok(i64::from(i32::from_be_bytes(fixed(bytes)?))),
        8 => Ok(i64::from_be_bytes(fixed(bytes)?)),
        _ => Err(malformed()),
    }
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::new(ErrorCode::NumericOutOfRange, "integer out of range"))
}

fn float(bytes: &[u8], wire: Wire) -> Result<f64> {
    if wire == Wire::Float4 {
        Ok(f64::from(f32::from_be_bytes(fixed(bytes)?)))
    } else {
        Ok(f64::from_be_bytes(fixed(bytes)?))
    }
}

fn decimal(bytes: &[u8], wire: Wire, value_type: ValueType) -> Result<i128> {
    let ValueType::Decimal128 { precision, scale } = value_type else { return Err(malformed()) };
    let value = match wire {
        Wire::Numeric => numeric::decode(bytes, scale),
        Wire::Integer | Wire::Oid => {
            let power = 10_i128.pow(u32::from(scale.unsigned_abs()));
            i128::from(integer(bytes, wire)?).checked_mul(power).ok_or(Unreadable::TooWide)
        }
        _ => numeric::rounded(float(bytes, wire)?, scale).ok_or(Unreadable::TooWide),
    };
    let fits = |value: &i128| value.unsigned_abs() < 10_u128.pow(u32::from(precision));
    let value = value.and_then(|value| if fits(&value) { Ok(value) } else { Err(Unreadable::TooWide) });
    value.map_err(|why| match why {
        Unreadable::Malformed => malformed(),
        Unreadable::NotFinite => Error::new(ErrorCode::NumericOutOfRange, "source holds a numeric that is no number"),
        Unreadable::TooWide => Error::new(
            ErrorCode::NumericOutOfRange,
            format!("source holds a number that numeric({precision},{scale}) does not hold"),
        ),
    })
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorCode::CharacterNotInRepertoire, "source holds a text with an invalid byte"))
}

/// Members of a one-dimensional array of texts.
fn texts(bytes: &[u8], values: &mut StringBuilder) -> Result<()> {
    let mut rest = bytes;
    let mut number = || -> Result<i32> {
        let (four, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        rest = after;
        Ok(i32::from_be_bytes(*four))
    };
    let dimensions = number()?;
    let (_has_nulls, _element) = (number()?, number()?);
    match dimensions {
        0 => return Ok(()),
        1 => {}
        _ => return Err(Error::new(ErrorCode::DataException, "source holds an array of arrays in a list")),
    }
    let (count, _first) = (number()?, number()?);
    for _ in 0..count {
        let (four, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        rest = after;
        match usize::try_from(i32::from_be_bytes(*four)) {
            Ok(length) => {
                let (item, after) = rest.split_at_checked(length).ok_or_else(malformed)?;
                rest = after;
                values.append_value(text(item)?);
            }
            Err(_) => values.append_null(),
        }
    }
    Ok(())
}
