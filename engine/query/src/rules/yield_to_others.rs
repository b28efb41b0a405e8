//! Operators that make many rows of few give the thread back in between, so that cancel and deadline are heard. The
//! engine makes only leaves cooperative, and a join may read its leaves once and then produce for minutes.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use std::sync::Arc;

/// Operators in a row that give the thread back. Each takes a part of what a task may do in one go, which is 128 parts: more
/// of them above one another would use it up before the lowest one is asked, every time.
const IN_A_ROW_MAX: usize = 32;

/// Wraps every operator with several inputs, and unnesting; of a long row of them every second, every third and so on. Put last:
/// nothing after it needs to see through.
#[derive(Debug)]
pub(crate) struct YieldToOthers;

impl PhysicalOptimizerRule for YieldToOthers {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let every = in_a_row(&plan) / IN_A_ROW_MAX + 1;
        wrapped(plan, 0, every)
    }

    fn name(&self) -> &'static str {
        "yield_to_others"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.children().len() > 1 || matches!(node.name(), "UnnestExec" | "ApplyExec")
}

/// The most such operators above one another.
fn in_a_row(node: &Arc<dyn ExecutionPlan>) -> usize {
    let below = node.children().into_iter().map(in_a_row).max().unwrap_or(0);
    below + usize::from(multiplies(node.as_ref()))
}

/// Wraps those that have a multiple of `every` above them.
fn wrapped(node: Arc<dyn ExecutionPlan>, above: usize, every: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let multiplies = multiplies(node.as_ref());
    let below = above + usize::from(multiplies);
    let children = node.children().into_iter().cloned().collect::<Vec<_>>();
    let children = children.into_iter().map(|child| wrapped(child, below, every)).collect::<Result<_>>()?;
    let node = replace_children_if_necessary(node, children)?;
    Ok(if multiplies && above.is_multiple_of(every) { Arc::new(CooperativeExec::new(node)) } else { node })
}
