//! Operators whose expressions may make much of little are put behind a meter, which charges the statement's memory for it, and
//! those whose expressions may compute long behind one that tells them whether the statement is over. Windows over whole partitions,
//! which keep their input without a word to anybody, have it charged.

use crate::semantics::{frames, grows, lasts};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::windows::WindowAggExec;
use querygate_catalog::MeteredExec;
use std::sync::Arc;

/// Wraps every operator with such an expression. Put last: nothing after it needs to see through.
#[derive(Debug)]
pub(crate) struct Metering;

impl PhysicalOptimizerRule for Metering {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan
            .transform_up(|node| {
                let keeps = node.downcast_ref::<WindowAggExec>().is_some();
                let node = if keeps { MeteredExec::kept(node)? } else { node };
                if frames(&node) {
                    return Ok(Transformed::yes(MeteredExec::over(node)));
                }
                let (mut growing, mut lasting) = (false, false);
                node.apply_expressions(&mut |expr| {
                    growing |= grows(expr);
                    lasting |= lasts(expr);
                    Ok(TreeNodeRecursion::Continue)
                })?;
                if growing && node.children().len() == 1 {
                    MeteredExec::around(node).map(Transformed::yes)
                } else if lasting {
                    Ok(Transformed::yes(MeteredExec::heeding(node)))
                } else {
                    Ok(Transformed::new_transformed(node, keeps))
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
