//! Sorts of which only the first rows are wanted. The engine leaves out a sort key that is constant in each partition,
//! though its value differs between them, and lets all partitions share one threshold, which then compares rows by the
//! other keys alone. Each such sort gets back the keys by which its partitions are merged.
//! Needed with DataFusion 55.2.0.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use std::sync::Arc;

/// Put after the engine's rules, which drop the keys.
#[derive(Debug)]
pub(crate) struct KeepTopKKeys;

impl PhysicalOptimizerRule for KeepTopKKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan
            .transform_up(|node| {
                let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() else {
                    return Ok(Transformed::no(node));
                };
                let Some(sort) = merge.input().downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
                if sort.fetch().is_none() || sort.expr() == merge.expr() {
                    return Ok(Transformed::no(node));
                }
                let whole = SortExec::new(merge.expr().clone(), Arc::clone(sort.input()))
                    .with_fetch(sort.fetch())
                    .with_preserve_partitioning(sort.preserve_partitioning());
                let merged =
                    SortPreservingMergeExec::new(merge.expr().clone(), Arc::new(whole)).with_fetch(merge.fetch());
                Ok(Transformed::yes(Arc::new(merged) as Arc<dyn ExecutionPlan>))
            })?
            .data)
    }

    fn name(&self) -> &'static str {
        "keep_topk_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// An aggregate that may stop after some groups was given this before its input was sorted; sorted, it asks for an order of
/// its groups that was not asked for. One that keeps the first groups by a float panics over NaN, or forgets that it is the greatest. And one
/// keeps the first groups by a column of its own that has the name of what the rows are sorted by, `GROUP BY id ORDER BY id::text`. All of them
/// make all groups, and the limit above takes some. Put after the engine's rules.
#[derive(Debug)]
pub(crate) struct LimitedGroups;

impl PhysicalOptimizerRule for LimitedGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(unlimited(plan, None)?.data)
    }

    fn name(&self) -> &'static str {
        "limited_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A plan whose aggregates are limited rightly. `key`: the column of its rows by which alone a sort above takes the first ones.
fn unlimited(node: Arc<dyn ExecutionPlan>, key: Option<usize>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let below = key_below(&node, key);
    let node = node.map_children(|child| unlimited(child, below))?;
    node.transform_data(|node| {
        let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(node)) };
        let wrong = aggregate.limit_options().is_some_and(|limit| match limit.descending {
            Some(_) => {
                // Groups are kept by their one key, or by the one aggregate behind it.
                let kept_by = aggregate.aggr_expr().len().min(1);
                let floats = aggregate.schema().fields().iter().any(|field| field.data_type().is_floating());
                floats || key != Some(kept_by)
            }
            None => !aggregate.is_unordered_unfiltered_group_by_distinct(),
        });
        if !wrong {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(Arc::new(aggregate.with_new_limit_options(None)) as Arc<dyn ExecutionPlan>))
    })
}

/// The column of a node's input that is this one of its own.
fn key_below(node: &Arc<dyn ExecutionPlan>, key: Option<usize>) -> Option<usize> {
    if let Some(sort) = node.downcast_ref::<SortExec>()
        && sort.fetch().is_some()
    {
        return match &sort.expr()[..] {
            [only] => only.expr.downcast_ref::<Column>().map(Column::index),
            _ => None,
        };
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return projection.expr().get(key?)?.expr.downcast_ref::<Column>().map(Column::index);
    }
    match node.children()[..] {
        // Both halves of a grouping have the key, and what is computed, at the same places. Below one that it did not limit, and below what
        // drops rows, the engine limits none.
        [_] if node.is::<AggregateExec>() => key,
        [child] if child.schema() == node.schema() => key,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, collected, column, leaf, order, printed};
    use datafusion::physical_plan::aggregates::{AggregateMode, LimitOptions, PhysicalGroupBy};

    /// The first two by `k`, then `s`; each partition has one `k`, so that the engine sorts it by `s` alone.
    fn merged_by_more_than_sorted() -> Arc<dyn ExecutionPlan> {
        let rows = leaf(&["k", "s"], &[&[&[2, 0], &[2, 1]], &[&[1, 8], &[1, 9]]]);
        let by_both = order(&rows, &[0, 1]);
        let by_one = SortExec::new(order(&rows, &[1]), rows).with_fetch(Some(2)).with_preserve_partitioning(true);
        Arc::new(SortPreservingMergeExec::new(by_both, Arc::new(by_one)).with_fetch(Some(2)))
    }

    #[test]
    fn a_sort_of_first_rows_gets_its_keys_back() {
        let plan = KeepTopKKeys.optimize(merged_by_more_than_sorted(), &ConfigOptions::new()).unwrap();
        let lines: Vec<String> = printed(&plan).lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines[0], "SortPreservingMergeExec: [k@0 ASC, s@1 ASC], fetch=2");
        assert_eq!(lines[1], "SortExec: TopK(fetch=2), expr=[k@0 ASC, s@1 ASC], preserve_partitioning=[true]");
        assert_eq!(collected(plan), ["1|8", "1|9"]);
    }

    #[test]
    fn first_groups_by_a_float_may_be_nan() {
        let reader = Shop::open().owner();
        let rows = "(VALUES ('NaN'::float8, 1), (1, 2), (2, 2)) t(x, g)";
        for (sql, expected) in [
            (format!("SELECT count(*) FROM (SELECT DISTINCT x FROM {rows} ORDER BY x LIMIT 2) s"), "2"),
            (format!("SELECT g FROM {rows} GROUP BY g ORDER BY max(x) DESC NULLS LAST LIMIT 1"), "1"),
        ] {
            assert_eq!(reader.rows(&sql).unwrap(), [expected], "{sql}");
        }
    }

    #[test]
    fn first_groups_are_those_by_what_is_sorted() {
        let reader = Shop::open().owner();
        let rows = "(VALUES (-5), (-4), (2), (12), (3), (1)) t(a)";
        for (sql, expected) in [
            (format!("SELECT -a AS a FROM {rows} GROUP BY a ORDER BY 1 LIMIT 2"), ["-12", "-3"]),
            (format!("SELECT a::text AS a FROM {rows} GROUP BY a ORDER BY 1 DESC LIMIT 2"), ["3", "2"]),
            (format!("SELECT abs(a) AS a FROM (SELECT DISTINCT a FROM {rows}) q ORDER BY 1 LIMIT 2"), ["1", "2"]),
            (format!("SELECT -max(a) AS m FROM {rows} GROUP BY a % 2 ORDER BY 1 LIMIT 2"), ["-12", "-3"]),
        ] {
            assert_eq!(reader.rows(&sql).unwrap(), expected, "{sql}");
        }
        let kept = "SELECT score FROM visits GROUP BY score ORDER BY score LIMIT 2";
        assert!(printed(&reader.planned_once(kept).unwrap()).contains("lim=[2]"), "a key of its own");
    }

    /// DataFusion still makes such plans: the rule changes one of a statement.
    #[test]
    fn the_engine_still_drops_the_key() {
        let sql = "SELECT k, s FROM (SELECT 2 AS k, score AS s FROM visits UNION ALL SELECT 1, score + 10 FROM visits) u \
                   ORDER BY k, s LIMIT 3";
        let reader = Shop::open().owner();
        assert_eq!(reader.rows(sql).unwrap(), ["1|10", "1|11", "1|12"]);
        let without = printed(&reader.without(KeepTopKKeys.name()).planned_once(sql).unwrap());
        assert_ne!(printed(&reader.planned_once(sql).unwrap()), without, "{without}");
    }

    #[test]
    fn a_sort_of_all_rows_needs_no_more_keys() {
        let rows = leaf(&["k", "s"], &[&[&[2, 0]], &[&[1, 8]]]);
        let sort = SortExec::new(order(&rows, &[1]), Arc::clone(&rows)).with_preserve_partitioning(true);
        let plan: Arc<dyn ExecutionPlan> = Arc::new(SortPreservingMergeExec::new(order(&rows, &[1]), Arc::new(sort)));
        let done = KeepTopKKeys.optimize(Arc::clone(&plan), &ConfigOptions::new()).unwrap();
        assert_eq!(printed(&done), printed(&plan));
    }

    fn grouped() -> AggregateExec {
        let rows = leaf(&["k"], &[&[&[1], &[1], &[2]]]);
        let schema = rows.schema();
        let keys = PhysicalGroupBy::new_single(vec![(column(&rows, 0), "k".to_owned())]);
        AggregateExec::try_new(AggregateMode::Single, keys, Vec::new(), Vec::new(), rows, schema).unwrap()
    }

    /// Only a plain DISTINCT, whose groups need no order, may stop early.
    #[test]
    fn an_aggregate_that_needs_an_order_makes_all_groups() {
        let limited = |aggregate: AggregateExec| {
            let plan: Arc<dyn ExecutionPlan> = Arc::new(aggregate);
            let done = LimitedGroups.optimize(plan, &ConfigOptions::new()).unwrap();
            done.downcast_ref::<AggregateExec>().unwrap().limit_options().is_some()
        };
        assert!(limited(grouped().with_limit_options(Some(LimitOptions::new(1)))), "DISTINCT");
        assert!(!limited(grouped()), "no limit");
        let by_order = LimitOptions::new_with_order(1, false);
        assert!(!limited(grouped().with_limit_options(Some(by_order))), "no sort asks for it");
        let all = PhysicalGroupBy::new_single(Vec::new());
        let rows = leaf(&["k"], &[&[&[1]]]);
        let schema = rows.schema();
        let whole = AggregateExec::try_new(AggregateMode::Single, all, Vec::new(), Vec::new(), rows, schema).unwrap();
        assert!(!limited(whole.with_limit_options(Some(LimitOptions::new(1)))), "no groups");
    }
}
