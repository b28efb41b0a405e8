//! Plans and starts a bound statement on the first way that can run it: its whole fragment with no plan around it, or a plan.

use super::prepared::{Kind, PreparedStatement};
use super::trial::{Started, judged, told_at_once, watched};
use crate::bind::statement::Bound;
use crate::errors::{self, translate};
use crate::plan::executable::{self, Executable};
use crate::plan::figures::Observed;
use crate::plan::planning::{PlanOptions, Planning, are_brief};
use crate::plan::rule_trace::{Step, steps};
use crate::plan::template::Templates;
use crate::plan::variant::{Asking, Chosen};
use crate::run::answers::AnswerPlace;
use crate::run::execute;
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use crate::sql::parse::Parsed;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use querygate_catalog::FragmentRuns;
use querygate_catalog::remote::FragmentCall;
use querygate_driver_api::execution::DeclineReason;
use querygate_query_api::outcome::BatchStream;
use querygate_query_api::parts::Part;
use querygate_resources::memory::{Ahead, ChargedRoom};
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio::time::Instant;

/// A bound statement with its values.
#[derive(Clone, Copy)]
pub(in crate::session) struct Invocation<'a> {
    pub(in crate::session) prepared: &'a PreparedStatement,
    pub(in crate::session) bound: &'a Arc<Bound>,
    pub(in crate::session) parameters: &'a [ArrayRef],
    /// The part of its rows that is wanted; `None`: all.
    pub(in crate::session) part: Option<&'a Part>,
    /// Whether it finds the rows of a change. Such a run is not checked afterwards, when the rows are others.
    pub(in crate::session) is_find: bool,
    /// Where is kept what its nodes do; `None`: nowhere.
    pub(in crate::session) observed: Option<&'a Observed>,
}

impl GateSession {
    /// Who is asked for the plan of a statement; `None`: nobody, or the session does not learn.
    pub(crate) fn asking(&self, parsed: &Parsed, explains: bool, deadline: Option<Instant>) -> Option<Asking> {
        let advisor = self.gate.options().advisor.clone()?;
        if !self.inner().settings.learning() || self.runs.block().is_open() {
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

    pub(in crate::session) async fn start_rows(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        of: Invocation<'_>,
    ) -> Result<BatchStream> {
        run.admit().await?;
        let place = self.answer_place(of)?;
        if let Some(batches) = place.as_ref().and_then(AnswerPlace::found) {
            run.reuse_plan(Arc::default());
            let (guard, ..) = run.guard(interrupt.clone()).await?;
            return Ok(execute::run_batches(self.gate.runtime(), move || batches, guard));
        }
        let whole = executable::choose_whole(of.bound, || self.asking_of(interrupt, of));
        if of.part.is_none()
            && whole.as_ref().is_none_or(Chosen::is_default)
            && let Some(batches) = self.start_fragment(run, interrupt, of).await?
        {
            run.note(|record| record.choose(|| whole.as_ref().map(Chosen::record)));
            return Ok(batches);
        }
        // Boxed: what plans is large, and look-ups should make no room for it.
        Box::pin(self.start_planned(run, interrupt, of, place, whole)).await
    }

    /// Who is asked for the plan of a statement with its values.
    fn asking_of(&self, interrupt: &Interrupt, of: Invocation<'_>) -> Option<Asking> {
        // A part is a share of one plan: all its shares must come of the same.
        let alone = (of.part.is_none() && !of.is_find).then_some(&of.prepared.parsed)?;
        self.asking(alone, matches!(of.prepared.kind, Kind::Explain(..)), interrupt.deadline())
    }

    /// Plans a statement, or takes its kept plan, and starts it. `place`: where its answer is kept. `whole`: the choice for the statement
    /// as one fragment.
    async fn start_planned(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        of: Invocation<'_>,
        place: Option<AnswerPlace>,
        whole: Option<Chosen>,
    ) -> Result<BatchStream> {
        let state = self.observed_state(of.bound, of.observed).await?;
        // What the state sees may have been set since by a cursor of this session that still gives rows.
        let place = match place {
            Some(place) if place.is_for(&self.inner().settings.names()?) => Some(place),
            Some(_) | None => None,
        };
        // Advice is asked for once in a run.
        let asking = if whole.is_none() { self.asking_of(interrupt, of) } else { None };
        let mut executable = match executable::ready(of.bound, of.parameters, whole)? {
            Some(executable) => executable,
            None => {
                // The nodes of a plan that is kept would count for several runs.
                let alone = of.part.is_none() && !of.is_find && of.observed.is_none();
                let templates = self.templates().filter(|_| alone);
                let settings = place.as_ref().map(|place| Arc::clone(place.settings()));
                let options = PlanOptions { asking, templates, settings, ..PlanOptions::default() };
                self.plan_on_workers(of.bound, &state, of.parameters, options).await?
            }
        };
        let batches = match self.start_plan(run, interrupt, of, &executable, &state).await? {
            Started::Goes(batches) => batches,
            Started::Lost(lost) => {
                let chosen = told_at_once(executable.chosen().cloned(), lost);
                executable = self.plan_on_workers(of.bound, &state, of.parameters, PlanOptions::default()).await?;
                let Started::Goes(batches) = self.start_plan(run, interrupt, of, &executable, &state).await? else {
                    return Err(Error::internal("the default was not run"));
                };
                judged(batches, chosen, lost).await
            }
        };
        run.note(|record| {
            record.cached = executable.cached();
            record.fragments = Arc::clone(executable.records());
        });
        if let Some(place) = place {
            let memory = MemoryConsumer::new("kept answer").register(&self.runs.statement_account());
            return Ok(place.keeping(batches, memory));
        }
        let whole = (of.part.is_none() && !of.is_find).then_some((of.bound, of.parameters, &state));
        Ok(self.checked(whole, || executable.pushed_to(), run.record(), batches, interrupt.token()))
    }

    /// Runs a statement that one source runs as a whole. Rows that are found by a key are waited for here: there is no more to it
    /// than a message to the source and one back. Others are read where queries run. `None`: it is to be planned.
    async fn start_fragment(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        of: Invocation<'_>,
    ) -> Result<Option<BatchStream>> {
        let Some((call, records)) = executable::call(of.bound, of.parameters)? else { return Ok(None) };
        run.reuse_plan(records);
        let source = call.source().to_owned();
        // The rows that a change finds are not its own.
        let runs = if of.is_find { run.measured() } else { run.measured_whole() };
        let runs = runs.map(Arc::clone);
        let looked_up = match self.runs.block().open() {
            None => call.look_up(runs.as_ref()).await,
            // Connections that look-ups share do not see what the transaction changes.
            Some(_) => Ok(Err(DeclineReason::SetApart)),
        };
        let batches = match looked_up {
            Ok(Ok(batches)) => batches,
            // Given when rows are read, as the error of any statement.
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
            Ok(Err(_)) if call.is_accepted() => match self.read_fragment(run, interrupt, call, runs).await {
                Ok(batches) => batches,
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            },
            // The source cannot be given these values.
            Ok(Err(_)) => {
                run.discard_plan();
                return Ok(None);
            }
        };
        if of.is_find || self.inner().settings.check_share() == 0 {
            return Ok(Some(batches));
        }
        let state = self.statement_state(of.bound).await?;
        let whole = Some((of.bound, of.parameters, &state));
        Ok(Some(self.checked(whole, || source, run.record(), batches, interrupt.token())))
    }

    /// `runs`: where it is measured.
    async fn read_fragment(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        call: FragmentCall,
        runs: Option<Arc<FragmentRuns>>,
    ) -> Result<BatchStream> {
        let (guard, account, holder) = run.guard(interrupt.clone()).await?;
        let ahead = Ahead::new(&account);
        let room = Arc::new(ChargedRoom::new("what a source has said", &account));
        let opened = move || counted(call.start(Some(holder), runs, room), ahead);
        Ok(execute::run_batches(self.gate.runtime(), opened, guard))
    }

    /// Where the answer of a statement is kept that asks the catalog alone. `None`: it is run each time.
    fn answer_place(&self, of: Invocation<'_>) -> Result<Option<AnswerPlace>> {
        let is_kept = of.bound.asks().catalog_alone
            && of.part.is_none()
            && !of.is_find
            && of.observed.is_none()
            && !matches!(of.prepared.kind, Kind::Explain(..))
            && self.inner().settings.plan_templates()
            && are_brief(of.parameters);
        if !is_kept {
            return Ok(None);
        }
        let (settings, values) = (self.inner().settings.names()?, of.bound.values(of.parameters)?);
        Ok(self.gate.caches().answers.place(of.bound.number(), settings, values))
    }

    /// Plans that are kept, where the session uses them.
    fn templates(&self) -> Option<Templates> {
        (self.inner().settings.plan_templates() && !self.has_temporary()).then(|| self.gate.caches().templates.clone())
    }

    /// Planning runs where queries run: a hard statement must not hold up the wire, and neither must long values that are to be read. A
    /// plan that is kept and only takes other values is ready before it would have been handed over. `options`: but for what the session's
    /// settings say.
    pub(crate) async fn plan_on_workers(
        &self,
        bound: &Arc<Bound>,
        state: &Arc<SessionState>,
        parameters: &[ArrayRef],
        options: PlanOptions,
    ) -> Result<Executable> {
        let _planning = self.planning(bound.bytes())?;
        let (bound, state) = (Arc::clone(bound), Arc::clone(state));
        let require_pushdown = self.inner().settings.flag("querygate.require_pushdown");
        let options = PlanOptions { require_pushdown, ..options };
        if !are_brief(parameters) {
            let parameters = parameters.to_vec();
            let plan = async move { Planning::of(&bound, &state, &parameters, options)?.plan(&bound, &state).await };
            return self.on_workers(plan).await;
        }
        let planning = Planning::of(&bound, &state, parameters, options)?;
        if let Some(executable) = planning.at_once(&bound, &state)? {
            return Ok(executable);
        }
        self.on_workers(async move { planning.plan(&bound, &state).await }).await
    }

    /// How the default plan came to be, rule by rule.
    pub(crate) async fn steps_on_workers(
        &self,
        plan: &LogicalPlan,
        bound: &Bound,
        state: &Arc<SessionState>,
    ) -> Result<Vec<Step>> {
        let (plan, state) = (plan.clone(), executable::started(state, bound.asks()));
        self.on_workers(async move { steps(&plan, &state).await }).await
    }

    /// Starts a plan. One that follows advice may end before its first row went out: the default is to run then.
    async fn start_plan(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        of: Invocation<'_>,
        executable: &Executable,
        state: &SessionState,
    ) -> Result<Started> {
        let physical = match of.part {
            Some(part) => crate::plan::parts::part_of(executable.physical(), part, of.bound)?,
            None => Arc::clone(executable.physical()),
        };
        let physical = match of.observed {
            Some(observed) => observed.starts(physical).map_err(|error| translate(&error, errors::Stage::Optimize))?,
            None => physical,
        };
        let chosen = executable.chosen().filter(|chosen| !chosen.is_default());
        // Dropping the stream cancels its token, which must not be the statement's.
        let own = chosen.map_or_else(|| interrupt.clone(), |_| interrupt.child());
        let stop = own.stop();
        let runs = run.measured().map(Arc::clone);
        let readers = self.log_readers(&physical, &own).await?;
        let (guard, account, holder) = run.guard(own).await?;
        let context = self.gate.task_context(state, &physical, account, stop, Some(&holder), runs, readers);
        let batches = execute::run(self.gate.runtime(), physical, context, guard);
        run.note(|record| record.choose(|| executable.chosen().map(Chosen::record)));
        let Some(chosen) = chosen else { return Ok(Started::Goes(batches)) };
        let watched = watched(batches, chosen).await?;
        if matches!(watched, Started::Lost(_)) {
            // Its time is no plan's time.
            run.note(|record| record.choose(|| None));
        }
        Ok(watched)
    }
}

/// A source's batches, with the charge of those that it has ready.
fn counted(batches: BatchStream, ahead: Ahead) -> BatchStream {
    let charged = move |batch: Result<RecordBatch>| {
        ahead.receive(batch?).map_err(|error| translate(&error, errors::Stage::Execute))
    };
    batches.map(charged).boxed()
}
