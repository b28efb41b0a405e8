//! Which correlated subqueries the engine turns into one join and does right: an aggregate over rows that are equal to the
//! outer row in plain columns. One join is far cheaper than a run per outer row.

use super::references::{free_references, subquery_of};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator};
use querygate_driver_api::lossless::keeps_apart;

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

/// Whether rows that are aggregated are one group for each row around. The engine groups them by the columns that conditions on that row
/// read, of which several values may be one once they are converted; and pulls nothing else than equalities past aggregates.
pub(super) fn stay_together(rows: &LogicalPlan) -> Result<bool> {
    let mut together = true;
    rows.apply(|node| {
        if let LogicalPlan::Filter(filter) = node {
            for condition in split_conjunction(&filter.predicate) {
                together &= !condition.contains_outer() || is_of_one_value(condition, filter.input.schema())?;
            }
        }
        Ok(if together { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(together)
}

/// Whether a condition is that a column is equal to something of the row around, which but one of its values is.
fn is_of_one_value(condition: &Expr, schema: &DFSchema) -> Result<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return Ok(false) };
    let (own, other) = match (left.any_column_refs(), right.any_column_refs()) {
        (true, false) => (left.as_ref(), right.as_ref()),
        (false, true) => (right.as_ref(), left.as_ref()),
        (true, true) | (false, false) => return Ok(false),
    };
    let column = match own {
        Expr::Cast(Cast { expr, .. }) => expr.as_ref(),
        other => other,
    };
    let Expr::Column(column) = column else { return Ok(false) };
    let (Ok(compared), Ok(other)) = (own.get_type(schema), other.get_type(schema)) else { return Ok(false) };
    Ok(keeps_apart(schema.field_from_column(column)?.data_type(), &compared) && !is_rounded(&compared, &other))
}

/// Whether values lose digits where they are compared with such: the engine compares with floats as floats.
fn is_rounded(own: &DataType, other: &DataType) -> bool {
    match other {
        DataType::Float64 => own.is_decimal() || matches!(own, DataType::Int64 | DataType::UInt64),
        DataType::Float32 => own.is_decimal() || own.is_integer(),
        _ => false,
    }
}
