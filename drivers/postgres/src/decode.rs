//! Binary rows → Arrow, column by column. A value that its column's type does not hold is an error, never a guess.

use crate::cells::{self, Wire};
use crate::error::schema_changed;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use querygate_driver_api::{NativeStatement, ValueType};
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Column as WireColumn, Row};

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
            let wire = cells::wire(delivered.type_()).filter(|wire| cells::reads(*wire, value_type));
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
            Builder::Int16(builder) => builder.append_value(cells::narrow(cells::integer(bytes, wire)?)?),
            Builder::Int32(builder) => builder.append_value(cells::narrow(cells::integer(bytes, wire)?)?),
            Builder::Int64(builder) => builder.append_value(cells::integer(bytes, wire)?),
            Builder::Float32(builder) => builder.append_value(f32::from_be_bytes(cells::fixed(bytes)?)),
            Builder::Float64(builder) => builder.append_value(cells::float(bytes, wire)?),
            Builder::Decimal128(builder) => builder.append_value(cells::decimal(bytes, wire, value_type)?),
            Builder::Text(builder) => builder.append_value(cells::text(bytes)?),
            Builder::Binary(builder) => builder.append_value(bytes),
            Builder::Date(builder) => builder.append_value(cells::date(bytes)?),
            Builder::Time(builder) => builder.append_value(cells::time(bytes)?),
            Builder::Timestamp(builder) => builder.append_value(cells::timestamp(bytes, value_type)?),
            Builder::TextList(builder) => {
                cells::texts(bytes, builder.values())?;
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
