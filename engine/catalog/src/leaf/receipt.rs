//! How a receipt shows the fragment inside a leaf.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use std::sync::Arc;

/// The line of a driver's fragment inside a raw scan, which names its native text; `None` for other sources.
pub(super) fn fragment_line(raw: &Arc<dyn ExecutionPlan>) -> Option<String> {
    if raw.name() == "Fragment" {
        let line = DisplayableExecutionPlan::new(raw.as_ref()).one_line().to_string();
        return Some(line.trim().to_owned());
    }
    raw.children().into_iter().find_map(fragment_line)
}
