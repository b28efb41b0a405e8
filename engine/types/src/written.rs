//! Rows as messages of PostgreSQL's protocol, which pass from a source to a client without being read into columns. Knows no
//! connection.

/// The form in which a client reads all columns of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm {
    /// As PostgreSQL prints values with `TimeZone` UTC, `DateStyle` ISO, `bytea_output` hex and `extra_float_digits` 1.
    Text,
    /// As PostgreSQL sends them.
    Binary,
}

/// All rows of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenRows {
    /// One DataRow message for each row, whole and in order.
    pub messages: Vec<u8>,
    pub rows: u64,
    /// NULLs of each column.
    pub nulls: Vec<u64>,
    /// What the same rows take as columns of Arrow, about.
    pub bytes: u64,
}
