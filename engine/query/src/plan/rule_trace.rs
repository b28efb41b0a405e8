//! The plan after each rule that changed it, for EXPLAIN VERBOSE. Plans once more, and gives nothing that runs.

use crate::bind::workspace::careful;
use crate::dialect::subqueries::apply::{self, Scope};
use crate::errors::{Stage, translate};
use datafusion::common::Result as EngineResult;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_planner::DefaultPhysicalPlanner;
use querygate_types::Result;

/// A rule, and the plan as it left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) rule: String,
    pub(crate) plan: String,
}

/// How the default plan of what was given to the engine came to be, in the order of [`crate::plan::executable::physical`].
pub(crate) async fn steps(plan: &LogicalPlan, state: &SessionState) -> Result<Vec<Step>> {
    let ways = if apply::has_work(plan, Scope::Everything).map_err(|error| translate(&error, Stage::Optimize))? {
        vec![(Scope::CatalogOnly, false), (Scope::Everything, false), (Scope::Everything, true)]
    } else {
        vec![(Scope::CatalogOnly, false), (Scope::CatalogOnly, true)]
    };
    let mut failure = None;
    for (scope, with_care) in ways {
        let way = if with_care { trail(plan, scope, &careful(state)).await } else { trail(plan, scope, state).await };
        match way {
            Ok(steps) => return Ok(steps),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(Vec::new()), |error| Err(translate(&error, Stage::Optimize)))
}

async fn trail(plan: &LogicalPlan, scope: Scope, state: &SessionState) -> EngineResult<Vec<Step>> {
    let mut trail = Trail { last: shown(plan), steps: Vec::new() };
    let expanded = apply::expand(plan.clone(), scope)?;
    trail.note("apply", shown(&expanded));
    let analyzed = state
        .analyzer()
        .execute_and_check(expanded, state.config_options(), |plan, rule| trail.note(rule.name(), shown(plan)))?;
    let optimized = state.optimizer().optimize(analyzed, state, |plan, rule| trail.note(rule.name(), shown(plan)))?;
    let bare = SessionStateBuilder::new_from_existing(state.clone()).with_physical_optimizer_rules(Vec::new()).build();
    let first = bare.query_planner().create_physical_plan(&optimized, &bare).await?;
    trail.note("physical planning", printed(first.as_ref()));
    DefaultPhysicalPlanner::default()
        .optimize_physical_plan(first, state, |plan, rule| trail.note(rule.name(), printed(plan)))?;
    Ok(trail.steps)
}

struct Trail {
    last: String,
    steps: Vec<Step>,
}

impl Trail {
    fn note(&mut self, rule: &str, plan: String) {
        if plan != self.last {
            self.steps.push(Step { rule: rule.to_owned(), plan: plan.clone() });
            self.last = plan;
        }
    }
}

fn shown(plan: &LogicalPlan) -> String {
    plan.display_indent().to_string()
}

fn printed(plan: &dyn ExecutionPlan) -> String {
    DisplayableExecutionPlan::new(plan).indent(false).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, on_runtime, printed};
    use std::sync::Arc;

    fn trace(sql: &str) -> (Vec<Step>, String) {
        let reader = Shop::open().owner();
        let plan = reader.bind(sql).unwrap().plan().clone();
        let state = Arc::clone(&reader.state);
        let steps = on_runtime(async move { steps(&plan, &state).await.unwrap() });
        (steps, printed(&reader.planned_once(sql).unwrap()))
    }

    /// The last step is the plan that runs, and no step shows what the one before it shows.
    #[test]
    fn a_trace_ends_with_the_plan_that_runs() {
        for sql in [
            "SELECT r.name FROM regions r JOIN visits v ON v.region_id = r.id WHERE v.score > 1 ORDER BY r.name",
            "SELECT region_id, count(*) FROM visits GROUP BY region_id",
            "SELECT 1 + 1",
        ] {
            let (steps, finished) = trace(sql);
            assert_eq!(steps.last().unwrap().plan, finished, "{sql}");
            assert!(steps.windows(2).all(|pair| pair[0].plan != pair[1].plan), "{sql}");
            let planning = steps.iter().position(|step| step.rule == "physical planning").unwrap();
            assert!(steps[..planning].iter().all(|step| !step.plan.contains("Exec:")), "{sql}");
        }
    }

    /// A subquery that runs for each row is an apply before any rule sees it.
    #[test]
    fn an_apply_is_the_first_step() {
        let sql = "SELECT r.id, (SELECT v.id FROM visits v WHERE v.region_id = r.id ORDER BY v.score DESC LIMIT 1) FROM regions r";
        let reader = Shop::open().owner();
        let plan = reader.bind(sql).unwrap().plan().clone();
        let state = Arc::clone(&reader.state);
        let steps = on_runtime(async move { steps(&plan, &state).await.unwrap() });
        assert_eq!(steps[0].rule, "apply");
    }
}
