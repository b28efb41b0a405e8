//! Groups by one integer key whose values lie close together: the key itself says where its group stands, so that a row costs one
//! look into an array where a hash table costs three into memory that is far apart.

mod accumulators;
mod exec;
mod key_column;
mod key_table;
mod remaining_input;
mod stream;
#[cfg(test)]
mod tests;

pub use exec::PerfectHashAggregateExec;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use std::sync::Arc;

/// Puts [`PerfectHashAggregateExec`] in the place of each aggregate that it can do the work of. To be put behind every rule that makes
/// aggregates, limits them, changes their order or meters them.
#[derive(Debug)]
pub struct AggregateByPerfectHash;

impl PhysicalOptimizerRule for AggregateByPerfectHash {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        with_perfect_hash(plan)
    }

    fn name(&self) -> &'static str {
        "aggregate_by_perfect_hash"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// From the leaves up.
fn with_perfect_hash(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let children = plan.children().into_iter().map(|child| with_perfect_hash(Arc::clone(child)));
    let children = children.collect::<Result<Vec<_>>>()?;
    let plan = replace_children_if_necessary(plan, children)?;
    Ok(PerfectHashAggregateExec::in_place_of(&plan).unwrap_or(plan))
}
