//! What a leaf's inner plan does, in words for operators.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use std::sync::Arc;

/// The inner plan, a line per node. Scans of drivers print their native text with numbered parameters.
pub(super) fn native_lines(inner: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    DisplayableExecutionPlan::new(inner.as_ref()).indent(false).to_string().lines().map(ToOwned::to_owned).collect()
}
