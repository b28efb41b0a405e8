//! What executing a statement gives.

use crate::column::Column;
pub use crate::copy_format::CopyFormat;
use crate::requests::ingest::CopyIn;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use querygate_types::Error;
use querygate_types::wire_rows::WireRows;
use std::sync::Arc;

/// A stream of batches. Dropping it ends the query and frees what it holds.
pub type BatchStream = BoxStream<'static, Result<RecordBatch, Error>>;

/// The tag of CommandComplete, as PostgreSQL writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandTag {
    /// `SELECT n`, `FETCH n`, `COPY n`…: the door appends the number of rows it sent.
    Counted(&'static str),
    /// `SET`, `BEGIN`, …
    Fixed(String),
}

/// Rows and their description.
pub struct Rows {
    /// The description of each column, in order.
    pub columns: Arc<[Column]>,
    /// Arrow schema of every batch; same length and order as `columns`.
    pub schema: SchemaRef,
    /// The rows; an error ends them.
    pub batches: BatchStream,
    /// For CommandComplete, after the last row.
    pub tag: CommandTag,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("columns", &self.columns).field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// Options of `COPY … TO STDOUT`, with PostgreSQL's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT.
    pub format: CopyFormat,
    /// HEADER: whether a line of column names comes first.
    pub header: bool,
    /// DELIMITER, one byte between fields; of text and csv.
    pub delimiter: u8,
    /// NULL, what stands for it unquoted; of text and csv.
    pub null: String,
    /// QUOTE, one byte around fields; of csv.
    pub quote: u8,
    /// ESCAPE, one byte before a quote inside of a field; of csv.
    pub escape: u8,
    /// FORCE_QUOTE; of csv.
    pub force_quote: ForceQuote,
}

/// Columns whose values, but for NULL, are quoted whatever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForceQuote {
    /// Each.
    All,
    /// Those at these places.
    These(Vec<usize>),
}

/// Result of one statement.
#[derive(Debug)]
pub enum Outcome {
    /// The text held no statement.
    Empty,
    /// A command without rows.
    Command(CommandTag),
    /// Rows, as batches.
    Rows(Rows),
    /// All rows of a SELECT, as the messages that were asked for ([`Delivery::Messages`](crate::service::Delivery::Messages)).
    Messages(WireRows),
    /// `COPY … TO STDOUT`.
    CopyOut(Rows, CopyOptions),
    /// `COPY … FROM STDIN`: nothing was stored yet.
    CopyIn(CopyIn),
}

/// What the door must tell the client beside the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A reported setting changed: send ParameterStatus.
    ParameterStatus {
        /// The name that ParameterStatus has for it, with its capitals.
        name: String,
        /// The value, as SHOW prints it.
        value: String,
    },
    /// A message that is no error: send NoticeResponse.
    Notice(Notice),
}

/// A NotificationResponse: something happened on a channel that the session listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The name that LISTEN was given.
    pub channel: String,
    /// What NOTIFY said; empty for nothing.
    pub payload: String,
}

/// A NoticeResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`.
    pub severity: &'static str,
    /// Five characters.
    pub sqlstate: String,
    /// One line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
