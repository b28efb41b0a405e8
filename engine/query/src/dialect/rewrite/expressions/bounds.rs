//! `x BETWEEN SYMMETRIC a AND b`: between the two in either order. As in PostgreSQL, all of them are computed for each order.

use crate::dialect::ast::binary;
use crate::sql::clauses::SYMMETRIC_MARK;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use querygate_types::{Error, ErrorCode, Result};

/// Puts it in other words.
///
/// # Errors
/// 0A000 for one in another one: each level would have twice the copies of the one in it.
pub(in crate::dialect) fn rewrite(expr: &mut Expr) -> Result<()> {
    let Expr::Between { expr: value, negated, low, high } = expr else { return Ok(()) };
    if !take_mark(low) {
        return Ok(());
    }
    let (value, low, high) = (&**value, &**low, &**high);
    if [value, low, high].into_iter().any(|part| finds(part, &mut Marks)) {
        let message = "BETWEEN SYMMETRIC within another one is not supported";
        return Err(Error::new(ErrorCode::FeatureNotSupported, message)
            .with_hint("Compute the inner one in a subquery in FROM."));
    }
    let between = |low: &Expr, high: &Expr| Expr::Between {
        expr: Box::new(value.clone()),
        negated: false,
        low: Box::new(low.clone()),
        high: Box::new(high.clone()),
    };
    let either = Expr::Nested(Box::new(binary(between(low, high), BinaryOperator::Or, between(high, low))));
    *expr = if *negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(either) } } else { either };
    Ok(())
}

/// Takes the mark from the leftmost end of a bound; whether there is one.
fn take_mark(bound: &mut Expr) -> bool {
    let mut at = bound;
    while !begins_with_mark(at) {
        let Expr::BinaryOp { left, .. } = at else { return false };
        at = left.as_mut();
    }
    let Expr::BinaryOp { right, .. } = at else { return false };
    let unmarked = std::mem::replace(right.as_mut(), Expr::Value(Value::Null.with_empty_span()));
    *at = unmarked;
    true
}

fn begins_with_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, .. } if is_mark(left))
}

fn is_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::TripleSingleQuotedString(text) if text == SYMMETRIC_MARK))
}

/// Finds a mark.
struct Marks;

impl Reader for Marks {
    fn expr(&mut self, expr: &Expr) -> Step {
        if is_mark(expr) { Step::Break(Stop::Found) } else { ON }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify::Classified;
    use crate::sql::parse::parse;
    use crate::sql::walk::{Writer, step, write};

    struct Bounds;

    impl Writer for Bounds {
        fn expr(&mut self, expr: &mut Expr) -> Step {
            step(rewrite(expr))
        }
    }

    fn rewritten(condition: &str) -> Result<String> {
        let sql = format!("SELECT {condition}");
        let Classified::Query(mut query) = parse(&sql).unwrap().remove(0).class().clone() else { panic!() };
        write(&mut *query, &mut Bounds)?;
        Ok(query.to_string().trim_start_matches("SELECT ").to_owned())
    }

    #[test]
    fn bounds_in_either_order_are_both() {
        for (condition, same) in [
            ("x BETWEEN ASYMMETRIC a AND b", "x BETWEEN a AND b"),
            ("x BETWEEN SYMMETRIC a AND b", "(x BETWEEN a AND b OR x BETWEEN b AND a)"),
            ("x NOT BETWEEN SYMMETRIC a AND b AND c", "NOT (x BETWEEN a AND b OR x BETWEEN b AND a) AND c"),
            (
                "x BETWEEN SYMMETRIC a || b || c AND -d * 2",
                "(x BETWEEN a || b || c AND -d * 2 OR x BETWEEN -d * 2 AND a || b || c)",
            ),
            ("x BETWEEN SYMMETRIC a && b AND c", "(x BETWEEN a && b AND c OR x BETWEEN c AND a && b)"),
            (
                "x BETWEEN SYMMETRIC a + 1 AND b::int OR y BETWEEN SYMMETRIC 1 AND 2",
                "(x BETWEEN a + 1 AND b::INT OR x BETWEEN b::INT AND a + 1) OR (y BETWEEN 1 AND 2 OR y BETWEEN 2 AND 1)",
            ),
        ] {
            assert_eq!(rewritten(condition).unwrap(), same, "{condition}");
        }
    }

    #[test]
    fn one_in_another_is_refused() {
        let error = rewritten("(x BETWEEN SYMMETRIC a AND b) BETWEEN SYMMETRIC c AND d").unwrap_err();
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported);
    }
}
