//! INTERSECT ALL and EXCEPT ALL by number of rows: DataFusion binds them to joins that look only whether a row is there.
//! Numbers equal rows on both sides and joins on the number too. Knows no other plan.

pub(crate) mod unions;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::logical_plan::{Distinct, Join};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder};
use querygate_query_api::own_names::EQUAL_ROW;
use std::sync::Arc;

/// Rewrites one node, if it is such a join.
pub(crate) fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(join) if is_set_operation(&join) => numbered(join).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    }
}

/// Such a join of INTERSECT ALL or EXCEPT ALL: its left side may repeat rows.
fn is_set_operation(join: &Join) -> bool {
    compares_rows(join) && !has_distinct_rows(&join.left)
}

/// A semi or anti join over all columns in their order in which NULL equals NULL, as INTERSECT and EXCEPT are bound to.
pub fn compares_rows(join: &Join) -> bool {
    let kind = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
    let bare = join.filter.is_none() && !join.null_aware && join.null_equality == NullEquality::NullEqualsNull;
    let width = join.left.schema().fields().len();
    kind && bare
        && width > 0
        && join.on.len() == width
        && join.right.schema().fields().len() == width
        && join.on.iter().enumerate().all(|(position, (left, right))| {
            is_column_at(left, &join.left, position) && is_column_at(right, &join.right, position)
        })
}

/// Rows that were told apart stay so under the set operations above.
fn has_distinct_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => {
            has_distinct_rows(&join.left)
        }
        LogicalPlan::SubqueryAlias(alias) => has_distinct_rows(&alias.input),
        _ => false,
    }
}

/// A column, or one that was cast for the comparison.
fn is_column_at(expr: &Expr, side: &LogicalPlan, position: usize) -> bool {
    match expr {
        Expr::Cast(cast) => is_column_at(&cast.expr, side, position),
        Expr::ScalarFunction(call)
            if matches!(call.name(), "numeric_key" | "jsonb_key" | "array_key" | "interval_length") =>
        {
            matches!(call.args.as_slice(), [value] if is_column_at(value, side, position))
        }
        Expr::Column(column) => side.schema().maybe_index_of_column(column) == Some(position),
        _ => false,
    }
}

fn numbered(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let left = with_number(&join.left, left_keys)?;
    let right = with_number(&join.right, right_keys)?;
    let mut on = join.on;
    let number = || Expr::Column(Column::new_unqualified(EQUAL_ROW));
    on.push((number(), number()));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        None,
        join.join_type,
        join.join_constraint,
        NullEquality::NullEqualsNull,
        false,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

fn with_number(plan: &Arc<LogicalPlan>, keys: Vec<Expr>) -> Result<LogicalPlan> {
    let number = Expr::from(WindowFunction::new(row_number_udwf(), Vec::new())).partition_by(keys).build()?;
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let name = number.schema_name().to_string();
    let windowed = LogicalPlanBuilder::from(Arc::clone(plan)).window([number])?;
    let number = Expr::Column(Column::new_unqualified(name)).alias(EQUAL_ROW);
    windowed.project(columns.into_iter().chain([number]))?.build()
}
