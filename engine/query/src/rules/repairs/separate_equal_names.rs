//! Columns of one name. On their way down a finished plan conditions find the columns of each input by name: where two have one
//! name they take the first, and the condition of a join thins out the wrong rows. While conditions are pushed down, a node
//! stands above each such input that lets nothing through which reads a name that two columns have.
//! Needed with DataFusion 55.2.0.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use querygate_catalog::one_input;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rules, those that push conditions down over columns with separate names.
pub(crate) fn with_separate_names(rules: Vec<Rule>) -> Vec<Rule> {
    let apart = |rule: Rule| -> Rule {
        if rule.name().starts_with("FilterPushdown") { Arc::new(SeparateEqualNames(rule)) } else { rule }
    };
    rules.into_iter().map(apart).collect()
}

#[derive(Debug)]
struct SeparateEqualNames(Rule);

impl PhysicalOptimizerRule for SeparateEqualNames {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let watched = plan.transform_up(|node| {
            let clear = clear(&node);
            Ok(if clear.len() == node.schema().fields().len() {
                Transformed::no(node)
            } else {
                Transformed::yes(Arc::new(SameNamesExec { input: node, clear: Arc::new(clear) }) as _)
            })
        })?;
        let pushed = self.0.optimize(watched.data, config)?;
        if !watched.transformed {
            return Ok(pushed);
        }
        let plain = pushed.transform_down(|node| {
            let mut inner = node;
            let mut changed = false;
            while let Some(watch) = inner.downcast_ref::<SameNamesExec>() {
                inner = Arc::clone(&watch.input);
                changed = true;
            }
            Ok(Transformed::new_transformed(inner, changed))
        })?;
        Ok(plain.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Places of a node's columns whose names no other one has.
fn clear(node: &Arc<dyn ExecutionPlan>) -> HashSet<usize> {
    let schema = node.schema();
    let mut found: HashMap<&str, usize> = HashMap::new();
    for field in schema.fields() {
        *found.entry(field.name()).or_default() += 1;
    }
    (0..schema.fields().len()).filter(|at| found.get(schema.field(*at).name().as_str()) == Some(&1)).collect()
}

/// Stands above a node with several columns of one name while conditions are pushed down; never in a plan that runs.
#[derive(Debug, Clone)]
struct SameNamesExec {
    input: Arc<dyn ExecutionPlan>,
    clear: Arc<HashSet<usize>>,
}

impl SameNamesExec {
    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, clear: Arc::clone(&self.clear) }
    }
}

impl DisplayAs for SameNamesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SameNamesExec")
    }
}

impl ExecutionPlan for SameNamesExec {
    one_input!(with_input);

    fn name(&self) -> &'static str {
        "SameNamesExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let clear = HashSet::clone(&self.clear);
        let told = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, clear, &self.input)?;
        Ok(FilterDescription::new().with_child(told))
    }
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{collected, column, leaf, printed};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{BinaryExpr, lit};
    use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::filter::FilterExec;
    use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

    fn filtered(plan: Arc<dyn ExecutionPlan>, at: usize, least: i32) -> Arc<dyn ExecutionPlan> {
        let condition = BinaryExpr::new(column(&plan, at), Operator::GtEq, lit(least));
        Arc::new(FilterExec::try_new(Arc::new(condition), plan).unwrap())
    }

    /// A condition on the second of two columns, above a node that finds columns by name and another condition.
    fn plan(names: [&str; 2]) -> Arc<dyn ExecutionPlan> {
        let rows = leaf(&["a", "b"], &[&[&[1, 20], &[2, 10], &[30, 3]], &[&[40, 40]]]);
        let renamed = (0..2)
            .map(|at| ProjectionExpr { expr: column(&rows, at), alias: names[at].to_owned() })
            .collect::<Vec<_>>();
        let renamed = Arc::new(ProjectionExec::try_new(renamed, rows).unwrap());
        filtered(Arc::new(CoalescePartitionsExec::new(filtered(renamed, 0, 0))), 1, 10)
    }

    fn pushed(rules: Vec<Rule>, names: [&str; 2]) -> Arc<dyn ExecutionPlan> {
        let config = ConfigOptions::new();
        rules.into_iter().fold(plan(names), |plan, rule| rule.optimize(plan, &config).unwrap())
    }

    fn rows(plan: Arc<dyn ExecutionPlan>) -> Vec<String> {
        let mut rows = collected(plan);
        rows.sort();
        rows
    }

    #[test]
    fn a_condition_finds_the_wrong_column_without_the_rule() {
        let plain = || -> Vec<Rule> { vec![Arc::new(FilterPushdown::new())] };
        let expected = ["1|20", "2|10", "40|40"];
        assert_eq!(rows(plan(["x", "x"])), expected);
        assert_eq!(rows(pushed(with_separate_names(plain()), ["x", "x"])), expected);
        assert_ne!(rows(pushed(plain(), ["x", "x"])), expected, "DataFusion's rule finds columns by their places now");
    }

    /// Columns of different names are pushed as before, and what stood between is gone.
    #[test]
    fn it_leaves_no_trace() {
        let plain = || -> Vec<Rule> { vec![Arc::new(FilterPushdown::new())] };
        assert_eq!(printed(&pushed(with_separate_names(plain()), ["x", "y"])), printed(&pushed(plain(), ["x", "y"])));
        assert!(!printed(&pushed(with_separate_names(plain()), ["x", "x"])).contains("SameNamesExec"));
    }

    #[test]
    fn a_name_is_clear_that_one_column_has() {
        let places = |names: &[&str]| {
            let mut places: Vec<usize> = clear(&leaf(names, &[])).into_iter().collect();
            places.sort_unstable();
            places
        };
        assert_eq!(places(&["a", "b", "c"]), [0, 1, 2]);
        assert_eq!(places(&["a", "b", "a"]), [1]);
        assert_eq!(places(&["a", "a"]), Vec::<usize>::new());
    }
}
