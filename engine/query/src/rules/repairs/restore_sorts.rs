//! Orders that the engine's rules lost: it takes a sort away where it holds rows to be sorted already, moves what made them
//! so, and its own check then refuses the plan. What is not sorted as its reader needs it is sorted here. Sorted rows that it divides
//! among partitions for what is computed of them come together in any order; they stay together here.
//! Needed with DataFusion 55.2.0.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use std::sync::Arc;

/// Put after the rules that move sorts, before the check.
#[derive(Debug)]
pub(crate) struct RestoreSorts;

impl PhysicalOptimizerRule for RestoreSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(sorted)?.transform_data(|plan| plan.transform_up(together))?.data)
    }

    fn name(&self) -> &'static str {
        "restore_sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A projection of sorted rows that were of one partition.
fn together(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let divided = node.downcast_ref::<ProjectionExec>().and_then(|node| node.input().downcast_ref::<RepartitionExec>());
    let Some(input) = divided.map(RepartitionExec::input) else { return Ok(Transformed::no(node)) };
    if input.output_partitioning().partition_count() > 1 || input.output_ordering().is_none() {
        return Ok(Transformed::no(node));
    }
    let input = vec![Arc::clone(input)];
    Ok(Transformed::yes(node.replace_children(input, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?))
}

fn sorted(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut changed = false;
    let mut inputs = Vec::with_capacity(node.children().len());
    for (input, wanted) in node.children().into_iter().zip(node.required_input_ordering()) {
        let known = input.equivalence_properties();
        match wanted.map(|wanted| wanted.into_single()) {
            Some(wanted) if !known.ordering_satisfy_requirement(wanted.clone())? => {
                changed = true;
                let sort = SortExec::new(LexOrdering::from(wanted), Arc::clone(input));
                let several = input.output_partitioning().partition_count() > 1;
                inputs.push(Arc::new(sort.with_preserve_partitioning(several)) as Arc<dyn ExecutionPlan>);
            }
            Some(_) | None => inputs.push(Arc::clone(input)),
        }
    }
    if !changed {
        return Ok(Transformed::no(node));
    }
    Ok(Transformed::yes(node.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{collected, column, leaf, order, printed, sorted};
    use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::projection::ProjectionExpr;
    use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

    fn merged(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(SortPreservingMergeExec::new(order(&input, &[0]), input))
    }

    fn restored(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        RestoreSorts.optimize(plan, &ConfigOptions::new()).unwrap()
    }

    fn is_sane(plan: &Arc<dyn ExecutionPlan>) -> bool {
        SanityCheckPlan::new().optimize(Arc::clone(plan), &ConfigOptions::new()).is_ok()
    }

    /// A merge of rows that are not sorted is refused by the engine's check without the rule; with it they are sorted.
    #[test]
    fn what_is_not_sorted_as_its_reader_needs_it_is_sorted() {
        let lost = merged(leaf(&["a"], &[&[&[3], &[1]], &[&[4], &[2]]]));
        assert!(!is_sane(&lost));
        let found = restored(lost);
        assert!(is_sane(&found));
        assert_eq!(
            printed(&found).lines().map(str::trim).take(2).collect::<Vec<_>>(),
            ["SortPreservingMergeExec: [a@0 ASC]", "SortExec: expr=[a@0 ASC], preserve_partitioning=[true]"]
        );
        assert_eq!(collected(found), ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_is_sorted_stays_as_it_is() {
        let plan = merged(sorted(leaf(&["a", "b"], &[&[&[1, 2]], &[&[0, 1]]]), &[0, 1]));
        assert_eq!(printed(&restored(Arc::clone(&plan))), printed(&plan));
    }

    /// A projection over sorted rows that were dealt out to several partitions reads them in one.
    #[test]
    fn sorted_rows_are_not_divided_for_what_is_computed_of_them() {
        let projected = |input: Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
            let divided: Arc<dyn ExecutionPlan> =
                Arc::new(RepartitionExec::try_new(input, Partitioning::RoundRobinBatch(4)).unwrap());
            let shown = ProjectionExpr { expr: column(&divided, 0), alias: "shown".to_owned() };
            Arc::new(ProjectionExec::try_new([shown], divided).unwrap())
        };
        let one = || leaf(&["a"], &[&[&[2], &[1]]]);
        let divided = projected(sorted(one(), &[0]));
        assert_eq!(divided.output_partitioning().partition_count(), 4);
        let together = restored(divided);
        assert_eq!(together.output_partitioning().partition_count(), 1);
        assert!(together.output_ordering().is_some());
        assert_eq!(collected(together), ["1", "2"]);
        // What has no order, or had several partitions already, may be divided.
        assert_eq!(restored(projected(one())).output_partitioning().partition_count(), 4);
        let several = leaf(&["a"], &[&[&[2]], &[&[1]]]);
        assert_eq!(restored(projected(sorted(several, &[0]))).output_partitioning().partition_count(), 4);
    }
}
