//! The types of columns of enclosing queries, and whether they may be NULL. A subquery is bound before literals have their types,
//! and keeps what the columns that it reads of the query around it were then. Here it learns what they have become. Knows no value.

use super::retyped;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Subquery};
use std::sync::Arc;

/// The plan with such columns of the types that they have where they come from.
pub(crate) fn renewed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(if found { node(plan, None)?.data } else { plan })
}

/// The columns around a subquery, and those around the query that holds it.
struct Around<'a> {
    schema: &'a DFSchema,
    further: Option<&'a Around<'a>>,
}

fn node(plan: LogicalPlan, around: Option<&Around<'_>>) -> Result<Transformed<LogicalPlan>> {
    let below = match plan {
        LogicalPlan::Join(join) if is_lateral(&join.right) => lateral(join, around)?,
        other => other.map_children(|child| node(child, around))?,
    };
    let schema = merge_schema(&below.data.inputs());
    let names = NamePreserver::new(&below.data);
    let own = below.data.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_down(|e| expression(e, &schema, around))?;
        Ok(if changed.transformed { changed.update_data(|e| name.restore(e)) } else { changed })
    })?;
    if !own.transformed && !below.transformed {
        return Ok(own);
    }
    Ok(Transformed::yes(match own.data {
        LogicalPlan::Union(union) => LogicalPlan::Union(retyped(union)?.data),
        other => other.recompute_schema()?,
    }))
}

/// A join whose right side reads columns of its left side.
fn lateral(join: Join, around: Option<&Around<'_>>) -> Result<Transformed<LogicalPlan>> {
    let left = node(Arc::unwrap_or_clone(join.left), around)?;
    let beside = Around { schema: left.data.schema(), further: around };
    let right = node(Arc::unwrap_or_clone(join.right), Some(&beside))?;
    let changed = left.transformed || right.transformed;
    let join = Join { left: Arc::new(left.data), right: Arc::new(right.data), ..join };
    Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
}

fn is_lateral(right: &LogicalPlan) -> bool {
    match right {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        _ => false,
    }
}

/// One part of an expression of a node that reads `schema`.
fn expression(expr: Expr, schema: &DFSchema, around: Option<&Around<'_>>) -> Result<Transformed<Expr>> {
    let inside = Around { schema, further: around };
    Ok(match expr {
        Expr::OuterReferenceColumn(..) => outer(expr, around)?,
        Expr::ScalarSubquery(held) => subquery(held, &inside)?.update_data(Expr::ScalarSubquery),
        Expr::Exists(Exists { subquery: held, negated }) => {
            subquery(held, &inside)?.update_data(|subquery| Expr::Exists(Exists { subquery, negated }))
        }
        Expr::InSubquery(InSubquery { expr, subquery: held, negated }) => {
            subquery(held, &inside)?.update_data(|subquery| Expr::InSubquery(InSubquery { expr, subquery, negated }))
        }
        Expr::SetComparison(SetComparison { expr, subquery: held, op, quantifier }) => subquery(held, &inside)?
            .update_data(|subquery| Expr::SetComparison(SetComparison { expr, subquery, op, quantifier })),
        other => Transformed::no(other),
    })
}

fn subquery(held: Subquery, around: &Around<'_>) -> Result<Transformed<Subquery>> {
    let plan = node(Arc::unwrap_or_clone(held.subquery), Some(around))?;
    let mut changed = plan.transformed;
    let mut outer_ref_columns = Vec::with_capacity(held.outer_ref_columns.len());
    for column in held.outer_ref_columns {
        let column = outer(column, Some(around))?;
        changed |= column.transformed;
        outer_ref_columns.push(column.data);
    }
    let held = Subquery { subquery: Arc::new(plan.data), outer_ref_columns, spans: held.spans };
    Ok(Transformed::new_transformed(held, changed))
}

/// A column of the innermost query around that has it.
fn outer(expr: Expr, mut around: Option<&Around<'_>>) -> Result<Transformed<Expr>> {
    let Expr::OuterReferenceColumn(field, column) = expr else { return Ok(Transformed::no(expr)) };
    while let Some(one) = around {
        if one.schema.has_column(&column) {
            let found = one.schema.field_from_column(&column)?;
            if found.data_type() == field.data_type() && found.is_nullable() == field.is_nullable() {
                break;
            }
            return Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(found), column)));
        }
        around = one.further;
    }
    Ok(Transformed::no(Expr::OuterReferenceColumn(field, column)))
}
