//! Rows that the session hands on as messages: sent as they are. Knows no source.

use crate::connection::Connection;
use crate::connection::halt::Halt;
use crate::connection::stream::CHUNK_BYTES;
use crate::encode::Style;
use crate::wire::Format;
use querygate_query_api::outcome::CommandTag;
use querygate_query_api::service::Prepared;
use querygate_types::PgType;
use querygate_types::wire_rows::{WireForm, WireRows};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Such rows are those of a SELECT.
pub(crate) const TAG_NAME: &str = "SELECT";
const TAG: CommandTag = CommandTag::Counted(TAG_NAME);

impl Connection {
    /// The one form in which a client reads all columns. `None`: it reads them in several, or its settings want values printed in
    /// another way than messages hold them.
    pub(crate) fn whole_form(&self, prepared: &Arc<dyn Prepared>, formats: &[Format]) -> Option<WireForm> {
        let first = formats.first().copied().unwrap_or(Format::Text);
        let same = formats.iter().all(|format| *format == first);
        if same { self.form_of(prepared, first, formats.len()) } else { None }
    }

    /// The same where one form is said so many times.
    pub(crate) fn form_of(&self, prepared: &Arc<dyn Prepared>, form: Format, said: usize) -> Option<WireForm> {
        let columns = prepared.columns().filter(|columns| !columns.is_empty())?;
        if !matches!(said, 0 | 1) && said != columns.len() {
            return None;
        }
        // Messages hold values of char(n) without the blanks that computed ones are sent with.
        if columns.iter().any(|column| column.pg_type == PgType::Bpchar && column.table_oid == 0) {
            return None;
        }
        match form {
            Format::Binary => Some(WireForm::Binary),
            Format::Text => {
                let usual = Style::of_session(&*self.session, columns).is_ok_and(|style| style == Style::default());
                usual.then_some(WireForm::Text)
            }
        }
    }

    /// Sends rows that came as messages, and that they are all.
    pub(crate) async fn send_messages(
        &mut self,
        written: &WireRows,
        token: &CancellationToken,
    ) -> Result<CommandTag, Halt> {
        self.take_effects();
        self.out.extend_from_slice(&written.messages);
        self.shared.counts.rows(written.rows);
        self.shared.counts.copied(written.rows);
        if self.out.len() >= CHUNK_BYTES {
            self.send_chunk(token).await?;
        }
        self.complete(&TAG, written.rows)?;
        Ok(TAG)
    }
}
