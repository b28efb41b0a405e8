//! Decodes rows (a JSON object or a list of text cells) into batches of a declared schema. Knows no source and no I/O.

use crate::column::{ColumnBuilder, Wanted};
use crate::line::{self, Malformed};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use std::collections::HashMap;

/// One value on its way into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// Plain text, as a CSV field.
    Text(&'a str),
    /// A JSON token as it was written: `12.50`, `"x"`, `{"a":1}`.
    Json(&'a str),
}

/// What a key that is no declared column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// The row is refused: data that nobody declared is probably a misspelling.
    Refuse,
    /// The key is skipped: files may hold more than the metadata shows.
    Ignore,
}

/// Why a row was refused. Texts name columns and kinds, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowError {
    /// The text is not one JSON object.
    NotAnObject,
    /// A key that is no column; with the nearest column name.
    UnknownKey { key: String, nearest: Option<String> },
    /// A key that stands twice.
    DuplicateKey { column: String },
    /// A value that does not fit its column.
    Mismatch { column: String, wanted: &'static str },
    /// More or fewer cells than columns.
    CellCount { wanted: usize },
}

/// Calls `member(key, raw value)` for each member of a JSON object, in order. Values stay as they are written.
///
/// # Errors
/// The text is not one JSON object.
pub fn members(object: &str, mut member: impl FnMut(&str, &str)) -> Result<(), RowError> {
    line::members(object, |key, value| {
        member(&key, value);
        Ok(())
    })
}

impl From<Malformed> for RowError {
    fn from(_: Malformed) -> Self {
        Self::NotAnObject
    }
}

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("the line is not one JSON object"),
            Self::UnknownKey { key, nearest: Some(nearest) } => {
                write!(f, "unknown key \"{key}\", nearest is \"{nearest}\"")
            }
            Self::UnknownKey { key, nearest: None } => write!(f, "unknown key \"{key}\""),
            Self::DuplicateKey { column } => write!(f, "key \"{column}\" stands twice"),
            Self::Mismatch { column, wanted } => write!(f, "column \"{column}\": expected {wanted}"),
            Self::CellCount { wanted } => write!(f, "expected {wanted} cells"),
        }
    }
}

impl std::error::Error for RowError {}

/// Rows in, batches out. After an error the decoder must be dropped: the row is half appended.
pub struct RowDecoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    /// Column of each source key.
    slots: HashMap<String, usize>,
    unknown: UnknownKeys,
    rows: usize,
    bytes: usize,
}

impl std::fmt::Debug for RowDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowDecoder").field("rows", &self.rows).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl RowDecoder {
    /// A decoder for `schema`; `keys[i]` is what the source calls column `i`. Errors with the type that text cannot give.
    pub fn new(schema: SchemaRef, keys: &[String], unknown: UnknownKeys) -> Result<Self, String> {
        if keys.len() != schema.fields().len() {
            return Err(format!("{} keys for {} columns", keys.len(), schema.fields().len()));
        }
        let columns = schema
            .fields()
            .iter()
            .map(|f| ColumnBuilder::new(f).map_err(|e| format!("column \"{}\": {e}", f.name())))
            .collect::<Result<_, _>>()?;
        let slots = keys.iter().enumerate().map(|(i, key)| (key.clone(), i)).collect();
        Ok(Self { schema, columns, slots, unknown, rows: 0, bytes: 0 })
    }

    /// Appends one JSON object. Absent keys are NULL.
    pub fn push_json(&mut self, text: &str) -> Result<(), RowError> {
        let mut found: Vec<Option<&str>> = vec![None; self.columns.len()];
        line::members::<RowError>(text, |key, value| {
            match self.slots.get(key.as_ref()) {
                Some(&at) if found[at].is_some() => {
                    return Err(RowError::DuplicateKey { column: self.schema.field(at).name().clone() });
                }
                Some(&at) => found[at] = Some(value),
                None => match self.unknown {
                    UnknownKeys::Ignore => {}
                    UnknownKeys::Refuse => return Err(self.unknown_key(&key)),
                },
            }
            Ok(())
        })?;
        for (at, value) in found.into_iter().enumerate() {
            self.append(at, value.map_or(Cell::Null, Cell::Json))?;
        }
        self.rows += 1;
        self.bytes += text.len();
        Ok(())
    }

    /// Appends one row of cells, one per column.
    pub fn push_cells<'a>(&mut self, cells: impl ExactSizeIterator<Item = Cell<'a>>) -> Result<(), RowError> {
        if cells.len() != self.columns.len() {
            return Err(RowError::CellCount { wanted: self.columns.len() });
        }
        for (at, cell) in cells.enumerate() {
            if let Cell::Text(text) | Cell::Json(text) = cell {
                self.bytes += text.len();
            }
            self.append(at, cell)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Rows since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of source text since the last batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows so far as one batch; the decoder starts anew.
    pub fn flush(&mut self) -> Result<RecordBatch, ArrowError> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), arrays, &options)
    }

    fn append(&mut self, at: usize, cell: Cell<'_>) -> Result<(), RowError> {
        self.columns[at]
            .append(cell)
            .map_err(|wanted: Wanted| RowError::Mismatch { column: self.schema.field(at).name().clone(), wanted })
    }

    fn unknown_key(&self, key: &str) -> RowError {
        let nearest = self
            .slots
            .keys()
            .map(|known| (strsim::damerau_levenshtein(key, known), known))
            .filter(|(distance, _)| *distance <= 1 + key.len() / 3)
            .min()
            .map(|(_, known)| known.clone());
        RowError::UnknownKey { key: key.chars().take(64).collect(), nearest }
    }
}
