//! Rows of a CSV file: records, header, dialect, bounds. Knows no type.

use crate::column_names::ColumnNames;
use crate::config::CsvOptions;
use crate::store::fetch::Fetch;
use crate::text::header;
use crate::text::{RowFailure, TextTable};
use bytes::{Buf, Bytes};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use querygate_memory::{Cell, RowDecoder};
use std::sync::Arc;

/// Raw records of a CSV file.
pub(crate) struct Records {
    fetch: Fetch,
    reader: Reader,
    input: Bytes,
    output: Vec<u8>,
    ends: Vec<usize>,
    row_bytes_max: usize,
    columns_max: usize,
}

impl Records {
    pub(crate) fn new(fetch: Fetch, options: &CsvOptions, row_bytes_max: usize, columns_max: usize) -> Self {
        let reader = ReaderBuilder::new().delimiter(options.delimiter).quote(options.quote).build();
        Self {
            fetch: fetch.encoded(options.encoding),
            reader,
            input: Bytes::new(),
            output: vec![0; 4096],
            ends: vec![0; 64],
            row_bytes_max,
            columns_max,
        }
    }

    /// Reads the next record; its number of fields, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<usize>, RowFailure> {
        let (mut out, mut fields) = (0, 0);
        loop {
            if self.input.is_empty() {
                // An empty input tells the parser that the file ended.
                self.input = self.fetch.next().await?.unwrap_or_default();
            }
            let (result, read, written, ended) =
                self.reader.read_record(&self.input, &mut self.output[out..], &mut self.ends[fields..]);
            self.input.advance(read);
            out += written;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.output.len() >= self.row_bytes_max => {
                    return Err(RowFailure::TooLong);
                }
                ReadRecordResult::OutputFull => {
                    self.output.resize((self.output.len() * 2).min(self.row_bytes_max), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() > self.columns_max => {
                    return Err(RowFailure::TooLong);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize((self.ends.len() * 2).min(self.columns_max + 1), 0);
                }
                ReadRecordResult::Record => return Ok(Some(fields)),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Field `at` of the record just read.
    pub(crate) fn field(&self, at: usize) -> Result<&str, RowFailure> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        std::str::from_utf8(&self.output[start..self.ends[at]]).map_err(|e| RowFailure::Format(e.to_string()))
    }
}

pub(crate) struct CsvRows {
    records: Records,
    null: String,
    table: Arc<TextTable>,
    /// The wanted columns by their places among the table's file columns.
    wanted: Vec<usize>,
    header: bool,
    /// Position of each wanted column in a record; `None` where the file lacks it.
    positions: Option<Vec<Option<usize>>>,
    fields: usize,
}

impl CsvRows {
    /// `columns` are the wanted file columns of the table.
    pub(crate) fn new(fetch: Fetch, options: &CsvOptions, table: &Arc<TextTable>, columns: &[usize]) -> Self {
        Self {
            records: Records::new(fetch, options, table.row_bytes_max, table.columns_max),
            null: options.null.clone(),
            table: Arc::clone(table),
            wanted: columns.to_vec(),
            header: options.header,
            positions: None,
            fields: 0,
        }
    }

    /// Pushes the next row; false at the end.
    pub(crate) async fn push_next(&mut self, decoder: &mut RowDecoder) -> Result<bool, RowFailure> {
        let Some(mut fields) = self.records.next().await? else { return Ok(false) };
        if self.positions.is_none() {
            self.fields = fields;
            self.positions = Some(self.place(fields)?);
            if self.header {
                match self.records.next().await? {
                    Some(next) => fields = next,
                    None => return Ok(false),
                }
            }
        }
        if fields != self.fields {
            return Err(RowFailure::Format(format!("{fields} fields where the first row has {}", self.fields)));
        }
        let mut cells = Vec::with_capacity(self.wanted.len());
        for position in self.positions.iter().flatten() {
            cells.push(match position {
                Some(at) => match self.records.field(*at)? {
                    "" => Cell::Null,
                    text if text == self.null => Cell::Null,
                    text => Cell::Text(text),
                },
                None => Cell::Null,
            });
        }
        decoder.push_cells(cells.into_iter()).map_err(RowFailure::Row)?;
        Ok(true)
    }

    /// Where the wanted columns stand, by the header or by the declared order.
    fn place(&self, fields: usize) -> Result<Vec<Option<usize>>, RowFailure> {
        let called = &self.table.file_names;
        if !self.header {
            let place = |&at: &usize| {
                let short = || RowFailure::Header(format!("there is no field for column \"{}\"", called[at]));
                if at < fields { Ok(Some(at)) } else { Err(short()) }
            };
            return self.wanted.iter().map(place).collect();
        }
        let cells = (0..fields).map(|at| self.records.field(at)).collect::<Result<Vec<_>, _>>()?;
        let names = header::names(cells.into_iter());
        let names = ColumnNames::new(names.iter().map(String::as_str));
        if let Some(text) = names.renamed(called, self.table.ignored.as_deref()) {
            return Err(RowFailure::Header(text));
        }
        Ok(self.wanted.iter().map(|&at| names.position(&called[at])).collect())
    }
}
