//! Binary rows → Arrow, column by column. A value that its column's type does not hold is an error, never a guess.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::error::schema_changed;
use crate::wire::cells::{self, Items, Wire};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_driver_api::builder::{ColumnBuilder, ROWS_AT_FIRST, with_cells};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

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
    wire: Wire,
    builder: ColumnBuilder,
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
    pub(crate) fn new<'a>(
        source: &str,
        statement: &NativeStatement,
        delivered: impl ExactSizeIterator<Item = &'a Type>,
        batch_rows: usize,
    ) -> Result<Self> {
        if delivered.len() != statement.output.len() {
            return Err(schema_changed(source));
        }
        let rows = batch_rows.min(ROWS_AT_FIRST);
        let columns = statement.output.iter().zip(delivered).map(|((column, encoding), delivered)| {
            let value_type = column.value_type;
            let wire = cells::wire(delivered).filter(|wire| cells::reads(*wire, value_type));
            let wire = wire.ok_or_else(|| schema_changed(source).with_cause(delivered))?;
            Ok(Column { value_type, encoding: *encoding, wire, builder: ColumnBuilder::new(value_type, rows) })
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
        let mut failure = None;
        for (index, column) in self.columns.iter_mut().enumerate() {
            let cell: Option<Raw<'_>> = row.try_get(index).map_err(Error::internal)?;
            match cell {
                None => column.builder.append_null(),
                Some(Raw(bytes)) => {
                    self.bytes = self.bytes.saturating_add(bytes.len());
                    // What stands behind it is read: its row may be named by that.
                    if let Err(error) = column.push(bytes) {
                        failure = failure.or(Some(error.with_column(index)));
                    }
                }
            }
        }
        self.end_row(failure)
    }

    /// A row as DataRow and COPY hold it: the number of its cells, then each with its length.
    ///
    /// # Errors
    /// Other cells than the columns, or a value that its column cannot hold.
    pub(crate) fn push_cells(&mut self, row: &[u8]) -> Result<()> {
        let broken = || Error::internal("a row is not what it should be");
        let mut failure = None;
        let (count, mut rest) = row.split_first_chunk::<2>().ok_or_else(broken)?;
        if usize::from(u16::from_be_bytes(*count)) != self.columns.len() {
            return Err(broken());
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let (length, cells) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
            rest = cells;
            match i32::from_be_bytes(*length) {
                -1 => column.builder.append_null(),
                length => {
                    let length = usize::try_from(length).map_err(|_| broken())?;
                    let (cell, others) = rest.split_at_checked(length).ok_or_else(broken)?;
                    rest = others;
                    self.bytes = self.bytes.saturating_add(length);
                    if let Err(error) = column.push(cell) {
                        failure = failure.or(Some(error.with_column(index)));
                    }
                }
            }
        }
        if !rest.is_empty() {
            return Err(broken());
        }
        self.end_row(failure)
    }

    /// One more row, unless it has a value that could not be read.
    fn end_row(&mut self, failure: Option<Error>) -> Result<()> {
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
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let read = push(&mut self.builder, bytes, self.wire, self.value_type);
        read.or_else(|error| self.builder.append_null_for(error, self.encoding))
    }
}

fn push(builder: &mut ColumnBuilder, bytes: &[u8], wire: Wire, value_type: ValueType) -> Result<()> {
    match builder {
        ColumnBuilder::Boolean(builder) => builder.append_value(bytes == [1]),
        ColumnBuilder::Int16(builder) => builder.append_value(cells::narrow(cells::integer(bytes, wire)?)?),
        ColumnBuilder::Int32(builder) => builder.append_value(cells::narrow(cells::integer(bytes, wire)?)?),
        ColumnBuilder::Int64(builder) => builder.append_value(cells::integer(bytes, wire)?),
        ColumnBuilder::Float32(builder) => builder.append_value(f32::from_be_bytes(cells::fixed(bytes)?)),
        ColumnBuilder::Float64(builder) => builder.append_value(cells::float(bytes, wire)?),
        ColumnBuilder::Decimal128(builder) => builder.append_value(cells::decimal(bytes, wire, value_type)?),
        ColumnBuilder::Text(builder) => builder.append_value(cells::text(bytes)?),
        ColumnBuilder::Binary(builder) => builder.append_value(bytes),
        ColumnBuilder::Date(builder) => builder.append_value(cells::date(bytes)?),
        ColumnBuilder::Time(builder) => builder.append_value(cells::time(bytes)?),
        ColumnBuilder::Timestamp(builder) => builder.append_value(cells::timestamp(bytes, value_type)?),
        ColumnBuilder::TextList(builder) => {
            let mut items = Items::of(bytes)?;
            while let Some(item) = items.next()? {
                builder.values().append_option(item.map(cells::text).transpose()?);
            }
            builder.append(true);
        }
        ColumnBuilder::List(builder) => {
            let ValueType::List(of) = value_type else { return Err(cells::malformed()) };
            let mut items = Items::of(bytes)?;
            if !cells::reads(items.wire, of.value_type()) {
                return Err(cells::malformed());
            }
            while let Some(item) = items.next()? {
                match item {
                    None => builder.items().append_null(),
                    Some(bytes) => push(builder.items(), bytes, items.wire, of.value_type())?,
                }
            }
            builder.append(true);
        }
    }
    Ok(())
}
