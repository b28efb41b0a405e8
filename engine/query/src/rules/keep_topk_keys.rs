//! Sorts of which only the first rows are wanted. The engine leaves out a sort key that is constant in each partition,
//! though its value differs between them, and lets all partitions share one threshold, which then compares rows by the
//! other keys alone. Each such sort gets back the keys by which its partitions are merged.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use std::sync::Arc;

/// Put after the engine's rules, which drop the keys.
#[derive(Debug)]
pub(crate) struct KeepTopKKeys;

impl PhysicalOptimizerRule for KeepTopKKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan
            .transform_up(|node| {
                let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() else {
                    return Ok(Transformed::no(node));
                };
                let Some(sort) = merge.input().downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
                if sort.fetch().is_none() || sort.expr() == merge.expr() {
                    return Ok(Transformed::no(node));
                }
                let whole = SortExec::new(merge.expr().clone(), Arc::clone(sort.input()))
                    .with_fetch(sort.fetch())
                    .with_preserve_partitioning(sort.preserve_partitioning());
                let merged =
                    SortPreservingMergeExec::new(merge.expr().clone(), Arc::new(whole)).with_fetch(merge.fetch());
                Ok(Transformed::yes(Arc::new(merged) as Arc<dyn ExecutionPlan>))
            })?
            .data)
    }

    fn name(&self) -> &'static str {
        "keep_topk_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// An aggregate that may stop after some groups was given this before its input was sorted; sorted, it asks for an order of
/// its groups that nobody gave it. It makes them all, and the limit above takes some. Put after the engine's rules.
#[derive(Debug)]
pub(crate) struct LimitedGroups;

impl PhysicalOptimizerRule for LimitedGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let unlimited = plan.transform_up(|node| {
            let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(node)) };
            let unordered = aggregate.limit_options().is_some_and(|limit| limit.descending.is_none());
            if !unordered || aggregate.is_unordered_unfiltered_group_by_distinct() {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(aggregate.with_new_limit_options(None)) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(unlimited.data)
    }

    fn name(&self) -> &'static str {
        "limited_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
