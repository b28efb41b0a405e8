//! Hooks that run when their change is stored, and that no statement waits for: what fails is tried again, and is in the log.

use super::call_answers::CallAnswers;
use super::job::{Job, Place};
use super::records::HookRecords;
use super::{HookRow, finished};
use querygate_metadata::model::Hook;
use std::sync::Arc;

/// Runs one hook for each row. `bytes`: of the rows.
pub(super) async fn run(job: Job, (rows, bytes): (Vec<HookRow>, usize), records: Option<Arc<HookRecords>>) {
    let Some(hook) = job.hooks.first().cloned() else { return };
    let Some(_place) = hook.statistics().wait(bytes) else {
        tracing::error!(hook = hook.hook().name, "a hook is left out: too many runs of it wait");
        return;
    };
    for (index, row) in rows.into_iter().enumerate() {
        let own = job.of_one(Place { first: index, ..job.place });
        once(hook.hook(), &own, row, records.as_ref()).await;
    }
}

async fn once(hook: &Hook, job: &Job, row: HookRow, records: Option<&Arc<HookRecords>>) {
    for attempt in 0..=hook.retries {
        let served = CallAnswers { records: records.cloned(), lender: None, until: job.until.clone(), open: None };
        let Err(error) = finished(job.of_one(job.place), vec![row.clone()], served).await else { return };
        let cause = error.cause().unwrap_or_else(|| error.message());
        if attempt == hook.retries {
            tracing::error!(hook = hook.name, cause, attempt, "a hook after a commit failed, and is not tried again");
            return;
        }
        tracing::warn!(hook = hook.name, cause, attempt, "a hook after a commit failed");
        tokio::time::sleep(hook.backoff.saturating_mul(attempt + 1)).await;
    }
}

impl Job {
    /// This job for one row.
    fn of_one(&self, place: Place) -> Self {
        Self {
            hooks: self.hooks.clone(),
            object: self.object.clone(),
            principal: Arc::clone(&self.principal),
            place,
            until: self.until.clone(),
            progress: Arc::default(),
            ..*self
        }
    }
}
