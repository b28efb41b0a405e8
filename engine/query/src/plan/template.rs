//! Plans that are kept for other runs of a statement, with its parameters open inside of the leaves. A run puts its values in and gets
//! a plan of its own; whatever is not understood is planned as ever. Decides no right: what comes of it passes the final walk.

mod catalog_plans;
mod types_by_value;

use crate::bind::plan_bytes::plan_bytes;
use crate::bind::statement::Bound;
use crate::bind::verify::verify_final;
use crate::bind::workspace::with_config;
use crate::books::observe::FragmentRecord;
use crate::dialect::subqueries::apply::{self, SHARED_BYTES_MAX, Scope};
use crate::plan::executable::{context, placeholders};
use crate::plan::receipts::receipts;
use crate::plan::renew::{FreshFilters, Renewable};
use crate::plan::variant::state_for;
use crate::rules::list::Logical;
use crate::rules::typed_parameters::TypedParameters;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::expr::{Between, Placeholder};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, displayable};
use moka::sync::Cache;
use querygate_catalog::remote::Arguments;
use querygate_driver_api::execution::Uncommitted;
use querygate_driver_api::value::Value;
use querygate_rules::estimate::with_place;
use querygate_telemetry_api::advice::Variant;
use querygate_types::Result;
use querygate_workers::gate::Shipping;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Runs in a row with one plan before it is kept, the first run of a statement left out: most have no second one. And where estimates
/// depend on values, so that another plan may be the better one for others.
const RUNS: u32 = 1;
const RUNS_OF_RANGES: u32 = 2;
/// Of a plan with such estimates, the thirty-second run is planned anew, to see whether the plan is still the one; then the run after
/// twice as many each time that it is, and every run after the most.
const RANGES_LOOKED_AT: u32 = 32;
const RANGES_LOOKED_AT_MOST: u32 = 256;
/// How long a plan is kept: sizes of tables, by which joins are ordered, are others after a while.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Values that are compared with each other before each run; more of them are kept plans for only where no two are the same.
const TIES_MAX: usize = 64;
/// Nodes of a plan that is made anew where a statement arrives; larger ones are where queries run. Each takes some microseconds.
const NODES_AT_ONCE: usize = 128;
/// Bytes of a node with its expressions and properties, and of a leaf with what it is planned from but for its files; estimates.
const NODE_BYTES: usize = 2 << 10;
const LEAF_BYTES: usize = 16 << 10;

/// What a kept plan is found by: its statement's number, the way in which it is planned, and which values are the same in it.
type Key = (u64, Variant, Ties);

/// The plans that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Templates(Cache<Key, Arc<Template>>);

impl Templates {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let weight = |_: &Key, template: &Arc<Template>| u32::try_from(template.bytes).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(bytes_max as u64).weigher(weight).time_to_live(KEPT_FOR).build())
    }

    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Bytes of all of them, as they are estimated.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }

    /// The plan that is kept of a statement for this state. `None`: there is none, or this run is planned to see whether it is still
    /// the one.
    pub(crate) fn of(
        &self,
        bound: &Bound,
        state: &Arc<SessionState>,
        arguments: &Arguments,
        variant: Variant,
    ) -> Option<Arc<Template>> {
        let tied = (bound.number(), variant, Ties::of(arguments));
        let (key, template) = match self.0.get(&tied) {
            Some(template) => (tied, template),
            // A plan whose values may all differ serves values that do not, too.
            None => {
                let key = (tied.0, tied.1, Ties::default());
                let template = self.0.get(&key).filter(|_| tied != key)?;
                (key, template)
            }
        };
        let is_for =
            matches!(&template.made_with, MadeWith::State(own) if std::ptr::eq(own.as_ptr(), Arc::as_ptr(state)));
        if !is_for {
            self.0.invalidate(&key);
            return None;
        }
        let uses = template.uses.fetch_add(1, Ordering::Relaxed);
        (!template.has_ranges || !is_looked_at(uses.saturating_add(1))).then_some(template)
    }

    /// Whether plans of a statement may be kept at all, and its values put into them later. `None`: they may not.
    pub(crate) fn arguments(bound: &Bound, state: &SessionState, values: &[ScalarValue]) -> Option<Arguments> {
        let asks = bound.asks();
        let config = state.config();
        // A transaction's own rows and workers are in plans.
        let own = config.get_extension::<Uncommitted>().is_some() || config.get_extension::<Shipping>().is_some();
        let asks_run = (asks.moment || asks.session) && !asks.catalog_alone;
        if asks_run || own || values.iter().any(ScalarValue::is_null) {
            return None;
        }
        if asks.catalog_alone {
            return catalog_plans::arguments(values);
        }
        Arguments::new(values.to_vec(), placeholders(values).ok()??)
    }

    /// Keeps a plan of the statement if it is time.
    pub(crate) async fn learn(
        &self,
        bound: &Bound,
        state: &Arc<SessionState>,
        arguments: &Arguments,
        planned: Planned<'_>,
    ) {
        let history = bound.plans();
        if !history.is_worth_a_look(planned.variant) {
            return;
        }
        let key = (bound.number(), planned.variant, Ties::of(arguments));
        if key.2.miss(arguments.values()) {
            return;
        }
        let signature = signature(planned.physical);
        if let Some(kept) = self.0.get(&key) {
            if kept.signature == signature {
                return;
            }
            self.0.invalidate(&key);
        }
        let open = match opened(bound, arguments, &key.2) {
            Ok(open) => open,
            Err(_) => return history.refuse(planned.variant),
        };
        let has_ranges = has_ranges(&open);
        let runs = if has_ranges { RUNS_OF_RANGES } else { RUNS };
        if !history.is_due(planned.variant, key.2.hash(), signature, runs) {
            return;
        }
        let Some((renewable, logical)) = kept(bound, state, arguments, open, (planned.variant, signature)).await else {
            metrics::counter!("querygate_plan_templates_total", "outcome" => "refused").increment(1);
            return history.refuse(planned.variant);
        };
        let bytes = bytes_of(&renewable, &logical);
        let template = Template {
            made_with: MadeWith::State(Arc::downgrade(state)),
            renewable,
            logical,
            records: Arc::clone(planned.records),
            has_ranges,
            uses: AtomicU32::new(0),
            signature,
            bytes,
        };
        metrics::counter!("querygate_plan_templates_total", "outcome" => "made").increment(1);
        self.0.insert(key, Arc::new(template));
    }
}

/// Bytes of a plan that is kept, its list of files included, as they are estimated.
fn bytes_of(renewable: &Renewable, logical: &LogicalPlan) -> usize {
    let leaves = renewable.leaves().map(|leaf| leaf.listing_bytes().saturating_add(LEAF_BYTES));
    let nodes = renewable.nodes().saturating_mul(NODE_BYTES);
    let shared = renewable.applies().saturating_mul(SHARED_BYTES_MAX);
    leaves.fold(plan_bytes(logical).saturating_add(nodes).saturating_add(shared), usize::saturating_add)
}

/// Whether the run of this number, from 1 on, is planned anew although a plan is kept.
fn is_looked_at(run: u32) -> bool {
    run.is_multiple_of(RANGES_LOOKED_AT_MOST) || (run >= RANGES_LOOKED_AT && run.is_power_of_two())
}

/// For each parameter the first one with the same value. A fragment binds equal values once, so that the plan for them is another than
/// the one for different values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Ties(Box<[usize]>);

impl Ties {
    /// None where no two values are the same, or there are many.
    fn of(arguments: &Arguments) -> Self {
        let (values, scalars) = (arguments.values(), arguments.scalars());
        if values.len() > TIES_MAX {
            return Self::default();
        }
        let same = |a: usize, b: usize| values.get(a) == values.get(b) && scalars.get(a) == scalars.get(b);
        let firsts: Box<[usize]> =
            (0..values.len()).map(|at| (0..at).find(|before| same(*before, at)).unwrap_or(at)).collect();
        if firsts.iter().enumerate().all(|(at, first)| at == *first) { Self::default() } else { Self(firsts) }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether two values are the same to a fragment and are not tied.
    fn miss(&self, values: &[Value]) -> bool {
        let first = |at: usize| self.0.get(at).copied().unwrap_or(at);
        let pairs = |(at, value)| values.iter().enumerate().skip(at + 1).filter(move |(_, other)| *other == value);
        values.iter().enumerate().any(|(at, value)| pairs((at, value)).any(|(other, _)| first(at) != first(other)))
    }

    /// The parameter that stands for this one in a plan of such values.
    fn first(&self, parameter: Placeholder) -> Placeholder {
        match Arguments::place(&parameter).and_then(|place| self.0.get(place)) {
            Some(first) => Placeholder { id: format!("${}", first + 1), ..parameter },
            None => parameter,
        }
    }
}

/// A plan that was made for one run, with what is kept of it.
pub(crate) struct Planned<'a> {
    pub(crate) variant: Variant,
    pub(crate) physical: &'a Arc<dyn ExecutionPlan>,
    pub(crate) records: &'a Arc<[FragmentRecord]>,
}

/// What a kept plan was made with, and serves with.
#[derive(Debug)]
enum MadeWith {
    /// A reader's catalog of one version, with the session's settings.
    State(Weak<SessionState>),
    /// The settings that names depend on. Of a statement that reads the catalog alone, its number stands for the rest.
    Settings(Arc<str>),
}

/// A plan that is kept.
#[derive(Debug)]
pub(crate) struct Template {
    made_with: MadeWith,
    renewable: Renewable,
    pub(crate) logical: LogicalPlan,
    pub(crate) records: Arc<[FragmentRecord]>,
    /// Whether a parameter is an end of a range, of which estimates depend.
    has_ranges: bool,
    uses: AtomicU32,
    signature: u64,
    bytes: usize,
}

impl Template {
    /// Whether it is made anew so fast that other sessions of the thread need not wait.
    pub(crate) fn is_brief(&self) -> bool {
        self.renewable.nodes() <= NODES_AT_ONCE
    }

    /// The plan for a run with these values, verified. `may_plan`: whether leaves may be planned again. `None`: it is to be planned.
    pub(crate) async fn renewed(
        &self,
        bound: &Bound,
        state: &SessionState,
        arguments: &Arguments,
        may_plan: bool,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let filters = self.renewable.fresh_filters();
        let Some(leaves) = self.leaves(state, arguments, &filters, may_plan).await else { return Ok(None) };
        let plan = match self.renewable.over(leaves, &filters, arguments) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::warn!(%error, "a kept plan cannot be made anew");
                return Ok(None);
            }
        };
        verify_final(&plan, bound.catalog().token(), bound.inventory())?;
        metrics::counter!("querygate_plan_templates_total", "outcome" => "used").increment(1);
        Ok(Some(plan))
    }

    async fn leaves(
        &self,
        state: &SessionState,
        arguments: &Arguments,
        filters: &FreshFilters,
        may_plan: bool,
    ) -> Option<Vec<Arc<dyn ExecutionPlan>>> {
        let fresh = |kept: &Arc<dyn PhysicalExpr>| filters.of(kept);
        let mut leaves = Vec::new();
        for leaf in self.renewable.leaves() {
            leaves.push(leaf.renewed(state, arguments, &fresh, may_plan).await?);
        }
        Some(leaves)
    }
}

/// The statement planned with its parameters open. `None`: that is another plan than the one with values, or one that cannot be made
/// anew.
async fn kept(
    bound: &Bound,
    state: &Arc<SessionState>,
    arguments: &Arguments,
    open: LogicalPlan,
    (variant, expected): (Variant, u64),
) -> Option<(Renewable, LogicalPlan)> {
    let logical = match variant {
        Variant::Fetch => open,
        Variant::Default
        | Variant::WrittenOrder
        | Variant::NoKeys
        | Variant::Keys
        | Variant::OneStream
        | Variant::Planner(_) => bound.catalog().federate_open(&open, &context(state), arguments).ok()?.plan,
    };
    let expanded = apply::expand(logical.clone(), Scope::CatalogOnly).ok()?;
    let planned = state_with(&state_for(variant, state), arguments, None).create_physical_plan(&expanded).await;
    let physical = match planned {
        Ok(physical) => physical,
        // A parameter stands where nodes of the gate would read it.
        Err(_) => return None,
    };
    admitted(&physical, bound)?;
    if signature(&physical) != expected {
        return None;
    }
    Some((Renewable::of(physical).ok()??, logical))
}

/// The final walk over a plan that is to be kept. One that it refuses is a defect, though nothing runs: each run is planned anew, and
/// walked over.
fn admitted(physical: &Arc<dyn ExecutionPlan>, bound: &Bound) -> Option<()> {
    verify_final(physical, bound.catalog().token(), bound.inventory())
        .inspect_err(|error| {
            tracing::error!(%error, cause = error.cause(), "a plan that was to be kept is refused by the final walk");
        })
        .ok()
}

/// The state that plans with open parameters. `last`: a rule behind all others.
fn state_with(state: &Arc<SessionState>, arguments: &Arguments, last: Option<Logical>) -> SessionState {
    let own: Logical = Arc::new(TypedParameters);
    let rules = std::iter::once(own).chain(state.optimizer().rules.iter().cloned()).chain(last).collect();
    let builder = SessionStateBuilder::new_from_existing(SessionState::clone(state));
    let state = builder.with_optimizer_rules(rules).build();
    let arguments = Arc::new(arguments.clone());
    with_config(&state, |config| config.set_extension(arguments))
}

/// The bound plan with its parameters open: each of the type that its value has, with a note of where that lies.
fn opened(bound: &Bound, arguments: &Arguments, ties: &Ties) -> std::result::Result<LogicalPlan, DataFusionError> {
    let types: Vec<&DataType> = bound.planned_types().collect();
    let typed = |parameter: Placeholder| {
        let Some(wanted) = Arguments::place(&parameter).and_then(|place| types.get(place)) else { return parameter };
        let field = match &parameter.field {
            Some(field) => field.as_ref().clone().with_data_type(DataType::clone(wanted)),
            None => Field::new(&parameter.id, DataType::clone(wanted), true),
        };
        Placeholder { field: Some(Arc::new(field)), ..parameter }
    };
    let noted = bound.plan().clone().transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|part| match part {
                Expr::Placeholder(parameter) => {
                    let parameter = ties.first(typed(parameter));
                    let value = arguments.value(&parameter)?;
                    Ok(Transformed::yes(Expr::Placeholder(with_place(parameter, &value))))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    });
    noted.map(|noted| noted.data)
}

/// Whether a parameter is an end of a range.
fn has_ranges(plan: &LogicalPlan) -> bool {
    let is_parameter = |expr: &Expr| {
        let mut inner = expr;
        while let Expr::Cast(cast) = inner {
            inner = &cast.expr;
        }
        matches!(inner, Expr::Placeholder(_))
    };
    let mut found = false;
    // A walk that only reads cannot fail.
    let _walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found |= match part {
                    Expr::BinaryExpr(BinaryExpr {
                        left,
                        op: Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq,
                        right,
                    }) => is_parameter(left) || is_parameter(right),
                    Expr::Between(Between { low, high, .. }) => is_parameter(low) || is_parameter(high),
                    _ => false,
                };
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// Tells plans apart by their nodes and by what their leaves ask of sources; the same for any values.
fn signature(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let mut hasher = DefaultHasher::new();
    displayable(plan.as_ref()).indent(false).to_string().hash(&mut hasher);
    for receipt in receipts(plan, true) {
        (receipt.source, receipt.table, receipt.lines).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
