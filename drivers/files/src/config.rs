//! What the caller says about a file source and its tables. Knows no file and no store.

use arrow::datatypes::SchemaRef;
use encoding_rs::{Encoding, UTF_8};
use querygate_types::limits;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One configured source of files.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// Name of the source, as errors show it.
    pub name: String,
    /// Where the files are.
    pub location: Location,
    /// How long a listing is trusted before it is read again.
    pub refresh: Duration,
    pub limits: FilesLimits,
}

impl FilesConfig {
    /// A local folder with the usual bounds; its listings are trusted for one second.
    #[must_use]
    pub fn local(name: &str, root: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            location: Location::Local { root: root.into() },
            refresh: Duration::from_secs(1),
            limits: FilesLimits::default(),
        }
    }

    /// A bucket with the usual bounds; its listings are trusted for ten seconds.
    #[must_use]
    pub fn s3(name: &str, s3: S3Config) -> Self {
        Self {
            name: name.to_owned(),
            location: Location::S3(s3),
            refresh: Duration::from_secs(10),
            limits: FilesLimits::default(),
        }
    }
}

/// Where the files of a source are. Patterns are relative to it and cannot leave it.
#[derive(Debug, Clone)]
pub enum Location {
    Local { root: PathBuf },
    S3(S3Config),
}

/// An S3-compatible bucket. Needs the crate's feature `s3`.
#[derive(Clone, Default)]
pub struct S3Config {
    pub bucket: String,
    /// Folder inside the bucket; empty for its top.
    pub prefix: String,
    pub region: Option<String>,
    /// URL of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// Without a key the requests are unsigned.
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    /// Allows an `http://` endpoint.
    pub allow_http: bool,
}

impl std::fmt::Debug for S3Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("signed", &self.access_key_id.is_some())
            .finish_non_exhaustive()
    }
}

/// Bounds of one source.
#[derive(Debug, Clone, Copy)]
pub struct FilesLimits {
    /// Files of one table.
    pub files_max: usize,
    /// Columns of one table or file.
    pub columns_max: usize,
    /// Bytes of one CSV or NDJSON row.
    pub row_bytes_max: usize,
    /// Bytes of Parquet footers kept.
    pub footer_bytes_max: usize,
}

impl Default for FilesLimits {
    fn default() -> Self {
        Self {
            files_max: 10_000,
            columns_max: limits::RESULT_COLUMNS_MAX,
            row_bytes_max: 1024 * 1024,
            footer_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// How the files of a table are written. Texts may be packed by gzip or zstd, as their names say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFormat {
    Parquet,
    Csv(CsvOptions),
    /// An object in each line.
    Ndjson,
    /// Objects one after another or in one list, over any number of lines.
    Json,
}

/// Dialect of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    pub delimiter: u8,
    pub quote: u8,
    /// Whether the first row names the columns. Without it, columns stand in the declared order.
    pub header: bool,
    /// Text that stands for NULL.
    pub null: String,
    pub encoding: &'static Encoding,
}

impl CsvOptions {
    /// What a text is taken to be in that is not UTF-8 and has no mark.
    pub const GUESSED: &'static Encoding = encoding_rs::WINDOWS_1252;
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', header: true, null: String::new(), encoding: UTF_8 }
    }
}

/// One table over files.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// Name of the table, as errors show it.
    pub name: String,
    /// A file, a folder (all files of the format below it) or a glob, relative to the source's location.
    pub pattern: String,
    pub format: FileFormat,
    /// Declared columns; `None` infers them from the files.
    pub schema: Option<SchemaRef>,
    /// What the files call a declared column, where that differs from its name.
    pub column_map: BTreeMap<String, String>,
    /// Columns that files may have besides; `None`: any.
    pub ignored: Option<Vec<String>>,
}

impl TableSpec {
    /// A table whose columns have the names that the files give them.
    #[must_use]
    pub fn new(name: &str, pattern: &str, format: FileFormat, schema: Option<SchemaRef>) -> Self {
        Self {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            format,
            schema,
            column_map: BTreeMap::new(),
            ignored: None,
        }
    }

    /// What the files call this column.
    #[must_use]
    pub fn file_column<'a>(&'a self, column: &'a str) -> &'a str {
        self.column_map.get(column).map_or(column, String::as_str)
    }
}
