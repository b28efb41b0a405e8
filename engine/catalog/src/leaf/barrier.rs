//! The leak-proof contract: which conjuncts of a user may run beside the policy, on rows that it hides.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};

/// Whether evaluating `expr` on any row can neither fail nor be observed, judged on the typed form.
///
/// Allowed: columns, literals and parameters under comparisons, AND/OR/NOT, IS [NOT] NULL/TRUE/FALSE/UNKNOWN/DISTINCT,
/// BETWEEN, IN lists, and LIKE with a constant pattern that has no escape character and no trailing backslash.
/// A cast is allowed around a literal only. Everything else (functions, arithmetic, casts of columns, subqueries) is not.
pub(crate) fn is_leak_proof(expr: &Expr, unmasked: &dyn Fn(&str) -> bool) -> bool {
    let both = |l: &Expr, r: &Expr| is_leak_proof(l, unmasked) && is_leak_proof(r, unmasked);
    match expr {
        Expr::Column(column) => unmasked(&column.name),
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Not(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNotFalse(e)
        | Expr::IsNotUnknown(e) => is_leak_proof(e, unmasked),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => is_leak_proof_operator(*op) && both(left, right),
        Expr::Between(Between { expr, low, high, negated: _ }) => both(expr, low) && is_leak_proof(high, unmasked),
        Expr::InList(InList { expr, list, negated: _ }) => {
            is_leak_proof(expr, unmasked) && list.iter().all(|item| is_leak_proof(item, unmasked))
        }
        Expr::Like(Like { negated: _, expr, pattern, escape_char, case_insensitive: _ }) => {
            escape_char.is_none() && is_leak_proof(expr, unmasked) && is_plain_pattern(pattern)
        }
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            matches!(expr.as_ref(), Expr::Literal(..))
        }
        _ => false,
    }
}

fn is_leak_proof_operator(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn is_plain_pattern(pattern: &Expr) -> bool {
    match pattern {
        Expr::Literal(
            ScalarValue::Utf8(Some(p)) | ScalarValue::Utf8View(Some(p)) | ScalarValue::LargeUtf8(Some(p)),
            _,
        ) => !p.ends_with('\\'),
        _ => false,
    }
}

/// Column names an expression reads.
pub(crate) fn columns_of(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|e| {
        if let Expr::Column(c) = e {
            names.push(c.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::*;

    fn judge(expr: &Expr) -> bool {
        is_leak_proof(expr, &|name| name != "ssn")
    }

    #[test]
    fn comparisons_of_columns_and_constants_are_leak_proof() {
        for expr in [
            col("a").eq(lit(1)),
            col("a").lt(col("b")).and(col("b").is_null()).or(Expr::Not(Box::new(col("flag")))),
            col("a").between(lit(1), lit(2)),
            col("s").in_list(vec![lit("x"), lit("y")], true),
            col("s").like(lit("a%")),
            col("a").eq(cast(lit("2024-01-01"), arrow::datatypes::DataType::Date32)),
        ] {
            assert!(judge(&expr), "{expr}");
        }
    }

    #[test]
    fn what_can_fail_or_be_observed_is_not_leak_proof() {
        for expr in [
            (lit(1) / col("a")).eq(lit(0)),
            cast(col("s"), arrow::datatypes::DataType::Int32).eq(lit(1)),
            col("ssn").eq(lit("x")),
            col("s").like(lit("a\\")),
            col("s").like(col("t")),
            datafusion::functions::expr_fn::lower(col("s")).eq(lit("x")),
            (col("a") + lit(1)).gt(lit(2)),
        ] {
            assert!(!judge(&expr), "{expr}");
        }
    }
}
