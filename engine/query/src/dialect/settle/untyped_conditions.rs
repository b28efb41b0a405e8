//! Parameters without a type where PostgreSQL wants a condition: they are true or false. Knows no column.

use super::placeholders::{is_untyped, of_type};
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use querygate_types::PgType;

/// Whether the expressions of a node that are nothing but a parameter are conditions: of WHERE, HAVING and ON.
pub(super) const fn are_of(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_))
}

/// An expression that is a condition itself.
pub(super) fn whole(mut expr: Expr) -> Transformed<Expr> {
    let changed = is_read(&mut expr);
    Transformed::new_transformed(expr, changed)
}

/// Types the parameters that are conditions within an expression.
pub(super) fn typed(mut expr: Expr) -> Transformed<Expr> {
    let mut changed = false;
    match &mut expr {
        Expr::BinaryExpr(both) if matches!(both.op, Operator::And | Operator::Or) => {
            changed |= is_read(&mut both.left);
            changed |= is_read(&mut both.right);
        }
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => changed |= is_read(inner),
        Expr::Case(case) if case.expr.is_none() => {
            for (when, _) in &mut case.when_then_expr {
                changed |= is_read(when);
            }
        }
        Expr::AggregateFunction(call) => {
            if let Some(filter) = &mut call.params.filter {
                changed |= is_read(filter);
            }
        }
        Expr::WindowFunction(call) => {
            if let Some(filter) = &mut call.params.filter {
                changed |= is_read(filter);
            }
        }
        _ => {}
    }
    Transformed::new_transformed(expr, changed)
}

/// Reads a parameter without a type as a condition. Whether it is one.
fn is_read(part: &mut Expr) -> bool {
    let waits = is_untyped(part);
    if waits {
        *part = of_type(std::mem::take(part), PgType::Bool);
    }
    waits
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;
    use querygate_types::PgType;

    #[test]
    fn parameters_in_place_of_conditions_are_true_or_false() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, expected) in [
            ("SELECT 'all' WHERE $1", ["all", ""]),
            ("SELECT NOT $1", ["false", "true"]),
            ("SELECT $1 OR false", ["true", "false"]),
            ("SELECT $1 IS NOT TRUE", ["false", "true"]),
            ("SELECT CASE WHEN $1 THEN 1 ELSE 2 END", ["1", "2"]),
            ("SELECT count(*) FILTER (WHERE $1) FROM (VALUES (1), (2)) t(x)", ["2", "0"]),
        ] {
            let read = owner.prepare_with(sql, &[None]).unwrap();
            assert_eq!(read.parameter_types(), [PgType::Bool], "{sql}");
            let answers = ["true", "false"].map(|value| owner.execute(&read, &[Some(value)]));
            assert_eq!(answers, expected, "{sql}");
        }
    }
}
