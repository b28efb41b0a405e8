//! Cells as texts, for who shows rows without a socket.

use super::{Format, Sent, Style};
use arrow::record_batch::RecordBatch;
use querygate_query_api::column::Column;
use querygate_query_api::service::Session;
use querygate_types::{Error, Result};

/// The cells of a batch as a client of this door shows them.
pub struct TextCells<'a> {
    columns: Vec<Sent<'a>>,
    style: Style,
}

impl<'a> TextCells<'a> {
    /// Texts follow the settings of a session, as `TimeZone`; without one, those that a session begins with.
    ///
    /// # Errors
    /// A column is of a type that has no text; a setting cannot be followed.
    pub fn new(batch: &'a RecordBatch, columns: &[Column], session: Option<&dyn Session>) -> Result<Self> {
        let sent = batch.columns().iter().zip(columns).map(|(array, column)| Sent::new(array, column, Format::Text));
        let style = session.map(|session| Style::of_session(session, columns)).transpose()?.unwrap_or_default();
        Ok(Self { columns: sent.collect::<Result<_>>()?, style })
    }

    /// A cell; `None` of NULL.
    ///
    /// # Errors
    /// The value has no text, or there is no such column.
    pub fn text(&self, row: usize, column: usize) -> Result<Option<String>> {
        let sent = self.columns.get(column).ok_or_else(|| Error::internal("a row has fewer columns"))?;
        if sent.column.is_null(row) {
            return Ok(None);
        }
        let mut out = Vec::new();
        sent.write(row, Format::Text, &self.style, &mut out)?;
        String::from_utf8(out).map(Some).map_err(Error::internal)
    }
}
