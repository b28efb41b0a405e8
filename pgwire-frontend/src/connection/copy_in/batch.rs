//! Values of rows collected into batches, each in the type of its column.

use super::cells::Cells;
use super::column_builder::{ColumnBuilder, Item, is_text};
use crate::decode::{Decimal, Value, utf8, value_of};
use crate::wire::Format;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use querygate_query_api::requests::ingest::IngestColumn;
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::Arc;

/// A batch is whole when it holds this number of bytes.
const BATCH_BYTES: usize = 4 << 20;

/// A value that is none of its column's type.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) column: usize,
    pub(super) error: Error,
}

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Batch {
    columns: Arc<[IngestColumn]>,
    schema: SchemaRef,
    format: Format,
    zone: Zone,
    values: Vec<ColumnBuilder>,
    row: Vec<Item>,
    /// The line that each row is in.
    lines: Vec<u64>,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(columns: Arc<[IngestColumn]>, format: Format, zone: Zone) -> Self {
        let fields = columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let values = columns.iter().map(ColumnBuilder::new).collect();
        Self { columns, schema, format, zone, values, row: Vec::new(), lines: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.lines.len() == limits::BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// What its values take of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the row of a line; one with a misfit is left out.
    pub(super) fn add(&mut self, cells: &Cells, line: u64) -> std::result::Result<(), Misfit> {
        self.row.clear();
        let mut bytes = 0;
        for (at, (cell, column)) in cells.iter().zip(self.columns.iter()).enumerate() {
            let item = cell.map_or(Ok(Item::Null), |cell| self.item(column, cell, at));
            self.row.push(item.map_err(|error| Misfit { column: at, error })?);
            bytes += size_of::<Value>() + cell.map_or(0, <[u8]>::len);
        }
        let items = self.values.iter_mut().zip(self.row.drain(..)).zip(cells.iter());
        for (at, ((values, item), cell)) in items.enumerate() {
            values.push(item, cell.unwrap_or_default()).map_err(|error| Misfit { column: at, error })?;
        }
        self.lines.push(line);
        self.bytes += bytes + size_of::<u64>();
        Ok(())
    }

    fn item(&self, column: &IngestColumn, cell: &[u8], at: usize) -> Result<Item> {
        if is_text(column) { utf8(cell).map(|_| Item::Text) } else { self.value(column, cell, at).map(Item::Value) }
    }

    fn value(&self, column: &IngestColumn, cell: &[u8], at: usize) -> Result<Value> {
        let value = value_of(column.pg_type, self.format, cell, at + 1, &self.zone).map_err(|error| {
            match (error.code(), self.format) {
                (ErrorCode::InvalidBinaryRepresentation, Format::Binary) => {
                    Error::new(ErrorCode::InvalidBinaryRepresentation, "incorrect binary data format")
                }
                _ => error,
            }
        })?;
        match (value, &column.data_type) {
            (Value::Decimal(decimal), DataType::Decimal128(precision, scale)) => {
                rounded(decimal, *precision, *scale).map(Value::Decimal)
            }
            (value, _) => Ok(value),
        }
    }

    /// The batch, if it has rows, with the line of each; the next one begins.
    ///
    /// # Errors
    /// Internal: values of another type than their column's.
    pub(super) fn take(&mut self) -> Result<Option<(RecordBatch, Vec<u64>)>> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let typed = self.columns.iter().zip(&mut self.values);
        let arrays = typed.map(|(own, values)| values.take(own));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        batch.map(|batch| Some((batch, lines))).map_err(Error::internal)
    }
}

/// A decimal at the scale of its column, halves away from zero.
fn rounded(decimal: Decimal, precision: u8, scale: i8) -> Result<Decimal> {
    let overflow = || {
        let whole = i16::from(precision) - i16::from(scale);
        Error::new(ErrorCode::NumericOutOfRange, "numeric field overflow").with_detail(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{whole}."
        ))
    };
    let wanted = u8::try_from(scale).map_err(Error::internal)?;
    let value = match decimal.scale.checked_sub(wanted) {
        None => {
            let factor = 10_i128.checked_pow(u32::from(wanted - decimal.scale)).ok_or_else(overflow)?;
            decimal.value.checked_mul(factor).ok_or_else(overflow)?
        }
        Some(0) => decimal.value,
        Some(places) => match 10_i128.checked_pow(u32::from(places)) {
            Some(factor) => {
                let (whole, rest) = (decimal.value / factor, decimal.value % factor);
                let is_half = rest.unsigned_abs() >= factor.unsigned_abs() / 2;
                if is_half { whole + rest.signum() } else { whole }
            }
            None => 0,
        },
    };
    let bound = 10_u128.checked_pow(u32::from(precision)).ok_or_else(overflow)?;
    if value.unsigned_abs() < bound { Ok(Decimal { value, scale: wanted }) } else { Err(overflow()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_as_postgres_rounds_them() {
        let cases = [
            ((125, 2), Some(13)),
            ((-125, 2), Some(-13)),
            ((124, 2), Some(12)),
            ((7, 0), Some(70)),
            ((999, 1), Some(999)),
            ((9_995, 2), None),
            ((100, 0), None),
            ((1, 38), Some(0)),
        ];
        for ((value, scale), expected) in cases {
            let found = rounded(Decimal { value, scale }, 3, 1);
            assert_eq!(found.ok().map(|decimal| decimal.value), expected, "{value} at {scale}");
        }
    }
}
