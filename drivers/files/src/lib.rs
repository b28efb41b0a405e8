//! Parquet, CSV and NDJSON files, local or in an S3-compatible store, as DataFusion table providers. Knows no policy and no door.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod append;
mod buffered;
mod column_names;
mod compat;
mod config;
mod contents;
mod endings;
mod error;
mod footers;
mod infer;
mod layout;
mod pattern;
mod rewrite;
mod source;
mod store;
mod table;
mod text;

pub use append::AppendTarget;
pub use config::{CsvOptions, FileFormat, FilesConfig, FilesLimits, Location, S3Config, TableSpec};
pub use contents::{Exploration, FoundTable, OmittedPath};
pub use error::shared_error;
pub use infer::{ForeignColumn, ForeignForm, Inferred};
pub use rewrite::SPARED;
pub use source::FilesSource;
pub use table::FileTable;
pub use table::pinned::PinnedFile;
