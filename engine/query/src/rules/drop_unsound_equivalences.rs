//! What the engine believes of rows that a join or a grouping made, and is not so. A column that is constant on the inner side
//! of an outer join is null where there is no match, yet stays a constant to it, so that it leaves out a sort by that column;
//! a key of grouping sets is null in the sets that lack it, and stays one, too. And of a hash join of two sorted inputs it
//! believes that its rows are sorted by the keys of the one, then of the other, though several rows of the one may be equal.

use crate::rules::restore_sorts::RestoreSorts;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use querygate_catalog::one_input;
use std::sync::Arc;

/// Put directly after the rule that decides about sorts: what it believed too early is sorted.
#[derive(Debug)]
pub(crate) struct DropUnsoundEquivalences;

impl PhysicalOptimizerRule for DropUnsoundEquivalences {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let repaired = plan.transform_up(|node| {
            Ok(if is_unsound(&node) {
                Transformed::yes(Arc::new(UnorderedExec::new(node)) as Arc<dyn ExecutionPlan>)
            } else {
                Transformed::no(node)
            })
        })?;
        if repaired.transformed { RestoreSorts.optimize(repaired.data, config) } else { Ok(repaired.data) }
    }

    fn name(&self) -> &'static str {
        "drop_unsound_equivalences"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_unsound(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let known = node.equivalence_properties();
        let believes = !known.constants().is_empty() || !known.oeq_class().is_empty() || !known.eq_group().is_empty();
        return aggregate.group_expr().has_grouping_set() && believes;
    }
    let hash = node.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let kind = hash
        .or_else(|| node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type()))
        .or_else(|| node.downcast_ref::<SortMergeJoinExec>().map(|join| join.join_type()));
    let inputs = node.children();
    let (Some(kind), [left, right]) = (kind, inputs.as_slice()) else { return false };
    let sorted = |side: &Arc<dyn ExecutionPlan>| !side.equivalence_properties().oeq_class().is_empty();
    let padded = match kind {
        JoinType::Left => is_more_than_equal(right),
        JoinType::Right => is_more_than_equal(left),
        JoinType::Full => is_more_than_equal(left) || is_more_than_equal(right),
        JoinType::Inner
        | JoinType::LeftSemi
        | JoinType::RightSemi
        | JoinType::LeftAnti
        | JoinType::RightAnti
        | JoinType::LeftMark
        | JoinType::RightMark => false,
    };
    let twice = matches!(hash, Some(JoinType::Inner | JoinType::Right)) && sorted(left) && sorted(right);
    padded || twice
}

/// Whether more is known of a side's columns than that some are equal, which they are as nulls, too.
fn is_more_than_equal(side: &Arc<dyn ExecutionPlan>) -> bool {
    let known = side.equivalence_properties();
    let computed = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_none();
    !known.constants().is_empty() || known.eq_group().iter().any(|class| class.iter().any(computed))
}

/// A node of whose rows nothing is believed but in which partition they are.
#[derive(Debug, Clone)]
struct UnorderedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl UnorderedExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, properties: Arc::new(properties) }
    }

    /// Nothing of the old input is left to believe either.
    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input)
    }
}

impl DisplayAs for UnorderedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnorderedExec")
    }
}

impl ExecutionPlan for UnorderedExec {
    one_input!(with_input);

    fn name(&self) -> &'static str {
        "UnorderedExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        // Its properties tell no order, so it must not promise to keep one.
        vec![false]
    }
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
    fn supports_limit_pushdown(&self) -> bool {
        true
    }
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
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
