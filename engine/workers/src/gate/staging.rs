//! From a chain of operators over a leaf to the stage that workers run in its place, or why they do not.

use super::chain::{Chain, Top, over};
use super::exec::{Here, Joins, WorkersExec};
use super::pool::Asked;
use super::ship::{Mode, Shipping, read_by_workers};
use super::sides::Sides;
use super::stage::StageExec;
use crate::part::Steps;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use querygate_catalog::leaf::GovernedExec;
use querygate_semantics::portable::{Aggregate, tight_type};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Parts for each worker that are asked for at once, where their rows are given one after the other.
const PARTS_PER_WORKER: usize = 2;

const OTHER: &str = "its aggregates are not made of states";

/// The leaf of a stage.
pub(super) struct Over<'a> {
    pub(super) leaf: &'a GovernedExec,
    /// Whether rows are hidden from its reader. How its streams are divided depends on them, so nothing that comes of it may depend on
    /// the division.
    pub(super) restricts: bool,
    /// Whether the plan chooses groups of an aggregate by the order in which they come.
    pub(super) first_groups: bool,
}

/// What stands in the place of a chain; or why what is above the leaf stays.
pub(super) fn staged(
    chain: &Chain,
    Over { leaf, restricts, first_groups }: &Over<'_>,
    parts: Vec<Asked>,
    shipping: &Shipping,
) -> Result<std::result::Result<Arc<dyn ExecutionPlan>, &'static str>> {
    let mut links = chain.links.clone();
    let hides = *restricts || leaf.parts_at_once().is_some();
    let Some(top) = links.last_mut() else { return Ok(Err(OTHER)) };
    let chooses = *first_groups && matches!(chain.top, Top::States | Top::Aggregates);
    if hides && (chooses || !is_exact(&top.operator)?) {
        return Ok(Err("what its aggregates give could depend on how hidden rows lie in files"));
    }
    match chain.top {
        Top::Aggregates => top.operator = states_of(&top.operator)?,
        Top::First if hides => match ordered_by_all(&top.operator) {
            Some(whole) => top.operator = whole,
            None => return Ok(Err("which of two equal rows is first could depend on how hidden rows lie in files")),
        },
        Top::First | Top::Rows | Top::States => {}
    }
    let steps = match Steps::closed(&links, &chain.leaf.schema()) {
        Ok(steps) => Arc::new(steps),
        Err(reason) => return Ok(Err(reason)),
    };
    let here = (shipping.mode == Mode::Auto).then(|| Here { leaf: Arc::clone(&chain.leaf) });
    let shown = read_by_workers(leaf, parts.clone(), shipping, here.clone())?;
    let shown = over(&links, Arc::new(shown)).map_err(wrong)?;
    let asked = |part: Asked| Asked { steps: Some(Arc::clone(&steps)), ..part };
    let parts: Vec<Asked> = parts.into_iter().map(asked).collect();
    let sides: Vec<_> = links.iter().filter_map(|link| link.side.clone()).collect();
    let joins = || Joins { sides: Sides::new(sides.clone()), whole: Arc::clone(&shown) };
    let joins = (!sides.is_empty()).then(joins);
    let rows = match chain.top {
        Top::Rows | Top::First => true,
        Top::States | Top::Aggregates => false,
    };
    let streams = WorkersExec::new(Arc::clone(&shipping.pool), parts, shown.schema(), here).joining(joins);
    let more = shipping.pool.size().0.saturating_mul(PARTS_PER_WORKER);
    let at_once = leaf.parts_at_once().map(|at_once| at_once.max(more));
    let stage: Arc<dyn ExecutionPlan> = Arc::new(StageExec::new(shown, streams, at_once, rows));
    above(chain, stage, hides)
}

/// What is left to be done here.
fn above(
    chain: &Chain,
    stage: Arc<dyn ExecutionPlan>,
    hides: bool,
) -> Result<std::result::Result<Arc<dyn ExecutionPlan>, &'static str>> {
    match chain.top {
        Top::Rows | Top::States => Ok(Ok(stage)),
        Top::First if !hides => Ok(Ok(stage)),
        Top::First => {
            let top = stage.children().first().and_then(|operators| first_sort(operators)).cloned();
            let sort = top.ok_or_else(|| Error::internal("first rows have no order"))?;
            Ok(Ok(Arc::new(SortExec::new(sort.expr().clone(), stage).with_fetch(sort.fetch()))))
        }
        Top::Aggregates => {
            let Some(whole) = chain.links.last().and_then(|link| link.operator.downcast_ref::<AggregateExec>()) else {
                return Err(Error::internal("aggregates are none"));
            };
            let stage: Arc<dyn ExecutionPlan> = match stage.output_partitioning().partition_count() {
                1 => stage,
                _ => Arc::new(CoalescePartitionsExec::new(stage)),
            };
            let calls = whole.aggr_expr().to_vec();
            let (filters, by) = (vec![None; calls.len()], whole.group_expr().as_final());
            let added = AggregateExec::try_new(AggregateMode::Final, by, calls, filters, stage, whole.input_schema());
            let added = added.map_err(wrong)?.with_limit_options(whole.limit_options());
            if added.schema() != whole.schema() {
                return Ok(Err(OTHER));
            }
            Ok(Ok(Arc::new(added)))
        }
    }
}

/// Whether what an operator gives is the same however its rows are divided.
fn is_exact(top: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let Some(aggregate) = top.downcast_ref::<AggregateExec>() else { return Ok(true) };
    let schema = aggregate.input().schema();
    for call in aggregate.aggr_expr() {
        let types =
            call.expressions().iter().map(|of| tight_type(of, &schema)).collect::<std::result::Result<Vec<_>, _>>();
        let types: Vec<DataType> = types.map_err(wrong)?;
        if !Aggregate::of(call.fun()).is_some_and(|one| one.is_exact(&types)) {
            // What is not made in parts at all has a reason of its own.
            return Ok(Aggregate::of(call.fun()).is_none());
        }
    }
    Ok(true)
}

/// The operator that gives the states of aggregates.
fn states_of(whole: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(whole) = whole.downcast_ref::<AggregateExec>() else {
        return Err(Error::internal("aggregates are none"));
    };
    let (by, calls) = (whole.group_expr().clone(), whole.aggr_expr().to_vec());
    let (filters, input) = (whole.filter_expr().to_vec(), Arc::clone(whole.input()));
    let states = AggregateExec::try_new(AggregateMode::Partial, by, calls, filters, input, whole.input_schema());
    Ok(Arc::new(states.map_err(wrong)?.with_limit_options(whole.limit_options())))
}

/// First rows of an order that goes on with all columns, so that rows that are equal in it are equal. `None`: a column has no order.
fn ordered_by_all(first: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let sort = first.downcast_ref::<SortExec>()?;
    let schema = sort.schema();
    let mut keys: Vec<PhysicalSortExpr> = sort.expr().iter().cloned().collect();
    for (place, field) in schema.fields().iter().enumerate() {
        if field.data_type().is_nested() {
            return None;
        }
        let options = SortOptions { descending: false, nulls_first: true };
        keys.push(PhysicalSortExpr { expr: Arc::new(Column::new(field.name(), place)), options });
    }
    let sorted = SortExec::new(LexOrdering::new(keys)?, Arc::clone(sort.input()));
    Some(Arc::new(sorted.with_preserve_partitioning(true).with_fetch(sort.fetch())))
}

/// The sort on top of operators.
fn first_sort(operators: &Arc<dyn ExecutionPlan>) -> Option<&SortExec> {
    match operators.downcast_ref::<SortExec>() {
        Some(sort) => Some(sort),
        None => first_sort(operators.children().into_iter().next()?),
    }
}

fn wrong(error: DataFusionError) -> Error {
    Error::internal(error)
}
