//! Rewriting what a node computes, under the names that its columns have.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Rewrites the expressions of a node. What gets another name by it keeps its own as an alias; so does each key of a ROLLUP, a
/// CUBE or GROUPING SETS, which are columns each, though one expression, and each argument of GROUPING, which is to equal a key.
pub fn under_names(
    node: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| under_name(&names, expr, &mut rewrite))
}

fn under_name(
    names: &NamePreserver,
    expr: Expr,
    rewrite: &mut dyn FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<Expr>> {
    if matches!(expr, Expr::GroupingSet(_)) || is_grouping(&expr) {
        return expr.map_children(|key| under_name(names, key, rewrite));
    }
    let name = names.save(&expr);
    let rewritten = rewrite(expr)?;
    Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
}

fn is_grouping(expr: &Expr) -> bool {
    match expr {
        Expr::AggregateFunction(call) => call.func.name() == "grouping",
        Expr::Alias(alias) => is_grouping(&alias.expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::functions_aggregate::expr_fn::grouping;
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

    /// What stands as a key and in GROUPING stays one expression.
    #[test]
    fn arguments_of_grouping_stay_the_keys() {
        let key = || col("column1") % lit(2_i64);
        let rows = LogicalPlanBuilder::values(vec![vec![lit(1_i64)]]).unwrap();
        let plan = rows.aggregate([key()], [grouping(key()), grouping(key()).alias("g")]).unwrap().build().unwrap();
        let narrow = |expr: Expr| {
            expr.transform(|expr| {
                let wide = expr == lit(2_i64);
                Ok(if wide { Transformed::yes(lit(2_i32)) } else { Transformed::no(expr) })
            })
        };
        let after = under_names(plan.clone(), narrow).unwrap().data.recompute_schema().unwrap();
        let LogicalPlan::Aggregate(aggregate) = &after else { panic!("{after}") };
        let arguments = aggregate.aggr_expr.iter().map(|expr| match expr.clone().unalias() {
            Expr::AggregateFunction(call) => call.params.args,
            other => panic!("{other}"),
        });
        assert_eq!(arguments.collect::<Vec<_>>(), [aggregate.group_expr.clone(), aggregate.group_expr.clone()]);
        assert_eq!(after.schema().field_names(), plan.schema().field_names());
    }
}
