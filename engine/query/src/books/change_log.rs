//! What the audit file says of a change before it can be stored, and afterwards: who, which object, how many rows; never a value.
//! Decides nothing about the change.

use crate::books::observe::Observer;
use crate::books::within::Within;
use querygate_query_api::service::Door;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::SystemTime;

/// The lines of one statement's changes.
#[derive(Debug, Clone)]
pub(crate) struct ChangeLog {
    pub(crate) observer: Arc<Observer>,
    /// The statement's number, as in its own line at its end.
    pub(crate) query: u64,
    pub(crate) session: u64,
    pub(crate) login: Arc<str>,
    pub(crate) door: Door,
    /// The number of the door's request, where it has one.
    pub(crate) request: Option<Arc<str>>,
    /// The hook that makes them.
    pub(crate) within: Option<Within>,
}

/// What became of a change that had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeOutcome {
    Committed,
    RolledBack,
    /// Undone by a ROLLBACK TO, perhaps not all that the line is about.
    RolledBackToSavepoint,
    /// The source was lost while it committed, and does not say what it did.
    Unknown,
}

impl ChangeOutcome {
    /// Of a commit by its answer.
    pub(crate) fn of(committed: &Result<()>) -> Self {
        match committed {
            Ok(()) => Self::Committed,
            Err(error) if error.code() == ErrorCode::TransactionOutcomeUnknown => Self::Unknown,
            Err(_) => Self::RolledBack,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled back",
            Self::RolledBackToSavepoint => "rolled back to a savepoint",
            Self::Unknown => "unknown",
        }
    }
}

impl ChangeLog {
    /// Says that rows of an object are about to be stored, where there is an audit file.
    ///
    /// # Errors
    /// 53100: the line is not in the file, so that nothing may be stored.
    pub(crate) async fn begun(&self, object: &str, operation: &str, rows: usize) -> Result<()> {
        let line = || self.line("begun", json!({ "object": object, "operation": operation, "rows": rows }));
        if self.observer.audited(line).await {
            return Ok(());
        }
        Err(Error::new(ErrorCode::DiskFull, "change cannot be written to the audit file")
            .with_detail("Nothing was changed.")
            .with_hint("An operator finds the reason in the log."))
    }

    /// Says how a transaction ended whose changes these are, from the statement of this number on. What cannot be written now is counted like every other line that is missing.
    pub(crate) async fn ended_since(&self, first: u64, outcome: ChangeOutcome) {
        let line = || self.line(outcome.name(), json!({ "first_query": first }));
        if !self.observer.audited(line).await {
            tracing::error!(
                query = self.query,
                outcome = outcome.name(),
                "the end of a change is not in the audit file"
            );
        }
    }

    fn line(&self, what: &str, more: Value) -> String {
        let at = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
        let mut line = json!({
            "at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "query": self.query,
            "session": self.session,
            "login": &*self.login,
            "door": self.door.name(),
            "change": what,
        });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            if let Some(within) = &self.within {
                within.mark(line);
            }
            line.extend(self.request.as_deref().map(|id| ("request".to_owned(), id.into())));
            line.extend(more);
        }
        format!("{line}\n")
    }
}
