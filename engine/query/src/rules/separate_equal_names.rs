//! Columns of one name. On their way down a finished plan conditions find the columns of each input by name: where two have one
//! name they take the first, and the condition of a join thins out the wrong rows. While conditions are pushed down, a node
//! stands above each such input that lets nothing through which reads a name that two columns have.

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

/// The rules, those that push conditions down over columns that are told apart.
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
