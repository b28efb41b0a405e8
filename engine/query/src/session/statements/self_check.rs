//! The self-check: a share of the pushed statements is computed once more in the gate, from plain rows of the sources, and
//! compared. It never changes or fails a statement; when all are checked, it delays their end.

use crate::bind::statement::Bound;
use crate::bind::workspace::with_config;
use crate::books::checks::{CheckRecord, Finding, WHOLE};
use crate::books::observe::QueryRecord;
use crate::engine::Engine;
use crate::engine::LogReaders;
use crate::plan::planning::{PlanOptions, Planning};
use crate::run::compare::Comparison;
use crate::run::execute::{self, Guard, StatementMemory, Turn};
use crate::run::interrupt::Interrupt;
use crate::session::gate_session::GateSession;
use crate::session::workspace::with_runner;
use crate::sql::template::Template;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use querygate_catalog::remote::PlainScans;
use querygate_query_api::outcome::BatchStream;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Rows of a result that is checked, at most.
const RESULT_ROWS: usize = 20_000;
/// Rows that a local run fetches, at most.
const FETCHED_ROWS: u64 = 500_000;
/// Time that a check takes, at most.
const CHECK_TIME: Duration = Duration::from_secs(20);

/// A statement that is being checked.
struct Check {
    gate: Arc<Engine>,
    bound: Arc<Bound>,
    parameters: Vec<ArrayRef>,
    /// What the statement was planned with.
    state: Arc<SessionState>,
    comparison: Comparison,
    query: u64,
    login: String,
    template: Arc<Template>,
    sources: String,
    /// Every statement is checked: the statement ends after its check.
    waits: bool,
    cancel: CancellationToken,
}

impl GateSession {
    /// The batches of a statement, which is checked after its last one if its turn has come. `whole`: what it is; `None` for
    /// a part of one. `record`: its own; `None` for what is run on behalf of another statement.
    pub(in crate::session) fn checked(
        &self,
        whole: Option<(&Arc<Bound>, &[ArrayRef], &Arc<SessionState>)>,
        sources: impl FnOnce() -> String,
        record: Option<&QueryRecord>,
        batches: BatchStream,
        cancel: &CancellationToken,
    ) -> BatchStream {
        let (Some((bound, parameters, state)), Some(record)) = (whole, record) else { return batches };
        let share = self.inner().settings.check_share();
        // A second run does not see what the transaction of the first one changes.
        if share == 0 || self.runs.block().is_open() {
            return batches;
        }
        let sources = sources();
        // What the session, the clock or chance answers is different each time.
        if sources.is_empty() || bound.asks().session || !self.gate.checks().is_due(share) {
            return batches;
        }
        let (template, login) = (Arc::clone(&record.template), self.principal.login.clone());
        let Some(comparison) = Comparison::of(bound.plan()) else {
            let (at, took) = (SystemTime::now(), Duration::ZERO);
            let finding = Finding::Undetermined;
            self.gate.checks().done(CheckRecord { query: record.id, at, login, template, sources, finding, took });
            return batches;
        };
        let check = Check {
            gate: Arc::clone(&self.gate),
            bound: Arc::clone(bound),
            parameters: parameters.to_vec(),
            state: Arc::clone(state),
            comparison,
            query: record.id,
            login,
            template,
            sources,
            waits: share == WHOLE,
            // Beside the session, a check outlives the statement that it is about.
            cancel: if share == WHOLE { cancel.clone() } else { CancellationToken::new() },
        };
        check.after(batches)
    }
}

impl Check {
    /// The same batches, remembered as far as a check may go, and the check behind the last one.
    fn after(self, batches: BatchStream) -> BatchStream {
        let state = (batches, Some((self, Vec::new(), 0)));
        let next = |(mut batches, mut check): (BatchStream, Option<(Self, Vec<RecordBatch>, usize)>)| async move {
            let Some(next) = batches.next().await else {
                if let Some((check, kept, _)) = check.take() {
                    check.end(kept).await;
                }
                return None;
            };
            match &next {
                Ok(batch) => {
                    if let Some((check, kept, rows)) = &mut check {
                        kept.push(batch.clone());
                        *rows += batch.num_rows();
                        if *rows > RESULT_ROWS {
                            check.done(Finding::TooLarge, Duration::ZERO);
                        }
                    }
                    check = check.filter(|(_, _, rows)| *rows <= RESULT_ROWS);
                }
                // What failed has no rows to compare.
                Err(_) => check = None,
            }
            Some((next, (batches, check)))
        };
        futures::stream::unfold(state, next).boxed()
    }

    async fn end(self, pushed: Vec<RecordBatch>) {
        let (runtime, waits) = (self.gate.runtime().clone(), self.waits);
        let place = if waits { None } else { self.gate.checks().place() };
        if !waits && place.is_none() {
            return self.done(Finding::Busy, Duration::ZERO);
        }
        let task = runtime.spawn(async move {
            self.run(&pushed).await;
            drop(place);
        });
        if waits && let Err(error) = task.await {
            tracing::warn!(%error, "a self-check did not finish");
        }
    }

    async fn run(&self, pushed: &[RecordBatch]) {
        let started = Instant::now();
        let finding = match tokio::time::timeout(CHECK_TIME, self.finding(pushed)).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(error)) if error.code() == ErrorCode::ProgramLimitExceeded => Finding::TooLarge,
            Ok(Err(error)) => Finding::Failed(error.code().sqlstate()),
            Err(_) => Finding::TooLarge,
        };
        self.done(finding, started.elapsed());
    }

    fn done(&self, finding: Finding, took: Duration) {
        self.gate.checks().done(CheckRecord {
            query: self.query,
            at: SystemTime::now(),
            login: self.login.clone(),
            template: Arc::clone(&self.template),
            sources: self.sources.clone(),
            finding,
            took,
        });
    }

    async fn finding(&self, pushed: &[RecordBatch]) -> Result<Finding> {
        let state = self.plain_state();
        let plan = crate::plan::executable::local(&self.bound, &state, &self.parameters).await?;
        let local = self.rows(plan, &state).await?;
        let Some(what) = self.differs(pushed, &local)? else { return Ok(Finding::Equal) };
        // Only what the sources repeat is a difference; what they do not has changed there meanwhile.
        let again = Planning::of(&self.bound, &self.state, &self.parameters, PlanOptions::default())?;
        let again = again.plan(&self.bound, &self.state).await?;
        let again = self.rows(Arc::clone(again.physical()), &self.state).await?;
        Ok(if self.differs(pushed, &again)?.is_none() { Finding::Different(what) } else { Finding::Changed })
    }

    fn differs(&self, one: &[RecordBatch], other: &[RecordBatch]) -> Result<Option<String>> {
        self.comparison.difference(one, other).map_err(Error::internal)
    }

    /// A state in which sources give rows only.
    fn plain_state(&self) -> Arc<SessionState> {
        let state = with_config(&self.state, |config| {
            config.set_extension(Arc::new(PlainScans::up_to(FETCHED_ROWS)));
            let optimizer = &mut config.options_mut().optimizer;
            optimizer.enable_dynamic_filter_pushdown = false;
            optimizer.enable_join_dynamic_filter_pushdown = false;
            optimizer.enable_topk_dynamic_filter_pushdown = false;
            optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        });
        with_runner(state, self.bound.workspace())
    }

    async fn rows(&self, plan: Arc<dyn ExecutionPlan>, state: &SessionState) -> Result<Vec<RecordBatch>> {
        let permit = self.gate.admit(&self.login).await?;
        let account = self.gate.resources().statement_account(&self.gate.account(&self.login));
        let interrupt = Interrupt::new(self.cancel.child_token(), Some(Instant::now() + CHECK_TIME));
        let guard = Guard {
            memory: StatementMemory::begin(&account, &interrupt, &Arc::from("a self-check"))?,
            interrupt,
            permit: Turn::new(permit),
            holder: None,
        };
        let context =
            self.gate.task_context(state, &plan, account, guard.interrupt.stop(), None, None, LogReaders::default());
        let mut batches = execute::run(self.gate.runtime(), plan, context, guard);
        let (mut kept, mut rows) = (Vec::new(), 0);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            if rows > RESULT_ROWS {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the result is too large to compare"));
            }
            kept.push(batch);
        }
        Ok(kept)
    }
}
