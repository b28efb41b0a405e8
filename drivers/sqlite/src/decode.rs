//! Rows → Arrow, column by column. A value of another storage class than its column's type is an error, never a guess.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::codec;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_driver_api::builder::{ColumnBuilder, ROWS_AT_FIRST, with_cells};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_sql::cell_faults::{broken_text, narrow, out_of_range, wrong_value};
use querygate_types::{Error, Result};
use sqlx::sqlite::{Sqlite, SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row, TypeInfo, ValueRef};
use std::sync::Arc;

/// Collects rows into batches of one schema.
pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    /// Of texts and binaries.
    bytes: usize,
}

struct Column {
    value_type: ValueType,
    encoding: Encoding,
    builder: ColumnBuilder,
}

/// A value's storage class with the value.
enum Cell<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
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
                builder: ColumnBuilder::new(column.value_type, rows),
            })
            .collect();
        Self { schema: Arc::clone(&statement.schema), columns, rows: 0, bytes: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of texts and binaries since the last batch.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, row: &SqliteRow) -> Result<()> {
        let mut failure = None;
        for (index, column) in self.columns.iter_mut().enumerate() {
            let value = row.try_get_raw(index).map_err(Error::internal)?;
            let read = cell(value).and_then(|cell| {
                self.bytes = self.bytes.saturating_add(match cell {
                    Cell::Text(text) => text.len(),
                    Cell::Blob(bytes) => bytes.len(),
                    Cell::Null | Cell::Integer(_) | Cell::Real(_) => 0,
                });
                column.push(cell)
            });
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

fn cell(value: SqliteValueRef<'_>) -> Result<Cell<'_>> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let class = value.type_info();
    Ok(match class.name() {
        "INTEGER" => Cell::Integer(<i64 as Decode<Sqlite>>::decode(value).map_err(Error::internal)?),
        "REAL" => Cell::Real(<f64 as Decode<Sqlite>>::decode(value).map_err(Error::internal)?),
        "TEXT" => {
            let text = <&str as Decode<Sqlite>>::decode(value).map_err(|_| broken_text())?;
            // SQLite's own text functions stop at a NUL.
            if text.contains('\0') {
                return Err(broken_text());
            }
            Cell::Text(text)
        }
        "BLOB" => Cell::Blob(<&[u8] as Decode<Sqlite>>::decode(value).map_err(Error::internal)?),
        other => return Err(Error::internal(format_args!("unknown storage class {other}"))),
    })
}

impl Column {
    fn push(&mut self, cell: Cell<'_>) -> Result<()> {
        let (value_type, encoding) = (self.value_type, self.encoding.stored());
        let wrong = || wrong_value(value_type);
        match &mut self.builder {
            ColumnBuilder::Boolean(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Integer(0) => builder.append_value(false),
                Cell::Integer(1) => builder.append_value(true),
                _ => return Err(wrong()),
            },
            ColumnBuilder::Int16(builder) => builder.append_option(narrow(integer(cell, encoding).ok_or_else(wrong)?)?),
            ColumnBuilder::Int32(builder) => builder.append_option(narrow(integer(cell, encoding).ok_or_else(wrong)?)?),
            ColumnBuilder::Int64(builder) => builder.append_option(integer(cell, encoding).ok_or_else(wrong)?),
            ColumnBuilder::Float32(builder) => {
                let value = float(cell).ok_or_else(wrong)?;
                let narrowed = value.map(float32);
                if encoding == Encoding::Canonical && narrowed.map(f64::from) != value {
                    return Err(out_of_range(value_type));
                }
                builder.append_option(narrowed);
            }
            ColumnBuilder::Float64(builder) => builder.append_option(float(cell).ok_or_else(wrong)?),
            ColumnBuilder::Decimal128(builder) => builder.append_option(decimal(cell, value_type, encoding)?),
            ColumnBuilder::Text(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Text(text) => builder.append_value(text),
                _ => return Err(wrong()),
            },
            ColumnBuilder::Binary(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Blob(bytes) => builder.append_value(bytes),
                _ => return Err(wrong()),
            },
            ColumnBuilder::Date(builder) => builder.append_option(date(cell, encoding).ok_or_else(wrong)?),
            ColumnBuilder::Time(builder) => builder.append_option(time(cell, encoding).ok_or_else(wrong)?),
            ColumnBuilder::Timestamp(builder) => {
                builder.append_option(timestamp(cell, value_type, encoding).ok_or_else(wrong)?);
            }
            ColumnBuilder::TextList(builder) => match cell {
                Cell::Null => builder.append_null(),
                Cell::Text(text) => {
                    for item in querygate_sql::parse_texts(text).ok_or_else(wrong)? {
                        builder.values().append_option(item);
                    }
                    builder.append(true);
                }
                _ => return Err(wrong()),
            },
            // No column reads as such a list.
            ColumnBuilder::List(_) => return Err(wrong()),
        }
        Ok(())
    }
}

fn integer(cell: Cell<'_>, encoding: Encoding) -> Option<Option<i64>> {
    match (cell, encoding) {
        (Cell::Null, _) => Some(None),
        (Cell::Integer(value), _) => Some(Some(value)),
        (Cell::Real(value), Encoding::Double) => whole(value).map(Some),
        _ => None,
    }
}

/// A double that is a whole number within ±2⁵³.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 53 bits")]
    (value.trunc() == value && value.abs() <= EXACT).then_some(value as i64)
}

fn float(cell: Cell<'_>) -> Option<Option<f64>> {
    match cell {
        Cell::Null => Some(None),
        Cell::Real(value) => Some(Some(value)),
        #[expect(clippy::cast_precision_loss, reason = "SQLite itself keeps whole doubles as integers")]
        Cell::Integer(value) => Some(Some(value as f64)),
        Cell::Text(_) | Cell::Blob(_) => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest, as a cast to real does")]
fn float32(value: f64) -> f32 {
    value as f32
}

fn decimal(cell: Cell<'_>, value_type: ValueType, encoding: Encoding) -> Result<Option<i128>> {
    let ValueType::Decimal128 { precision, scale } = value_type else {
        return Err(Error::internal("decimal builder for another type"));
    };
    let parsed = match (cell, encoding) {
        (Cell::Null, _) => return Ok(None),
        (Cell::Integer(value), Encoding::Canonical) => {
            let bound = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
            Some(i128::from(value)).filter(|value| value.abs() < bound)
        }
        // A sum that overflowed into a double.
        (Cell::Real(_), Encoding::Canonical) => None,
        (Cell::Integer(value), Encoding::Double | Encoding::Text) => {
            codec::parse_decimal(&value.to_string(), precision, scale, true)
        }
        (Cell::Real(value), Encoding::Double | Encoding::Text) if value.is_finite() => {
            codec::parse_decimal(&value.to_string(), precision, scale, true)
        }
        (Cell::Text(text), Encoding::Double | Encoding::Text) => {
            match codec::parse_decimal(text, precision, scale, false) {
                Some(value) => Some(value),
                None => return Err(wrong_value(value_type)),
            }
        }
        _ => return Err(wrong_value(value_type)),
    };
    parsed.map(Some).ok_or_else(|| out_of_range(value_type))
}

fn date(cell: Cell<'_>, encoding: Encoding) -> Option<Option<i32>> {
    match (cell, encoding) {
        (Cell::Null, _) => Some(None),
        (Cell::Text(text), Encoding::Canonical) => codec::parse_date(text).map(Some),
        // ObjectStack also writes a day as the moment at which it begins. Another moment is no day.
        (Cell::Text(text), _) => {
            let rest = text.get(10..)?;
            let is_day = rest.is_empty() || codec::parse_any_timestamp(text)? % codec::DAY_MICROS == 0;
            codec::parse_date(text.get(..10)?).filter(|_| is_day).map(Some)
        }
        _ => None,
    }
}

fn time(cell: Cell<'_>, encoding: Encoding) -> Option<Option<i64>> {
    match (cell, encoding) {
        (Cell::Null, _) => Some(None),
        (Cell::Text(text), Encoding::Canonical) => codec::parse_time(text).map(Some),
        (Cell::Text(text), _) => codec::parse_any_time(text).map(Some),
        _ => None,
    }
}

fn timestamp(cell: Cell<'_>, value_type: ValueType, encoding: Encoding) -> Option<Option<i64>> {
    let utc = value_type == ValueType::Timestamp { utc: true };
    match (cell, encoding) {
        (Cell::Null, _) => Some(None),
        (Cell::Text(text), Encoding::Canonical) => codec::parse_timestamp(text, utc).map(Some),
        (Cell::Text(text), _) => codec::parse_any_timestamp(text).map(Some),
        (Cell::Integer(millis), Encoding::EpochMillis) => millis.checked_mul(1_000).map(Some),
        (Cell::Integer(seconds), Encoding::EpochSeconds) => seconds.checked_mul(1_000_000).map(Some),
        _ => None,
    }
}
