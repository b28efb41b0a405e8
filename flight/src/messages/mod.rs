//! Rows as Flight messages: the types on the wire, small batches merged, the schema first. Knows no session.

pub(crate) mod encode;
pub(crate) mod merge;
pub(crate) mod plain_bytes;
pub(crate) mod wire;
