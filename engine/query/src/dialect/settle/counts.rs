//! Where unsigned columns of a plan come from: what counts rows is bigint in PostgreSQL, unsigned here. Knows no catalog.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// The type PostgreSQL gives a column that counts; `None` where it is not known to count, such as a source's own unsigned
/// number.
pub(in crate::dialect) fn counted(plan: &LogicalPlan, column: usize) -> Option<DataType> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let mut expr = projection.expr.get(column)?;
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            let Expr::Column(name) = expr else { return None };
            counted(&projection.input, projection.input.schema().maybe_index_of_column(name)?)
        }
        LogicalPlan::SubqueryAlias(node) => counted(&node.input, column),
        LogicalPlan::Filter(node) => counted(&node.input, column),
        LogicalPlan::Sort(node) => counted(&node.input, column),
        LogicalPlan::Limit(node) => counted(&node.input, column),
        LogicalPlan::Distinct(Distinct::All(input)) => counted(input, column),
        LogicalPlan::Window(window) if column < window.input.schema().fields().len() => counted(&window.input, column),
        // An aggregate that counts; functions that number rows are signed.
        LogicalPlan::Window(_) => Some(DataType::Int64),
        LogicalPlan::Aggregate(aggregate) => (column >= aggregate.group_expr.len()).then_some(DataType::Int64),
        _ => None,
    }
}
