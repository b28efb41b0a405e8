//! Rows of system tables as they are written here, cell by cell, and as batches. Knows no table.

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use querygate_types::{Error, Result};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A cell of a system table.
pub(crate) enum Cell {
    Text(Option<String>),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Time(SystemTime),
    /// No number, flag or time.
    Absent,
}

pub(crate) type Row = Vec<Cell>;

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Integer,
    Float,
    Flag,
    Time,
}

pub(crate) type Columns = &'static [(&'static str, Kind)];
type AnyColumns = [(&'static str, Kind)];

pub(crate) fn schema_of(columns: &AnyColumns) -> SchemaRef {
    let field = |(name, kind): &(&'static str, Kind)| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Flag => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

pub(crate) fn batch_of(schema: &SchemaRef, columns: &AnyColumns, rows: Vec<Row>) -> Result<RecordBatch> {
    let mut turned: Vec<Vec<Cell>> = columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, cell) in turned.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    let arrays =
        columns.iter().zip(turned).map(|((_, kind), cells)| array(*kind, cells)).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(Error::internal)
}

fn array(kind: Kind, cells: Vec<Cell>) -> Result<ArrayRef> {
    let wrong = || Error::internal("a system table holds a cell of another type");
    Ok(match kind {
        Kind::Text => {
            let mut builder = StringBuilder::new();
            for cell in cells {
                let Cell::Text(value) = cell else { return Err(wrong()) };
                builder.append_option(value);
            }
            Arc::new(builder.finish())
        }
        Kind::Integer => {
            let mut builder = Int64Builder::new();
            for cell in cells {
                match cell {
                    Cell::Integer(value) => builder.append_value(value),
                    Cell::Absent => builder.append_null(),
                    Cell::Text(_) | Cell::Float(_) | Cell::Flag(_) | Cell::Time(_) => return Err(wrong()),
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Float => {
            let mut builder = Float64Builder::new();
            for cell in cells {
                match cell {
                    Cell::Float(value) => builder.append_value(value),
                    Cell::Absent => builder.append_null(),
                    Cell::Text(_) | Cell::Integer(_) | Cell::Flag(_) | Cell::Time(_) => return Err(wrong()),
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Flag => {
            let mut builder = BooleanBuilder::new();
            for cell in cells {
                match cell {
                    Cell::Flag(value) => builder.append_value(value),
                    Cell::Absent => builder.append_null(),
                    Cell::Text(_) | Cell::Integer(_) | Cell::Float(_) | Cell::Time(_) => return Err(wrong()),
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Time => {
            let mut builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            for cell in cells {
                let value = match cell {
                    Cell::Time(value) => value,
                    Cell::Absent => {
                        builder.append_null();
                        continue;
                    }
                    Cell::Text(_) | Cell::Integer(_) | Cell::Float(_) | Cell::Flag(_) => return Err(wrong()),
                };
                let since = value.duration_since(UNIX_EPOCH).unwrap_or_default();
                builder.append_value(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
            }
            Arc::new(builder.finish())
        }
    })
}

pub(crate) fn text(value: &str) -> Cell {
    Cell::Text(Some(value.to_owned()))
}

pub(super) fn count(value: usize) -> Cell {
    Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn number(value: u64) -> Cell {
    Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
