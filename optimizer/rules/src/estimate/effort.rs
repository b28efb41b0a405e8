//! What it takes to find out whether a condition holds for a row, so that those which leave out much for little come first. Knows no
//! plan, and no value but by its kind.

use super::{ColumnEstimate, selectivity};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use std::cmp::Ordering;

// Costs for a row, in comparisons of two numbers of a machine's word; ratios as measured, rounded.

/// A column and a number or a date of 16 bytes.
const LONG_NUMBER: f64 = 2.0;
/// A text and one that fits into an Arrow string view, of which nothing else is looked at.
const SHORT_TEXT: f64 = 4.0;
/// Two other texts.
const LONG_TEXT: f64 = 8.0;
/// Bytes that a view holds itself.
const SHORT_BYTES: usize = 12;
/// A look into a list.
const LIST: f64 = 3.0;
const NULL: f64 = 0.5;
const CAST: f64 = 2.0;
/// A function or a branch.
const CALL: f64 = 30.0;
/// LIKE, and what becomes a regular expression.
const PATTERN: f64 = 40.0;

/// Brings conditions that are all to hold, and of which none can fail, into the order in which the fewest rows are looked at for the least
/// effort. Equal ones stay in their order.
pub fn cheapest_first(conjuncts: &mut [Expr], schema: &Schema) {
    if conjuncts.len() > 1 {
        let rank = |conjunct: &Expr| {
            let kept = selectivity::all([conjunct], &|_| ColumnEstimate::default());
            effort(conjunct, schema) / (1.0 - kept).max(f64::EPSILON)
        };
        let mut ranked: Vec<(f64, Expr)> = conjuncts.iter().map(|one| (rank(one), one.clone())).collect();
        ranked.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        for (place, (_, conjunct)) in conjuncts.iter_mut().zip(ranked) {
            *place = conjunct;
        }
    }
}

fn effort(condition: &Expr, schema: &Schema) -> f64 {
    let width = width(condition, schema);
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            effort(left, schema) + effort(right, schema)
        }
        Expr::Not(inner) => effort(inner, schema),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) if matches!(inner.as_ref(), Expr::Column(_)) => NULL,
        Expr::Like(_) | Expr::SimilarTo(_) => PATTERN + calls(condition),
        Expr::Between(_) => 2.0 * width + calls(condition),
        Expr::InList(_) => LIST * width + calls(condition),
        _ => width + calls(condition),
    }
}

/// The effort of a comparison of the longest kind of value in it.
fn width(condition: &Expr, schema: &Schema) -> f64 {
    let text = if has_short_texts(condition) { SHORT_TEXT } else { LONG_TEXT };
    let of = |column: &str| match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Interval(_)) => LONG_NUMBER,
        Ok(known) if known.is_primitive() || *known == DataType::Boolean => 1.0,
        Ok(_) | Err(_) => text,
    };
    condition.column_refs().into_iter().map(|column| of(&column.name)).fold(1.0, f64::max)
}

/// Whether texts are compared with constants alone that fit into a view.
fn has_short_texts(condition: &Expr) -> bool {
    let (mut short, mut long) = (false, false);
    // A walk that only reads cannot fail.
    let _walked = condition.apply(|part| {
        if let Expr::Literal(value, _) = part
            && let Some(Some(text)) = value.try_as_str()
        {
            short |= text.len() <= SHORT_BYTES;
            long |= text.len() > SHORT_BYTES;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    short && !long
}

/// The effort of everything in it that is computed by a function or a branch.
fn calls(condition: &Expr) -> f64 {
    let mut effort = 0.0;
    // A walk that only reads cannot fail.
    let _walked = condition.apply(|part| {
        effort += match part {
            Expr::ScalarFunction(_) | Expr::Case(_) | Expr::HigherOrderFunction(_) => CALL,
            Expr::Cast(_) | Expr::TryCast(_) => CAST,
            _ => 0.0,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    effort
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::prelude::{col, lit};

    #[test]
    fn little_effort_comes_first() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int32, false),
            Field::new("amount", DataType::Decimal128(15, 2), false),
            Field::new("mode", DataType::Utf8View, false),
        ]);
        let by_list = col("mode").eq(lit("AIR")).or(col("mode").eq(lit("MAIL")));
        let mut conjuncts = [
            col("mode").like(lit("%a%b%")),
            by_list.clone(),
            col("amount").gt(lit(3)),
            col("n").gt(lit(3)),
            col("n").eq(lit(3)),
            col("n").lt(col("amount")),
            col("mode").eq(lit("by the slowest ship")),
        ];
        let expected = [
            col("n").eq(lit(3)),
            col("n").gt(lit(3)),
            col("amount").gt(lit(3)),
            col("n").lt(col("amount")),
            col("mode").eq(lit("by the slowest ship")),
            by_list,
            col("mode").like(lit("%a%b%")),
        ];
        cheapest_first(&mut conjuncts, &schema);
        assert_eq!(conjuncts, expected);
        cheapest_first(&mut conjuncts, &schema);
        assert_eq!(conjuncts, expected);
        cheapest_first(&mut [], &schema);
    }
}
