//! Joins whose left side is expected to be small collect it into one table, which all streams of the right side look into. The engine
//! decides so by statistics, which governed leaves do not tell its rules, and else divides both sides by hash: each row of the large one
//! is then hashed and copied only to meet its own part of a small table. Sides are not swapped, and how wide rows are is not looked at.
//! Needed with DataFusion 55.2.0.

use crate::rules::share_equal_inputs::SharedExec;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{JoinType, Result};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use querygate_catalog::leaf::{ExpectedRows, GovernedExec};
use querygate_operators::NullAwareAntiJoinExec;
use std::sync::Arc;

/// Put after the rule that chooses between both, before partitions are made fit. Of a table with a row policy only the magnitude is known
/// ([`querygate_rules::estimate::magnitude`]), so that a hidden row changes a plan only where the table crosses a power of two.
#[derive(Debug)]
pub(crate) struct CollectSmallSide;

impl PhysicalOptimizerRule for CollectSmallSide {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let most = config.optimizer.hash_join_single_partition_threshold_rows as f64;
        collected(plan, most, false)
    }

    fn name(&self) -> &'static str {
        "collect_small_side"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A collecting join with a filter for its right side waits until each of that side's streams was asked for rows. A join above that divides
/// its sides drops the streams of which its own left side holds nothing, unasked. Both are only next to each other where rows of the
/// right side are divided by hash already, as the join above wants them: elsewhere they are divided anew between the two, and all
/// streams are asked. `may_be_dropped`: whether such a join is above.
fn collected(plan: Arc<dyn ExecutionPlan>, most: f64, may_be_dropped: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else {
        let children = plan.children().into_iter().map(|child| collected(Arc::clone(child), most, may_be_dropped));
        let children = children.collect::<Result<Vec<_>>>()?;
        return replace_children_if_necessary(plan, children);
    };
    let mode = *join.partition_mode();
    // A null-aware join must see all rows of its right side in one place; what it gives is dealt out anew above.
    let must_divide = may_be_dropped && !join.null_aware && divides(join.right(), most);
    let chosen = match mode {
        PartitionMode::Partitioned if has_small_left(join, most) && !must_divide => PartitionMode::CollectLeft,
        // What the engine collects by itself: a total, first rows, constants.
        PartitionMode::CollectLeft if must_divide => PartitionMode::Partitioned,
        PartitionMode::Partitioned | PartitionMode::CollectLeft | PartitionMode::Auto => mode,
    };
    let stays_divided = chosen != PartitionMode::CollectLeft;
    // The left side of NOT IN may come to be streamed instead (`CollectSubqueryOfNotIn`).
    let streams_left = stays_divided || join.null_aware;
    let left = collected(Arc::clone(join.left()), most, streams_left && may_be_dropped)?;
    let right = collected(Arc::clone(join.right()), most, stays_divided || may_be_dropped)?;
    let join = if chosen == mode { plan } else { Arc::new(join.builder().with_partition_mode(chosen).build()?) };
    replace_children_if_necessary(join, vec![left, right])
}

fn has_small_left(join: &HashJoinExec, most: f64) -> bool {
    expected(join.left()).is_some_and(|left| left.rows <= most)
}

/// Whether rows of a plan may come divided by hash.
fn divides(plan: &Arc<dyn ExecutionPlan>, most: f64) -> bool {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return !has_small_left(join, most) || divides(join.right(), most);
    }
    let groups =
        plan.downcast_ref::<AggregateExec>().is_some_and(|aggregate| !aggregate.group_expr().expr().is_empty());
    let is_window = matches!(plan.name(), "BoundedWindowAggExec" | "WindowAggExec");
    let is_other_leaf = plan.downcast_ref::<GovernedExec>().is_none() && plan.children().is_empty();
    groups || is_window || is_other_leaf || plan.children().into_iter().any(|child| divides(child, most))
}

/// How many rows may be expected of a plan, whose joins are taken for joins by a key. `None`: nothing is known of one of its tables, or
/// it has a node that is not looked through.
pub(super) fn expected(plan: &Arc<dyn ExecutionPlan>) -> Option<ExpectedRows> {
    if let Some(leaf) = plan.downcast_ref::<GovernedExec>() {
        return leaf.expected();
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(joined(*join.join_type(), expected(join.left())?, expected(join.right())?));
    }
    if let Some(join) = plan.downcast_ref::<NullAwareAntiJoinExec>() {
        return expected(join.rows());
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let groups = aggregate.group_expr();
        let is_one = groups.expr().is_empty() && !groups.has_grouping_set();
        return if is_one { Some(ROW) } else { expected(aggregate.input()) };
    }
    if plan.downcast_ref::<PlaceholderRowExec>().is_some() || plan.downcast_ref::<EmptyExec>().is_some() {
        return Some(ROW);
    }
    if let Some(shared) = plan.downcast_ref::<SharedExec>() {
        return expected(shared.input());
    }
    let limit = plan.downcast_ref::<GlobalLimitExec>().and_then(GlobalLimitExec::fetch);
    let limit = limit.or_else(|| plan.downcast_ref::<SortExec>().and_then(ExecutionPlan::fetch));
    if let Some(limit) = limit {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let most = limit as f64;
        let input = plan.children().first().and_then(|input| expected(input));
        return input.map(|input| ExpectedRows { rows: input.rows.min(most), ..input });
    }
    let keeps_rows = plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<FilterExec>().is_some()
        || plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.downcast_ref::<SortExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some()
        || plan.downcast_ref::<GlobalLimitExec>().is_some()
        || plan.downcast_ref::<LocalLimitExec>().is_some()
        || plan.downcast_ref::<CooperativeExec>().is_some();
    if keeps_rows { plan.children().first().and_then(|input| expected(input)) } else { None }
}

const ROW: ExpectedRows = ExpectedRows { rows: 1.0, base: 1.0 };

/// How many rows may be expected of a join of a foreign key with the key of the smaller table, which has as many values as rows.
fn joined(kind: JoinType, left: ExpectedRows, right: ExpectedRows) -> ExpectedRows {
    let base = left.base.max(right.base);
    let inner = (left.rows * right.rows / left.base.min(right.base).max(1.0)).max(1.0);
    let rows = match kind {
        JoinType::Inner => inner,
        JoinType::Left => inner.max(left.rows),
        JoinType::Right => inner.max(right.rows),
        JoinType::Full => inner + left.rows + right.rows,
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.rows,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.rows,
    };
    ExpectedRows { rows, base }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reader, Shop, printed};
    use datafusion::common::NullEquality;
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::PhysicalExpr;

    const JOINED: &str = "SELECT v.id, r.name FROM visits v JOIN regions r ON r.id = v.region_id ORDER BY 1";

    fn modes(plan: &Arc<dyn ExecutionPlan>) -> Vec<PartitionMode> {
        let mut modes = Vec::new();
        plan.apply(|node| {
            modes.extend(node.downcast_ref::<HashJoinExec>().map(|join| *join.partition_mode()));
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        modes
    }

    fn planned(reader: &Reader, sql: &str) -> Vec<PartitionMode> {
        modes(&reader.planned_once(sql).unwrap())
    }

    #[test]
    fn a_small_side_is_collected() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let statements = [
            JOINED,
            "SELECT count(*) FROM visits v JOIN (SELECT region_id, count(*) FROM visits GROUP BY region_id) g USING (region_id)",
            "SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM visits v WHERE v.region_id = r.id) ORDER BY 1",
            "SELECT r.name FROM regions r WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.region_id = r.id) ORDER BY 1",
            "SELECT r.name, v.id FROM regions r LEFT JOIN visits v ON v.region_id = r.id ORDER BY 1, 2",
            "SELECT r.name, v.id FROM regions r FULL JOIN visits v ON v.region_id = r.id ORDER BY 1, 2",
        ];
        let without = reader.without(CollectSmallSide.name());
        for sql in statements {
            assert_eq!(planned(&reader, sql), [PartitionMode::CollectLeft], "{sql}");
            let divided = planned(&without, sql);
            assert_eq!(divided, [PartitionMode::Partitioned], "{sql}: DataFusion collects it by itself now");
            assert_eq!(reader.rows(sql).unwrap(), without.rows(sql).unwrap(), "{sql}");
        }
    }

    /// A join of both by their first columns.
    fn divided(left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let key = |plan: &Arc<dyn ExecutionPlan>| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(plan.schema().field(0).name(), 0))
        };
        let on = vec![(key(&left), key(&right))];
        let mode = PartitionMode::Partitioned;
        let equality = NullEquality::NullEqualsNothing;
        let join = HashJoinExec::try_new(left, right, on, None, &JoinType::Inner, None, mode, equality, false);
        Arc::new(join.unwrap())
    }

    /// Where rows are divided by hash below, and the join above may want them so, no stream of a join between them may be left unasked.
    #[test]
    fn a_side_between_two_divided_joins_is_not_collected() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let table = |sql: &str| reader.planned_once(sql).unwrap();
        let (few, many) = (|| table("SELECT id FROM regions"), || table("SELECT region_id FROM visits"));
        let mut config = ConfigOptions::new();
        config.optimizer.hash_join_single_partition_threshold_rows = 5;
        let after = |plan| modes(&CollectSmallSide.optimize(plan, &config).unwrap());
        use PartitionMode::{CollectLeft, Partitioned};
        assert_eq!(after(divided(few(), many())), [CollectLeft]);
        assert_eq!(after(divided(many(), divided(few(), many()))), [Partitioned, CollectLeft]);
        assert_eq!(after(divided(many(), divided(few(), divided(many(), many())))), [Partitioned; 3]);
        assert_eq!(
            after(divided(few(), divided(few(), divided(many(), many())))),
            [CollectLeft, CollectLeft, Partitioned]
        );
        assert_eq!(
            after(divided(divided(few(), divided(many(), many())), many())),
            [Partitioned, CollectLeft, Partitioned]
        );
    }

    /// What a statement gives, sorted. `None`: it stands still.
    fn rows_in_time(reader: &Reader, sql: &str, seconds: u64) -> Option<Vec<String>> {
        let (reader, plan) = (reader.without("yield_to_others"), reader.planned_once(sql).unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(reader.run(plan).unwrap()));
        receiver.recv_timeout(std::time::Duration::from_secs(seconds)).ok()
    }

    /// The dividing join has one row on its left side, so that all but one of the streams of its right side are dropped.
    #[test]
    fn no_stream_waits_for_one_that_was_dropped() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let groups = "(SELECT region_id AS k, count(*) AS n FROM visits GROUP BY region_id) g";
        let window = "(SELECT region_id AS k, count(*) OVER (PARTITION BY region_id) AS n FROM visits) g";
        let sql = |divided: &str, small: &str| {
            format!(
                "SELECT DISTINCT b.k, j.n > 0 FROM (SELECT unnest(ARRAY['emea']) AS k) b LEFT JOIN \
                 (SELECT g.k, g.n FROM {divided} JOIN {small} ON q.m = g.k) j ON b.k = j.k"
            )
        };
        let total = "(SELECT max(id) AS m FROM regions WHERE id < 'f') q";
        let others = [
            "(SELECT id AS m FROM regions ORDER BY id LIMIT 10) q",
            "(VALUES ('emea'), ('apac')) q(m)",
            "(SELECT id AS m FROM regions) q",
        ];
        for divided in [groups, window] {
            for small in [total].into_iter().chain(others) {
                let sql = sql(divided, small);
                let rows = rows_in_time(&reader, &sql, 20);
                assert_eq!(rows, Some(vec!["emea|true".to_owned()]), "{sql}");
            }
        }
    }

    /// Nor where NOT IN streams what is around its subquery.
    #[test]
    fn no_stream_waits_below_not_in() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let groups = "(SELECT region_id AS k, count(*) AS n FROM visits GROUP BY region_id) g";
        let joined = format!("{groups} JOIN (SELECT max(id) AS m FROM regions WHERE id < 'f') q ON q.m = g.k");
        let sql = format!(
            "SELECT DISTINCT b.k, j.n > 0 FROM (SELECT unnest(ARRAY['emea']) AS k) b LEFT JOIN \
             (SELECT g.k, g.n FROM {joined} WHERE g.n NOT IN (SELECT rank + 100 FROM regions)) j ON b.k = j.k"
        );
        let plan = crate::testing::printed(&reader.planned_once(&sql).unwrap());
        assert!(plan.contains("NullAwareAntiJoinExec"), "{plan}");
        assert_eq!(rows_in_time(&reader, &sql, 20), Some(vec!["emea|true".to_owned()]));
    }

    /// The plan of one who sees few rows is that of one who sees all of them.
    #[test]
    fn hidden_rows_do_not_decide() {
        let nodes = |login: &str, set: &str| {
            let plan = printed(&Shop::open().reader(login, set, 4).planned_once(JOINED).unwrap());
            let names = plan.lines().filter(|line| line.contains("HashJoinExec"));
            names.map(|line| line.trim().split(", on=").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(nodes("carl", "shop_clerk"), nodes("olga", "shop_owner"));
        assert_eq!(nodes("carl", "shop_clerk").len(), 1);
    }

    #[test]
    fn joins_by_a_key_give_as_many_rows_as_the_other_side_keeps() {
        let of = |rows, base| ExpectedRows { rows, base };
        let rows = |kind, left, right| joined(kind, left, right).rows;
        let (nation, supplier, lines) = (of(1.0, 25.0), of(10_000.0, 10_000.0), of(6e6, 6e6));
        assert_eq!(rows(JoinType::Inner, nation, supplier), 400.0);
        assert_eq!(rows(JoinType::Inner, joined(JoinType::Inner, nation, supplier), lines), 240_000.0);
        assert_eq!(rows(JoinType::Left, supplier, nation), 10_000.0);
        assert_eq!(rows(JoinType::Right, nation, supplier), 10_000.0);
        assert_eq!(rows(JoinType::Full, nation, supplier), 10_401.0);
        assert_eq!(rows(JoinType::LeftSemi, supplier, lines), 10_000.0);
        assert_eq!(rows(JoinType::RightAnti, supplier, lines), 6e6);
    }

    /// Nothing is collected of which nothing is known, or that is large.
    #[test]
    fn what_is_large_or_unknown_is_divided() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let divided = reader.without(CollectSmallSide.name()).planned_once(JOINED).unwrap();
        let mut config = ConfigOptions::new();
        config.optimizer.hash_join_single_partition_threshold_rows = 0;
        assert_eq!(
            modes(&CollectSmallSide.optimize(Arc::clone(&divided), &config).unwrap()),
            [PartitionMode::Partitioned]
        );
        let unnested = reader.planned_once("SELECT unnest(ARRAY['emea', 'apac']) AS id").unwrap();
        assert_eq!(expected(&unnested), None);
    }
}
