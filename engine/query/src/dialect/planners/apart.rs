//! Casts in the arguments of aggregates and windows. DataFusion leaves casts out of the names that it gives columns, so that
//! `sum(n)` and `sum(n::float8)` would be one: such an argument gets a name that says its cast.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

/// The arguments, those that cast a column under names of their own.
pub(in crate::dialect) fn told_apart(args: Vec<Expr>) -> Result<Vec<Expr>> {
    args.into_iter()
        .map(|arg| {
            let casts = arg.exists(|part| Ok(matches!(part, Expr::Cast(_) | Expr::TryCast(_))))?;
            if !casts || arg.column_refs().is_empty() {
                return Ok(arg);
            }
            let name = arg.to_string();
            Ok(arg.alias(name))
        })
        .collect()
}
