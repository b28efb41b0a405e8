//! Conditions on their way down a finished plan: they take the expressions of each projection in place of its columns, so that
//! projections on one another, which read a column twice, double them. Knows no condition, only how long one may become.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use std::sync::Arc;

/// Parts that one column may become at the bottom of a plan.
const PARTS_MAX: u64 = 10_000;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rules, those that push conditions down left out for plans in which these would grow without bound. What they leave
/// stands above and says the same.
pub(crate) fn bounded(rules: Vec<Rule>) -> Vec<Rule> {
    let bound =
        |rule: Rule| -> Rule { if rule.name().starts_with("FilterPushdown") { Arc::new(Bounded(rule)) } else { rule } };
    rules.into_iter().map(bound).collect()
}

#[derive(Debug)]
struct Bounded(Rule);

impl PhysicalOptimizerRule for Bounded {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if unfolded(&plan) > PARTS_MAX { Ok(plan) } else { self.0.optimize(plan, config) }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Parts of the longest column of a plan in terms of what stands at its bottom.
fn unfolded(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let below = plan.children().into_iter().map(unfolded).max().unwrap_or(1);
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return below };
    projection.expr().iter().map(|column| parts(&column.expr, below)).max().unwrap_or(below)
}

fn parts(expr: &Arc<dyn PhysicalExpr>, of_column: u64) -> u64 {
    if expr.downcast_ref::<Column>().is_some() {
        return of_column;
    }
    expr.children().into_iter().fold(1, |sum, child| sum.saturating_add(parts(child, of_column)))
}
