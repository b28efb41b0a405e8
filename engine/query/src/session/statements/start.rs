//! Plans and starts a bound statement. A run that follows advice is watched until it proves not to be slower than the default,
//! which otherwise takes its place. Chooses nothing.

use super::prepared::{Kind, PreparedStatement};
use crate::bind::statement::Bound;
use crate::books::observe::QueryRecord;
use crate::errors::{self, translate};
use crate::plan::executable::{Executable, PlanOptions};
use crate::plan::rule_trace::{Step, steps};
use crate::plan::variant::{Asking, Chosen};
use crate::run::admission::Permit;
use crate::run::execute::{self, Guard, Turn};
use crate::session::gate_session::GateSession;
use crate::sql::parse::Parsed;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use querygate_catalog::{Ahead, FragmentCall, Stop};
use querygate_query_api::{BatchStream, Part};
use querygate_telemetry_api::advice::{Lost, Stage};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of a trial's result that wait for its end; a larger one is handed on while it runs.
const HELD_BYTES: usize = 8 << 20;

impl GateSession {
    /// Who is asked for the plan of a statement; `None`: nobody, or the session does not learn.
    pub(crate) fn asking(&self, parsed: &Parsed, explains: bool, deadline: Option<Instant>) -> Option<Asking> {
        let advisor = self.gate.options().advisor.clone()?;
        if !self.inner().settings.learning() {
            return None;
        }
        let template = if explains {
            Arc::new(crate::sql::template::explained(parsed.shared_text()))
        } else {
            Arc::clone(parsed.template())
        };
        let (fingerprint, text) = (template.fingerprint, Arc::clone(&template.text));
        let login = Arc::clone(&self.login);
        Some(Asking { advisor, fingerprint, template: text, login, explains, deadline })
    }

    pub(in crate::session) async fn plan_and_start(
        &self,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        (part, prepared): (Option<&Part>, &PreparedStatement),
        (cancel, deadline): (&CancellationToken, Option<Instant>),
        record: &mut QueryRecord,
    ) -> Result<BatchStream> {
        let began = Instant::now();
        let work = async {
            let mut permit = self.gate.admit(&self.principal.login).await?;
            let asking = || {
                // A part is a share of one plan: all its shares must come of the same.
                let alone = part.is_none().then_some(&prepared.parsed)?;
                self.asking(alone, matches!(prepared.kind, Kind::Explain(..)), deadline)
            };
            let whole = crate::plan::executable::choose_whole(bound, asking);
            let calls = part.is_none() && whole.as_ref().is_none_or(Chosen::is_default);
            if let Some((call, records)) = crate::plan::executable::call(bound, parameters)?.filter(|_| calls) {
                record.planning = began.elapsed();
                (record.cached, record.fragments) = (true, records);
                let source = call.source().to_owned();
                match self.called(call, permit, (cancel, deadline), record).await {
                    Ok(batches) => {
                        record.choose(|| whole.as_ref().map(Chosen::record));
                        return self.checked_call((bound, parameters), source, record, batches, cancel).await;
                    }
                    // The source cannot be given these values.
                    Err(given_back) => {
                        permit = given_back;
                        record.planning = std::time::Duration::ZERO;
                        (record.cached, record.fragments) = (false, Arc::default());
                    }
                }
            }
            let state = self.statement_state(bound).await?;
            // Nobody is asked twice for one run.
            let asking = if whole.is_none() { asking() } else { None };
            let mut executable = match crate::plan::executable::ready(bound, parameters, whole)? {
                Some(executable) => executable,
                None => self.plan_on_workers(bound, &state, parameters, asking).await?,
            };
            let physical = match part {
                Some(part) => crate::plan::parts::part_of(executable.physical(), part, bound)?,
                None => Arc::clone(executable.physical()),
            };
            let until = (cancel, deadline);
            let batches = match self.start(&executable, physical, (&state, permit), until, record).await? {
                Started::Goes(batches) => batches,
                Started::Lost(lost) => {
                    let chosen = told_at_once(executable.chosen().cloned(), lost);
                    let permit = self.gate.admit(&self.principal.login).await?;
                    executable = self.plan_on_workers(bound, &state, parameters, None).await?;
                    let physical = Arc::clone(executable.physical());
                    let started = self.start(&executable, physical, (&state, permit), until, record).await?;
                    let Started::Goes(batches) = started else {
                        return Err(Error::internal("the default was not run"));
                    };
                    judged(batches, chosen, lost).await
                }
            };
            record.cached = executable.cached();
            record.fragments = Arc::clone(executable.records());
            let whole = part.is_none().then_some((bound, parameters, &state));
            Ok(self.checked(whole, || executable.pushed_to(), record, batches, cancel))
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(execute::canceled()),
            () = execute::expired(deadline) => Err(execute::timed_out()),
            outcome = work => outcome,
        }
    }

    /// Runs a statement that one source runs as a whole. What finds rows by a key is waited for here: there is no more to it than
    /// a message to the source and one back. The rest is read where queries run. `Err`: neither; the permit comes back.
    async fn called(
        &self,
        call: FragmentCall,
        permit: Permit,
        (cancel, deadline): (&CancellationToken, Option<Instant>),
        record: &QueryRecord,
    ) -> std::result::Result<BatchStream, Permit> {
        let runs = record.told.as_ref().map(|told| Arc::clone(&told.measures.runs));
        match call.look_up(runs.as_ref()).await {
            Ok(Some(batches)) => Ok(batches),
            // Told when it is read, as that of any statement.
            Err(error) => Ok(futures::stream::iter([Err(error)]).boxed()),
            Ok(None) if call.is_accepted() => {
                let holder = self.gate.holder(&self.principal.login, self.id);
                let holding = Some(Arc::clone(&holder));
                let account = self.gate.statement_account(&self.account);
                let memory = match execute::begun(&account) {
                    Ok(memory) => memory,
                    Err(error) => return Ok(futures::stream::iter([Err(error)]).boxed()),
                };
                let guard =
                    Guard { cancel: cancel.clone(), deadline, permit: Turn::new(permit), holder: holding, memory };
                let ahead = Ahead::new(&account);
                let opened = move || counted(call.start(Some(holder), runs), ahead);
                Ok(execute::run_batches(self.gate.runtime(), opened, guard))
            }
            Ok(None) => Err(permit),
        }
    }

    /// The batches of such a run, checked if its turn has come.
    async fn checked_call(
        &self,
        (bound, parameters): (&Arc<Bound>, &[ArrayRef]),
        source: String,
        record: &QueryRecord,
        batches: BatchStream,
        cancel: &CancellationToken,
    ) -> Result<BatchStream> {
        if self.inner().settings.check_share() == 0 {
            return Ok(batches);
        }
        let state = self.statement_state(bound).await?;
        Ok(self.checked(Some((bound, parameters, &state)), || source, record, batches, cancel))
    }

    /// Planning runs where queries run: a hard statement must not hold up the wire.
    pub(crate) async fn plan_on_workers(
        &self,
        bound: &Arc<Bound>,
        state: &Arc<SessionState>,
        parameters: &[ArrayRef],
        asking: Option<Asking>,
    ) -> Result<Executable> {
        let _planning = self.planning(bound.bytes())?;
        let (bound, state) = (Arc::clone(bound), Arc::clone(state));
        let parameters = parameters.to_vec();
        let require_pushdown = self.inner().settings.flag("querygate.require_pushdown");
        let options = PlanOptions { require_pushdown, asking };
        self.on_workers(async move { crate::plan::executable::plan(&bound, &state, &parameters, options).await }).await
    }

    /// How the default plan came to be, rule by rule.
    pub(crate) async fn steps_on_workers(
        &self,
        plan: &LogicalPlan,
        bound: &Bound,
        state: &Arc<SessionState>,
    ) -> Result<Vec<Step>> {
        let (plan, state) = (plan.clone(), crate::plan::executable::started(state, bound.asks()));
        self.on_workers(async move { steps(&plan, &state).await }).await
    }

    /// Starts a plan. One that follows advice may end before its first row went out: the default is to run then.
    async fn start(
        &self,
        executable: &Executable,
        physical: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
        (state, permit): (&Arc<SessionState>, Permit),
        (cancel, deadline): (&CancellationToken, Option<Instant>),
        record: &mut QueryRecord,
    ) -> Result<Started> {
        let runs = record.told.as_ref().map(|told| Arc::clone(&told.measures.runs));
        let holder = self.gate.holder(&self.principal.login, self.id);
        let chosen = executable.chosen().filter(|chosen| !chosen.is_default());
        // Dropping the stream cancels its token, which must not be the statement's.
        let own = chosen.map_or_else(|| cancel.clone(), |_| cancel.child_token());
        let stop = Stop::new(own.clone(), deadline);
        let account = self.gate.statement_account(&self.account);
        let memory = execute::begun(&account)?;
        let context = self.gate.task_context((state, &physical), account, stop, Some(&holder), runs);
        let guard = Guard { cancel: own, deadline, permit: Turn::new(permit), holder: Some(holder), memory };
        let batches = execute::run(self.gate.runtime(), physical, context, guard);
        record.choose(|| executable.chosen().map(Chosen::record));
        let Some(chosen) = chosen else { return Ok(Started::Goes(batches)) };
        let watched = watched(batches, chosen).await?;
        if matches!(watched, Started::Lost(_)) {
            // Its time is no plan's time.
            record.choose(|| None);
        }
        Ok(watched)
    }
}

/// A source's batches, with the charge of those that it has ready.
fn counted(batches: BatchStream, ahead: Ahead) -> BatchStream {
    let charged = move |batch: Result<RecordBatch>| {
        let batch = batch?;
        ahead.charge(&batch).map_err(|error| translate(&error, errors::Stage::Execute))?;
        Ok(batch)
    };
    batches.map(charged).boxed()
}

enum Started {
    Goes(BatchStream),
    /// It ended before its first row went out.
    Lost(Lost),
}

/// What was stopped is told before the default runs, however that ends; of the rest, who is to be told.
fn told_at_once(chosen: Option<Chosen>, lost: Lost) -> Option<Chosen> {
    if !matches!(lost, Lost::Stopped(_)) {
        return chosen;
    }
    if let Some(chosen) = chosen {
        chosen.lost(lost);
    }
    None
}

/// Tells the advisor of a run that was lost, once the default, which took its place, has given its first rows or failed: where both
/// fail, it is the statement that does, or its source.
async fn judged(mut batches: BatchStream, chosen: Option<Chosen>, lost: Lost) -> BatchStream {
    let first = batches.next().await;
    let lost = match (lost, &first) {
        (Lost::Failed | Lost::Void, Some(Err(_))) => Lost::Void,
        (lost, _) => lost,
    };
    if let Some(chosen) = chosen {
        chosen.lost(lost);
    }
    futures::stream::iter(first).chain(batches).boxed()
}

/// Whether it was the client's own end.
fn is_left(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::QueryCanceled | ErrorCode::StatementTimeout)
}

/// Tells the advisor of a watched run that nobody waits for any more, however it is dropped.
struct Patience<'a> {
    /// `None`: it came to an end.
    chosen: Option<&'a Chosen>,
    began: Instant,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if let Some(chosen) = self.chosen {
            chosen.lost(Lost::Left(self.began.elapsed()));
        }
    }
}

/// Waits for the end of a trial, or for the first rows of a plan that is in force, within the limit.
async fn watched(mut batches: BatchStream, chosen: &Chosen) -> Result<Started> {
    let mut patience = Patience { chosen: Some(chosen), began: Instant::now() };
    let mut held: Vec<RecordBatch> = Vec::new();
    let mut bytes = 0;
    let enough = if chosen.advice.stage == Stage::Trial { HELD_BYTES } else { 0 };
    let reading = async {
        loop {
            match batches.next().await {
                None => return Ok(true),
                Some(Err(error)) => return Err(error),
                Some(Ok(batch)) => {
                    bytes += batch.get_array_memory_size();
                    held.push(batch);
                    if bytes > enough {
                        return Ok(false);
                    }
                }
            }
        }
    };
    let read = match chosen.advice.limit {
        None => reading.await,
        Some(limit) => match tokio::time::timeout(limit, reading).await {
            Ok(read) => read,
            Err(_) => {
                patience.chosen = None;
                return Ok(Started::Lost(Lost::Stopped(limit)));
            }
        },
    };
    if !matches!(&read, Err(error) if is_left(error)) {
        patience.chosen = None;
    }
    let first = move |held: Vec<RecordBatch>| futures::stream::iter(held.into_iter().map(Ok));
    match read {
        Ok(true) => Ok(Started::Goes(first(held).boxed())),
        Ok(false) => Ok(Started::Goes(first(held).chain(batches).boxed())),
        Err(error) if is_left(&error) => Err(error),
        // The default's own error is the one to show, if it fails too.
        Err(_) => Ok(Started::Lost(Lost::Failed)),
    }
}
