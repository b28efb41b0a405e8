//! The leak-proof contract: which conjuncts of a user may run beside the policy, on rows that it hides.

use datafusion::logical_expr::Expr;

/// Whether evaluating a typed, simplified conjunct on any row can neither fail nor be observed. The list is the one by
/// which whole statements are carved into fragments, so that a condition is judged alike wherever it may run.
pub(crate) fn is_leak_proof(expr: &Expr, unmasked: &dyn Fn(&str) -> bool) -> bool {
    querygate_rules::is_leak_proof(expr, |column| unmasked(&column.name))
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
        ] {
            assert!(judge(&expr), "{expr}");
        }
    }

    #[test]
    fn what_can_fail_or_be_observed_is_not_leak_proof() {
        for expr in [
            (lit(1) / col("a")).eq(lit(0)),
            cast(col("s"), arrow::datatypes::DataType::Int32).eq(lit(1)),
            col("d").eq(cast(lit("no date"), arrow::datatypes::DataType::Date32)),
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
