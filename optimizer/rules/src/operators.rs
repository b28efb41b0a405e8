//! Operators and tables in words, for receipts and refusals.

use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;

/// What receipts call a node.
pub(crate) const fn name(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Projection(_) => "projection",
        LogicalPlan::Filter(_) => "filter",
        LogicalPlan::Window(_) => "window",
        LogicalPlan::Aggregate(_) => "aggregate",
        LogicalPlan::Sort(_) => "sort",
        LogicalPlan::Join(_) => "join",
        LogicalPlan::Repartition(_) => "repartition",
        LogicalPlan::Union(_) => "union",
        LogicalPlan::TableScan(_) => "scan",
        LogicalPlan::EmptyRelation(_) => "empty relation",
        LogicalPlan::Subquery(_) => "subquery",
        LogicalPlan::SubqueryAlias(_) => "alias",
        LogicalPlan::Limit(_) => "limit",
        LogicalPlan::Statement(_) => "statement",
        LogicalPlan::Values(_) => "values",
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => "explain",
        LogicalPlan::Extension(_) => "extension",
        LogicalPlan::Distinct(_) => "distinct",
        LogicalPlan::Dml(_) => "data change",
        LogicalPlan::Ddl(_) => "definition",
        LogicalPlan::Copy(_) => "copy",
        LogicalPlan::DescribeTable(_) => "describe",
        LogicalPlan::Unnest(_) => "unnest",
        LogicalPlan::RecursiveQuery(_) => "recursive query",
    }
}

/// The name of a table as the user wrote it.
pub(crate) fn table_name(table: &TableReference) -> String {
    table.table().to_owned()
}
