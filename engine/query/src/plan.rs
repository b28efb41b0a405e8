//! From a bound statement to a verified, executable plan.

use crate::bind::Bound;
use crate::errors::{Stage, translate};
use crate::verify::verify_final;
use arrow::array::ArrayRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use querygate_catalog::federate;
use querygate_rules::{Disposition, Receipt};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// A plan that both walks admitted. Only [`plan`] makes one.
#[derive(Debug)]
pub(crate) struct Executable {
    physical: Arc<dyn ExecutionPlan>,
    optimized: LogicalPlan,
    receipts: Vec<Receipt>,
}

/// What a session asks of planning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PlanOptions {
    /// `querygate.require_pushdown`: a part that could have gone to a source and did not is an error.
    pub(crate) require_pushdown: bool,
}

impl Executable {
    pub(crate) fn physical(&self) -> &Arc<dyn ExecutionPlan> {
        &self.physical
    }

    /// What went to which source, and what stayed.
    pub(crate) fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    pub(crate) fn optimized(&self) -> &LogicalPlan {
        &self.optimized
    }
}

/// Optimizes, plans and verifies a bound statement with its parameters' values.
pub(crate) async fn plan(bound: &Bound, parameters: &[ArrayRef], options: PlanOptions) -> Result<Executable> {
    let values = bound.values(parameters)?;
    let logical = bound.with_values(values)?;
    let state = started(bound.state(), &logical);
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let federated = federate(&logical, bound.catalog(), &context)?;
    if options.require_pushdown {
        everything_pushed(&federated.receipts)?;
    }
    let optimized = state.optimize(&federated.plan).map_err(|e| translate(&e, Stage::Plan))?;
    let physical = state
        .query_planner()
        .create_physical_plan(&optimized, state.as_ref())
        .await
        .map_err(|e| translate(&e, Stage::Plan))?;
    verify_final(&physical, bound.catalog().token(), bound.inventory())?;
    Ok(Executable { physical, optimized, receipts: federated.receipts })
}

fn everything_pushed(receipts: &[Receipt]) -> Result<()> {
    let kept = receipts.iter().filter(|r| r.source.is_none()).flat_map(|r| &r.lines);
    let mut kept = kept.filter(|line| line.disposition == Disposition::Kept);
    let Some(line) = kept.next() else { return Ok(()) };
    let reason = line.reason.as_deref().unwrap_or("it is not supported there");
    Err(Error::new(ErrorCode::PushdownRequired, "part of the statement cannot run in its source")
        .with_detail(format!("{}: {reason}", line.subject))
        .with_hint("Set querygate.require_pushdown to off to run that part in the gate."))
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
