//! Joins without an equality of which one side is at most one row, such as a total beside each row. The engine collects the left
//! side of them and streams the right one, and swaps them by their sizes, which leaves here do not tell: the one row is collected.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use std::sync::Arc;

/// Put after the rule that swaps sides, before partitions are made fit.
#[derive(Debug)]
pub(crate) struct CollectOneRowSide;

impl PhysicalOptimizerRule for CollectOneRowSide {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let swapped = plan.transform_up(|node| {
            let swapped = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                let streams = is_one_row(join.right()) && !is_one_row(join.left());
                if streams { Some(join.swap_inputs()?) } else { None }
            } else if let Some(join) = node.downcast_ref::<CrossJoinExec>() {
                let streams = is_one_row(join.right()) && !is_one_row(join.left());
                if streams { Some(join.swap_inputs()?) } else { None }
            } else {
                None
            };
            Ok(swapped.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        Ok(swapped.data)
    }

    fn name(&self) -> &'static str {
        "collect_one_row_side"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a plan has one row at most.
fn is_one_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let whole = match aggregate.mode() {
            AggregateMode::Final
            | AggregateMode::FinalPartitioned
            | AggregateMode::Single
            | AggregateMode::SinglePartitioned => true,
            AggregateMode::Partial | AggregateMode::PartialReduce => false,
        };
        return whole && aggregate.group_expr().expr().is_empty() && !aggregate.group_expr().has_grouping_set();
    }
    if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
        return limit.fetch().is_some_and(|rows| rows <= 1);
    }
    if plan.downcast_ref::<ProjectionExec>().is_some() || plan.downcast_ref::<FilterExec>().is_some() {
        return plan.children().into_iter().all(is_one_row);
    }
    plan.downcast_ref::<PlaceholderRowExec>().is_some() || plan.downcast_ref::<EmptyExec>().is_some()
}
