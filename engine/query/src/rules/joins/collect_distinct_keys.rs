//! EXISTS and IN ask a side for its keys, each of them once. The engine's table of a join keeps all rows of a key, and each row of the
//! other side goes through all that it meets, though one decides: with few different keys that is the product of both sides, in one go that
//! hears no cancel.
//! Needed with DataFusion 55.2.0.

use crate::rules::joins::gives_whole_groups;
use crate::rules::share_equal_inputs::SharedExec;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlanProperties as _;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::limit::GlobalLimitExec;
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
            if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                return Ok(match with_one_row(join)? {
                    Some(join) => Transformed::yes(join),
                    None => Transformed::no(node),
                });
            }
            let asked = node.downcast_ref::<HashJoinExec>().and_then(|join| Some((join, asked_side(join)?)));
            let Some((join, side)) = asked else { return Ok(Transformed::no(node)) };
            let (left, right): (Keys, Keys) = join.on().iter().cloned().unzip();
            let collects = *join.partition_mode() == PartitionMode::CollectLeft;
            let fewer = match side {
                JoinSide::Left if collects => with_distinct_keys(join.left(), &left)?,
                JoinSide::Left if !are_keys(join.right(), &right) => with_fewer_keys(join.left(), &left)?,
                JoinSide::Right if !are_keys(join.left(), &left) => with_fewer_keys(join.right(), &right)?,
                JoinSide::Left | JoinSide::Right | JoinSide::None => None,
            };
            let Some((rows, keys)) = fewer else { return Ok(Transformed::no(node)) };
            let (children, on) = match side {
                JoinSide::Left => (vec![rows, Arc::clone(join.right())], keys.into_iter().zip(right).collect()),
                JoinSide::Right | JoinSide::None => {
                    (vec![Arc::clone(join.left()), rows], left.into_iter().zip(keys).collect())
                }
            };
            let join = join.builder().with_new_children(children)?.with_on(on).build()?;
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

/// A join that asks whether its other side has any row, of one row of it: the engine walks through all pairs, and hears no cancel meanwhile.
fn with_one_row(join: &NestedLoopJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (left, right) = (join.left(), join.right());
    let one = |rows: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
        let one = match rows.output_partitioning().partition_count() {
            0 | 1 => Arc::clone(rows),
            _ => Arc::new(CoalescePartitionsExec::new(Arc::clone(rows))),
        };
        Arc::new(GlobalLimitExec::new(one, 0, Some(1)))
    };
    let is_one = |rows: &Arc<dyn ExecutionPlan>| rows.downcast_ref::<GlobalLimitExec>().is_some();
    let (left, right) = match asked_of(*join.join_type()) {
        Some(JoinSide::Left) if join.filter().is_none() && !is_one(left) => (one(left), Arc::clone(right)),
        Some(JoinSide::Right) if join.filter().is_none() && !is_one(right) => (Arc::clone(left), one(right)),
        Some(_) | None => return Ok(None),
    };
    let projection = join.projection().as_ref().map(|columns| columns.to_vec());
    Ok(Some(Arc::new(NestedLoopJoinExec::try_new(left, right, None, join.join_type(), projection)?)))
}

/// The side of which a join wants to know only what is there.
const fn asked_of(join: JoinType) -> Option<JoinSide> {
    match join {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => Some(JoinSide::Left),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => Some(JoinSide::Right),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => None,
    }
}

/// The side of which a join wants to know only which keys are there.
fn asked_side(join: &HashJoinExec) -> Option<JoinSide> {
    let side = asked_of(*join.join_type())?;
    let by_keys_alone = !join.on().is_empty() && join.filter().is_none();
    (by_keys_alone && join.dynamic_expressions_produced().is_empty()).then_some(side)
}

/// Whether a side is known to have each of its keys once: no row of the other meets more than one of it.
fn are_keys(rows: &Arc<dyn ExecutionPlan>, keys: &[Arc<dyn PhysicalExpr>]) -> bool {
    let columns: Option<Vec<usize>> = keys.iter().map(|key| key.downcast_ref::<Column>().map(Column::index)).collect();
    columns.is_some_and(|columns| are_distinct(rows, &columns))
}

type Keys = Vec<Arc<dyn PhysicalExpr>>;

/// The keys of rows, each once, and where they are found in that. `None`: the rows are so already.
pub(super) fn with_distinct_keys(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
) -> Result<Option<(Arc<dyn ExecutionPlan>, Keys)>> {
    if are_keys(rows, keys) {
        return Ok(None);
    }
    let (partial, groups, schema) = partly_grouped(rows, keys)?;
    let whole =
        AggregateExec::try_new(AggregateMode::Final, groups.as_final(), vec![], vec![], Arc::new(partial), schema)?;
    Ok(Some(found_in(Arc::new(whole))))
}

/// The keys of rows, most of them once: where nearly all differ, the engine soon leaves them as they are. That is for sides of any size.
fn with_fewer_keys(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
) -> Result<Option<(Arc<dyn ExecutionPlan>, Keys)>> {
    if are_keys(rows, keys) {
        return Ok(None);
    }
    let (partial, ..) = partly_grouped(rows, keys)?;
    Ok(Some(found_in(Arc::new(partial))))
}

fn partly_grouped(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
) -> Result<(AggregateExec, PhysicalGroupBy, SchemaRef)> {
    // What a join passes on to its other side finds a column there by its name.
    let name = |at: usize, key: &Arc<dyn PhysicalExpr>| match key.downcast_ref::<Column>() {
        Some(column) => column.name().to_owned(),
        None => format!("key_{at}"),
    };
    let named = keys.iter().enumerate().map(|(at, key)| (Arc::clone(key), name(at, key)));
    let groups = PhysicalGroupBy::new_single(named.collect());
    let (schema, input) = (rows.schema(), Arc::clone(rows));
    let partial =
        AggregateExec::try_new(AggregateMode::Partial, groups.clone(), vec![], vec![], input, Arc::clone(&schema))?;
    Ok((partial, groups, schema))
}

/// Grouped rows, with where their keys are.
fn found_in(grouped: Arc<dyn ExecutionPlan>) -> (Arc<dyn ExecutionPlan>, Keys) {
    let found = grouped.schema();
    let keys = found.fields().iter().enumerate();
    let keys = keys.map(|(at, field)| Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>).collect();
    (grouped, keys)
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
            // The outer rows are collected, or both sides are divided.
            (
                "SELECT count(*) FROM generate_series(1, 3000) g WHERE g % 3 IN (SELECT h % 3 FROM generate_series(1, 9000) h)",
                true,
            ),
            (
                "SELECT count(*) FROM generate_series(1, 9000) g WHERE g % 3 NOT IN (SELECT h % 2 FROM generate_series(1, 3000) h)",
                true,
            ),
            ("SELECT v.id, r.name FROM visits v JOIN regions r ON r.id = v.region_id ORDER BY 1", false),
        ] {
            let (ours, own) = (reader.planned_once(sql).unwrap(), without.planned_once(sql).unwrap());
            let groups = |plan| printed(plan).matches("aggr=[]").count();
            assert_eq!(groups(&ours) > groups(&own), is_grouped, "{sql}\n{}", printed(&ours));
            assert_eq!(reader.rows(sql).unwrap(), without.rows(sql).unwrap(), "{sql}");
        }
    }
}
