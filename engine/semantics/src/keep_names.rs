//! Rewriting what a node computes, under the names that its columns have.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Rewrites the expressions of a node. What gets another name by it keeps its own as an alias; so does each key of a ROLLUP, a
/// CUBE or GROUPING SETS, which are columns each, though one expression.
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
    if matches!(expr, Expr::GroupingSet(_)) {
        return expr.map_children(|key| under_name(names, key, rewrite));
    }
    let name = names.save(&expr);
    let rewritten = rewrite(expr)?;
    Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
}
