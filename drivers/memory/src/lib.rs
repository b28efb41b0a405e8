//! Tables held in memory, those that can be changed among them, and the row decoding that turns NDJSON and text cells into declared columns. Knows no policy, no door and no file.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod column;
mod line;
mod one_nan;
pub mod parse;
mod rows;
mod seed;
mod source;
mod table;
mod versioned;

pub use one_nan::with_one_nan;
pub use rows::{Cell, RowDecoder, RowError, UnknownKeys, members};
pub use seed::load_ndjson;
pub use source::{MemoryConfig, MemorySource};
pub use table::MemoryTable;
pub use versioned::{ChangingMemory, MemoryColumn, MemoryTableSpec};
