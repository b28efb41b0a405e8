//! Rows → Arrow, column by column. A value that its column's type cannot hold is an error, never a guess.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::wire::binary::{Cell, Wire, cell};
use crate::wire::codec::{self, DAY_MICROS};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_driver_api::builder::{ColumnBuilder, ROWS_AT_FIRST, with_cells};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_sql::cell_faults::{broken_text, narrow, out_of_range, wrong_value};
use querygate_types::{Error, ErrorCode, Result, limits};
use sqlx::mysql::MySqlRow;
use std::sync::Arc;

/// A batch is sent when its texts and bytes have grown to this, however few its rows.
const BATCH_BYTES: usize = limits::BATCH_BYTES;

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
    builder: ColumnBuilder,
}

impl Decoder {
    pub(crate) fn new(statement: &NativeStatement, batch_rows: usize) -> Self {
        let rows = batch_rows.min(ROWS_AT_FIRST);
        let columns = statement
            .output
            .iter()
            .map(|(column, encoding)| Column {
                value_type: column.value_type,
                encoding: *encoding,
                wire: None,
                builder: ColumnBuilder::new(column.value_type, rows),
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
        let mut failure = None;
        for (index, column) in self.columns.iter_mut().enumerate() {
            let wire = match column.wire {
                Some(wire) => wire,
                None => *column.wire.insert(Wire::of(row, index)?),
            };
            let cell = cell(row, index, wire)?;
            if let Cell::Bytes(bytes) = cell {
                self.bytes = self.bytes.saturating_add(bytes.len());
            }
            let read = column.push(cell);
            let read = read.or_else(|error| column.builder.append_null_for(error, column.encoding));
            // What stands behind it is read: its row may be named by that.
            if let Err(error) = read {
                failure = failure.or(Some(error.with_column(index)));
            }
        }
        if let Some(error) = failure {
            return Err(with_cells(error, self.rows, self.columns.iter_mut().map(|own| &mut own.builder).enumerate()));
        }
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// The rows since the last batch.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(|column| column.builder.finish()).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(Error::internal)
    }
}

impl Column {
    fn push(&mut self, cell: Cell<'_>) -> Result<()> {
        let value_type = self.value_type;
        let wrong = || wrong_value(value_type);
        match &mut self.builder {
            ColumnBuilder::Boolean(builder) => builder.append_option(match integer(cell).ok_or_else(wrong)?? {
                None => None,
                Some(0) => Some(false),
                Some(1) => Some(true),
                Some(_) => return Err(wrong()),
            }),
            ColumnBuilder::Int16(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            ColumnBuilder::Int32(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            ColumnBuilder::Int64(builder) => builder.append_option(narrow(integer(cell).ok_or_else(wrong)??)?),
            ColumnBuilder::Float32(builder) => {
                let value = float(cell).ok_or_else(wrong)?;
                let narrowed = value.map(float32);
                if narrowed.map(f64::from) != value {
                    return Err(out_of_range(value_type));
                }
                builder.append_option(narrowed);
            }
            ColumnBuilder::Float64(builder) => builder.append_option(float(cell).ok_or_else(wrong)?),
            ColumnBuilder::Decimal128(builder) => {
                builder.append_option(decimal(cell, value_type, self.encoding.stored())?)
            }
            ColumnBuilder::Text(builder) => builder.append_option(text(cell, value_type)?),
            ColumnBuilder::Binary(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Bytes(bytes) => builder.append_value(bytes),
                _ => return Err(wrong()),
            },
            ColumnBuilder::Date(builder) => builder.append_option(match moment(cell, value_type)? {
                None => None,
                Some(micros) if micros.rem_euclid(DAY_MICROS) == 0 => {
                    Some(i32::try_from(micros / DAY_MICROS).map_err(|_| wrong())?)
                }
                Some(_) => return Err(wrong()),
            }),
            ColumnBuilder::Time(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Clock(micros) if (0..DAY_MICROS).contains(&micros) => builder.append_value(micros),
                _ => return Err(wrong()),
            },
            ColumnBuilder::Timestamp(builder) => builder.append_option(moment(cell, value_type)?),
            ColumnBuilder::TextList(builder) => match text(cell, value_type)? {
                None => builder.append_null(),
                Some(text) => {
                    for item in querygate_sql::parse_texts(text).ok_or_else(wrong)? {
                        builder.values().append_option(item);
                    }
                    builder.append(true);
                }
            },
            // No column reads as such a list.
            ColumnBuilder::List(_) => return Err(wrong()),
        }
        Ok(())
    }
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
    match cell {
        Cell::Null => Ok(None),
        Cell::Bytes(bytes) if bytes.contains(&0) => Err(broken_text()),
        Cell::Bytes(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| broken_text()),
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
