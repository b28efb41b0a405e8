//! What the engine believes of rows that a join, a grouping or a filter made, and is not so. A column that is constant on the inner side
//! of an outer join is null where there is no match, yet stays a constant to it, so that it leaves out a sort by that column;
//! a key of grouping sets is null in the sets that lack it, and stays one, too. Of a hash join of two sorted inputs it
//! believes that its rows are sorted by the keys of the one, then of the other, though several rows of the one may be equal. And where
//! rows are chosen by a cast that makes one of many values, as of a time stamp to its day, it takes the many for that one.
//! Needed with DataFusion 55.2.0.

use crate::rules::repairs::restore_sorts::RestoreSorts;
use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use querygate_catalog::one_input;
use querygate_driver_api::lossless::keeps_apart;
use std::sync::Arc;

/// Put directly before and after the rule that decides about sorts: a sort with a limit that it took away is not to be put back above
/// the limit, and what it sorted itself makes it believe more.
#[derive(Debug)]
pub(crate) struct DropUnsoundEquivalences {
    /// Whether sorts were decided about: what was believed too early is sorted.
    pub(crate) sorts: bool,
}

/// The name of the rule.
pub(crate) const DROPPING: &str = "drop_unsound_equivalences";

impl PhysicalOptimizerRule for DropUnsoundEquivalences {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let repaired = plan.transform_up(|node| {
            // One is enough.
            if let Some(below) = node.downcast_ref::<UnorderedExec>()
                && below.input.is::<UnorderedExec>()
            {
                return Ok(Transformed::yes(Arc::clone(&below.input)));
            }
            Ok(if is_unsound(&node)? {
                Transformed::yes(Arc::new(UnorderedExec::new(node)) as Arc<dyn ExecutionPlan>)
            } else {
                Transformed::no(node)
            })
        })?;
        let is_to_be_sorted = self.sorts && repaired.transformed;
        if is_to_be_sorted { RestoreSorts.optimize(repaired.data, config) } else { Ok(repaired.data) }
    }

    fn name(&self) -> &'static str {
        DROPPING
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_unsound(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let constants = node.equivalence_properties().constants();
        if constants.is_empty() {
            return Ok(false);
        }
        let merged = merged_columns(filter.predicate(), filter.input().schema().as_ref())?;
        let is_merged = |column: &Column| merged.iter().any(|name| name == column.name());
        return Ok(constants.iter().any(|constant| constant.expr.downcast_ref::<Column>().is_some_and(is_merged)));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let known = node.equivalence_properties();
        let believes = !known.constants().is_empty() || !known.oeq_class().is_empty() || !known.eq_group().is_empty();
        return Ok(aggregate.group_expr().has_grouping_set() && believes);
    }
    let hash = node.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let kind = hash
        .or_else(|| node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type()))
        .or_else(|| node.downcast_ref::<SortMergeJoinExec>().map(|join| join.join_type()));
    let inputs = node.children();
    let (Some(kind), [left, right]) = (kind, inputs.as_slice()) else { return Ok(false) };
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
    Ok(padded || twice)
}

/// The names of columns that a part of it casts so that several of their values become one.
fn merged_columns(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Vec<String>> {
    let mut merged = Vec::new();
    predicate.apply(|part| {
        if let Some(cast) = part.downcast_ref::<CastExpr>()
            && !keeps_apart(&cast.expr().data_type(schema)?, cast.cast_type())
        {
            merged.extend(collect_columns(cast.expr()).into_iter().map(|column| column.name().to_owned()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(merged)
}

/// Whether more is known of a side's columns than that some are equal, which they are as nulls, too.
fn is_more_than_equal(side: &Arc<dyn ExecutionPlan>) -> bool {
    let known = side.equivalence_properties();
    let computed = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_none();
    !known.constants().is_empty() || known.eq_group().iter().any(|class| class.iter().any(computed))
}

/// A node of whose rows nothing is believed but in which partition they are.
#[derive(Debug, Clone)]
pub(crate) struct UnorderedExec {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, column, leaf, printed, sorted};
    use datafusion::common::NullEquality;
    use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
    use datafusion::physical_plan::joins::PartitionMode;

    /// Of a column that is constant on the inner side of an outer join, and of a key of grouping sets, ORDER BY was left out.
    const STATEMENTS: [(&str, &[&str]); 4] = [
        (
            "SELECT u.id, x.c FROM regions u LEFT JOIN (SELECT region_id, 5 AS c FROM visits WHERE score = 2) x \
             ON x.region_id = u.id ORDER BY x.c DESC, u.id",
            &["apac|NULL", "emea|NULL", "latam|NULL", "amer|5"],
        ),
        (
            "SELECT c, n, count(*) FROM (SELECT DATE '2024-12-31' AS c, n FROM (VALUES (1), (2)) v(n)) w \
             GROUP BY CUBE (c, n) ORDER BY c DESC, n DESC",
            &["NULL|NULL|2", "NULL|2|1", "NULL|1|1", "2024-12-31|NULL|2", "2024-12-31|2|1", "2024-12-31|1|1"],
        ),
        // With a limit, too.
        (
            "SELECT t FROM (VALUES (TIMESTAMP '2024-05-01 05:00'), (TIMESTAMP '2024-05-01 03:00'), (TIMESTAMP '2024-05-02')) v(t) \
             WHERE t::date = DATE '2024-05-01' ORDER BY t LIMIT 1",
            &["2024-05-01T03:00:00"],
        ),
        (
            "SELECT n, row_number() OVER (ORDER BY n) FROM (VALUES (7), (5), (0), (6)) v(n) WHERE n::boolean ORDER BY 2",
            &["5|1", "6|2", "7|3"],
        ),
    ];

    #[test]
    fn rows_are_in_a_wrong_order_without_the_rule() {
        for partitions in [1, 2, 4] {
            let reader = Shop::open().reader("olga", "shop_owner", partitions);
            let without = reader.without(DROPPING);
            for (sql, expected) in STATEMENTS {
                assert_eq!(reader.rows(sql).unwrap(), expected, "{sql}");
                assert_ne!(without.rows(sql).unwrap(), expected, "DataFusion answers {sql} by itself now");
            }
        }
    }

    #[test]
    fn the_join_is_doubted_and_sorted_above() {
        let plan = Shop::open().reader("olga", "shop_owner", 1).planned_once(STATEMENTS[0].0).unwrap();
        let plan = printed(&plan);
        let nodes: Vec<&str> = plan.lines().filter_map(|line| line.trim().split(':').next()).collect();
        let place =
            |name: &str| nodes.iter().position(|node| *node == name).unwrap_or_else(|| panic!("{name}\n{plan}"));
        assert!(place("SortExec") < place("UnorderedExec") && place("UnorderedExec") < place("HashJoinExec"), "{plan}");
        assert!(plan.contains("SortExec: expr=[c@1 DESC"), "{plan}");
    }

    /// A hash join of two sorted inputs is sorted by the keys of the one, but not then by those of the other.
    #[test]
    fn only_joins_that_may_be_believed_too_much_are_doubted() {
        let side = || leaf(&["k", "v"], &[&[&[1, 1], &[1, 2]]]);
        let doubted = |left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>, kind: JoinType| {
            let on = vec![(column(&left, 0), column(&right, 0))];
            let join = HashJoinExec::try_new(
                left,
                right,
                on,
                None,
                &kind,
                None,
                PartitionMode::CollectLeft,
                NullEquality::NullEqualsNothing,
                false,
            );
            let plan: Arc<dyn ExecutionPlan> = Arc::new(join.unwrap());
            let rule = |sorts, plan| DropUnsoundEquivalences { sorts }.optimize(plan, &ConfigOptions::new()).unwrap();
            let done = rule(true, rule(false, plan));
            let below = done.children();
            assert!(!done.is::<UnorderedExec>() || !below[0].is::<UnorderedExec>(), "doubted twice");
            done.is::<UnorderedExec>()
        };
        assert!(doubted(sorted(side(), &[1]), sorted(side(), &[1]), JoinType::Inner));
        assert!(doubted(sorted(side(), &[1]), sorted(side(), &[1]), JoinType::Right));
        assert!(!doubted(sorted(side(), &[1]), side(), JoinType::Inner), "one sorted side");
        assert!(!doubted(sorted(side(), &[1]), sorted(side(), &[1]), JoinType::LeftSemi), "one side's rows");
        assert!(!doubted(side(), side(), JoinType::Left), "nothing is believed");
    }

    /// It hands rows on as they are, and tells no order.
    #[test]
    fn a_doubted_node_tells_nothing_of_its_rows() {
        let rows = sorted(leaf(&["k"], &[&[&[2], &[1]]]), &[0]);
        let doubted: Arc<dyn ExecutionPlan> = Arc::new(UnorderedExec::new(Arc::clone(&rows)));
        assert!(rows.output_ordering().is_some() && doubted.output_ordering().is_none());
        assert_eq!(doubted.maintains_input_order(), [false]);
        assert_eq!(crate::testing::collected(Arc::clone(&doubted)), ["1", "2"]);
        let keep = || ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        let over = |inputs| Arc::clone(&doubted).replace_children(inputs, keep());
        assert!(over(Vec::new()).is_err());
        assert!(over(vec![Arc::clone(&rows), Arc::clone(&rows)]).is_err());
    }
}
