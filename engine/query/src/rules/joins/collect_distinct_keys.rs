//! EXISTS and IN that collect a side collect each of its keys once. The engine's table of a join keeps all rows of a key, and each row of the
//! other side goes through all that it meets, though one decides.
//! Needed with DataFusion 55.2.0.

use crate::rules::joins::gives_whole_groups;
use crate::rules::share_equal_inputs::SharedExec;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_catalog::leaf::GovernedExec;
use std::sync::Arc;

/// Put after the rules that choose which side is collected, before partitions are made fit.
#[derive(Debug)]
pub(crate) struct CollectDistinctKeys;

impl PhysicalOptimizerRule for CollectDistinctKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let distinct = plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<HashJoinExec>().filter(|join| asks_for_keys(join)) else {
                return Ok(Transformed::no(node));
            };
            let keys: Vec<_> = join.on().iter().map(|(key, _)| Arc::clone(key)).collect();
            let Some((left, keys)) = with_distinct_keys(join.left(), &keys)? else { return Ok(Transformed::no(node)) };
            let on = keys.into_iter().zip(join.on().iter().map(|(_, probe)| Arc::clone(probe))).collect();
            let join = join.builder().with_new_children(vec![left, Arc::clone(join.right())])?.with_on(on).build()?;
            Ok(Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(distinct.data)
    }

    fn name(&self) -> &'static str {
        "collect_distinct_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a join collects its left side only to see which keys are there. A divided left side is large; grouping
/// it would cost more than its equal keys do.
fn asks_for_keys(join: &HashJoinExec) -> bool {
    let keeps_right = match join.join_type() {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => true,
        JoinType::Inner
        | JoinType::Left
        | JoinType::Right
        | JoinType::Full
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::LeftMark => false,
    };
    keeps_right
        && *join.partition_mode() == PartitionMode::CollectLeft
        && !join.on().is_empty()
        && join.filter().is_none()
        && join.dynamic_expressions_produced().is_empty()
}

type Keys = Vec<Arc<dyn PhysicalExpr>>;

/// The keys of rows, each once, and where they are found in that. `None`: the rows are so already.
pub(super) fn with_distinct_keys(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
) -> Result<Option<(Arc<dyn ExecutionPlan>, Keys)>> {
    let columns: Option<Vec<usize>> = keys.iter().map(|key| key.downcast_ref::<Column>().map(Column::index)).collect();
    if columns.is_some_and(|columns| are_distinct(rows, &columns)) {
        return Ok(None);
    }
    let named = keys.iter().enumerate().map(|(at, key)| (Arc::clone(key), format!("key_{at}")));
    let groups = PhysicalGroupBy::new_single(named.collect());
    let schema = rows.schema();
    let of = |mode, groups, input| AggregateExec::try_new(mode, groups, vec![], vec![], input, Arc::clone(&schema));
    let partial = Arc::new(of(AggregateMode::Partial, groups.clone(), Arc::clone(rows))?);
    let whole = Arc::new(of(AggregateMode::Final, groups.as_final(), partial)?);
    let found = whole.schema();
    let keys = found.fields().iter().enumerate();
    let keys = keys.map(|(at, field)| Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>).collect();
    Ok(Some((whole, keys)))
}

/// Whether no two rows of a plan have the same values in these columns.
fn are_distinct(plan: &Arc<dyn ExecutionPlan>, columns: &[usize]) -> bool {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let source = |column: &usize| projection.expr().get(*column)?.expr.downcast_ref::<Column>().map(Column::index);
        let sources: Option<Vec<usize>> = columns.iter().map(source).collect();
        return sources.is_some_and(|sources| are_distinct(projection.input(), &sources));
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let whole = gives_whole_groups(*aggregate.mode());
        let groups = aggregate.group_expr();
        return whole && !groups.has_grouping_set() && (0..groups.expr().len()).all(|group| columns.contains(&group));
    }
    if let Some(leaf) = plan.downcast_ref::<GovernedExec>() {
        let schema = leaf.schema();
        let is_read = |name: &String| schema.index_of(name).is_ok_and(|place| columns.contains(&place));
        return leaf.key().is_some_and(|key| key.iter().all(is_read));
    }
    if let Some(shared) = plan.downcast_ref::<SharedExec>() {
        return are_distinct(shared.input(), columns);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        // One that leaves columns out has them at other places.
        return filter.schema() == filter.input().schema() && are_distinct(filter.input(), columns);
    }
    let keeps_rows = plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.downcast_ref::<SortExec>().is_some()
        || plan.downcast_ref::<CooperativeExec>().is_some();
    keeps_rows && plan.children().into_iter().all(|input| are_distinct(input, columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, printed};

    #[test]
    fn keys_are_collected_once() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let without = reader.without(CollectDistinctKeys.name());
        for (sql, is_grouped) in [
            (
                "SELECT v.id FROM visits v WHERE EXISTS (SELECT 1 FROM regions r WHERE r.name = v.region_id) ORDER BY 1",
                true,
            ),
            (
                "SELECT v.id FROM visits v WHERE NOT EXISTS (SELECT 1 FROM regions r WHERE r.name = v.region_id) ORDER BY 1",
                true,
            ),
            (
                "SELECT v.id FROM visits v WHERE EXISTS (SELECT 1 FROM regions r WHERE r.id = v.region_id) ORDER BY 1",
                false,
            ),
            ("SELECT v.id FROM visits v WHERE v.score IN (SELECT rank FROM regions) ORDER BY 1", true),
            ("SELECT v.id FROM visits v WHERE v.score IN (SELECT DISTINCT rank FROM regions) ORDER BY 1", false),
            (
                "SELECT v.id FROM visits v WHERE v.score IN (SELECT rank FROM regions GROUP BY rank HAVING count(*) > 0 AND rank > 0) ORDER BY 1",
                false,
            ),
            (
                "SELECT v.id FROM visits v WHERE v.score IN (SELECT r FROM (SELECT rank AS r, count(*) FROM regions GROUP BY rank) g) ORDER BY 1",
                false,
            ),
            ("SELECT v.id, r.name FROM visits v JOIN regions r ON r.id = v.region_id ORDER BY 1", false),
        ] {
            let (ours, own) = (reader.planned_once(sql).unwrap(), without.planned_once(sql).unwrap());
            assert_eq!(printed(&ours).contains("key_0"), is_grouped, "{sql}\n{}", printed(&ours));
            assert!(!printed(&own).contains("key_0"), "{sql}");
            assert_eq!(reader.rows(sql).unwrap(), without.rows(sql).unwrap(), "{sql}");
        }
    }
}
