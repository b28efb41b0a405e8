//! The share of rows that a condition keeps: by counts of values and their range where these are known, by fixed shares
//! elsewhere. Knows no plan.

use super::{ColumnEstimate, count, place_of, position};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// What is known of a column.
pub(super) type Known<'a> = &'a dyn Fn(&Column) -> ColumnEstimate;

// Shares where nothing is known.
const EQUAL: f64 = 0.05;
const RANGE: f64 = 0.3;
const PREFIX: f64 = 0.05;
const CONTAINS: f64 = 0.1;
const NULLS: f64 = 0.05;
const OTHER: f64 = 0.3;

/// One end of a range, or both, of one column.
struct Bounds<'a> {
    column: &'a Column,
    low: Option<f64>,
    high: Option<f64>,
    /// Ends whose place is not known.
    unknown: i32,
}

/// The share of rows for which all of these hold, as if they did not depend on each other; ends of a range of one column
/// do.
pub(super) fn all<'a>(conjuncts: impl IntoIterator<Item = &'a Expr>, known: Known<'_>) -> f64 {
    let mut ranges: Vec<Bounds<'a>> = Vec::new();
    let mut share = 1.0;
    for conjunct in conjuncts {
        match bound(conjunct) {
            Some(ends) => merge(&mut ranges, ends),
            None => share *= one(conjunct, known),
        }
    }
    share * ranges.iter().map(|range| between(range, known)).product::<f64>()
}

/// What these leave of the values of each column that they bound, where its range is known.
pub(super) fn bounded<'a>(
    conjuncts: impl IntoIterator<Item = &'a Expr>,
    known: Known<'_>,
) -> Vec<(&'a Column, ColumnEstimate)> {
    let mut ranges: Vec<Bounds<'a>> = Vec::new();
    conjuncts.into_iter().filter_map(bound).for_each(|ends| merge(&mut ranges, ends));
    let left = ranges.iter().filter_map(|range| {
        let column = known(range.column);
        let (least, greatest) = column.range?;
        let low = range.low.map_or(least, |low| low.clamp(least, greatest));
        let high = range.high.map_or(greatest, |high| high.clamp(low, greatest));
        let distinct = column.distinct.map(|distinct| (distinct * between(range, known)).max(1.0));
        Some((range.column, ColumnEstimate { distinct, range: Some((low, high)) }))
    });
    left.collect()
}

fn merge<'a>(ranges: &mut Vec<Bounds<'a>>, ends: Bounds<'a>) {
    let Some(range) = ranges.iter_mut().find(|range| range.column == ends.column) else { return ranges.push(ends) };
    range.low = range.low.into_iter().chain(ends.low).reduce(f64::max);
    range.high = range.high.into_iter().chain(ends.high).reduce(f64::min);
    range.unknown += ends.unknown;
}

fn between(range: &Bounds<'_>, known: Known<'_>) -> f64 {
    let ends = i32::from(range.low.is_some()) + i32::from(range.high.is_some());
    let Some((least, greatest)) = known(range.column).range else { return RANGE.powi((ends + range.unknown).min(2)) };
    let width = (greatest - least).max(f64::MIN_POSITIVE);
    let low = range.low.unwrap_or(least).max(least);
    let high = range.high.unwrap_or(greatest).min(greatest);
    // A range of a few values still keeps some rows.
    let share = ((high - low) / width).clamp(0.001, 1.0);
    share * if range.unknown > 0 { RANGE } else { 1.0 }
}

/// A comparison of a column with a constant that bounds it.
fn bound(expr: &Expr) -> Option<Bounds<'_>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, other, op) = match (column(left), column(right)) {
                (Some(column), None) => (column, right, *op),
                (None, Some(column)) => (column, left, op.swap()?),
                _ => return None,
            };
            let at = constant(other);
            let unknown = i32::from(at.is_none());
            match op {
                Operator::Lt | Operator::LtEq => Some(Bounds { column, low: None, high: at, unknown }),
                Operator::Gt | Operator::GtEq => Some(Bounds { column, low: at, high: None, unknown }),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let (low, high) = (constant(low), constant(high));
            let unknown = i32::from(low.is_none()) + i32::from(high.is_none());
            Some(Bounds { column: column(expr)?, low, high, unknown })
        }
        _ => None,
    }
}

/// A column, also inside of a cast.
pub(super) fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => column(&cast.expr),
        _ => None,
    }
}

fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(value, _) => position(value),
        Expr::Placeholder(parameter) => place_of(parameter),
        Expr::Cast(cast) => constant(&cast.expr),
        _ => None,
    }
}

fn one(expr: &Expr, known: Known<'_>) -> f64 {
    let share = match expr {
        Expr::Alias(alias) => one(&alias.expr, known),
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => 1.0,
        Expr::Literal(..) => 0.0,
        Expr::Not(inner) => 1.0 - one(inner, known),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => all([left.as_ref(), right.as_ref()], known),
            Operator::Or => one(left, known) + one(right, known),
            Operator::Eq | Operator::IsNotDistinctFrom => equal(left, right, known),
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - equal(left, right, known),
            _ => bound(expr).map_or(OTHER, |ends| between(&ends, known)),
        },
        Expr::Between(Between { negated, .. }) => {
            let inside = bound(expr).map_or(RANGE * RANGE, |ends| between(&ends, known));
            if *negated { 1.0 - RANGE * RANGE } else { inside }
        }
        Expr::InList(InList { expr, list, negated }) => {
            let among = (count(list.len()) * equal(expr, expr, known)).min(1.0);
            if *negated { 1.0 - among } else { among }
        }
        Expr::Like(like) => {
            let share = like_share(like);
            if like.negated { 1.0 - share } else { share }
        }
        Expr::IsNull(_) => NULLS,
        Expr::IsNotNull(_) => 1.0 - NULLS,
        _ => OTHER,
    };
    share.clamp(0.0, 1.0)
}

/// A column with one value, or with another column.
fn equal(left: &Expr, right: &Expr, known: Known<'_>) -> f64 {
    let distinct = [column(left), column(right)].into_iter().flatten().filter_map(|c| known(c).distinct);
    distinct.reduce(f64::max).map_or(EQUAL, |distinct| 1.0 / distinct.max(1.0))
}

fn like_share(like: &Like) -> f64 {
    match like.pattern.as_ref() {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)
            if !text.starts_with(['%', '_']) =>
        {
            PREFIX
        }
        _ => CONTAINS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    fn share(expr: &Expr) -> f64 {
        let known = |column: &Column| match column.name.as_str() {
            "n" => ColumnEstimate { distinct: Some(25.0), range: Some((0.0, 100.0)) },
            _ => ColumnEstimate::default(),
        };
        let conjuncts = datafusion::logical_expr::utils::split_conjunction(expr);
        (all(conjuncts, &known) * 1000.0).round() / 1000.0
    }

    #[test]
    fn a_bounded_column_has_fewer_values() {
        let known = |_: &Column| ColumnEstimate { distinct: Some(50.0), range: Some((0.0, 100.0)) };
        let left = |expr: Expr| {
            let conjuncts = datafusion::logical_expr::utils::split_conjunction(&expr);
            bounded(conjuncts, &known).into_iter().map(|(column, left)| (column.name.clone(), left)).collect::<Vec<_>>()
        };
        let of = |distinct, low, high| ColumnEstimate { distinct: Some(distinct), range: Some((low, high)) };
        assert_eq!(left(col("n").lt(lit(20))), [("n".to_owned(), of(10.0, 0.0, 20.0))]);
        let both = left(col("n").gt(lit(20)).and(col("n").lt_eq(lit(40))).and(col("m").gt(lit(900))));
        assert_eq!(both, [("n".to_owned(), of(10.0, 20.0, 40.0)), ("m".to_owned(), of(1.0, 100.0, 100.0))]);
        assert!(left(col("n").eq(lit(3)).or(col("n").lt(lit(2)))).is_empty());
        let unknown = |_: &Column| ColumnEstimate::default();
        assert!(bounded([&col("n").lt(lit(20))], &unknown).is_empty());
    }

    #[test]
    fn what_is_known_of_values_decides() {
        for (expr, expected) in [
            (col("n").eq(lit(3)), 0.04),
            (col("n").not_eq(lit(3)), 0.96),
            (col("n").in_list(vec![lit(1), lit(2)], false), 0.08),
            (col("n").gt(lit(75)), 0.25),
            (lit(75).lt(col("n")), 0.25),
            (col("n").gt_eq(lit(25)).and(col("n").lt(lit(50))), 0.25),
            (col("n").between(lit(25), lit(50)), 0.25),
            (col("n").gt(lit(900)), 0.001),
            (col("n").eq(lit(3)).or(col("n").eq(lit(4))), 0.08),
            (col("x").eq(lit(3)), 0.05),
            (col("x").gt(lit(3)), 0.3),
            (col("x").gt(lit(3)).and(col("x").lt(lit(9))), 0.09),
            (col("x").like(lit("a%")), 0.05),
            (col("x").not_like(lit("%a%")), 0.9),
        ] {
            assert!((share(&expr) - expected).abs() < 1e-9, "{expr}: {}", share(&expr));
        }
    }
}
