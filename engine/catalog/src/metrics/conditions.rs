//! Conditions of a leaf over files by column, and what is done with its columns above it. Knows names, and no value.

use crate::expressions::columns_of;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator};
use querygate_telemetry_api::fragment::{Condition, ConditionKind};

/// Conditions that are recorded of one leaf.
pub(crate) const MOST: usize = 256;

/// Columns by what is done with them above the leaf.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) join: Vec<String>,
    pub(crate) group: Vec<String>,
    /// With whether the greatest come first.
    pub(crate) order: Vec<(String, bool)>,
}

/// Conditions of a leaf: of its conjuncts, the first of which are a policy's, and of the joins above.
pub(crate) fn conditions_of(conjuncts: &[Expr], policy: usize, uses: &Uses) -> Vec<Condition> {
    let mut found = Vec::new();
    let mut add = |column: String, kind: ConditionKind| {
        let condition = Condition { column, kind };
        if found.len() < MOST && !found.contains(&condition) {
            found.push(condition);
        }
    };
    for (place, conjunct) in conjuncts.iter().enumerate() {
        for one in split_conjunction(conjunct) {
            match condition(one) {
                Some((column, ConditionKind::Equality)) if place < policy => add(column, ConditionKind::PolicyEquality),
                Some((column, kind)) => add(column, kind),
                None => {}
            }
        }
    }
    for column in &uses.join {
        add(column.clone(), ConditionKind::Join);
    }
    found
}

fn condition(expr: &Expr) -> Option<(String, ConditionKind)> {
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => Some(column.name.clone()),
        _ => None,
    };
    let free = |expr: &Expr| columns_of(expr).is_empty();
    match expr {
        Expr::Column(flag) => Some((flag.name.clone(), ConditionKind::Equality)),
        Expr::Not(flag) => Some((column(flag)?, ConditionKind::Equality)),
        Expr::IsNull(of) => Some((column(of)?, ConditionKind::IsNull)),
        Expr::IsNotNull(of) => Some((column(of)?, ConditionKind::IsNotNull)),
        Expr::Between(between) if !between.negated && free(&between.low) && free(&between.high) => {
            Some((column(&between.expr)?, ConditionKind::Range))
        }
        Expr::InList(list) if !list.negated && list.list.iter().all(free) => {
            Some((column(&list.expr)?, ConditionKind::Equality))
        }
        Expr::Like(like) if !like.negated && !like.case_insensitive && free(&like.pattern) => {
            Some((column(&like.expr)?, ConditionKind::Prefix))
        }
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => {
            // A short list of values, or one of them and NULL.
            let (left, right) = (condition(&binary.left)?, condition(&binary.right)?);
            let listed = |kind| matches!(kind, ConditionKind::Equality | ConditionKind::IsNull);
            (left.0 == right.0 && listed(left.1) && listed(right.1)).then_some((left.0, ConditionKind::Equality))
        }
        Expr::BinaryExpr(binary) => {
            let (left, right) = (column(&binary.left), column(&binary.right));
            let name = match (left, right) {
                (Some(name), None) if free(&binary.right) => name,
                (None, Some(name)) if free(&binary.left) => name,
                _ => return None,
            };
            match binary.op {
                Operator::Eq | Operator::IsNotDistinctFrom => Some((name, ConditionKind::Equality)),
                Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => Some((name, ConditionKind::Range)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    #[test]
    fn conjuncts_are_conditions_by_column_and_those_of_the_policy_are_told_apart() {
        use ConditionKind::{Equality, IsNotNull, Join, PolicyEquality, Prefix, Range};
        let conjuncts = [
            col("tenant").eq(lit("a")).or(col("tenant").is_null()),
            lit(3).lt(col("total")).and(col("state").in_list(vec![lit("x"), lit("y")], false)),
            col("day").between(lit(1), lit(2)),
            col("name").like(lit("a%")),
            col("open"),
            col("closed").is_not_null(),
            // None of these is one.
            col("a").eq(col("b")),
            col("a").not_eq(lit(1)),
            col("a").eq(lit(1)).or(col("b").eq(lit(1))),
            col("a").in_list(vec![lit(1)], true),
        ];
        let uses = Uses { join: vec!["owner".to_owned()], ..Uses::default() };
        let told = conditions_of(&conjuncts, 1, &uses);
        let told: Vec<_> = told.iter().map(|one| (one.column.as_str(), one.kind)).collect();
        let expected = [
            ("tenant", PolicyEquality),
            ("total", Range),
            ("state", Equality),
            ("day", Range),
            ("name", Prefix),
            ("open", Equality),
            ("closed", IsNotNull),
            ("owner", Join),
        ];
        assert_eq!(told, expected);
    }
}
