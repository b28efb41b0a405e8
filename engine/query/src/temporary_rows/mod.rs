//! Rows of temporary tables: where they are kept, and how plans read them. Knows neither statements nor what a table is made of.

mod provider;
mod rows;

pub(crate) use provider::{ROW, RowsReader, TemporaryExec, TemporaryTable, Wanted};
pub(crate) use rows::{Chunk, ChunkStore, Chunks, count};
