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
