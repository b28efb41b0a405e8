//! Parquet, CSV and NDJSON files, local or in an S3-compatible store, as DataFusion table providers. Knows no policy and no door.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod adapter;
mod append;
mod buffered;
mod compat;
mod config;
mod error;
mod fetch;
mod footers;
mod guard;
mod infer;
mod layout;
mod listing;
mod moved;
mod nan;
mod own_files;
mod pattern;
mod pinned;
mod rewrite;
mod source;
mod store;
mod study;
mod table;
mod text;

pub use append::AppendTarget;
pub use config::{CsvOptions, FileFormat, FilesConfig, FilesLimits, Location, S3Config, TableSpec};
pub use error::shared_error;
pub use infer::Inferred;
pub use pinned::PinnedFile;
pub use rewrite::SPARED;
pub use source::{FilesSource, FoundTable};
pub use table::FileTable;
