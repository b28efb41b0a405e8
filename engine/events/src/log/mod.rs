//! The log: what is about to be committed, and what became of it, in files that are only appended to.

mod entry;
mod reader;
mod recovery;
mod segments;
mod shared_log;
mod writer;

pub(crate) use entry::{Fated, Id, Rows, read_body, written};
pub(crate) use reader::read_intent;
pub(crate) use recovery::{Left, Recovered, recover};
pub(crate) use segments::Place;
pub(crate) use shared_log::SharedLog;
pub(crate) use writer::{Command, FileBounds, Intent, Settled, Writer, now};

pub use entry::Committed;
pub use shared_log::Cursor;
