//! How a plan uses the columns of a leaf over files: conditions of its own, and joins, groups and orders above it. Knows names,
//! and no value.

use super::barrier::columns_of;
use super::exec::GovernedExec;
use super::reads::FileLeaf;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_telemetry_api::fragment::{Condition, ConditionKind};
use std::any::Any;
use std::sync::Arc;

/// Conditions that are told of one leaf.
const MOST: usize = 256;

/// Columns by what is done with them above the leaf.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) join: Vec<String>,
    pub(super) group: Vec<String>,
    /// With whether the greatest come first.
    pub(super) order: Vec<(String, bool)>,
}

/// Conditions of a leaf: of its conjuncts, the first of which are a policy's, and of the joins above.
pub(super) fn conditions_of(conjuncts: &[Expr], policy: usize, uses: &Uses) -> Vec<Condition> {
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

/// Tells the leaves over files of a plan what is done above them with their columns. A column is known by its name; one that
/// several leaves have is nobody's.
pub fn tell_uses(plan: &Arc<dyn ExecutionPlan>) {
    let mut leaves = Vec::new();
    walk(plan, &mut leaves);
}

/// A leaf over files, with the columns that it shows as they are stored.
type Leaf<'a> = (&'a Arc<FileLeaf>, &'a GovernedExec);

/// Adds the leaves below a node.
fn walk<'a>(plan: &'a Arc<dyn ExecutionPlan>, leaves: &mut Vec<Leaf<'a>>) {
    let any: &dyn Any = plan.as_ref();
    if let Some(governed) = any.downcast_ref::<GovernedExec>() {
        leaves.extend(governed.reads().map(|leaf| (leaf, governed)));
        return;
    }
    let begin = leaves.len();
    let mut starts = Vec::new();
    for child in plan.children() {
        starts.push(leaves.len());
        walk(child, leaves);
    }
    if leaves.len() == begin {
        return;
    }
    let leaves: &[Leaf<'_>] = leaves;
    let below = |child: usize| {
        let from = starts.get(child).copied().unwrap_or(leaves.len());
        let to = starts.get(child + 1).copied().unwrap_or(leaves.len());
        leaves.get(from..to).unwrap_or_default()
    };
    let joined = if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        join.on()
    } else if let Some(join) = any.downcast_ref::<SortMergeJoinExec>() {
        join.on()
    } else {
        &[]
    };
    for (left, right) in joined {
        for (child, expr) in [left, right].into_iter().enumerate() {
            told(below(child), expr, |uses, name| push(&mut uses.join, name));
        }
    }
    if let Some(aggregate) = any.downcast_ref::<AggregateExec>() {
        for (expr, _) in aggregate.group_expr().expr() {
            told(below(0), expr, |uses, name| push(&mut uses.group, name));
        }
    }
    if let Some(sort) = any.downcast_ref::<SortExec>() {
        for key in sort.expr() {
            told(below(0), &key.expr, |uses, name| push(&mut uses.order, (name, key.options.descending)));
        }
    }
}

fn told(leaves: &[Leaf<'_>], expr: &Arc<dyn PhysicalExpr>, tell: impl Fn(&mut Uses, String)) {
    let Some(column) = expr.downcast_ref::<Column>() else { return };
    let mut of = leaves.iter().filter(|(_, governed)| governed.is_open_column(column.name()));
    if let (Some((leaf, _)), None) = (of.next(), of.next()) {
        tell(&mut leaf.uses(), column.name().to_owned());
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST && !list.contains(&item) {
        list.push(item);
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
