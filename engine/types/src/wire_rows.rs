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

/// A parameter's value, of the few types in which rows are looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Given<'a> {
    /// Of `boolean`.
    Boolean(bool),
    /// Of `smallint`.
    Int16(i16),
    /// Of `integer`.
    Int32(i32),
    /// Of `bigint`.
    Int64(i64),
    /// With the client's own scale.
    Decimal {
        /// The digits, without a point.
        value: i128,
        /// Digits after the point.
        scale: u8,
    },
    /// Of `text`, `varchar` or `char`.
    Text(&'a str),
}

impl std::fmt::Debug for Given<'_> {
    /// Values stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// All rows of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireRows {
    /// One DataRow message for each row, whole and in order.
    pub messages: Vec<u8>,
    /// Number of the messages.
    pub rows: u64,
    /// NULLs of each column; empty where there is none.
    pub nulls: Vec<u64>,
    /// What the same rows take as columns of Arrow, about.
    pub bytes: u64,
}
