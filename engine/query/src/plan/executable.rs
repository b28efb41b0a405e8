//! From a bound statement to a verified, executable plan.

use crate::bind::statement::{Bound, Whole};
use crate::bind::verify::{Inventory, verify_bound, verify_final};
use crate::bind::volatility::Asks;
use crate::bind::workspace::{careful, is_brief};
use crate::books::observe::FragmentRecord;
use crate::dialect::subqueries::apply::{self, RunSubplan, Scope};
use crate::errors::{Stage, translate};
use crate::plan::variant::{Asking, Chosen};
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{LogicalPlan, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::future::BoxFuture;
use querygate_catalog::federation::WholeFragment;
use querygate_catalog::remote::FragmentCall;
use querygate_driver_api::value::Value;
use querygate_pg_catalog::LeafToken;
use querygate_resources::MeteredExec;
use querygate_rules::Receipt;
use querygate_types::{Error, ErrorCode, PgType, Result};
use querygate_workers::gate::Choice;
use std::sync::Arc;

/// A plan that both walks admitted. Only this module and `planning` make one.
#[derive(Debug)]
pub(crate) struct Executable {
    pub(super) physical: Arc<dyn ExecutionPlan>,
    /// `None`: the source runs the statement as a whole.
    pub(super) logical: Option<LogicalPlan>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) records: Arc<[FragmentRecord]>,
    pub(super) cached: bool,
    /// `None`: nobody was asked, or there was nothing to choose.
    pub(super) chosen: Option<Chosen>,
    /// Which leaves over files workers read, and why the others are read here.
    pub(super) shipped: Vec<Choice>,
}

impl Executable {
    pub(crate) fn physical(&self) -> &Arc<dyn ExecutionPlan> {
        &self.physical
    }

    /// What went to which source, and what stayed.
    pub(crate) fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// What went to which source, for the books.
    pub(crate) fn records(&self) -> &Arc<[FragmentRecord]> {
        &self.records
    }

    /// Names of the sources that run a statement of their own for it; empty: none does.
    pub(crate) fn pushed_to(&self) -> String {
        crate::plan::receipts::asked_sources(&self.physical).into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The plan that was given to the engine.
    pub(crate) fn logical(&self) -> Option<&LogicalPlan> {
        self.logical.as_ref()
    }

    /// Whether planning was spared.
    pub(crate) fn cached(&self) -> bool {
        self.cached
    }

    /// Whether it is the plan that is made without advice.
    pub(crate) fn is_default(&self) -> bool {
        self.chosen.as_ref().is_none_or(Chosen::is_default)
    }

    /// What became of leaves over files, where there are workers.
    pub(crate) fn shipped(&self) -> &[Choice] {
        &self.shipped
    }

    /// What was chosen among valid plans.
    pub(crate) fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }
}

/// The same statement with nothing given to sources as a fragment.
pub(crate) async fn local(
    bound: &Bound,
    state: &Arc<SessionState>,
    parameters: &[ArrayRef],
) -> Result<Arc<dyn ExecutionPlan>> {
    let logical = bound.with_values(bound.values(parameters)?)?;
    physical(&logical, state, bound.catalog().token(), bound.inventory()).await
}

/// The choice for a statement that is known to run in one source as a whole; that is then the one choice of the run. `None`: it is
/// not known to, or there is nothing to choose.
pub(crate) fn choose_whole(bound: &Bound, asking: impl FnOnce() -> Option<Asking>) -> Option<Chosen> {
    let whole = bound.whole_found().filter(|_| !bound.asks().moment)?;
    // Look-ups have none, and come by the ten thousand.
    if whole.fragment.settings().is_empty() {
        return None;
    }
    asking()?.choose_whole(&whole.fragment)
}

/// A statement that one source runs as a whole needs no planning after the first time: values in, leaf out. `None`: it is
/// none, or was not found to be one yet.
pub(crate) fn ready(bound: &Bound, parameters: &[ArrayRef], chosen: Option<Chosen>) -> Result<Option<Executable>> {
    match bound.whole_found() {
        Some(whole) if !bound.asks().moment => filled(bound, whole, &bound.values(parameters)?, true, chosen),
        Some(_) | None => Ok(None),
    }
}

/// A run of such a statement with no plan around it, once a leaf of it has passed the second walk: the same text, the same policy
/// with the principal's values, the client's values. `None`: it has not, or these values are to be planned with.
pub(crate) fn call(bound: &Bound, parameters: &[ArrayRef]) -> Result<Option<(FragmentCall, Arc<[FragmentRecord]>)>> {
    let Some((whole, records)) = walked(bound)? else { return Ok(None) };
    let Some(placeholders) = placeholders(&bound.values(parameters)?)? else { return Ok(None) };
    Ok(whole.fragment.call(&placeholders).map(|call| (call, Arc::clone(records))))
}

/// As [`call`], where rows may go to a client of PostgreSQL's protocol as the source writes them.
pub(crate) fn written<'a>(bound: &'a Bound, parameters: &[ArrayRef]) -> Result<Option<WrittenCall<'a>>> {
    let values = || placeholders(&bound.values(parameters)?);
    written_call(bound, values)
}

/// The whole statement's call, with values that stand as the plan wants them.
pub(crate) fn written_given(bound: &Bound, values: Vec<Value>) -> Result<Option<WrittenCall<'_>>> {
    written_call(bound, || Ok(Some(values)))
}

/// Values as fragments take them. `None`: a source cannot be given one, or it is none of its parameter's.
pub(crate) fn values_of(bound: &Bound, given: &[ArrayRef]) -> Option<Vec<Value>> {
    placeholders(&bound.values(given).ok()?).ok()?
}

fn written_call(bound: &Bound, values: impl FnOnce() -> Result<Option<Vec<Value>>>) -> Result<Option<WrittenCall<'_>>> {
    let Some((whole, records)) = walked(bound)? else { return Ok(None) };
    let Some(types) = &whole.written else { return Ok(None) };
    Ok(values()?.map(|values| WrittenCall { fragment: &whole.fragment, types, values, records }))
}

/// Such a run with its values.
pub(crate) struct WrittenCall<'a> {
    pub(crate) fragment: &'a WholeFragment,
    /// What the client was told of the columns.
    pub(crate) types: &'a [PgType],
    pub(crate) values: Vec<Value>,
    pub(crate) records: &'a Arc<[FragmentRecord]>,
}

/// A fragment that is the whole statement, with the records of its walk.
type Walked<'a> = (&'a Whole, &'a Arc<[FragmentRecord]>);

fn walked(bound: &Bound) -> Result<Option<Walked<'_>>> {
    let Some(whole) = bound.whole_found().filter(|_| !bound.asks().moment) else { return Ok(None) };
    // Written behind the walk over a leaf of this fragment, whose token is the fragment's own.
    let Some(records) = whole.records.get() else { return Ok(None) };
    if whole.fragment.token() != bound.catalog().token() {
        return Err(Error::internal("a fragment of another session was kept"));
    }
    Ok(Some((whole, records)))
}

/// The values as fragments take them. `None`: there is one of a type that they do not have.
pub(super) fn placeholders(values: &[ScalarValue]) -> Result<Option<Vec<Value>>> {
    let mut placeholders = Vec::with_capacity(values.len());
    for value in values {
        let value = match value {
            // The usual ones, without an array around them.
            ScalarValue::Boolean(Some(value)) => Value::Boolean(*value),
            ScalarValue::Int16(Some(value)) => Value::Int16(*value),
            ScalarValue::Int32(Some(value)) => Value::Int32(*value),
            ScalarValue::Int64(Some(value)) => Value::Int64(*value),
            ScalarValue::Decimal128(Some(value), precision, scale) if *scale >= 0 => {
                Value::Decimal128 { value: *value, precision: *precision, scale: *scale }
            }
            ScalarValue::Utf8(Some(value)) => Value::text(value.as_str()),
            other => {
                let array = other.to_array().map_err(Error::internal)?;
                let Ok(value) = Value::from_array(array.as_ref(), 0) else { return Ok(None) };
                value
            }
        };
        placeholders.push(value);
    }
    Ok(Some(placeholders))
}

pub(super) fn filled(
    bound: &Bound,
    whole: &Whole,
    values: &[ScalarValue],
    known: bool,
    chosen: Option<Chosen>,
) -> Result<Option<Executable>> {
    let Some(placeholders) = placeholders(values)? else { return Ok(None) };
    let setting = chosen.as_ref().and_then(Chosen::setting);
    let Some(physical) = whole.fragment.leaf(&placeholders, setting) else { return Ok(None) };
    verify_final(&physical, bound.catalog().token(), bound.inventory())?;
    let mut executable = Executable {
        physical,
        logical: None,
        receipts: vec![whole.fragment.receipt().clone()],
        records: Arc::default(),
        cached: known,
        chosen,
        shipped: Vec::new(),
    };
    let records = whole.records.get_or_init(|| crate::plan::receipts::fragments(&executable));
    executable.records = Arc::clone(records);
    Ok(Some(executable))
}

/// Optimizes, plans and verifies. Correlated subqueries that the engine cannot unnest run per outer row.
pub(crate) async fn physical(
    plan: &LogicalPlan,
    state: &Arc<SessionState>,
    token: &LeafToken,
    inventory: &Inventory,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(refusal) = &inventory.refusal {
        return Err(refusal.clone());
    }
    let failed = |e: &DataFusionError| translate(e, Stage::Optimize);
    let first = apply::expand(plan.clone(), Scope::CatalogOnly).map_err(|e| failed(&e))?;
    let physical = match state.create_physical_plan(&first).await {
        Ok(physical) => physical,
        Err(error) if apply::has_work(plan, Scope::Everything).map_err(|e| failed(&e))? => {
            let all = apply::expand(plan.clone(), Scope::Everything).map_err(|_| failed(&error))?;
            match state.create_physical_plan(&all).await {
                Ok(physical) => physical,
                Err(error) => again(&all, state, failed(&error)).await?,
            }
        }
        Err(error) => again(&first, state, failed(&error)).await?,
    };
    // The rules make keys of equalities in a round before conditions have come down to their join.
    let physical = match is_brief(state) && loops_over_equals(&physical) {
        true => careful(state).create_physical_plan(&first).await.unwrap_or(physical),
        false => physical,
    };
    verify_final(&physical, token, inventory)?;
    Ok(physical)
}

/// A plan that the engine's own rules broke is made a second time without the ones that are known to break plans.
async fn again(plan: &LogicalPlan, state: &Arc<SessionState>, error: Error) -> Result<Arc<dyn ExecutionPlan>> {
    match error.code() {
        ErrorCode::Internal => {
            tracing::warn!(cause = error.cause(), "a statement is planned a second time, with fewer rules");
        }
        // One round of rules may leave what the engine cannot run.
        ErrorCode::FeatureNotSupported if is_brief(state) => {}
        _ => return Err(error),
    }
    careful(state).create_physical_plan(plan).await.map_err(|_| error)
}

/// Whether a join compares each row with each for what a table of keys would find: a column of one side that equals one of the other.
pub(super) fn loops_over_equals(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_key = |filter: &JoinFilter, part: &Arc<dyn PhysicalExpr>| {
        let side = |of: &Arc<dyn PhysicalExpr>| {
            let column = of.downcast_ref::<Column>()?;
            Some(filter.column_indices().get(column.index())?.side)
        };
        let equal = part.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::Eq);
        equal.is_some_and(|equal| match (side(equal.left()), side(equal.right())) {
            (Some(left), Some(right)) => left != right,
            _ => false,
        })
    };
    let mut found = false;
    // A walk that only reads cannot fail.
    let _walked = plan.apply(|node| {
        let filter = node.downcast_ref::<NestedLoopJoinExec>().and_then(NestedLoopJoinExec::filter);
        found |= filter.is_some_and(|filter| {
            split_conjunction(MeteredExec::condition(filter)).into_iter().any(|part| is_key(filter, part))
        });
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

pub(super) fn context(state: &SessionState) -> SimplifyContext {
    SimplifyContext::builder()
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build()
}

/// Runs the subplans of an apply through the same stages.
pub(crate) struct Subplans {
    pub(crate) state: Arc<SessionState>,
    pub(crate) token: LeafToken,
}

impl RunSubplan for Subplans {
    fn run(
        &self,
        plan: LogicalPlan,
        context: Arc<TaskContext>,
    ) -> BoxFuture<'_, datafusion::common::Result<Vec<RecordBatch>>> {
        Box::pin(async move {
            let outside = |e: Error| DataFusionError::External(Box::new(e));
            let inventory = verify_bound(&plan, &self.token).map_err(outside)?;
            let state = started(&self.state, Asks::of(&plan));
            let physical = physical(&plan, &state, &self.token, &inventory).await.map_err(outside)?;
            datafusion::physical_plan::collect(physical, context).await
        })
    }
}

/// A state whose clock starts now, where the statement asks for the time; copying it is not free.
pub(crate) fn started(state: &Arc<SessionState>, asks: Asks) -> Arc<SessionState> {
    if !asks.moment {
        return Arc::clone(state);
    }
    let mut copy = SessionState::clone(state);
    copy.mark_start_execution();
    Arc::new(copy)
}

#[cfg(test)]
mod tests;
