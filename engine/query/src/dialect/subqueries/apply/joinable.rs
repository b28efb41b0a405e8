//! Which correlated subqueries the engine turns into one join and does right: an aggregate over rows that are equal to the
//! outer row in plain columns. One join is far cheaper than a run per outer row.

use super::references::{free_references, subquery_of};
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// Whether a scalar subquery has that shape.
pub(super) fn joinable(subplan: &LogicalPlan) -> Result<bool> {
    let mut plan = subplan;
    loop {
        plan = match plan {
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_local) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && aggregate.aggr_expr.iter().all(is_local) =>
            {
                return rows_are_joinable(&aggregate.input);
            }
            _ => return Ok(false),
        };
    }
}

fn rows_are_joinable(rows: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Filter(filter) = rows else { return Ok(false) };
    let mut equalities = 0;
    for condition in split_conjunction(&filter.predicate) {
        if is_local(condition) {
            continue;
        }
        if !is_plain_equality(condition) {
            return Ok(false);
        }
        equalities += 1;
    }
    Ok(equalities > 0 && free_references(&filter.input)?.is_empty())
}

/// Reads no outer column and holds no subquery.
pub(super) fn is_local(expr: &Expr) -> bool {
    let mut local = true;
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|e| {
        local &= !matches!(e, Expr::OuterReferenceColumn(..)) && subquery_of(e).is_none();
        Ok(if local { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    local
}

fn is_plain_equality(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return false };
    matches!(
        (left.as_ref(), right.as_ref()),
        (Expr::Column(_), Expr::OuterReferenceColumn(..)) | (Expr::OuterReferenceColumn(..), Expr::Column(_))
    )
}
