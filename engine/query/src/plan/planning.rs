//! The way of one run to its plan: the whole statement as a source's own, a plan that is kept, or one that is made anew.

use crate::bind::statement::Bound;
use crate::bind::verify::verify_final;
use crate::plan::executable::{Executable, context, filled, physical, started};
use crate::plan::template::{Planned, Template, Templates};
use crate::plan::variant::{Asking, Chosen, choices, state_for};
use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use futures::FutureExt;
use querygate_catalog::federation::Federated;
use querygate_catalog::remote::Arguments;
use querygate_resources::bytes::own_bytes;
use querygate_rules::{Disposition, Receipt, Receipts};
use querygate_telemetry_api::advice::{Lost, Variant};
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::{Choice, Shipping, ship};
use std::sync::Arc;

/// Bytes of values that are read where a statement arrives; more of them are read where queries run.
const VALUES_AT_ONCE: usize = 16 << 10;

/// Whether the values of a run are read so fast that other sessions of the thread need not wait.
pub(crate) fn are_brief(parameters: &[ArrayRef]) -> bool {
    parameters.iter().map(own_bytes).fold(0, usize::saturating_add) <= VALUES_AT_ONCE
}

/// What a session asks of planning.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanOptions {
    /// `querygate.require_pushdown`: a part that could have gone to a source and did not is an error.
    pub(crate) require_pushdown: bool,
    /// Who chooses among valid plans; `None`: the default is planned.
    pub(crate) asking: Option<Asking>,
    /// Plans that are kept; `None`: this one is planned anew, and not kept.
    pub(crate) templates: Option<Templates>,
    /// Of a statement that reads the catalog alone, the settings that names depend on, for plans that are kept; `None`: it is planned anew.
    pub(crate) settings: Option<Arc<str>>,
    /// Whether what became of each part is noted even where no source has one: for EXPLAIN.
    pub(crate) receipts: bool,
}

/// Planning of one run: what is known of it before anything is planned.
pub(crate) struct Planning {
    values: Vec<ScalarValue>,
    options: PlanOptions,
    /// `None`: not looked for yet, or plans of this run are not kept.
    keeping: Option<Keeping>,
}

/// What there is of a statement's kept plans for one run.
struct Keeping {
    arguments: Arguments,
    templates: Templates,
    /// `None`: there is none for this run.
    template: Option<Arc<Template>>,
    /// Advice, which is asked for once in a run. `None`: not yet.
    chosen: Option<Chosen>,
    /// Of a statement that reads the catalog alone.
    settings: Option<Arc<str>>,
}

impl Keeping {
    fn of(bound: &Bound, state: &Arc<SessionState>, values: &[ScalarValue], options: &mut PlanOptions) -> Option<Self> {
        let templates = options.templates.take().filter(|_| !options.require_pushdown)?;
        if bound.asks().catalog_alone {
            let settings = options.settings.take().filter(|_| !values.is_empty())?;
            let arguments = Templates::arguments(bound, state, values)?;
            let template = templates.of_catalog(bound, &settings);
            return Some(Self { arguments, templates, template, chosen: None, settings: Some(settings) });
        }
        let arguments = Templates::arguments(bound, state, values)?;
        let known = bound.plans().choices();
        let chosen = known.and_then(|choices| Some(options.asking.take()?.choose_of(choices?)));
        let template = templates.of(bound, state, &arguments, Chosen::variant(chosen.as_ref()));
        Some(Self { arguments, templates, template, chosen, settings: None })
    }

    /// The kept plan for this run. `may_plan`: as of its leaves.
    async fn executable(&self, bound: &Bound, state: &SessionState, may_plan: bool) -> Result<Option<Executable>> {
        let Some(template) = &self.template else { return Ok(None) };
        let physical = template.renewed(bound, state, &self.arguments, may_plan).await?;
        Ok(physical.map(|physical| of_template(template, physical, self.chosen.clone())))
    }

    /// The plan of a statement that reads the catalog alone, out of one that is kept from now on. `None`: it is to be planned for its
    /// values.
    async fn of_catalog(&self, bound: &Bound, state: &Arc<SessionState>) -> Result<Option<Executable>> {
        let Some(settings) = &self.settings else { return Ok(None) };
        let started = started(state, bound.asks());
        let kept = self.templates.keep_of_catalog(bound, &started, &self.arguments, settings).await;
        let Some(template) = kept else { return Ok(None) };
        let physical = template.renewed(bound, state, &self.arguments, true).await?;
        Ok(physical.map(|physical| Executable { cached: false, ..of_template(&template, physical, None) }))
    }
}

impl Planning {
    /// Begins to plan a bound statement with its parameters' values.
    ///
    /// # Errors
    /// A value that is none of its parameter's type.
    pub(crate) fn of(
        bound: &Bound,
        state: &Arc<SessionState>,
        parameters: &[ArrayRef],
        mut options: PlanOptions,
    ) -> Result<Self> {
        let values = bound.values(parameters)?;
        let is_divided = bound.asks().catalog_alone || (bound.is_whole_known() && bound.whole_found().is_none());
        let keeping = if is_divided { Keeping::of(bound, state, &values, &mut options) } else { None };
        Ok(Self { values, options, keeping })
    }

    /// The plan for this run where one is kept that takes its values at once: no source is asked, and no part is planned.
    ///
    /// # Errors
    /// Internal: the plan did not pass the final walk.
    pub(crate) fn at_once(&self, bound: &Bound, state: &SessionState) -> Result<Option<Executable>> {
        let brief = |keeping: &&Keeping| keeping.template.as_ref().is_some_and(|template| template.is_brief());
        let Some(keeping) = self.keeping.as_ref().filter(brief) else { return Ok(None) };
        keeping.executable(bound, state, false).now_or_never().unwrap_or(Ok(None))
    }

    /// The verified plan.
    ///
    /// # Errors
    /// What planning finds wrong; 0A000: with `require_pushdown`, a part that stays.
    pub(crate) async fn plan(self, bound: &Bound, state: &Arc<SessionState>) -> Result<Executable> {
        let Self { values, mut options, mut keeping } = self;
        if !bound.asks().moment {
            let find = || bound.catalog().whole_fragment(bound.plan(), &context(state));
            let known = bound.whole_found().is_some();
            if let Some(whole) = bound.whole(find) {
                let chosen = options.asking.take_if(|_| !whole.fragment.settings().is_empty());
                let chosen = chosen.and_then(|asking| asking.choose_whole(&whole.fragment));
                if let Some(executable) = filled(bound, whole, &values, known, chosen)? {
                    return Ok(executable);
                }
            }
        }
        if keeping.is_none() {
            keeping = Keeping::of(bound, state, &values, &mut options);
        }
        if let Some(keeping) = &keeping
            && let Some(executable) = keeping.executable(bound, state, true).await?
        {
            return Ok(executable);
        }
        if let Some(keeping) = &keeping
            && let Some(executable) = keeping.of_catalog(bound, state).await?
        {
            return Ok(executable);
        }
        let keeping = keeping.filter(|keeping| keeping.settings.is_none());
        plan_anew(bound, state, values, options, keeping).await
    }
}

/// A plan that was made of a kept one, and passed the final walk.
fn of_template(template: &Template, physical: Arc<dyn ExecutionPlan>, chosen: Option<Chosen>) -> Executable {
    Executable {
        physical,
        logical: Some(template.logical.clone()),
        receipts: Vec::new(),
        records: Arc::clone(&template.records),
        cached: true,
        chosen,
        shipped: Vec::new(),
    }
}

async fn plan_anew(
    bound: &Bound,
    state: &Arc<SessionState>,
    values: Vec<ScalarValue>,
    options: PlanOptions,
    mut keeping: Option<Keeping>,
) -> Result<Executable> {
    let logical = bound.with_values(values)?;
    let started = started(state, bound.asks());
    let is_own = bound.asks().catalog_alone && !options.receipts && !options.require_pushdown;
    let federated = match is_own {
        // No source has a part in it, and so few rows leave nothing to choose.
        true => Federated { plan: logical.clone(), fragments: 0, receipts: Receipts::default() },
        false => bound.catalog().federate(&logical, &context(&started))?,
    };
    if options.require_pushdown {
        everything_pushed(&bound.catalog().with_reasons(federated.receipts.clone(), &context(&started)))?;
    }
    let chosen = keeping.as_mut().and_then(|keeping| keeping.chosen.take());
    let asking = options.asking.filter(|_| chosen.is_none() && !is_own);
    let chosen = chosen.or_else(|| asking?.choose(&federated.plan, options.require_pushdown));
    let advised = following(bound, &started, chosen.as_ref(), &logical, &federated).await;
    let chosen = chosen.filter(|chosen| advised.is_some() || chosen.is_default());
    if keeping.is_some() {
        bound.plans().note_choices(|| choices(&federated.plan, false));
    }
    let (physical, logical, receipts) = match advised {
        Some((physical, true)) => (physical, logical, Receipts::default()),
        Some((physical, false)) => (physical, federated.plan, federated.receipts),
        None => {
            let default = physical(&federated.plan, &started, bound.catalog().token(), bound.inventory()).await?;
            (default, federated.plan, federated.receipts)
        }
    };
    let (physical, shipped) = with_workers(physical, &started, bound)?;
    // Where no condition stays in the gate, none has a reason for it.
    let receipts = match crate::plan::receipts::has_filter(&physical) {
        true => bound.catalog().with_reasons(receipts, &context(&started)),
        false => receipts.all_taken(),
    };
    let (records, cached) = (Arc::default(), false);
    let mut executable = Executable { physical, logical: Some(logical), receipts, records, cached, chosen, shipped };
    executable.records = crate::plan::receipts::fragments(&executable);
    if let Some(Keeping { arguments, templates, .. }) = &keeping {
        let Executable { physical, records, .. } = &executable;
        let planned = Planned { variant: Chosen::variant(executable.chosen()), physical, records };
        templates.learn(bound, &started, arguments, planned).await;
    }
    Ok(executable)
}

/// The plan with workers in the leaves that they read; walked again, for it is another plan.
fn with_workers(
    physical: Arc<dyn ExecutionPlan>,
    state: &SessionState,
    bound: &Bound,
) -> Result<(Arc<dyn ExecutionPlan>, Vec<Choice>)> {
    let Some(shipping) = state.config().get_extension::<Shipping>() else { return Ok((physical, Vec::new())) };
    let shipped = ship(physical, &shipping)?;
    verify_final(&shipped.plan, bound.catalog().token(), bound.inventory())?;
    Ok((shipped.plan, shipped.choices))
}

/// The plan that advice asks for, and whether nothing is given to sources in it. `None`: the default, also where the other
/// one cannot be planned. Verified like any plan.
async fn following(
    bound: &Bound,
    state: &Arc<SessionState>,
    chosen: Option<&Chosen>,
    bare: &LogicalPlan,
    federated: &Federated,
) -> Option<(Arc<dyn ExecutionPlan>, bool)> {
    let chosen = chosen.filter(|chosen| !chosen.is_default())?;
    let fetches = chosen.advice.variant == Variant::Fetch;
    let plan = if fetches { bare } else { &federated.plan };
    let state = state_for(chosen.advice.variant, state);
    match physical(plan, &state, bound.catalog().token(), bound.inventory()).await {
        Ok(physical) => Some((physical, fetches)),
        Err(error) => {
            tracing::debug!(%error, cause = error.cause(), "a plan that advice asked for cannot be made");
            chosen.lost(Lost::Failed);
            None
        }
    }
}

fn everything_pushed(receipts: &[Receipt]) -> Result<()> {
    let kept = receipts.iter().filter(|r| r.source.is_none()).flat_map(|r| &r.lines);
    let mut kept = kept.filter(|line| line.disposition == Disposition::Kept);
    let Some(line) = kept.next() else { return Ok(()) };
    let reason = line.reason.as_deref().unwrap_or("it is not supported there");
    Err(Error::new(ErrorCode::PushdownRequired, "part of the statement cannot run in its source")
        .with_detail(format!("{}: {reason}", line.subject))
        .with_hint("Set querygate.require_pushdown to off to run that part in the gate."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Int32Array, StringArray};

    #[test]
    fn long_values_are_read_where_queries_run() {
        let text = |length: usize| Arc::new(StringArray::from(vec!["x".repeat(length)])) as ArrayRef;
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(are_brief(&[]) && are_brief(&[text(100), Arc::clone(&number)]));
        assert!(!are_brief(&[Arc::clone(&number), text(VALUES_AT_ONCE)]));
        assert!(!are_brief(&vec![text(100); VALUES_AT_ONCE / 100]), "many of them");
        // A row of many is as long as its own values.
        let rows: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100); VALUES_AT_ONCE]));
        assert!(are_brief(&[rows.slice(7, 1)]));
    }
}
