//! Documents → Arrow, field by field, straight from their bytes. A value that its column's type cannot hold is an error, never a guess.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::documents::cells;
use crate::documents::fetch::Stored;
use crate::documents::json::{broken, text};
use crate::documents::paths::{Paths, Target};
use crate::documents::walk;
use crate::error::{out_of_range, wrong_value};
use crate::tree::place;
use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use mongodb::bson::{Decimal128, RawBsonRef};
use querygate_driver_api::builder::{ColumnBuilder, ROWS_AT_FIRST, with_cells};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_types::{Error, Result, limits};
use std::sync::Arc;

/// A batch is sent when the documents that it came from have grown to this, however few.
const BATCH_BYTES: usize = limits::BATCH_BYTES;

/// Collects documents into batches of one schema.
pub(crate) struct Decoder {
    schema: SchemaRef,
    paths: Paths,
    cells: Cells,
    /// The field of each delivered column.
    delivered: Vec<usize>,
    /// Documents so far, those of finished batches too.
    documents: u64,
    bytes: usize,
}

/// The rows so far, column by column.
pub(crate) struct Cells {
    columns: Vec<Column>,
    rows: usize,
    /// Where values of rare kinds are read from.
    scratch: Vec<u8>,
}

struct Column {
    value_type: ValueType,
    encoding: Encoding,
    builder: ColumnBuilder,
    /// Values so far: a row without one is NULL.
    filled: usize,
    /// Its first place among the delivered columns.
    place: usize,
}

impl Decoder {
    /// For documents that hold the statement's columns under their names, or for stored ones.
    ///
    /// # Errors
    /// A fault of ours.
    pub(crate) fn new(statement: &NativeStatement, stored: Option<&Stored>, batch_rows: usize) -> Result<Self> {
        let rows = batch_rows.min(ROWS_AT_FIRST);
        let mut columns: Vec<Column> = Vec::new();
        let mut known: Vec<String> = Vec::new();
        let mut delivered = Vec::new();
        let mut paths = Paths::default();
        for (place, (output, encoding)) in statement.output.iter().enumerate() {
            let field = place::delivered(output.id, false);
            let at = known.iter().position(|known| *known == field).unwrap_or(known.len());
            delivered.push(at);
            if at < known.len() {
                continue;
            }
            let mut read = false;
            for object_id in [false, true] {
                let name = place::delivered(output.id, object_id);
                if let Some(path) = stored.map_or(Some(name.as_str()), |stored| stored.path(&name)) {
                    paths.add(path, Target { column: at, object_id });
                    read = true;
                }
            }
            if !read {
                return Err(Error::internal("a column that the statement does not read"));
            }
            known.push(field);
            let builder = ColumnBuilder::new(output.value_type, rows);
            columns.push(Column { value_type: output.value_type, encoding: *encoding, builder, filled: 0, place });
        }
        let cells = Cells { columns, rows: 0, scratch: Vec::new() };
        Ok(Self { schema: Arc::clone(&statement.schema), paths, cells, delivered, documents: 0, bytes: 0 })
    }

    pub(crate) const fn is_full(&self, batch_rows: usize) -> bool {
        self.cells.rows >= batch_rows || self.bytes >= BATCH_BYTES
    }

    /// Adds a document.
    ///
    /// # Errors
    /// A value that its column cannot hold.
    pub(crate) fn push(&mut self, document: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(document.len());
        self.documents = self.documents.saturating_add(1);
        if let Err(error) = self.paths.read(document, self.documents, &mut self.cells) {
            let columns = self.cells.columns.iter_mut().map(|own| (own.place, &mut own.builder));
            return Err(with_cells(error, self.cells.rows, columns));
        }
        self.cells.end_row();
        Ok(())
    }

    /// What is left after the last document.
    ///
    /// # Errors
    /// A fault of ours.
    pub(crate) fn rest(&mut self) -> Result<Option<RecordBatch>> {
        if self.cells.rows == 0 { Ok(None) } else { self.finish().map(Some) }
    }

    /// Everything so far as a batch; begins the next one.
    ///
    /// # Errors
    /// A fault of ours.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.cells.finish();
        self.bytes = 0;
        let delivered = self.delivered.iter().filter_map(|at| arrays.get(*at).cloned()).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), delivered).map_err(Error::internal)
    }
}

impl Cells {
    /// A value of this row from its bytes.
    ///
    /// # Errors
    /// One that its column cannot hold.
    #[inline]
    pub(crate) fn read(&mut self, target: Target, kind: u8, bytes: &[u8]) -> Result<()> {
        match self.columns.get_mut(target.column) {
            Some(column) if column.filled == self.rows => {
                column.filled = column.filled.saturating_add(1);
                let read = match column.usual(kind, bytes, target.object_id) {
                    Ok(true) => return Ok(()),
                    Ok(false) => column.push(walk::value(kind, bytes, &mut self.scratch)?, target.object_id),
                    Err(error) => Err(error),
                };
                column.settle(read)
            }
            _ => Ok(()),
        }
    }

    /// A value of this row.
    ///
    /// # Errors
    /// One that its column cannot hold.
    pub(crate) fn put(&mut self, target: Target, value: RawBsonRef<'_>) -> Result<()> {
        match self.columns.get_mut(target.column) {
            Some(column) if column.filled == self.rows => {
                column.filled = column.filled.saturating_add(1);
                let read = column.push(value, target.object_id);
                column.settle(read)
            }
            _ => Ok(()),
        }
    }

    fn end_row(&mut self) {
        self.rows = self.rows.saturating_add(1);
        for column in &mut self.columns {
            if column.filled < self.rows {
                column.builder.append_null();
                column.filled = column.filled.saturating_add(1);
            }
        }
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let rows = std::mem::take(&mut self.rows);
        self.columns.iter_mut().map(|column| column.finish(rows)).collect()
    }
}

impl Column {
    /// A value of the kind that such columns mostly hold, as [`Column::push`] would have it; `false`: it is of another kind.
    #[inline]
    fn usual(&mut self, kind: u8, bytes: &[u8], object_id: bool) -> Result<bool> {
        match (&mut self.builder, kind) {
            (builder, walk::NULL | walk::UNDEFINED) => builder.append_null(),
            (ColumnBuilder::Boolean(builder), walk::BOOLEAN) => builder.append_value(walk::boolean(bytes)?),
            (ColumnBuilder::Int32(builder), walk::INT) => {
                builder.append_value(i32::from_le_bytes(walk::fixed(bytes)?));
            }
            (ColumnBuilder::Int64(builder), walk::INT) => {
                builder.append_value(i32::from_le_bytes(walk::fixed(bytes)?).into());
            }
            (ColumnBuilder::Int64(builder), walk::LONG) => {
                builder.append_value(i64::from_le_bytes(walk::fixed(bytes)?));
            }
            (ColumnBuilder::Float64(builder), walk::DOUBLE) => {
                builder.append_value(f64::from_le_bytes(walk::fixed(bytes)?));
            }
            (ColumnBuilder::Decimal128(builder), walk::DECIMAL) => {
                let decimal = Decimal128::from_bytes(walk::fixed(bytes)?);
                builder.append_value(cells::exact(&decimal, self.value_type)?);
            }
            (ColumnBuilder::Text(builder), walk::STRING) if !object_id => {
                builder.append_value(cells::without_nul(walk::text(bytes)?)?);
            }
            (ColumnBuilder::Timestamp(builder), walk::DATE) => {
                builder.append_value(cells::micros(i64::from_le_bytes(walk::fixed(bytes)?))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A value that could not be read names its column, or is NULL.
    fn settle(&mut self, read: Result<()>) -> Result<()> {
        let read = read.or_else(|error| self.builder.append_null_for(error, self.encoding));
        read.map_err(|error| error.with_column(self.place))
    }

    /// `object_id`: it must be one, and its digits are the text.
    fn push(&mut self, value: RawBsonRef<'_>, object_id: bool) -> Result<()> {
        if matches!(value, RawBsonRef::Null | RawBsonRef::Undefined) {
            self.builder.append_null();
            return Ok(());
        }
        let (value_type, encoding) = (self.value_type, self.encoding.stored());
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
            // No field reads as such a list.
            ColumnBuilder::List(_) => return Err(wrong_value(value_type.name())),
        }
        Ok(())
    }

    /// The cells of so many rows; the next batch is expected to have as many.
    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.filled = 0;
        let array = self.builder.finish();
        self.builder = ColumnBuilder::new(self.value_type, rows);
        array
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
