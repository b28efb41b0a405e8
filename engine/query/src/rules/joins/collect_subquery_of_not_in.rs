//! NOT IN collects the rows of its subquery, where these are expected to be fewer than those around it. The engine's join for it collects
//! what is around, and no rule swaps it.
//! Needed with DataFusion 55.2.0.

use crate::rules::joins::collect_distinct_keys::with_distinct_keys;
use crate::rules::joins::collect_small_side::expected;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use querygate_operators::NullAwareAntiJoinExec;
use std::sync::Arc;

/// Put after the rules that choose sides, before partitions are made fit.
#[derive(Debug)]
pub(crate) struct CollectSubqueryOfNotIn;

impl PhysicalOptimizerRule for CollectSubqueryOfNotIn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let collected = plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(node)) };
            let (around, members) = (expected(join.left()), expected(join.right()));
            let is_smaller = around.zip(members).is_some_and(|(around, members)| members.rows < around.rows);
            let [(value, member)] = join.on() else { return Ok(Transformed::no(node)) };
            if !is_smaller || !NullAwareAntiJoinExec::replaces(join) {
                return Ok(Transformed::no(node));
            }
            let (members, mut keys) = match with_distinct_keys(join.right(), &[Arc::clone(member)])? {
                Some(distinct) => distinct,
                None => (Arc::clone(join.right()), vec![Arc::clone(member)]),
            };
            let Some(member) = keys.pop() else { return internal_err!("rows have lost their key") };
            let rows = Arc::clone(join.left());
            let ours = NullAwareAntiJoinExec::over(members, member, rows, Arc::clone(value))?;
            Ok(Transformed::yes(Arc::new(ours) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(collected.data)
    }

    fn name(&self) -> &'static str {
        "collect_subquery_of_not_in"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, printed};

    #[test]
    fn the_smaller_side_is_collected() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let without = reader.without(CollectSubqueryOfNotIn.name());
        for (sql, is_smaller) in [
            (
                "SELECT v.id FROM visits v WHERE v.region_id NOT IN (SELECT id FROM regions WHERE rank > 1) ORDER BY 1",
                true,
            ),
            (
                "SELECT v.id FROM visits v WHERE v.region_id NOT IN (SELECT id FROM regions WHERE false) ORDER BY 1",
                false,
            ),
            (
                "SELECT v.id FROM visits v WHERE v.region_id NOT IN (SELECT nullif(id, 'emea') FROM regions) ORDER BY 1",
                true,
            ),
            ("SELECT r.id FROM regions r WHERE r.id NOT IN (SELECT region_id FROM visits) ORDER BY 1", false),
            (
                "SELECT r.id FROM regions r WHERE r.id NOT IN (SELECT region_id FROM visits WHERE region_id IS NOT NULL) ORDER BY 1",
                false,
            ),
        ] {
            let plan = printed(&reader.planned_once(sql).unwrap());
            assert_eq!(plan.contains("NullAwareAntiJoinExec"), is_smaller, "{sql}\n{plan}");
            assert_eq!(reader.rows(sql).unwrap(), without.rows(sql).unwrap(), "{sql}");
        }
    }
}
