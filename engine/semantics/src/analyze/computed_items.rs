//! Items of a list that differ from row to row, beside the list instead of in it. DataFusion's rules put lists of one column together as if
//! items that are written otherwise had other values: `a IN (b, 1) AND a IN (c, 2)` would be false where all three are equal. And its
//! execution looks for constants by computing a list over no rows, where a CASE gives its first constant:
//! `a IN (CASE WHEN b THEN 5 ELSE c END, 0)` would be `a IN (5, 0)`.

use crate::fault::unsupported;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;

/// `value IN (constants) OR value = item …`, or its negation.
///
/// # Errors
/// 0A000: the value is another each time it is asked for.
pub(crate) fn apart(list: InList) -> Result<Transformed<Expr>> {
    if !list.list.iter().any(is_computed) {
        return Ok(Transformed::no(Expr::InList(list)));
    }
    if list.expr.is_volatile() {
        return Err(unsupported(
            "a volatile value beside items of a list that differ from row to row is not supported",
        ));
    }
    let InList { expr, list, negated } = list;
    let (computed, plain): (Vec<Expr>, Vec<Expr>) = list.into_iter().partition(is_computed);
    let mut sides: Vec<Expr> = computed.into_iter().map(|item| expr.as_ref().clone().eq(item)).collect();
    if !plain.is_empty() {
        sides.insert(0, Expr::InList(InList { expr, list: plain, negated: false }));
    }
    let Some(any) = any_of(sides) else { return Err(unsupported("an empty list is not supported")) };
    Ok(Transformed::yes(if negated { Expr::Not(Box::new(any)) } else { any }))
}

/// Whether an item's value differs from row to row.
fn is_computed(item: &Expr) -> bool {
    let differs = |part: &Expr| {
        matches!(
            part,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
        )
    };
    // A walk that only reads cannot fail.
    item.is_volatile() || item.exists(|part| Ok(differs(part))).unwrap_or(true)
}

/// Joined by OR, in a tree that is no deeper than it must be. `None`: there is none.
fn any_of(mut sides: Vec<Expr>) -> Option<Expr> {
    while sides.len() > 1 {
        let mut pairs = Vec::with_capacity(sides.len().div_ceil(2));
        let mut rest = sides.into_iter();
        while let Some(first) = rest.next() {
            pairs.push(match rest.next() {
                Some(second) => first.or(second),
                None => first,
            });
        }
        sides = pairs;
    }
    sides.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, in_list, lit, random, when};

    fn written(list: Expr) -> String {
        let Expr::InList(list) = list else { panic!("{list}") };
        apart(list).unwrap().data.to_string()
    }

    #[test]
    fn computed_items_stand_beside_the_list() {
        let five = || when(col("b").eq(lit(1)), lit(5)).otherwise(col("c")).unwrap();
        let case = "CASE WHEN b = Int32(1) THEN Int32(5) ELSE c END";
        assert_eq!(
            written(in_list(col("a"), vec![five(), lit(0), col("d")], false)),
            format!("a IN ([Int32(0)]) OR a = {case} OR a = d")
        );
        assert_eq!(
            written(in_list(col("a"), vec![five(), lit(0)], true)),
            format!("NOT a IN ([Int32(0)]) OR a = {case}")
        );
        assert_eq!(written(in_list(col("a"), vec![five()], false)), format!("a = {case}"));
        assert_eq!(
            written(in_list(col("a"), vec![col("b") + lit(1), col("c") + lit(1), lit(2)], false)),
            "a IN ([Int32(2)]) OR a = b + Int32(1) OR a = c + Int32(1)"
        );
    }

    #[test]
    fn constants_stay() {
        let cast = |expr| datafusion::prelude::cast(expr, arrow::datatypes::DataType::Int64);
        let list = in_list(col("a"), vec![cast(lit(1)), -lit(2), lit(1) + lit(2), lit(3)], true);
        let Expr::InList(list) = list else { panic!() };
        assert!(!apart(list).unwrap().transformed);
    }

    #[test]
    fn a_volatile_value_is_not_computed_twice() {
        let list = InList { expr: Box::new(random()), list: vec![col("b") + lit(1.0)], negated: false };
        assert!(apart(list).unwrap_err().to_string().contains("volatile"));
    }
}
