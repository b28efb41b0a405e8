//! Aggregates the right side of a left join before the join, where that side lies in a source of its own: groups cross the
//! wire instead of rows. Changes no answer.
//!
//! `SELECT a.k, count(b.x) FROM a LEFT JOIN b ON a.k = b.k GROUP BY a.k` counts, for each row of `a`, the rows of `b` with
//! its key: so `b` may count them by key first, and the counts are added up.

use crate::leak_proof::becomes_leak_proof;
use crate::opener::LeafOpener;
use crate::regroup::source_of;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::{Aggregate, Join};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, JoinConstraint, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use std::sync::Arc;

/// The relation name of what the right side aggregates.
const PARTIAL: &str = "partial";

/// The plan with such aggregations taken apart.
pub(crate) fn aggregate_first(plan: LogicalPlan, opener: &dyn LeafOpener) -> Result<LogicalPlan> {
    let taken_apart = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        Ok(match taken_apart(aggregate, opener)? {
            // What was made is of the same form: it is not looked at again.
            Some(made) => Transformed::new(made, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    if taken_apart.transformed { taken_apart.data.recompute_schema() } else { Ok(taken_apart.data) }
}

/// What joins the two sides, and what the right side must fulfil.
struct Condition {
    keys: Vec<(Column, Column)>,
    right: Vec<Expr>,
}

fn taken_apart(aggregate: &Aggregate, opener: &dyn LeafOpener) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Join(join) = aggregate.input.as_ref() else { return Ok(None) };
    let is_left = join.join_type == JoinType::Left && join.null_equality == NullEquality::NullEqualsNothing;
    let source = source_of(&join.right, opener);
    if !is_left || source.is_none() || source_of(&join.left, opener) == source {
        return Ok(None);
    }
    let of_left = |expr: &Expr| {
        !matches!(expr, Expr::GroupingSet(_))
            && !expr.is_volatile()
            && expr.column_refs().into_iter().all(|c| join.left.schema().has_column(c))
    };
    if !aggregate.group_expr.iter().all(of_left) || !aggregate.aggr_expr.iter().all(|call| is_divisible(call, join)) {
        return Ok(None);
    }
    let Some(condition) = condition(join) else { return Ok(None) };
    build(aggregate, join, condition).map(Some)
}

/// An aggregate of a column of the right side that can be made of the aggregates of parts.
fn is_divisible(expr: &Expr, join: &Join) -> bool {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return false };
    let plain =
        !params.distinct && params.filter.is_none() && params.order_by.is_empty() && params.null_treatment.is_none();
    let [Expr::Column(column)] = params.args.as_slice() else { return false };
    plain && matches!(func.name(), "count" | "min" | "max") && join.right.schema().has_column(column)
}

fn condition(join: &Join) -> Option<Condition> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let mut found = Condition { keys: Vec::new(), right: Vec::new() };
    let pairs = join.on.iter().map(|(l, r)| l.clone().eq(r.clone()));
    for one in pairs.chain(join.filter.iter().flat_map(split_conjunction).cloned()) {
        if let Expr::BinaryExpr(BinaryExpr { left: a, op: Operator::Eq, right: b }) = &one
            && let (Expr::Column(a), Expr::Column(b)) = (a.as_ref(), b.as_ref())
        {
            if left.has_column(a) && right.has_column(b) {
                found.keys.push((a.clone(), b.clone()));
                continue;
            }
            if left.has_column(b) && right.has_column(a) {
                found.keys.push((b.clone(), a.clone()));
                continue;
            }
        }
        let own = one.column_refs().into_iter().all(|column| right.has_column(column)) && !one.contains_outer();
        if !own || !becomes_leak_proof(&one, right) {
            return None;
        }
        found.right.push(one);
    }
    (!found.keys.is_empty()).then_some(found)
}

fn build(aggregate: &Aggregate, join: &Join, condition: Condition) -> Result<LogicalPlan> {
    let mut right = LogicalPlanBuilder::from(LogicalPlan::clone(&join.right));
    for own in condition.right {
        right = right.filter(own)?;
    }
    let mut keys: Vec<Column> = Vec::new();
    for (_, key) in &condition.keys {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let keys = keys.into_iter().map(Expr::Column);
    let partial = |number: usize| Column::new(Some(PARTIAL), format!("partial{number}"));
    let named = aggregate.aggr_expr.iter().enumerate().map(|(number, call)| {
        let column = Column::new_unqualified(call.schema_name().to_string());
        Expr::Column(column).alias_qualified(Some(PARTIAL), partial(number).name)
    });
    let right = right
        .aggregate(keys.clone(), aggregate.aggr_expr.iter().cloned())?
        .project(keys.chain(named).collect::<Vec<_>>())?
        .build()?;
    let on = condition.keys.into_iter().map(|(l, r)| (Expr::Column(l), Expr::Column(r))).collect();
    let joined = Join::try_new(
        Arc::clone(&join.left),
        Arc::new(right),
        on,
        None,
        JoinType::Left,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    let whole = aggregate.aggr_expr.iter().enumerate().map(|(number, call)| of_partials(call, partial(number)));
    let whole: Vec<Expr> = whole.collect();
    let groups = aggregate.group_expr.len();
    let plan = LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .aggregate(aggregate.group_expr.iter().cloned(), whole.iter().cloned())?
        .build()?;
    let columns = plan.schema().columns();
    let told = aggregate.schema.iter().zip(columns).enumerate().map(|(at, ((qualifier, field), column))| {
        let value = Expr::Column(column);
        match at.checked_sub(groups).and_then(|call| aggregate.aggr_expr.get(call)) {
            // A row without a match has no part to count.
            Some(call) if is_count(call) => {
                coalesce(vec![value, lit(0_i64)]).alias_qualified(qualifier.cloned(), field.name())
            }
            Some(_) => value.alias_qualified(qualifier.cloned(), field.name()),
            None => value,
        }
    });
    let told: Vec<Expr> = told.collect();
    LogicalPlanBuilder::from(plan).project(told)?.build()
}

fn is_count(call: &Expr) -> bool {
    matches!(call, Expr::AggregateFunction(call) if call.func.name() == "count")
}

/// The aggregate of what the parts gave.
fn of_partials(call: &Expr, partial: Column) -> Expr {
    let func = match call {
        Expr::AggregateFunction(call) if call.func.name() != "count" => Arc::clone(&call.func),
        _ => sum_udaf(),
    };
    Expr::AggregateFunction(AggregateFunction::new_udf(
        func,
        vec![Expr::Column(partial)],
        false,
        None,
        Vec::new(),
        None,
    ))
}
