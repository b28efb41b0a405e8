//! The rows of `x IN (SELECT …)` where values are compared by what stands for them. Knows no type.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// One value of each row. Their column has a name and a table of its own: where IN is a value, the engine joins with them, and takes a column
/// without a table for two.
pub(crate) fn member_rows(rows: &Arc<LogicalPlan>, value: Expr) -> Result<Arc<LogicalPlan>> {
    let members = LogicalPlanBuilder::from(Arc::clone(rows)).project([value.alias("member")])?;
    members.alias("members")?.build().map(Arc::new)
}
