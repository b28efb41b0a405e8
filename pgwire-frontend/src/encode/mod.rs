//! Arrow batches to frames: columns resolved once per batch, rows written into one buffer. Knows no socket and no session.

mod binary;
mod column;
mod datetime;
mod digits;
mod float;
mod json;
mod numeric;
mod physical;
mod shape;
mod style;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use datetime::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
pub(crate) use digits::push_u64;
pub(crate) use shape::{CopyText, Shape};
pub(crate) use style::Style;

use crate::wire::{Format, Writer, put_length};
use arrow::record_batch::RecordBatch;
use column::Column;
use querygate_query_api as api;
use querygate_types::Result;
use std::ops::Range;

/// One batch, ready to be written.
pub(crate) struct BatchEncoder<'a> {
    columns: Vec<(Column<'a>, Format)>,
    shape: &'a Shape,
    style: &'a Style,
    /// Bytes that go into a binary COPY's frame before this row.
    lead: Option<(usize, &'static [u8])>,
}

impl<'a> BatchEncoder<'a> {
    pub(crate) fn new(
        batch: &'a RecordBatch,
        columns: &[api::Column],
        formats: &[Format],
        shape: &'a Shape,
        style: &'a Style,
    ) -> Result<Self> {
        let resolved = batch.columns().iter().zip(columns).zip(formats);
        let columns = resolved
            .map(|((array, column), format)| Ok((Column::new(array, column.pg_type)?, *format)))
            .collect::<Result<_>>()?;
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
        for (column, format) in &self.columns {
            if column.is_null(row) {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            }
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            match format {
                Format::Text => text::write(column, row, self.style, out)?,
                Format::Binary => binary::write(column, row, self.style, out)?,
            }
            let length = out.len() - at - 4;
            put_length(out, at, length);
        }
        Ok(())
    }

    fn copy_text(&self, shape: &CopyText, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mark = out.open(b'd');
        for (position, (column, _)) in self.columns.iter().enumerate() {
            if position > 0 {
                out.push(shape.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(&shape.null);
                continue;
            }
            let start = out.len();
            text::write(column, row, self.style, out)?;
            shape.protect(out, start, self.columns.len() == 1);
        }
        out.push(b'\n');
        out.close(mark);
        Ok(())
    }
}
