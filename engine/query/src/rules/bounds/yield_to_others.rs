//! Operators that make many rows of few give the thread back in between, so that cancel and deadline are heard. The
//! engine makes only leaves cooperative, and a join may read its leaves once and then produce for minutes.
//! Needed with DataFusion 55.2.0.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use std::sync::Arc;

/// Operators in a row that give the thread back. Each takes a part of what a task may do in one go, which is 128 parts: more
/// of them above one another would use it up before the lowest one is asked, every time.
const IN_A_ROW_MAX: usize = 32;

/// Wraps every operator with several inputs, and unnesting; of a long row of them every second, every third and so on. Put last:
/// nothing after it needs to see through.
#[derive(Debug)]
pub(crate) struct YieldToOthers;

impl PhysicalOptimizerRule for YieldToOthers {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let every = in_a_row(&plan) / IN_A_ROW_MAX + 1;
        wrapped(plan, 0, every)
    }

    fn name(&self) -> &'static str {
        "yield_to_others"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.children().len() > 1 || matches!(node.name(), "UnnestExec" | "ApplyExec")
}

/// The most such operators above one another.
fn in_a_row(node: &Arc<dyn ExecutionPlan>) -> usize {
    let below = node.children().into_iter().map(in_a_row).max().unwrap_or(0);
    below + usize::from(multiplies(node.as_ref()))
}

/// Wraps those that have a multiple of `every` above them.
fn wrapped(node: Arc<dyn ExecutionPlan>, above: usize, every: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let multiplies = multiplies(node.as_ref());
    let below = above + usize::from(multiplies);
    let children = node.children().into_iter().cloned().collect::<Vec<_>>();
    let children = children.into_iter().map(|child| wrapped(child, below, every)).collect::<Result<_>>()?;
    let node = replace_children_if_necessary(node, children)?;
    Ok(if multiplies && above.is_multiple_of(every) { Arc::new(CooperativeExec::new(node)) } else { node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, collected, leaf, printed};
    use datafusion::physical_plan::joins::CrossJoinExec;
    use datafusion::physical_plan::union::UnionExec;

    fn crossed(joins: usize) -> Arc<dyn ExecutionPlan> {
        let one = || leaf(&["a"], &[&[&[1]]]);
        (0..joins).fold(one(), |plan, _| Arc::new(CrossJoinExec::new(plan, one())))
    }

    fn breaks(plan: Arc<dyn ExecutionPlan>) -> usize {
        printed(&YieldToOthers.optimize(plan, &ConfigOptions::new()).unwrap()).matches("CooperativeExec").count()
    }

    /// The engine makes leaves cooperative, not joins: without the rule there is none in these plans.
    #[test]
    fn each_of_few_joins_yields_and_of_many_some() {
        for (joins, expected) in [(0, 0), (1, 1), (31, 31), (32, 16), (64, 22), (200, 29)] {
            assert_eq!(breaks(crossed(joins)), expected, "{joins} joins");
        }
        assert!((1..200).all(|joins| breaks(crossed(joins)) <= IN_A_ROW_MAX));
        assert_eq!(printed(&crossed(3)).matches("CooperativeExec").count(), 0);
    }

    #[test]
    fn rows_stay_as_they_are() {
        let plan = YieldToOthers.optimize(crossed(3), &ConfigOptions::new()).unwrap();
        assert_eq!(collected(plan), ["1|1|1|1"]);
        let union: Arc<dyn ExecutionPlan> = UnionExec::try_new(vec![crossed(0), crossed(0)]).unwrap();
        assert_eq!(breaks(union), 1);
    }

    #[test]
    fn statements_with_joins_and_unnesting_yield() {
        let reader = Shop::open().owner();
        let without = reader.without(YieldToOthers.name());
        for sql in [
            "SELECT v.id FROM visits v JOIN regions r ON r.id = v.region_id",
            "SELECT unnest(ARRAY[rank, 1]) FROM regions",
            "SELECT id FROM visits UNION ALL SELECT id FROM regions",
        ] {
            let breaks = |reader: &crate::testing::Reader| {
                printed(&reader.planned_once(sql).unwrap()).matches("CooperativeExec").count()
            };
            assert!(breaks(&reader) > breaks(&without), "{sql}");
        }
    }
}
