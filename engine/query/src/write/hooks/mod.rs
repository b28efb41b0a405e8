//! Hooks of rows that are changed: before they are judged by their rules, and after they are stored, in the same transaction. A hook
//! makes values and refuses rows; what it may not do with them, the steps after it say.

mod after_commit;
mod call;
mod call_answers;
mod find;
mod job;
mod native;
mod platform;
mod query;
mod records;
mod refusal;
mod time_bound;
mod values;

use super::target::Targeted;
use crate::write::forms::record::{GivenRecord, RecordPlace};
use crate::write::values::rows::Row;
use call_answers::CallAnswers;
pub(crate) use find::FindHooks;
use job::{Job, Place};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_metadata::model::{HookEvent, Object};
use querygate_policy::RowFilter;
use querygate_policy::hooks::ObjectHook;
use querygate_policy::write::events_of;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
pub(crate) use records::{Asker, DEPTH_MAX, HookRecords, Lender, OpensRecords, RecordCall, Records};
use refusal::Audience;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(crate) use time_bound::TimeBound;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
pub(crate) use values::{MadeRow, shown, shown_payload};

/// Rows of one statement that hooks look at, at most.
const ROWS_MAX: usize = 10_000;
/// How often a script is looked after that should have ended.
const LOOK: Duration = Duration::from_millis(100);

/// A row as hooks of one event see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct HookRow {
    /// What is given: hooks before a change may make another of it.
    pub(crate) input: Row,
    /// The stored row; of a new one there is none.
    pub(crate) previous: Option<Row>,
    /// Of a row that is about to be updated, what was sent: `input` is without what is not stored of it.
    pub(crate) submitted: Option<Row>,
    /// The row as it is stored after the change.
    pub(crate) result: Option<Row>,
    /// The records that were found: what hooks after a read see.
    pub(crate) found: Option<Value>,
}

impl HookRow {
    /// About what it takes in memory.
    fn bytes(&self) -> usize {
        let rows = [Some(&self.input), self.previous.as_ref(), self.submitted.as_ref(), self.result.as_ref()];
        let fields = rows.into_iter().flatten().flatten().map(|(name, value)| name.len() + values::bytes(value));
        size_of::<Self>() + fields.sum::<usize>() + self.found.as_ref().map_or(0, values::bytes)
    }

    /// A row that goes.
    pub(crate) fn gone(object: &Object, row: &Row) -> Self {
        Self { previous: Some(shown(object, row.clone())), ..Self::default() }
    }
}

/// The hooks of an object at one event of a statement.
pub(crate) struct Hooks<'a> {
    hooks: &'a [Arc<ObjectHook>],
    event: HookEvent,
    object: &'a str,
    principal: Arc<Principal>,
    now_ms: i64,
    audience: Audience,
    /// Where the change is made, whose transaction is lent to what hooks ask for.
    source: (&'a Arc<str>, &'a Arc<dyn Driver>),
    is_platform: bool,
    /// Where the only row is among those of its change.
    place: Option<RecordPlace>,
    /// The rows are changed one by one because of another change.
    each_alone: bool,
}

impl<'a> Hooks<'a> {
    /// Those before the change of a statement; `None`: there are none.
    pub(crate) fn before(targeted: &'a Targeted) -> Option<Self> {
        Self::of(targeted, events_of(targeted.operation()).0)
    }

    /// Those after it.
    pub(crate) fn after(targeted: &'a Targeted) -> Option<Self> {
        Self::of(targeted, events_of(targeted.operation()).1)
    }

    fn of(targeted: &'a Targeted, event: HookEvent) -> Option<Self> {
        let decision = &targeted.intent().object().decision;
        let is_open = decision.hidden_fields().is_empty() && decision.masks().is_empty();
        // A record that is named by its key may be changed by who does not read it.
        let is_read = targeted.intent().record().is_none() || *targeted.readable() == RowFilter::All;
        let audience = if is_open && is_read { Audience::All } else { Audience::Part };
        let place = targeted.intent().record().and_then(GivenRecord::place);
        Some(Self { place, ..Self::on(targeted, targeted.permit().object(), event, audience)? })
    }

    /// Those of an object whose rows are changed by what follows of a statement. Who sent that may see none of them.
    pub(crate) fn following(targeted: &'a Targeted, object: &'a str, event: HookEvent) -> Option<Self> {
        Some(Self { each_alone: true, ..Self::on(targeted, object, event, Audience::Nothing)? })
    }

    /// The change is the platform's own: hooks without rights of their own have its rights.
    pub(crate) fn of_platform(self) -> Self {
        Self { is_platform: true, ..self }
    }

    fn on(targeted: &'a Targeted, object: &'a str, event: HookEvent, audience: Audience) -> Option<Self> {
        let hooks = targeted.following().hooks(object, event);
        let principal = Arc::clone(targeted.shared_principal());
        let now_ms = targeted.now_ms();
        let source = (targeted.table().source(), targeted.table().driver());
        let (is_platform, place, each_alone) = (false, None, false);
        let own = Self { hooks, event, object, principal, now_ms, audience, source, is_platform, place, each_alone };
        (!hooks.is_empty()).then_some(own)
    }

    /// Runs those that the statement waits for, for each row, and gives back what is to be stored of each.
    ///
    /// # Errors
    /// P0001: a hook refuses a row. 38000: one failed. 54000: too many rows. 57014. What a call of theirs was refused.
    pub(crate) async fn run(
        &self,
        rows: Vec<HookRow>,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<Vec<Row>> {
        if rows.len() > ROWS_MAX {
            let text = format!("hooks run for {ROWS_MAX} rows of a statement at most");
            return Err(
                Error::new(ErrorCode::ProgramLimitExceeded, text).with_hint("Change them in several statements.")
            );
        }
        let (hooks, _) = self.parted();
        if hooks.is_empty() {
            return Ok(rows.into_iter().map(|row| row.input).collect());
        }
        let all = self.places(rows.len());
        let until = TimeBound { cancel: context.cancel.clone(), deadline: context.deadline };
        let records = transaction.companion::<HookRecords>();
        let (source, driver) = self.source;
        let lender = Some(Lender { source, driver, transaction });
        let served = CallAnswers { records, lender, until: until.clone(), open: None };
        finished(Job { is_waited_for: true, ..self.job(hooks, all, until) }, rows, served).await
    }

    /// Runs those after a change: those that the statement waits for now, the others when it is committed.
    ///
    /// # Errors
    /// As of [`run`](Self::run).
    pub(crate) async fn conclude(
        &self,
        rows: Vec<HookRow>,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<()> {
        self.run(rows.clone(), transaction, context).await?;
        let (_, detached) = self.parted();
        for hook in detached {
            let job = self.job(vec![hook], self.places(rows.len()), TimeBound::default());
            let (rows, runtime) = (rows.clone(), Handle::current());
            let records = transaction.companion::<HookRecords>();
            let bytes = rows.iter().map(HookRow::bytes).sum();
            let run = move || drop(runtime.spawn(after_commit::run(job, (rows, bytes), records)));
            transaction.when_committed(bytes, run)?;
        }
        Ok(())
    }

    fn places(&self, count: usize) -> Place {
        let each_alone = self.each_alone;
        match self.place {
            Some(RecordPlace { at, count }) => Place { first: at, count, each_alone },
            None => Place { first: 0, count, each_alone },
        }
    }

    /// Hooks that are waited for, and those that are not.
    fn parted(&self) -> (Vec<Arc<ObjectHook>>, Vec<Arc<ObjectHook>>) {
        let is_detached = |hook: &Arc<ObjectHook>| hook.hook().is_async && self.event.is_after();
        self.hooks.iter().cloned().partition(|hook| !is_detached(hook))
    }

    fn job(&self, hooks: Vec<Arc<ObjectHook>>, place: Place, until: TimeBound) -> Job {
        Job {
            hooks,
            event: self.event,
            object: self.object.to_owned(),
            principal: Arc::clone(&self.principal),
            now_ms: self.now_ms,
            audience: self.audience,
            place,
            until,
            progress: Arc::default(),
            is_waited_for: false,
            is_platform: self.is_platform,
        }
    }
}

/// Runs a job to its end, or until a script does not stop, and answers what its scripts ask for.
async fn finished(job: Job, rows: Vec<HookRow>, mut served: CallAnswers<'_>) -> Result<Vec<Row>> {
    let progress = Arc::clone(&job.progress);
    let (sender, mut asks) = mpsc::channel(1);
    let mut running = tokio::task::spawn_blocking(move || job.run(rows, &sender));
    loop {
        tokio::select! {
            done = &mut running => {
                return done.map_err(|join| Error::internal(format!("a hook did not finish: {join}")))?;
            }
            Some(ask) = asks.recv() => {
                let began = Instant::now();
                // Its hooks are run here, too: on the heap, however deep they go.
                Box::pin(served.serve(ask)).await;
                progress.waited(began.elapsed());
            }
            () = tokio::time::sleep(LOOK) => {
                if let Some(lost) = progress.lose() {
                    return Err(refusal::failed(lost.hook(), "it does not stop"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
