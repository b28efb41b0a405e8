//! Hooks of one read of records: they may refuse it. What they make of the question or of the records is dropped.

use super::call_answers::CallAnswers;
use super::job::{Job, Place};
use super::records::HookRecords;
use super::refusal::Audience;
use super::time_bound::TimeBound;
use super::{HookRow, finished};
use crate::write::values::rows::Row;
use querygate_metadata::model::HookEvent;
use querygate_policy::hooks::ObjectHook;
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::sync::Arc;

/// The hooks of a read, and who reads.
#[derive(Clone)]
pub(crate) struct FindHooks {
    pub(crate) hooks: Vec<Arc<ObjectHook>>,
    pub(crate) event: HookEvent,
    pub(crate) object: String,
    pub(crate) principal: Arc<Principal>,
    pub(crate) now_ms: i64,
    /// Where they ask for other records: in transactions of their own.
    pub(crate) records: Option<Arc<HookRecords>>,
    pub(crate) until: TimeBound,
}

impl FindHooks {
    /// Runs them. `found`: the records as the reader is to see them; `None`: before they are read.
    ///
    /// # Errors
    /// P0001: one refuses the read. 38000: one failed. 57014.
    pub(crate) async fn run(self, query: Row, found: Option<Value>) -> Result<()> {
        if self.hooks.is_empty() {
            return Ok(());
        }
        let served = CallAnswers { records: self.records, lender: None, until: self.until.clone(), open: None };
        let job = Job {
            hooks: self.hooks,
            event: self.event,
            object: self.object,
            principal: self.principal,
            now_ms: self.now_ms,
            // A question, and records that the reader is to see.
            audience: Audience::All,
            place: Place { first: 0, count: 1, each_alone: false },
            until: self.until,
            progress: Arc::default(),
            is_waited_for: false,
            is_platform: false,
        };
        finished(job, vec![HookRow { input: query, found, ..HookRow::default() }], served).await.map(drop)
    }
}
