//! Arrow batches to frames: columns resolved once per batch, rows written into one buffer. Knows no socket and no session.

#![expect(clippy::indexing_slicing, reason = "rows are those of the batch at hand, places those of what was written")]

mod binary;
mod cells;
mod column;
mod datetime;
mod float;
mod json;
mod numeric;
mod physical;
mod shape;
mod style;
mod text;

#[cfg(test)]
mod tests;

pub use cells::TextCells;
pub(crate) use datetime::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
pub(crate) use shape::{CopyText, Shape};
pub(crate) use style::Style;

use crate::wire::{Format, Writer, put_length};
use arrow::record_batch::RecordBatch;
use column::Column;
use querygate_query_api as api;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::ops::Range;

/// One batch, ready to be written.
pub(crate) struct BatchEncoder<'a> {
    columns: Vec<Sent<'a>>,
    shape: &'a Shape,
    style: &'a Style,
    /// Bytes that go into a binary COPY's frame before this row.
    lead: Option<(usize, &'static [u8])>,
}

/// A column as it is sent.
struct Sent<'a> {
    column: Column<'a>,
    format: Format,
    /// Characters that each value has: blanks are put behind computed ones of `char(n)`.
    characters: usize,
}

/// Characters of all `char(n)` in a row; a row of more would be made of blanks.
const CHARACTERS_MAX: usize = 64 << 20;

impl<'a> Sent<'a> {
    fn new(array: &'a dyn arrow::array::Array, of: &api::column::Column, format: Format) -> Result<Self> {
        let characters = match of.pg_type {
            PgType::Bpchar if of.table_oid == 0 => usize::try_from(of.type_modifier.saturating_sub(4)).unwrap_or(0),
            _ => 0,
        };
        Ok(Self { column: Column::new(array, of.pg_type)?, format, characters })
    }

    /// Writes a value that is not NULL.
    #[inline]
    fn write(&self, row: usize, format: Format, style: &Style, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        match format {
            Format::Text => text::write(&self.column, row, style, out)?,
            Format::Binary => binary::write(&self.column, row, style, out)?,
        }
        if self.characters > 0 {
            // Each character begins with a byte that continues none.
            let own = out[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
            out.resize(out.len() + self.characters.saturating_sub(own), b' ');
        }
        Ok(())
    }
}

impl<'a> BatchEncoder<'a> {
    pub(crate) fn new(
        batch: &'a RecordBatch,
        columns: &[api::column::Column],
        formats: &[Format],
        shape: &'a Shape,
        style: &'a Style,
    ) -> Result<Self> {
        debug_assert_eq!(batch.num_columns(), columns.len(), "each column is described");
        debug_assert_eq!(formats.len(), columns.len(), "each column has a format");
        let resolved = batch.columns().iter().zip(columns).zip(formats);
        let columns =
            resolved.map(|((array, column), format)| Sent::new(array, column, *format)).collect::<Result<Vec<_>>>()?;
        if columns.iter().map(|column| column.characters).fold(0, usize::saturating_add) > CHARACTERS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a row of these columns is too long"));
        }
        Ok(Self { columns, shape, style, lead: None })
    }

    /// Puts `lead` into the frame of `row`, before its fields (binary COPY only).
    pub(crate) fn led_by(mut self, lead: Option<&'static [u8]>, row: usize) -> Self {
        self.lead = lead.map(|lead| (row, lead));
        self
    }

    /// Appends one frame per row until `bytes_max` is passed; gives the next row. On an error `out` ends before the row
    /// at fault.
    pub(crate) fn encode(&self, rows: Range<usize>, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize> {
        let end = rows.end;
        for row in rows {
            let start = out.len();
            let written = match self.shape {
                Shape::DataRow => self.data_row(row, out),
                Shape::CopyText(text) => self.copy_text(text, row, out),
                Shape::CopyBinary => self.copy_binary(row, out),
            };
            if let Err(error) = written {
                out.truncate(start);
                return Err(error);
            }
            debug_assert!(out.len() >= start + 5, "a row is a frame: a tag and a length at least");
            if out.len() >= bytes_max {
                return Ok(row + 1);
            }
        }
        Ok(end)
    }

    fn data_row(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mark = out.open(b'D');
        self.fields(row, out)?;
        out.close(mark);
        Ok(())
    }

    fn copy_binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mark = out.open(b'd');
        if let Some((first, lead)) = self.lead
            && first == row
        {
            out.extend_from_slice(lead);
        }
        self.fields(row, out)?;
        out.close(mark);
        Ok(())
    }

    #[inline]
    fn fields(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.count(self.columns.len());
        for sent in &self.columns {
            if sent.column.is_null(row) {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            }
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            sent.write(row, sent.format, self.style, out)?;
            let length = out.len() - at - 4;
            put_length(out, at, length);
        }
        Ok(())
    }

    fn copy_text(&self, shape: &CopyText, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mark = out.open(b'd');
        for (position, sent) in self.columns.iter().enumerate() {
            if position > 0 {
                out.push(shape.delimiter);
            }
            if sent.column.is_null(row) {
                out.extend_from_slice(&shape.null);
                continue;
            }
            let start = out.len();
            sent.write(row, Format::Text, self.style, out)?;
            shape.protect(out, start, self.columns.len() == 1, shape.forces(position));
        }
        out.push(b'\n');
        out.close(mark);
        Ok(())
    }
}
