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

#[cfg(test)]
mod tests {
    use crate::leaf::GovernedExec;
    use crate::testing::{deployed, stack, visible};
    use datafusion::catalog::TableProvider;
    use datafusion::prelude::{SessionContext, col, lit};

    /// How long the policy's own conditions take tells nothing of hidden rows, since all rows are compared with them; a reader's condition
    /// before them would tell for how many it holds.
    #[tokio::test]
    async fn the_policy_comes_first_and_then_what_takes_least() {
        let deployment = deployed(&stack(), 1);
        let people = |set: &str| {
            let found = visible(&deployment, set).into_iter().find(|visible| visible.sql_name == "people");
            found.unwrap().table
        };
        let filters = [col("name").like(lit("%n%")), col("name").eq(lit("Ann")), col("grade").eq(lit(3))];
        let order = |line: &str| {
            let mut places: Vec<(usize, &str)> = ["zone", "grade", "name =", "name LIKE"]
                .into_iter()
                .filter_map(|part| Some((line.find(part)?, part)))
                .collect();
            places.sort_unstable();
            places.into_iter().map(|(_, part)| part).collect::<Vec<_>>()
        };
        for (set, expected) in
            [("clerk", &["zone", "grade", "name =", "name LIKE"][..]), ("chief", &["grade", "name =", "name LIKE"])]
        {
            let state = SessionContext::new().state();
            let plan = people(set).scan(&state, None, &filters, None).await.unwrap();
            let lines = plan.downcast_ref::<GovernedExec>().unwrap().receipt(true);
            let filter = lines.iter().find(|line| line.starts_with("filter in the leaf")).unwrap();
            assert_eq!(order(filter), expected, "{filter}");
        }
    }
}
