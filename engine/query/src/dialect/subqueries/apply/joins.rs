//! Joins whose ON holds subqueries, and lateral joins: the rows of one side are at hand before the join, those of both after an inner one.
//! A membership in ON is joined right where only matters whether it is true, as it is in a filter.

use super::keyed::has_subquery;
use super::pulled::forgets_null;
use super::references::{free_references, lateral_body, subquery_of};
use super::rowwise::{self, gives_a_row};
use super::{ApplyKind, Names, Scope, any_wanted, apply_node, lift, refused, restore_columns, side_wanted, wanted};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result, internal_err};
use datafusion::logical_expr::expr::{BinaryExpr, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use std::sync::Arc;

/// Whether ON tells apart whether a membership is false or NULL. The engine does not, there.
pub(super) fn tells_null(join: &Join) -> Result<bool> {
    let Some(filter) = &join.filter else { return Ok(false) };
    if !filter.exists(|part| Ok(matches!(part, Expr::InSubquery(_))))? {
        return Ok(false);
    }
    let schema = sides(join);
    for condition in split_conjunction(filter) {
        if condition_tells_null(condition, &schema)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sides(join: &Join) -> DFSchema {
    let mut schema = join.left.schema().as_ref().clone();
    schema.merge(join.right.schema());
    schema
}

fn condition_tells_null(condition: &Expr, schema: &DFSchema) -> Result<bool> {
    match condition {
        // Those that the engine gets wrong are wanted, wherever they are.
        Expr::InSubquery(_) => Ok(false),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(member) => Ok(!member.negated && forgets_null(member)? && can_be_null(member, schema)?),
            _ => part_tells_null(condition, schema),
        },
        _ => part_tells_null(condition, schema),
    }
}

/// As that, of a part of a condition where NULL counts as false.
fn part_tells_null(part: &Expr, schema: &DFSchema) -> Result<bool> {
    match part {
        Expr::InSubquery(member) => Ok(member.negated && can_be_null(member, schema)?),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            Ok(part_tells_null(left, schema)? || part_tells_null(right, schema)?)
        }
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) => part_tells_null(inner, schema),
        other => other.exists(|inner| match inner {
            Expr::InSubquery(member) => can_be_null(member, schema),
            _ => Ok(false),
        }),
    }
}

fn can_be_null(member: &InSubquery, schema: &DFSchema) -> Result<bool> {
    let theirs = member.subquery.subquery.schema().fields().first().is_none_or(|field| field.is_nullable());
    Ok(theirs || member.expr.nullable(schema)?)
}

/// A join with applies in place of its subqueries.
pub(super) fn expand(join: Join, scope: Scope, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    if let Some(body) = lateral_body(&join.right)
        && side_wanted(&body.subquery, scope)?
    {
        return lateral(join, scope, names);
    }
    let told = tells_null(&join)?;
    let node = LogicalPlan::Join(join);
    if !told && !any_wanted(&node, scope, false)? {
        return Ok(Transformed::no(node));
    }
    let LogicalPlan::Join(join) = node else { return internal_err!("a join is a join") };
    let (Some(filter), false) = (join.filter.clone(), on_wanted(&join, scope)?) else { return refused() };
    let (before, schema) = (Arc::clone(&join.schema), sides(&join));
    let (mut left, mut right) = (join.left.as_ref().clone(), join.right.as_ref().clone());
    let mut conditions: Vec<Expr> = join.on.into_iter().map(|(l, r)| l.eq(r)).collect();
    let mut of_both = Vec::new();
    for condition in split_conjunction_owned(filter) {
        // An apply has all three values.
        let scope = if condition_tells_null(&condition, &schema)? { Scope::Everything } else { scope };
        // A value that one side's row decides is computed there.
        let condition = lift_within(condition, &mut left, scope, names)?;
        let condition = lift_within(condition, &mut right, scope, names)?;
        if filter_wants(&condition, scope)? {
            of_both.push((condition, scope));
        } else {
            conditions.push(condition);
        }
    }
    if !of_both.is_empty() && join.join_type != JoinType::Inner {
        return refused();
    }
    let mut plan = LogicalPlanBuilder::from(left).join_on(right, join.join_type, conditions)?.build()?;
    for (condition, scope) in of_both {
        let condition = lift(condition, &mut plan, scope, false, names)?.data;
        plan = LogicalPlanBuilder::from(plan).filter(condition)?.build()?;
    }
    Ok(Transformed::yes(restore_columns(plan, &before)?))
}

fn filter_wants(filter: &Expr, scope: Scope) -> Result<bool> {
    let mut found = false;
    filter.apply(|e| {
        found |= wanted(e, scope, false)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn on_wanted(join: &Join, scope: Scope) -> Result<bool> {
    for (left, right) in &join.on {
        if filter_wants(left, scope)? || filter_wants(right, scope)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lifts those subqueries whose outer columns are all in `input`.
fn lift_within(expr: Expr, input: &mut LogicalPlan, scope: Scope, names: &mut Names) -> Result<Expr> {
    let schema = Arc::clone(input.schema());
    let lifted = expr.transform_down(|e| {
        let within = match subquery_of(&e) {
            Some(subquery) if wanted(&e, scope, false)? => {
                free_references(&subquery.subquery)?.iter().all(|(column, _)| schema.has_column(column))
            }
            Some(_) | None => false,
        };
        if !within || !value_is_of(&e, &schema)? {
            return Ok(Transformed::no(e));
        }
        let lifted = lift(e, input, scope, false, names)?;
        Ok(Transformed::new(lifted.data, true, TreeNodeRecursion::Jump))
    })?;
    Ok(lifted.data)
}

/// Whether the value beside IN is one of such columns: one that looks at both sides is left to the join of both.
fn value_is_of(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let Expr::InSubquery(InSubquery { expr: value, .. }) = expr else { return Ok(true) };
    let columns = value.column_refs().into_iter().all(|column| schema.has_column(column));
    Ok(columns && !value.is_volatile() && !has_subquery(value)?)
}

/// The right side of an outer lateral join with the join's condition in it, and the join without: a row of the left stays where none is left
/// beside it.
fn with_condition(join: &mut Join) -> Result<LogicalPlan> {
    let side = join.right.as_ref().clone().transform_down(|node| match node {
        LogicalPlan::Subquery(body) => {
            let body = Arc::unwrap_or_clone(body.subquery);
            Ok(Transformed::new(body, true, TreeNodeRecursion::Stop))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let (around, own) = (join.left.schema(), side.data.schema());
    let mut conditions: Vec<Expr> = std::mem::take(&mut join.on).into_iter().map(|(l, r)| l.eq(r)).collect();
    conditions.extend(join.filter.take());
    let Some(condition) = conjunction(conditions) else { return Ok(side.data) };
    if has_subquery(&condition)? {
        return refused();
    }
    let condition = condition.transform_up(|part| match part {
        Expr::Column(column) if !own.has_column(&column) && around.has_column(&column) => {
            let field = Arc::clone(around.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    LogicalPlanBuilder::from(side.data).filter(condition.data)?.build()
}

/// A lateral join: its right side runs per row of the left, unless it is computed of that row.
fn lateral(mut join: Join, scope: Scope, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let Some(body) = lateral_body(&join.right) else { return internal_err!("a lateral join has a body") };
    let kind = match join.join_type {
        JoinType::Inner => ApplyKind::Lateral,
        JoinType::Left => ApplyKind::LateralOuter,
        _ => return refused(),
    };
    let is_bare = join.on.is_empty() && join.filter.as_ref().is_none_or(|f| *f == lit(true));
    let subplan = match kind {
        ApplyKind::LateralOuter if !is_bare => Arc::new(with_condition(&mut join)?),
        _ => Arc::clone(&body.subquery),
    };
    let schema = Arc::clone(&join.schema);
    let keeps_rows = kind == ApplyKind::Lateral || gives_a_row(&subplan);
    let rowwise = if keeps_rows { rowwise::beside(&join.left, &subplan, &schema)? } else { None };
    let mut plan = match rowwise {
        Some(rows) => rows,
        None => apply_node(join.left.as_ref().clone(), kind, subplan, Arc::clone(&schema), None)?,
    };
    let mut conditions: Vec<Expr> = join.on.into_iter().map(|(l, r)| l.eq(r)).collect();
    conditions.extend(join.filter.filter(|f| *f != lit(true)).map(split_conjunction_owned).unwrap_or_default());
    for condition in conditions {
        let told = condition_tells_null(&condition, &schema)?;
        let scope = if told { Scope::Everything } else { scope };
        let condition = lift(condition, &mut plan, scope, !told, names)?.data;
        plan = LogicalPlanBuilder::from(plan).filter(condition)?.build()?;
    }
    Ok(Transformed::yes(restore_columns(plan, &schema)?))
}
