//! Operators whose expressions may make much of little are put behind a meter, which charges the statement's memory for it.

use crate::semantics::grows;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use querygate_catalog::MeteredExec;
use std::sync::Arc;

/// Wraps every operator with such an expression. Put last: nothing after it needs to see through.
#[derive(Debug)]
pub(crate) struct Metering;

impl PhysicalOptimizerRule for Metering {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan
            .transform_up(|node| {
                let found = node.apply_expressions(&mut |expr| {
                    Ok(if grows(expr) { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
                })?;
                if found == TreeNodeRecursion::Stop {
                    MeteredExec::around(node).map(Transformed::yes)
                } else {
                    Ok(Transformed::no(node))
                }
            })?
            .data)
    }

    fn name(&self) -> &'static str {
        "metering"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
