//! From a bound statement to a verified, executable plan.

use crate::bind::Bound;
use crate::errors::{Stage, translate};
use crate::verify::verify_final;
use arrow::array::ArrayRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use querygate_types::Result;
use std::sync::Arc;

/// A plan that both walks admitted. Only [`plan`] makes one.
#[derive(Debug)]
pub(crate) struct Executable {
    physical: Arc<dyn ExecutionPlan>,
    optimized: LogicalPlan,
}

impl Executable {
    pub(crate) fn physical(&self) -> &Arc<dyn ExecutionPlan> {
        &self.physical
    }

    pub(crate) fn optimized(&self) -> &LogicalPlan {
        &self.optimized
    }
}

/// Optimizes, plans and verifies a bound statement with its parameters' values.
pub(crate) async fn plan(bound: &Bound, parameters: &[ArrayRef]) -> Result<Executable> {
    let values = bound.values(parameters)?;
    let logical = bound.with_values(values)?;
    let state = started(bound.state(), &logical);
    let optimized = state.optimize(&logical).map_err(|e| translate(&e, Stage::Plan))?;
    let physical = state
        .query_planner()
        .create_physical_plan(&optimized, state.as_ref())
        .await
        .map_err(|e| translate(&e, Stage::Plan))?;
    verify_final(&physical, bound.catalog().token(), bound.inventory())?;
    Ok(Executable { physical, optimized })
}

/// A state whose clock starts now, where the statement asks for the time; copying it is not free.
fn started(state: &Arc<SessionState>, plan: &LogicalPlan) -> Arc<SessionState> {
    if !reads_clock(plan) {
        return Arc::clone(state);
    }
    let mut copy = SessionState::clone(state);
    copy.mark_start_execution();
    Arc::new(copy)
}

fn reads_clock(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closures never fail, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(f) = e
                    && f.func.signature().volatility == Volatility::Stable
                {
                    found = true;
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}
