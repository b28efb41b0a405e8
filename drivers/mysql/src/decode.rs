//! Rows → Arrow, column by column. A value that its column's type cannot hold is an error, never a guess.

use crate::codec::{self, DAY_MICROS};
use crate::wire::{Cell, Wire, cell};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::{NativeStatement, ValueType};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::mysql::MySqlRow;
use std::sync::Arc;

/// A batch is sent when its texts and bytes have grown to this, however few its rows.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Collects rows into batches of one schema.
pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    value_type: ValueType,
    encoding: Encoding,
    /// How the source sends it; known with the first row.
    wire: Option<Wire>,
    builder: Builder,
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

impl Decoder {
    pub(crate) fn new(statement: &NativeStatement, batch_rows: usize) -> Self {
        // What a small result needs; builders grow.
        let rows = batch_rows.min(1_024);
        let columns = statement
            .output
            .iter()
            .map(|(column, encoding)| Column {
                value_type: column.value_type,
                encoding: *encoding,
                wire: None,
                builder: builder(column.value_type, rows),
            })
            .collect();
        Self { schema: Arc::clone(&statement.schema), columns, rows: 0, bytes: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a batch should be sent before another row comes.
    pub(crate) fn is_full(&self, batch_rows: usize) -> bool {
        self.rows >= batch_rows || self.bytes >= BATCH_BYTES
    }

    pub(crate) fn push(&mut self, row: &MySqlRow) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let wire = match column.wire {
                Some(wire) => wire,
                None => *column.wire.insert(Wire::of(row, index)?),
            };
            let cell = cell(row, index, wire)?;
            if let Cell::Bytes(bytes) = cell {
                self.bytes += bytes.len();
            }
            column.push(cell)?;
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
    fn push(&mut self, cell: Cell<'_>) -> Result<()> {
        let value_type = self.value_type;
        let wrong = || wrong_value(value_type);
        match &mut self.builder {
            Builder::Boolean(builder) => builder.append_option(match integer(cell).ok_or_else(wrong)?? {
                None => None,
                Some(0) => Some(false),
                Some(1) => Some(true),
                Some(_) => return Err(wrong()),
            }),
            Builder::Int16(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            Builder::Int32(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            Builder::Int64(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            Builder::Float32(builder) => {
                let value = float(cell).ok_or_else(wrong)?;
                let narrowed = value.map(float32);
                if narrowed.map(f64::from) != value {
                    return Err(out_of_range(value_type));
                }
                builder.append_option(narrowed);
            }
            Builder::Float64(builder) => builder.append_option(float(cell).ok_or_else(wrong)?),
            Builder::Decimal128(builder) => builder.append_option(decimal(cell, value_type, self.encoding)?),
            Builder::Text(builder) => builder.append_option(text(cell, value_type)?),
            Builder::Binary(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Bytes(bytes) => builder.append_value(bytes),
                _ => return Err(wrong()),
            },
            Builder::Date(builder) => builder.append_option(match moment(cell, value_type)? {
                None => None,
                Some(micros) if micros.rem_euclid(DAY_MICROS) == 0 => {
                    Some(i32::try_from(micros / DAY_MICROS).map_err(|_| wrong())?)
                }
                Some(_) => return Err(wrong()),
            }),
            Builder::Time(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Clock(micros) if (0..DAY_MICROS).contains(&micros) => builder.append_value(micros),
                _ => return Err(wrong()),
            },
            Builder::Timestamp(builder) => builder.append_option(moment(cell, value_type)?),
            Builder::TextList(builder) => match text(cell, value_type)? {
                None => builder.append_null(),
                Some(text) => {
                    for item in querygate_sql::parse_texts(text).ok_or_else(wrong)? {
                        builder.values().append_option(item);
                    }
                    builder.append(true);
                }
            },
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

fn wrong_value(value_type: ValueType) -> Error {
    let message = format!("source holds a value that is not a {} in such a column", value_type.name());
    Error::new(ErrorCode::DataException, message)
}

fn out_of_range(value_type: ValueType) -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("{} out of range", value_type.name()))
}

fn narrow<T: TryFrom<i128>>(value: Option<i128>) -> Result<Option<T>> {
    value.map(T::try_from).transpose().map_err(|_| Error::new(ErrorCode::NumericOutOfRange, "integer out of range"))
}

/// A whole number; sums of integers come as decimals.
fn integer(cell: Cell<'_>) -> Option<Result<Option<i128>>> {
    Some(Ok(match cell {
        Cell::Null => None,
        Cell::Signed(value) => Some(i128::from(value)),
        Cell::Unsigned(value) => Some(i128::from(value)),
        Cell::Bytes(digits) => {
            let digits = std::str::from_utf8(digits).ok()?;
            match codec::parse_decimal(digits, 38, 0, false) {
                Some(value) => Some(value),
                None if digits.len() > 38 => return Some(Err(out_of_range(ValueType::Int64))),
                None => return None,
            }
        }
        Cell::Float(_) | Cell::Double(_) | Cell::Moment(_) | Cell::Clock(_) => return None,
    }))
}

fn float(cell: Cell<'_>) -> Option<Option<f64>> {
    match cell {
        Cell::Null => Some(None),
        Cell::Double(value) => Some(Some(value)),
        Cell::Float(value) => Some(Some(f64::from(value))),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the caller checks that nothing is lost")]
fn float32(value: f64) -> f32 {
    value as f32
}

fn decimal(cell: Cell<'_>, value_type: ValueType, encoding: Encoding) -> Result<Option<i128>> {
    let ValueType::Decimal128 { precision, scale } = value_type else {
        return Err(Error::internal("decimal builder for another type"));
    };
    let parsed = match cell {
        Cell::Null => return Ok(None),
        Cell::Signed(value) => codec::parse_decimal(&value.to_string(), precision, scale, false),
        Cell::Unsigned(value) => codec::parse_decimal(&value.to_string(), precision, scale, false),
        Cell::Bytes(digits) => {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong_value(value_type))?;
            codec::parse_decimal(digits, precision, scale, false)
        }
        Cell::Double(value) if encoding == Encoding::Double => {
            codec::parse_decimal(&value.to_string(), precision, scale, true)
        }
        Cell::Float(value) if encoding == Encoding::Double => {
            codec::parse_decimal(&value.to_string(), precision, scale, true)
        }
        Cell::Double(_) | Cell::Float(_) | Cell::Moment(_) | Cell::Clock(_) => return Err(wrong_value(value_type)),
    };
    parsed.map(Some).ok_or_else(|| out_of_range(value_type))
}

/// NUL cannot exist in a Postgres text.
fn text(cell: Cell<'_>, value_type: ValueType) -> Result<Option<&str>> {
    let not_text =
        || Error::new(ErrorCode::CharacterNotInRepertoire, "source holds a text with a NUL or an invalid byte");
    match cell {
        Cell::Null => Ok(None),
        Cell::Bytes(bytes) if bytes.contains(&0) => Err(not_text()),
        Cell::Bytes(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| not_text()),
        _ => Err(wrong_value(value_type)),
    }
}

fn moment(cell: Cell<'_>, value_type: ValueType) -> Result<Option<i64>> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Moment(Some(micros)) => Ok(Some(micros)),
        Cell::Moment(None) => Err(Error::new(ErrorCode::DataException, "source holds a date that does not exist")),
        _ => Err(wrong_value(value_type)),
    }
}
