//! COPY's data, as it comes, into batches of rows. Says of an error in which line and column of the client's data it lies.

use super::batch::{Batch, Misfit};
use super::binary;
use super::cells::Cells;
use super::fields::Style;
use super::lines::{Found, Lines};
use crate::wire::Format;
use arrow::array::RecordBatch;
use bytes::{Buf, BytesMut};
use querygate_query_api::outcome::CopyFormat;
use querygate_query_api::requests::ingest::{CopyHeader, CopyIn, CopyProgress, LogVerbosity, OnError};
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// What one row takes, at most.
const ROW_BYTES_MAX: usize = 32 << 20;
/// Characters of the client's data in an error.
const SHOWN_MAX: usize = 100;

/// Reads one COPY's data.
pub(super) struct Decoder {
    copy: CopyIn,
    input: BytesMut,
    rows: Rows,
    cells: Cells,
    batch: Batch,
    awaits_header: bool,
    ended: bool,
    /// What the client is to hear of rows that were left out.
    notices: Vec<String>,
}

enum Rows {
    Lines(Box<Lines>, Style),
    Binary(binary::Rows),
}

/// What became of the data at the front.
enum Step {
    Taken,
    Part,
    End,
}

impl Decoder {
    pub(super) fn new(copy: CopyIn, zone: Zone) -> Self {
        let (rows, format) = match copy.options.format {
            CopyFormat::Text | CopyFormat::Csv => {
                let style = Style::new(&copy.options);
                (Rows::Lines(Box::new(Lines::new(&style)), style), Format::Text)
            }
            CopyFormat::Binary => (Rows::Binary(binary::Rows::default()), Format::Binary),
        };
        Self {
            awaits_header: copy.options.header != CopyHeader::Absent,
            batch: Batch::new(Arc::clone(&copy.columns), format, zone),
            copy,
            input: BytesMut::new(),
            rows,
            cells: Cells::default(),
            ended: false,
            notices: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.copy.progress.add_bytes(data.len());
        // What follows the end is read to be thrown away.
        if !self.ended {
            self.input.extend_from_slice(data);
        }
    }

    pub(super) fn progress(&self) -> &CopyProgress {
        &self.copy.progress
    }

    /// What it holds of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.input.len() + self.batch.bytes()
    }

    /// What the client is to hear since the last time.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// What the client is to hear at the end.
    pub(super) fn summary(&self) -> Option<String> {
        match (self.copy.progress.skipped(), self.copy.options.log_verbosity) {
            (0, _) | (_, LogVerbosity::Silent) => None,
            (1, _) => Some("1 row was skipped due to data type incompatibility".to_owned()),
            (rows, _) => Some(format!("{rows} rows were skipped due to data type incompatibility")),
        }
    }

    fn skips(&self, misfit: &Misfit) -> String {
        let column = self.copy.columns.get(misfit.column).map(|column| column.name.as_str()).unwrap_or_default();
        let cell = self.cells.iter().nth(misfit.column).flatten().map(shown).unwrap_or_default();
        let line = self.number();
        format!("skipping row due to data type incompatibility at line {line} for column \"{column}\": \"{cell}\"")
    }

    /// A batch that is whole, with the line of each row. `is_all`: nothing follows; then the last one need not be.
    ///
    /// # Errors
    /// 22P04 and those of values.
    pub(super) fn next(&mut self, is_all: bool) -> Result<Option<(RecordBatch, Vec<u64>)>> {
        loop {
            if self.batch.is_whole() {
                return self.batch.take();
            }
            let step = if self.ended { Step::End } else { self.step(is_all)? };
            match step {
                Step::Taken => {}
                Step::Part if self.input.len() > ROW_BYTES_MAX => {
                    let text = "a row of COPY data is too long";
                    return Err(Error::new(ErrorCode::ProgramLimitExceeded, text)
                        .with_detail(format!("The limit is {ROW_BYTES_MAX} bytes."))
                        .with_context(self.place()));
                }
                Step::Part => return Ok(None),
                Step::End => {
                    self.input = BytesMut::new();
                    return if is_all { self.batch.take() } else { Ok(None) };
                }
            }
        }
    }

    /// Where in the data it is.
    pub(super) fn place(&self) -> String {
        format!("COPY {}, line {}", self.copy.table, self.number())
    }

    fn number(&self) -> u64 {
        match &self.rows {
            Rows::Lines(lines, _) => lines.number(),
            Rows::Binary(rows) => rows.number,
        }
    }

    fn step(&mut self, is_all: bool) -> Result<Step> {
        let columns = self.copy.columns.len();
        match &mut self.rows {
            Rows::Lines(lines, _) => match lines.find(&self.input, is_all) {
                Ok(Found::Line { length, taken }) => self.line(length, taken).map(|()| Step::Taken),
                Ok(Found::Part) => Ok(Step::Part),
                Ok(Found::End) => {
                    self.ended = true;
                    Ok(Step::End)
                }
                Err(error) => Err(error.with_context(self.place())),
            },
            Rows::Binary(rows) => match rows.find(&self.input, columns, is_all, &mut self.cells) {
                Ok(binary::Found::Row(taken)) => {
                    self.input.advance(taken);
                    let added = self.batch.add(&self.cells, rows.number);
                    added.map(|()| Step::Taken).map_err(|misfit| self.told(misfit))
                }
                Ok(binary::Found::Skip(taken)) => {
                    self.input.advance(taken);
                    Ok(Step::Taken)
                }
                Ok(binary::Found::Part) => Ok(Step::Part),
                Ok(binary::Found::End) => Ok(if is_all { Step::End } else { Step::Part }),
                Err(error) => Err(error.with_context(self.place())),
            },
        }
    }

    fn line(&mut self, length: usize, taken: usize) -> Result<()> {
        let line = self.input.split_to(taken);
        let line = line.get(..length).unwrap_or_default();
        let Rows::Lines(_, style) = &self.rows else { return Err(Error::internal("a line of binary data")) };
        let in_line = |error: Error, place: String| error.with_context(format!("{place}: \"{}\"", shown(line)));
        let read = style.read(line, &self.copy.columns, &mut self.cells);
        read.map_err(|error| in_line(error, self.place()))?;
        if std::mem::take(&mut self.awaits_header) {
            return self.header().map_err(|error| in_line(error, self.place()));
        }
        let columns = self.copy.columns.len();
        if self.cells.len() > columns {
            return Err(in_line(bad("extra data after last expected column"), self.place()));
        }
        if let Some(missing) = self.copy.columns.get(self.cells.len()) {
            let text = format!("missing data for column \"{}\"", missing.name);
            return Err(in_line(bad(&text), self.place()));
        }
        for at in self.cells.defaults() {
            if let Some(column) = self.copy.columns.get(at).filter(|column| !column.has_default) {
                let detail = format!("The metadata has no default value of column \"{}\".", column.name);
                let error = bad("unexpected default marker in COPY data").with_detail(detail);
                return Err(self.told(Misfit { column: at, error }));
            }
        }
        let number = self.number();
        match self.batch.add(&self.cells, number) {
            Ok(()) => Ok(()),
            // A text that is no text at all is not what is to be ignored.
            Err(misfit)
                if self.copy.options.on_error == OnError::Ignore
                    && misfit.error.code() != ErrorCode::CharacterNotInRepertoire =>
            {
                self.copy.progress.add_skipped();
                if self.copy.options.log_verbosity == LogVerbosity::Verbose {
                    let skips = self.skips(&misfit);
                    self.notices.push(skips);
                }
                Ok(())
            }
            Err(misfit) => Err(self.told(misfit)),
        }
    }

    /// Whether the names of the first line are those of the columns, where that is asked for.
    fn header(&self) -> Result<()> {
        if self.copy.options.header != CopyHeader::Match {
            return Ok(());
        }
        let (found, expected) = (self.cells.len(), self.copy.columns.len());
        if found != expected {
            let text = format!("wrong number of fields in header line: got {found}, expected {expected}");
            return Err(bad(&text));
        }
        for (at, (cell, column)) in self.cells.iter().zip(self.copy.columns.iter()).enumerate() {
            if cell == Some(column.name.as_bytes()) {
                continue;
            }
            let got = cell.map_or_else(
                || format!("null value (\"{}\")", self.copy.options.null),
                |cell| format!("\"{}\"", shown(cell)),
            );
            let text = format!(
                "column name mismatch in header line field {}: got {got}, expected \"{}\"",
                at + 1,
                column.name
            );
            return Err(bad(&text));
        }
        Ok(())
    }

    fn told(&self, Misfit { column, error }: Misfit) -> Error {
        let name = self.copy.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
        let place = self.place();
        let cell = self.cells.iter().nth(column).flatten();
        let text = match (&self.rows, cell) {
            (Rows::Lines(..), Some(cell)) => format!(": \"{}\"", shown(cell)),
            (Rows::Lines(..) | Rows::Binary(_), _) => String::new(),
        };
        error.with_context(format!("{place}, column {name}{text}"))
    }
}

/// The client's own bytes, as far as an error shows them.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

fn bad(text: &str) -> Error {
    Error::new(ErrorCode::BadCopyFormat, text)
}
