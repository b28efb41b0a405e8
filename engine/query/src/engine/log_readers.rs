//! What of the logs of changes one run of a statement reads.

use crate::events::EventReader;
use crate::history::HistoryReader;
use std::sync::Arc;

/// Who reads field history and events in one run of a statement.
#[derive(Default)]
pub(crate) struct LogReaders {
    /// `None`: the statement reads no history.
    pub(crate) history: Option<Arc<HistoryReader>>,
    /// `None`: it reads no events.
    pub(crate) events: Option<Arc<EventReader>>,
}
