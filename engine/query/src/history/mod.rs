//! `querygate.history`: old and new values of tracked fields, of records that the reader reads now and as the reader sees these fields.
//! Reads no log; what it is given is raw.

mod rows;
mod table;

pub(crate) use table::{HistoryReader, NAME, SeenRecords, table};
