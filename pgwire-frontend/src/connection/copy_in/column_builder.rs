//! Values of one column, collected in the form of its array as they come.

use crate::decode::{Value, column};
use arrow::array::{
    ArrayRef, Decimal128Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use querygate_query_api::requests::ingest::IngestColumn;
use querygate_types::{Error, PgType, Result};
use std::sync::Arc;

/// What a row has for a column.
#[derive(Debug)]
pub(super) enum Item {
    Null,
    /// The text that its bytes are.
    Text,
    Value(Value),
}

/// A column in the making.
#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Text(StringBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Instants(TimestampMicrosecondBuilder),
    /// They become an array when all are there.
    Values(Vec<Option<Value>>),
}

/// Whether the values of a column are the texts that their bytes are.
pub(super) fn is_text(column: &IngestColumn) -> bool {
    let is_plain = matches!(column.pg_type, PgType::Text | PgType::Varchar | PgType::Bpchar | PgType::Name);
    is_plain && column.data_type == DataType::Utf8
}

impl ColumnBuilder {
    pub(super) fn new(column: &IngestColumn) -> Self {
        match &column.data_type {
            DataType::Utf8 if is_text(column) => Self::Text(StringBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            decimal @ DataType::Decimal128(..) => {
                Self::Decimal(Decimal128Builder::new().with_data_type(decimal.clone()))
            }
            instant @ DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Instants(TimestampMicrosecondBuilder::new().with_data_type(instant.clone()))
            }
            _ => Self::Values(Vec::new()),
        }
    }

    /// Adds what a row has, whose bytes are these.
    ///
    /// # Errors
    /// Internal: a value of another type.
    pub(super) fn push(&mut self, item: Item, bytes: &[u8]) -> Result<()> {
        match (self, item) {
            (Self::Text(texts), Item::Null) => texts.append_null(),
            (Self::Text(texts), Item::Text) => {
                texts.append_value(std::str::from_utf8(bytes).map_err(Error::internal)?);
            }
            (Self::Int16(values), Item::Null) => values.append_null(),
            (Self::Int16(values), Item::Value(Value::Int(value))) => {
                values.append_value(i16::try_from(value).map_err(Error::internal)?);
            }
            (Self::Int32(values), Item::Null) => values.append_null(),
            (Self::Int32(values), Item::Value(Value::Int(value))) => {
                values.append_value(i32::try_from(value).map_err(Error::internal)?);
            }
            (Self::Int64(values), Item::Null) => values.append_null(),
            (Self::Int64(values), Item::Value(Value::Int(value))) => values.append_value(value),
            (Self::Decimal(values), Item::Null) => values.append_null(),
            (Self::Decimal(values), Item::Value(Value::Decimal(decimal))) => values.append_value(decimal.value),
            (Self::Instants(values), Item::Null) => values.append_null(),
            (Self::Instants(values), Item::Value(Value::Micros(micros))) => values.append_value(micros),
            (Self::Values(values), Item::Null) => values.push(None),
            (Self::Values(values), Item::Value(value)) => values.push(Some(value)),
            (_, Item::Text | Item::Value(_)) => {
                return Err(Error::internal("a value of another type than its column's"));
            }
        }
        Ok(())
    }

    /// All values; the column begins anew.
    ///
    /// # Errors
    /// Internal: values of another type.
    pub(super) fn take(&mut self, own: &IngestColumn) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(texts) => Arc::new(texts.finish()),
            Self::Int16(values) => Arc::new(values.finish()),
            Self::Int32(values) => Arc::new(values.finish()),
            Self::Int64(values) => Arc::new(values.finish()),
            Self::Decimal(values) => Arc::new(values.finish()),
            Self::Instants(values) => Arc::new(values.finish()),
            Self::Values(values) => column(own.pg_type, std::mem::take(values), &own.data_type)?,
        })
    }
}
