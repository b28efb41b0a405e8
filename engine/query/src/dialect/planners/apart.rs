//! Casts in the arguments of aggregates and windows, and in the keys that part a window's rows. DataFusion leaves casts out of the
//! names that it gives columns, so that `sum(n)` and `sum(n::float8)` would be one: what casts gets a name that says its cast.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

/// The arguments, those that cast under names of their own. Constants behind the first argument say how to compute, and stay bare.
pub(in crate::dialect) fn told_apart(args: Vec<Expr>) -> Result<Vec<Expr>> {
    args.into_iter()
        .enumerate()
        .map(|(place, arg)| if place > 0 && arg.column_refs().is_empty() { Ok(arg) } else { named(arg) })
        .collect()
}

/// Keys of PARTITION BY, those that cast under names of their own.
pub(super) fn keys_apart(keys: Vec<Expr>) -> Result<Vec<Expr>> {
    keys.into_iter().map(named).collect()
}

fn named(expr: Expr) -> Result<Expr> {
    if !expr.exists(|part| Ok(matches!(part, Expr::Cast(_) | Expr::TryCast(_))))? {
        return Ok(expr);
    }
    let name = expr.to_string();
    Ok(expr.alias(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::{cast, col, lit};

    #[test]
    fn casts_are_in_the_names() {
        let names = |exprs: Vec<Expr>| exprs.iter().map(|expr| expr.schema_name().to_string()).collect::<Vec<_>>();
        let written = || vec![cast(col("n"), DataType::Float64), cast(lit("1"), DataType::Int32), col("n")];
        let column = "CAST(n AS Float64)";
        assert_eq!(names(written()), ["n", "Utf8(\"1\")", "n"]);
        assert_eq!(names(told_apart(written()).unwrap()), [column, "Utf8(\"1\")", "n"]);
        assert_eq!(names(keys_apart(written()).unwrap()), [column, "CAST(Utf8(\"1\") AS Int32)", "n"]);
        let constant = vec![cast(lit("1"), DataType::Int32)];
        assert_eq!(names(told_apart(constant).unwrap()), ["CAST(Utf8(\"1\") AS Int32)"]);
    }
}
