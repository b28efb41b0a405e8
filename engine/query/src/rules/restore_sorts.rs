//! Orders that the engine's rules lost: it takes a sort away where it holds rows to be sorted already, moves what made them
//! so, and its own check then refuses the plan. What is not sorted as its reader needs it is sorted here. Sorted rows that it divides
//! among partitions for what is computed of them come together in any order; they stay together here.

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
