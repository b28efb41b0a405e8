//! The order of joins over tables of known sizes: what is read first stands first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod support;

use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::optimizer::{OptimizerContext, OptimizerRule as _};
use querygate_rules::estimate::{ColumnEstimate, Estimator, TableEstimate};
use querygate_rules::join_order::{JoinOrder, JoinSides};
use std::sync::Arc;
use support::{golden, statements};

/// TPC-H at scale 1; orders and lineitem lie in a source, where one is. `known`: distinct values of whole numbers too.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    known: bool,
    source: bool,
}

impl Estimator for Sizes {
    fn table(&self, scan: &TableScan) -> TableEstimate {
        let (rows, remote) = match scan.table_name.table() {
            "region" => (5.0, false),
            "nation" => (25.0, false),
            "supplier" => (10_000.0, false),
            "customer" => (150_000.0, false),
            "part" => (200_000.0, false),
            "partsupp" => (800_000.0, false),
            "orders" => (1_500_000.0, true),
            "lineitem" => (6_001_215.0, true),
            _ => return TableEstimate::default(),
        };
        let values = |name: &str| {
            let key = name.split_once('_').map_or(name, |(_, key)| key);
            let distinct = match key {
                "regionkey" => 5.0,
                "nationkey" => 25.0,
                "suppkey" => 10_000.0,
                "custkey" if remote => 99_996.0,
                "custkey" => 150_000.0,
                "partkey" => 200_000.0,
                "orderkey" => 1_500_000.0,
                _ => return ColumnEstimate::default(),
            };
            ColumnEstimate { distinct: Some(distinct).filter(|_| self.known), range: None }
        };
        let columns = scan.source.schema().fields().iter().map(|field| values(field.name())).collect();
        TableEstimate { rows: Some(rows), base: None, remote: remote && self.source, columns }
    }
}

async fn optimized(sql: &str, sizes: Sizes) -> LogicalPlan {
    let state = support::tables::context().state();
    let state = SessionStateBuilder::new_from_existing(state)
        .with_optimizer_rule(Arc::new(JoinOrder::new(Arc::new(sizes))))
        .with_optimizer_rule(Arc::new(JoinSides::new(Arc::new(sizes))))
        .build();
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.optimize(&plan).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Joins and tables as a nested list, in the order in which they are read.
fn shape(plan: &LogicalPlan) -> String {
    let inputs: Vec<String> = plan.inputs().into_iter().map(shape).collect();
    match plan {
        LogicalPlan::TableScan(scan) => scan.table_name.table().to_owned(),
        LogicalPlan::Join(join) => {
            format!("({} {} {})", inputs[0], join.join_type.to_string().to_lowercase(), inputs[1])
        }
        LogicalPlan::Aggregate(_) => format!("groups of {}", inputs.concat()),
        _ => inputs.join(" "),
    }
}

#[tokio::test]
async fn what_crosses_a_wire_is_told_the_keys_of_what_is_small() {
    let mut actual = String::new();
    for sql in statements("tpch.sql") {
        if !sql.contains("lineitem") && !sql.contains("orders") {
            continue;
        }
        let first = sql.lines().next().unwrap_or_default();
        for known in [true, false] {
            let plan = optimized(&sql, Sizes { known, source: true }).await;
            actual.push_str(&format!(
                "{first}\n  values {}: {}\n",
                if known { "counted" } else { "unknown" },
                shape(&plan)
            ));
        }
    }
    golden("join_order.txt", &actual);
}

#[tokio::test]
async fn what_is_small_is_read_first_where_nothing_crosses_a_wire() {
    let mut actual = String::new();
    for sql in statements("tpch.sql") {
        let first = sql.lines().next().unwrap_or_default();
        let plan = optimized(&sql, Sizes { known: false, source: false }).await;
        actual.push_str(&format!("{first}\n  {}\n", shape(&plan)));
    }
    golden("join_order_local.txt", &actual);
}

#[tokio::test]
async fn without_sizes_the_written_order_stays() {
    let sql = "select 1 from u join v on u.id = v.id join r on r.a = v.a join s on s.b = r.b";
    assert_eq!(shape(&optimized(sql, Sizes { known: true, source: true }).await), "(((u inner v) inner r) inner s)");
}

/// Rules run in rounds until a round changes nothing. Of orders that cost the same, another one may be found over joins that are in one.
#[tokio::test]
async fn an_order_that_was_found_is_not_built_again() {
    let mut again = Vec::new();
    for sql in statements("tpch.sql") {
        for source in [true, false] {
            let sizes = Sizes { known: true, source };
            let plan = optimized(&sql, sizes).await;
            if JoinOrder::new(Arc::new(sizes)).rewrite(plan, &OptimizerContext::new()).unwrap().transformed {
                again.push(sql.lines().next().unwrap_or_default().to_owned());
            }
        }
    }
    again.dedup();
    let several_orders = [
        "select nation, o_year, sum(amount) as sum_profit from (",
        "select s_name, count(*) as numwait from supplier, lineitem l1, orders, nation",
    ];
    assert_eq!(again, several_orders);
}

/// Suppliers lie in a source, and nothing else does.
#[derive(Debug)]
struct DistantSuppliers;

impl Estimator for DistantSuppliers {
    fn table(&self, scan: &TableScan) -> TableEstimate {
        let size = Sizes { known: true, source: false }.table(scan);
        TableEstimate { remote: scan.table_name.table() == "supplier", ..size }
    }
}

#[tokio::test]
async fn a_few_rows_that_cross_a_wire_are_collected_beside_more_than_keys_are_told_of() {
    for (sql, expected) in [
        (
            "SELECT ps_partkey FROM partsupp WHERE EXISTS (SELECT 1 FROM supplier WHERE s_suppkey = ps_suppkey)",
            "(supplier rightsemi partsupp)",
        ),
        (
            "SELECT ps_partkey FROM partsupp WHERE NOT EXISTS (SELECT 1 FROM supplier WHERE s_suppkey = ps_suppkey)",
            "(supplier rightanti partsupp)",
        ),
        (
            "SELECT ps_partkey, s_name FROM partsupp LEFT JOIN supplier ON s_suppkey = ps_suppkey",
            "(supplier right partsupp)",
        ),
        (
            "SELECT n_name FROM nation WHERE EXISTS (SELECT 1 FROM supplier WHERE s_nationkey = n_nationkey)",
            "(nation leftsemi supplier)",
        ),
    ] {
        let state = support::tables::context().state();
        let (order, sides) = (JoinOrder::new(Arc::new(DistantSuppliers)), JoinSides::new(Arc::new(DistantSuppliers)));
        let state = SessionStateBuilder::new_from_existing(state);
        let state = state.with_optimizer_rule(Arc::new(order)).with_optimizer_rule(Arc::new(sides)).build();
        let plan = state.create_logical_plan(sql).await.unwrap();
        assert_eq!(shape(&state.optimize(&plan).unwrap()), expected, "{sql}");
    }
}
