//! Conditions on their way down a finished plan: they take the expressions of each projection in place of its columns, so that
//! projections on one another, which read a column twice, double them. Knows no condition, only how long one may become.
//! Needed with DataFusion 55.2.0.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, leaf, printed};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{BinaryExpr, lit};
    use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
    use datafusion::physical_plan::filter::FilterExec;
    use datafusion::physical_plan::projection::ProjectionExpr;

    /// A condition above projections on one another that each read their column twice, and one below that takes others in.
    fn doubling(levels: usize) -> Arc<dyn ExecutionPlan> {
        let mut plan = above_zero(leaf(&["a"], &[&[&[1], &[2]]]));
        for _ in 0..levels {
            let twice = BinaryExpr::new(column(&plan, 0), Operator::Plus, column(&plan, 0));
            let expr = ProjectionExpr { expr: Arc::new(twice), alias: "a".to_owned() };
            plan = Arc::new(ProjectionExec::try_new([expr], plan).unwrap());
        }
        above_zero(plan)
    }

    fn above_zero(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let condition = BinaryExpr::new(column(&plan, 0), Operator::Gt, lit(0));
        Arc::new(FilterExec::try_new(Arc::new(condition), plan).unwrap())
    }

    fn pushed(levels: usize, rules: Vec<Rule>) -> String {
        let config = ConfigOptions::new();
        printed(&rules.into_iter().fold(doubling(levels), |plan, rule| rule.optimize(plan, &config).unwrap()))
    }

    #[test]
    fn parts_are_counted_as_they_unfold() {
        // 2^n columns and the operators over them.
        for levels in [0, 1, 2, 5, 13] {
            assert_eq!(unfolded(&doubling(levels)), (1 << (levels + 1)) - 1, "{levels}");
        }
        // Far beyond what can be written down.
        assert_eq!(unfolded(&doubling(100)), u64::MAX);
    }

    /// The same plan of few steps is pushed down, of many it stays: the engine's own rule doubles it with each step.
    #[test]
    fn a_condition_that_would_grow_stays_above() {
        let plain = || -> Vec<Rule> { vec![Arc::new(FilterPushdown::new())] };
        assert_eq!(pushed(3, bounded(plain())), pushed(3, plain()));
        assert_eq!(pushed(14, bounded(plain())), printed(&doubling(14)));
        let columns = |levels| pushed(levels, plain()).matches("a@0").count();
        assert!(columns(8) > 3 * columns(6), "DataFusion's rule does not unfold columns any more");
    }

    #[test]
    fn only_rules_that_push_conditions_are_bounded() {
        let own = datafusion::physical_optimizer::optimizer::PhysicalOptimizer::new().rules;
        let names = |rules: &[Rule]| rules.iter().map(|rule| rule.name().to_owned()).collect::<Vec<_>>();
        let all = bounded(own.clone());
        assert_eq!(names(&all), names(&own));
        let changed = all.iter().zip(&own).filter(|(after, before)| !Arc::ptr_eq(after, before));
        assert!(changed.map(|(rule, _)| rule.name().to_owned()).all(|name| name.starts_with("FilterPushdown")));
    }
}
