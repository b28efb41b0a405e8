//! What one who follows changes may see of them: each row is judged by the follower's own policy as it is now, before and after the
//! change. Reads no log.

mod filter_outcome;
mod row_verdict;
mod table;
mod view;

pub(crate) use row_verdict::{RowEvent, RowVerdict, row_verdicts};
pub(crate) use table::{EventReader, KeptEvents, NAME, table};
pub(crate) use view::{KeyText, View, aligned};

use crate::history::HistoryReader;
use std::sync::Arc;

/// Who reads field history and events in one run of a statement.
#[derive(Default)]
pub(crate) struct LogReaders {
    /// `None`: the statement does not read it.
    pub(crate) history: Option<Arc<HistoryReader>>,
    /// The same.
    pub(crate) events: Option<Arc<EventReader>>,
}
