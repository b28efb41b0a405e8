//! Rows of an NDJSON file, or of the lines that start in a part of it. Knows no column.

use crate::store::fetch::{Fetch, LineError, Lines};
use crate::text::{RowFailure, TextTable};
use querygate_memory::RowDecoder;

pub(crate) struct NdjsonRows {
    lines: Lines,
    start: u64,
    end: u64,
}

impl NdjsonRows {
    /// Lines that start in `start..end`. The reader begins one byte earlier, so that a line which starts exactly at
    /// `start` is told from one that started before.
    pub(crate) fn new(fetch: Fetch, start: u64, end: u64, table: &TextTable) -> Self {
        Self { lines: Lines::new(fetch, table.row_bytes_max), start, end }
    }

    /// Pushes the next row; false at the end.
    pub(crate) async fn push_next(&mut self, decoder: &mut RowDecoder) -> Result<bool, RowFailure> {
        loop {
            let (offset, line) = match self.lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(false),
                Err(LineError::Store(error)) => return Err(RowFailure::Store(error)),
                Err(LineError::TooLong) => return Err(RowFailure::TooLong),
            };
            if offset >= self.end {
                return Ok(false);
            }
            if offset < self.start {
                continue;
            }
            let line = match offset {
                0 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
                _ => &line,
            };
            let text = std::str::from_utf8(line).map_err(|e| RowFailure::Format(e.to_string()))?;
            if text.trim().is_empty() {
                continue;
            }
            decoder.push_json(text).map_err(RowFailure::Row)?;
            return Ok(true);
        }
    }
}
