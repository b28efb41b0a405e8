//! Statements on connections of their own, and moments that several of them see.

pub(crate) mod bulk;
pub(crate) mod charged;
pub(crate) mod execute;
pub(crate) mod paged_text;
pub(crate) mod reader;
pub(crate) mod snapshot;
pub(crate) mod table_reads;
