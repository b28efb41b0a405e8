//! Constants that columns are compared with, as DataFusion's rules can tell whether they are equal. These rules put conditions on one
//! column together, and compare their constants as expressions: with the note of a type that a cast or a parameter left at one of them,
//! and floats by their bits. `a = 2 AND a = 2::int` was false, and `f = 0 AND f = -0.0`, too.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use querygate_semantics::keep_names::under_names;

#[derive(Debug)]
pub(crate) struct PlainConstants;

impl OptimizerRule for PlainConstants {
    fn name(&self) -> &'static str {
        "plain_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let constants = || {
            let context = SimplifyContext::builder().with_config_options(config.options());
            ExprSimplifier::new(context.with_query_execution_start_time(config.query_execution_start_time()).build())
        };
        under_names(plan, |expr| {
            let unlike = expr.exists(|part| Ok(matches!(part, Expr::BinaryExpr(b) if b.op == Operator::NotEq)))?;
            expr.transform_up(|part| Ok(compared(part, unlike, &constants)))
        })
    }
}

/// `unlike`: the expression has a `<>`, which DataFusion leaves out beside an equality with another constant as soon as it has computed
/// both: these are computed here first.
fn compared(mut expr: Expr, unlike: bool, constants: &dyn Fn() -> ExprSimplifier) -> Transformed<Expr> {
    let changed = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            let computed = unlike && computed(left, constants) | computed(right, constants);
            computed | plain(left) | plain(right)
        }
        Expr::Between(Between { expr, low, high, .. }) => plain(expr) | plain(low) | plain(high),
        Expr::InList(list) => listed(list, constants),
        _ => false,
    };
    Transformed::new_transformed(expr, changed)
}

const fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// Takes the note of a constant's type, which its value says as well, and the sign of a zero. Whether that was another one.
fn plain(expr: &mut Expr) -> bool {
    let Expr::Literal(value, note) = expr else { return false };
    let noted = note.take().is_some();
    let signed = zero(value) == Some(Zero::Negative);
    if signed {
        *value = other_zero(value);
    }
    noted | signed
}

/// A list is looked up by bits: one with a zero gets the other one, too. Its items are computed here: the rule that computes constants puts
/// lists of one column together on the same way.
fn listed(list: &mut InList, constants: &dyn Fn() -> ExprSimplifier) -> bool {
    let mut changed = plain(&mut list.expr);
    for item in &mut list.list {
        changed |= computed(item, constants);
    }
    let (mut positive, mut negative) = (None, None);
    for item in &mut list.list {
        let Expr::Literal(value, note) = item else { continue };
        changed |= note.take().is_some();
        match zero(value) {
            Some(Zero::Positive) => positive = Some(value),
            Some(Zero::Negative) => negative = Some(value),
            None => {}
        }
    }
    let missing = match (positive, negative) {
        (Some(zero), None) | (None, Some(zero)) => Some(other_zero(zero)),
        (Some(_), Some(_)) | (None, None) => None,
    };
    changed |= missing.is_some();
    list.list.extend(missing.map(|zero| Expr::Literal(zero, None)));
    changed
}

/// Puts its value in place of what is made of constants. Whether it did: one that fails does so where it is asked for.
fn computed(expr: &mut Expr, constants: &dyn Fn() -> ExprSimplifier) -> bool {
    if matches!(expr, Expr::Literal(..)) || !is_computed(expr) {
        return false;
    }
    let Ok(value @ Expr::Literal(..)) = constants().simplify(expr.clone()) else { return false };
    *expr = value;
    true
}

/// Whether an expression is made of constants alone, in casts and functions that give the same whenever they are called.
fn is_computed(item: &Expr) -> bool {
    let is_known = |part: &Expr| {
        matches!(
            part,
            Expr::Literal(..) | Expr::Cast(_) | Expr::TryCast(_) | Expr::ScalarFunction(_) | Expr::Negative(_)
        )
    };
    // A walk that only reads cannot fail.
    !item.exists(|part| Ok(!is_known(part))).unwrap_or(true) && !item.is_volatile()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zero {
    Positive,
    Negative,
}

/// Which zero a float is. `None`: it is none.
fn zero(value: &ScalarValue) -> Option<Zero> {
    let number = match value {
        ScalarValue::Float32(Some(number)) => f64::from(*number),
        ScalarValue::Float64(Some(number)) => *number,
        _ => return None,
    };
    (number == 0.0).then(|| if number.is_sign_negative() { Zero::Negative } else { Zero::Positive })
}

fn other_zero(value: &ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float32(Some(number)) => ScalarValue::Float32(Some(-number)),
        ScalarValue::Float64(Some(number)) => ScalarValue::Float64(Some(-number)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::metadata::FieldMetadata;
    use datafusion::functions_aggregate::expr_fn::count;
    use datafusion::logical_expr::{Cast, LogicalPlanBuilder, cast, rollup};
    use datafusion::optimizer::OptimizerContext;
    use datafusion::prelude::{col, lit};
    use std::collections::HashMap;
    use std::sync::Arc;

    fn noted_field() -> Field {
        let note = HashMap::from([("pg_type".to_owned(), "int4".to_owned())]);
        Field::new("", DataType::Int32, true).with_metadata(note)
    }

    fn noted(value: i32) -> Expr {
        Expr::Literal(ScalarValue::Int32(Some(value)), Some(FieldMetadata::from(&noted_field())))
    }

    #[test]
    fn constants_beside_columns_are_their_values_alone() {
        let constants = || ExprSimplifier::new(SimplifyContext::default());
        let int = |value| Box::new(lit(value));
        let noted_cast = Expr::Cast(Cast { expr: int(1_i32), field: Arc::new(noted_field()) });
        let zeros = |own: f64, more: f64| vec![lit(own), lit(1.0), lit(more)];
        for (given, expected) in [
            (col("a").eq(noted(2)), Some(col("a").eq(lit(2)))),
            (noted(2).lt(col("a")).and(col("b").eq(lit(1))), Some(lit(2).lt(col("a")).and(col("b").eq(lit(1))))),
            (col("a").between(lit(1), noted(2)), Some(col("a").between(lit(1), lit(2)))),
            (col("a").in_list(vec![noted(1), lit(2)], true), Some(col("a").in_list(vec![lit(1), lit(2)], true))),
            (col("a").in_list(vec![noted_cast, lit(2)], false), Some(col("a").in_list(vec![lit(1), lit(2)], false))),
            (col("f").gt(lit(-0.0)), Some(col("f").gt(lit(0.0)))),
            (col("f").in_list(vec![lit(0.0), lit(1.0)], false), Some(col("f").in_list(zeros(0.0, -0.0), false))),
            (col("f").in_list(vec![lit(-0.0_f64), lit(1.0)], false), Some(col("f").in_list(zeros(-0.0, 0.0), false))),
            (col("f").in_list(zeros(0.0, -0.0), false), None),
            (col("f").not_eq(-lit(0.0)), Some(col("f").not_eq(lit(0.0)))),
            (col("a").eq(lit(2)), None),
            // What a function makes of a constant may be a matter of its type.
            (noted(2) + col("a"), None),
        ] {
            let found = given.clone().transform_up(|part| Ok(compared(part, true, &constants))).unwrap();
            assert_eq!(found.transformed, expected.is_some(), "{given}");
            assert_eq!(format!("{:?}", found.data), format!("{:?}", expected.unwrap_or(given)));
        }
    }

    /// Keys of a ROLLUP are columns each: their names are kept, and not that of the ROLLUP, which has none.
    #[test]
    fn keys_of_a_rollup_keep_their_names() {
        let computed = || cast(lit(1_i32), DataType::Int64);
        let rows = || LogicalPlanBuilder::values(vec![vec![lit(1_i64)]]).unwrap();
        for key in [col("column1").not_eq(computed()), col("column1").in_list(vec![computed(), lit(2_i64)], false)] {
            let plan = rows().aggregate([rollup(vec![key.clone()])], [count(lit(1))]).unwrap().build().unwrap();
            let after = PlainConstants.rewrite(plan.clone(), &OptimizerContext::new()).unwrap();
            assert!(after.transformed, "{key}");
            let renewed = after.data.recompute_schema().unwrap();
            assert_eq!(renewed.schema().field_names(), plan.schema().field_names(), "{key}");
        }
    }
}
