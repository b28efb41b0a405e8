//! Documents → Arrow, field by field, straight from their bytes. A value that its column's type cannot hold is an error, never a guess.

use crate::cells;
use crate::error::{out_of_range, wrong_value};
use crate::json::{broken, text};
use crate::place;
use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use mongodb::bson::{RawBsonRef, RawDocument};
use querygate_driver_api::builder::ColumnBuilder;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::{NativeStatement, ValueType};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// A batch is sent when the documents that it came from have grown to this, however few.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Collects documents into batches of one schema.
pub(crate) struct Decoder {
    schema: SchemaRef,
    /// One for each field of the documents.
    columns: Vec<Column>,
    /// The field of each delivered column.
    delivered: Vec<usize>,
    rows: usize,
    bytes: usize,
}

struct Column {
    field: String,
    /// The field's name where it holds ObjectIds.
    object_ids: String,
    value_type: ValueType,
    encoding: Encoding,
    builder: ColumnBuilder,
    /// Values so far: a row without one is NULL.
    filled: usize,
}

impl Decoder {
    pub(crate) fn new(statement: &NativeStatement, batch_rows: usize) -> Self {
        // What a small result needs; builders grow.
        let rows = batch_rows.min(1_024);
        let mut columns: Vec<Column> = Vec::new();
        let mut delivered = Vec::new();
        for (output, encoding) in &statement.output {
            let (field, object_ids) = (place::delivered(output.id, false), place::delivered(output.id, true));
            let at = match columns.iter().position(|column| column.field == field) {
                Some(at) => at,
                None => {
                    let builder = ColumnBuilder::new(output.value_type, rows);
                    let (value_type, encoding) = (output.value_type, *encoding);
                    columns.push(Column { field, object_ids, value_type, encoding, builder, filled: 0 });
                    columns.len() - 1
                }
            };
            delivered.push(at);
        }
        Self { schema: Arc::clone(&statement.schema), columns, delivered, rows: 0, bytes: 0 }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) const fn is_full(&self, batch_rows: usize) -> bool {
        self.rows >= batch_rows || self.bytes >= BATCH_BYTES
    }

    /// Adds a document.
    ///
    /// # Errors
    /// A value that its column cannot hold.
    pub(crate) fn push(&mut self, document: &RawDocument) -> Result<()> {
        self.bytes += document.as_bytes().len();
        let mut next = 0;
        for element in document.iter_elements() {
            let element = element.map_err(|error| broken(&error))?;
            let name = element.key().as_str();
            // Fields come in the order in which they were asked for; the missing ones are left out.
            let known = |(_, column): &(usize, &Column)| column.field == name || column.object_ids == name;
            let places = self.columns.iter().enumerate();
            let found = places.clone().skip(next).find(known).or_else(|| places.clone().take(next).find(known));
            let Some((at, _)) = found else { continue };
            next = at + 1;
            let value = element.value().map_err(|error| broken(&error))?;
            if let Some(column) = self.columns.get_mut(at)
                && column.filled == self.rows
            {
                let object_id = column.field != name;
                column.push(value, object_id)?;
                column.filled += 1;
            }
        }
        self.rows += 1;
        for column in &mut self.columns {
            if column.filled < self.rows {
                column.builder.append_null();
                column.filled += 1;
            }
        }
        Ok(())
    }

    /// Everything so far as a batch; begins the next one.
    ///
    /// # Errors
    /// A fault of ours.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        (self.rows, self.bytes) = (0, 0);
        let delivered = self.delivered.iter().filter_map(|at| arrays.get(*at).cloned()).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), delivered).map_err(Error::internal)
    }
}

impl Column {
    /// `object_id`: it must be one, and its digits are the text.
    fn push(&mut self, value: RawBsonRef<'_>, object_id: bool) -> Result<()> {
        if matches!(value, RawBsonRef::Null) {
            self.builder.append_null();
            return Ok(());
        }
        let (value_type, encoding) = (self.value_type, self.encoding);
        let whole = |value| cells::integer(value, value_type);
        let range = || out_of_range(value_type.name());
        match &mut self.builder {
            ColumnBuilder::Boolean(builder) => builder.append_value(cells::boolean(value)?),
            ColumnBuilder::Int16(builder) => builder.append_value(i16::try_from(whole(value)?).map_err(|_| range())?),
            ColumnBuilder::Int32(builder) => builder.append_value(i32::try_from(whole(value)?).map_err(|_| range())?),
            ColumnBuilder::Int64(builder) => builder.append_value(whole(value)?),
            #[expect(clippy::cast_possible_truncation, reason = "no column of this source is single precision")]
            ColumnBuilder::Float32(builder) => builder.append_value(cells::double(value, encoding)? as f32),
            ColumnBuilder::Float64(builder) => builder.append_value(cells::double(value, encoding)?),
            ColumnBuilder::Decimal128(builder) => builder.append_value(cells::numeric(value, value_type, encoding)?),
            ColumnBuilder::Text(builder) => match value {
                RawBsonRef::String(text) if !object_id => builder.append_value(cells::without_nul(text)?),
                RawBsonRef::ObjectId(id) if object_id => builder.append_value(id.to_hex()),
                other if encoding == Encoding::Text => match text(other)? {
                    Some(text) => builder.append_value(cells::without_nul(&text)?),
                    None => builder.append_null(),
                },
                _ => return Err(wrong_value("text")),
            },
            ColumnBuilder::Binary(builder) => match value {
                RawBsonRef::Binary(binary) => builder.append_value(binary.bytes),
                _ => return Err(wrong_value("bytea")),
            },
            ColumnBuilder::Date(builder) => builder.append_value(cells::day(value, encoding)?),
            ColumnBuilder::Time(builder) => builder.append_value(cells::time(value)?),
            ColumnBuilder::Timestamp(builder) => builder.append_value(cells::moment(value, encoding)?),
            ColumnBuilder::TextList(builder) => texts(builder, value)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        self.filled = 0;
        self.builder.finish()
    }
}

/// An array of texts; anything else in it is an error.
fn texts(builder: &mut ListBuilder<StringBuilder>, value: RawBsonRef<'_>) -> Result<()> {
    let RawBsonRef::Array(items) = value else { return Err(wrong_value("text[]")) };
    for item in items {
        match item.map_err(|error| broken(&error))? {
            RawBsonRef::String(text) => builder.values().append_value(cells::without_nul(text)?),
            RawBsonRef::ObjectId(id) => builder.values().append_value(id.to_hex()),
            RawBsonRef::Null => builder.values().append_null(),
            _ => return Err(wrong_value("text[]")),
        }
    }
    builder.append(true);
    Ok(())
}
