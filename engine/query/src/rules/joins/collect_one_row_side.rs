//! Joins without an equality of which one side is at most one row, such as a total beside each row. The engine collects the left
//! side of them and streams the right one, and swaps them by their sizes, which leaves here do not tell: the one row is collected.
//! Needed with DataFusion 55.2.0.

use crate::rules::joins::gives_whole_groups;
use crate::rules::share_equal_inputs::SharedExec;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use std::sync::Arc;

/// Put after the rule that swaps sides, before partitions are made fit.
#[derive(Debug)]
pub(crate) struct CollectOneRowSide;

impl PhysicalOptimizerRule for CollectOneRowSide {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let swapped = plan.transform_up(|node| {
            let swapped = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                let streams = is_one_row(join.right()) && !is_one_row(join.left());
                if streams { Some(join.swap_inputs()?) } else { None }
            } else if let Some(join) = node.downcast_ref::<CrossJoinExec>() {
                let streams = is_one_row(join.right()) && !is_one_row(join.left());
                if streams { Some(join.swap_inputs()?) } else { None }
            } else {
                None
            };
            Ok(swapped.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        Ok(swapped.data)
    }

    fn name(&self) -> &'static str {
        "collect_one_row_side"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a plan has one row at most.
fn is_one_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let whole = gives_whole_groups(*aggregate.mode());
        return whole && aggregate.group_expr().expr().is_empty() && !aggregate.group_expr().has_grouping_set();
    }
    if let Some(shared) = plan.downcast_ref::<SharedExec>() {
        return is_one_row(shared.input());
    }
    if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
        return limit.fetch().is_some_and(|rows| rows <= 1);
    }
    if plan.downcast_ref::<ProjectionExec>().is_some() || plan.downcast_ref::<FilterExec>().is_some() {
        return plan.children().into_iter().all(is_one_row);
    }
    plan.downcast_ref::<PlaceholderRowExec>().is_some() || plan.downcast_ref::<EmptyExec>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reader, Shop, leaf, sorted};
    use datafusion::common::tree_node::TreeNodeRecursion;
    use querygate_resources::MeteredExec;

    /// Whether the side that a join of the plan collects has one row at most.
    fn collects_one_row(reader: &Reader, sql: &str) -> bool {
        let plan = reader.planned_once(sql).unwrap();
        let mut found = None;
        plan.apply(|node| {
            let is_join =
                node.downcast_ref::<NestedLoopJoinExec>().is_some() || node.downcast_ref::<CrossJoinExec>().is_some();
            if is_join {
                let side = node.children()[0];
                // What may be read once only.
                let metered = side.downcast_ref::<MeteredExec>().is_some();
                found = Some(is_one_row(if metered { side.children()[0] } else { side }));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        found.unwrap_or_else(|| panic!("no such join in {sql}"))
    }

    const STATEMENTS: [(&str, &[&str]); 3] = [
        (
            "SELECT v.id FROM visits v, (SELECT max(score) AS top FROM visits) m WHERE v.score + 2 > m.top ORDER BY 1",
            &["v1", "v3"],
        ),
        ("SELECT v.id, m.n FROM visits v, (SELECT count(*) AS n FROM regions) m ORDER BY 1 LIMIT 2", &["v1|4", "v2|4"]),
        (
            "SELECT v.id FROM visits v LEFT JOIN (SELECT min(score) AS n FROM visits) m ON v.score < m.n ORDER BY 1 LIMIT 1",
            &["v1"],
        ),
    ];

    #[test]
    fn the_large_side_is_streamed() {
        let reader = Shop::open().owner();
        for (sql, expected) in STATEMENTS {
            assert!(collects_one_row(&reader, sql), "{sql}");
            assert_eq!(reader.rows(sql).unwrap(), expected, "{sql}");
        }
        let without = reader.without(CollectOneRowSide.name());
        let collects_large = STATEMENTS.iter().any(|(sql, _)| !collects_one_row(&without, sql));
        assert!(collects_large, "DataFusion collects the one row by itself now");
    }

    /// A total that two places read is one row in each.
    #[test]
    fn a_shared_total_is_one_row() {
        let reader = Shop::open().owner();
        let sql = "WITH m AS (SELECT max(score) AS top FROM visits) SELECT v.id FROM visits v, m WHERE v.score + 2 > m.top \
                   UNION ALL SELECT r.id FROM regions r, m WHERE r.rank + 2 > m.top ORDER BY 1";
        let plan = reader.planned_once(sql).unwrap();
        assert!(crate::testing::printed(&plan).contains("SharedExec"));
        assert!(collects_one_row(&reader, sql));
        let rows = reader.rows(sql).unwrap();
        assert!(["emea", "v1", "v3"].iter().all(|wanted| rows.iter().any(|row| row == wanted)), "{rows:?}");
    }

    /// What may have two rows is not taken for one.
    #[test]
    fn one_row_is_what_cannot_be_two() {
        let rows = || leaf(&["a"], &[&[&[1]]]);
        assert!(!is_one_row(&rows()), "a table of one row is a table");
        assert!(!is_one_row(&sorted(rows(), &[0])));
        let limited =
            |fetch: Option<usize>| -> Arc<dyn ExecutionPlan> { Arc::new(GlobalLimitExec::new(rows(), 0, fetch)) };
        assert!(is_one_row(&limited(Some(1))) && is_one_row(&limited(Some(0))));
        assert!(!is_one_row(&limited(Some(2))) && !is_one_row(&limited(None)));
        assert!(is_one_row(&(Arc::new(EmptyExec::new(rows().schema())) as Arc<dyn ExecutionPlan>)));
    }
}
