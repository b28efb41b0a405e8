//! Rows that a client sends to be stored: the columns that they fill, and how COPY writes them. Knows no door and no source.

use crate::copy_format::CopyFormat;
use arrow::datatypes::DataType;
use querygate_types::PgType;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A table and the columns of the rows that are to be stored in it, in their order, as a client names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestTarget {
    /// The database; `None`: the session's.
    pub catalog: Option<String>,
    /// `None`: the one that a bare name is looked up in.
    pub schema: Option<String>,
    /// The name as it is, not folded.
    pub table: String,
    /// Names as they are.
    pub columns: Vec<String>,
}

/// A column that rows bring values for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestColumn {
    /// As the table calls it.
    pub name: String,
    /// The type whose texts and bytes its values are.
    pub pg_type: PgType,
    /// The type of its stored values. Rows whose type is another one are cast as an INSERT casts.
    pub data_type: DataType,
    /// An unquoted value that reads as NULL is the text itself.
    pub force_not_null: bool,
    /// A quoted value that reads as NULL is NULL.
    pub force_null: bool,
    /// A row without a value gets one.
    pub has_default: bool,
}

/// What the first line of the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row like the others.
    Absent,
    /// Names, which are left out.
    Skip,
    /// Names, which must be those of the columns.
    Match,
}

/// What becomes of a row with a text that is no value of its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The statement fails.
    Stop,
    /// The row is left out.
    Ignore,
}

/// What a client hears of rows that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogVerbosity {
    /// Nothing.
    Silent,
    /// How many they were.
    Default,
    /// Of each, where it is.
    Verbose,
}

/// Options of `COPY … FROM STDIN`, with PostgreSQL's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInOptions {
    /// How rows are written.
    pub format: CopyFormat,
    /// What the first line is.
    pub header: CopyHeader,
    /// Between values.
    pub delimiter: u8,
    /// What is written for NULL.
    pub null: String,
    /// What is written for the column's default, where a word for it was chosen.
    pub default: Option<String>,
    /// Around values of CSV.
    pub quote: u8,
    /// Before a quote inside of a quoted value.
    pub escape: u8,
    /// What becomes of rows that do not fit.
    pub on_error: OnError,
    /// How much notices say of rows that were left out.
    pub log_verbosity: LogVerbosity,
}

/// How far a COPY is: counted by the door that reads its data, shown by `pg_stat_progress_copy` as long as the door keeps it.
#[derive(Debug, Default)]
pub struct CopyProgress {
    bytes: AtomicU64,
    rows: AtomicU64,
    skipped: AtomicU64,
}

impl CopyProgress {
    /// Counts bytes of data that came.
    pub fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts rows that go on to be stored.
    pub fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Counts a row that is left out.
    pub fn add_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that came.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Rows that went on to be stored.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows that were left out.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// A COPY that waits for its rows: the door reads them and hands them to [`Session::ingest`](crate::Session::ingest).
#[derive(Debug, Clone)]
pub struct CopyIn {
    /// As the statement calls it.
    pub table: String,
    /// The columns of a row, in their order.
    pub columns: Arc<[IngestColumn]>,
    /// How rows are written.
    pub options: CopyInOptions,
    /// What the door counts.
    pub progress: Arc<CopyProgress>,
}
