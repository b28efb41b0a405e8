//! The SQLite driver: fragments down, Arrow batches up. Knows no DataFusion, no metadata and no policy.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod advice;
mod bind;
mod capabilities;
mod codec;
mod declared;
mod decode;
mod dialect;
mod driver;
mod error;
mod execute;
mod functions;
mod introspect;
mod listing;
mod pool;
mod write;
mod writer;

pub use driver::{SqliteDriver, SqliteOptions};
pub use writer::{ColumnSpec, SqliteWriter, TableSpec};
