//! Statements that run with a setting of the planner, on one connection that other statements use after them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::query::{filter, fragment, integers, rows, scan};
use common::server;
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, BatchStream, ExecuteContext};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::scalar::ComparisonOp;
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_types::{ErrorCode, PlannerSetting, Result};
use std::time::Duration;

const VIEWS: &str = "
    CREATE VIEW told AS SELECT concat_ws(' ', current_setting('enable_nestloop'), current_setting('enable_hashjoin'),
      current_setting('enable_mergejoin'), current_setting('enable_indexscan'), current_setting('enable_indexonlyscan'),
      current_setting('join_collapse_limit'), current_setting('from_collapse_limit'), current_setting('plan_cache_mode'),
      current_setting('transaction_read_only')) AS told;
    CREATE VIEW backend AS SELECT pg_backend_pid() AS pid;
    CREATE VIEW kept AS SELECT count(*) AS kept FROM pg_prepared_statements WHERE statement LIKE '%\"told\"%';
    CREATE VIEW broken AS SELECT 1 / (n - 3) AS n FROM generate_series(1, 5) AS n;
    CREATE VIEW long AS SELECT n FROM generate_series(1, 20000000) AS n";
const USUAL: &str = "on on on on on 8 8 auto on";

async fn planned(driver: &PostgresDriver, read: &Fragment, setting: Option<PlannerSetting>) -> Result<BatchStream> {
    let context = ExecuteContext { setting, ..ExecuteContext::default() };
    driver.run(&driver.render(read).unwrap(), &[], Ask::Batches(context)).await?.batches()
}

/// What the planner of a statement was told.
async fn told(driver: &PostgresDriver, setting: Option<PlannerSetting>) -> String {
    let read = fragment(scan(driver, "told").await, &[(0, ValueType::Text)], &[]);
    let batches: Vec<_> = planned(driver, &read, setting).await.unwrap().try_collect().await.unwrap();
    match &values_of(&batches).unwrap()[0][0] {
        Value::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn number(driver: &PostgresDriver, view: &str, value_type: ValueType) -> i64 {
    let relation = scan(driver, view).await;
    integers(&rows(driver, relation, &[(0, value_type)], &[]).await.unwrap())[0]
}

#[tokio::test]
async fn a_setting_is_for_one_statement_whatever_becomes_of_it() {
    let Some(server) = server() else { return };
    let admin = server.database("planned", "").await;
    admin.batch_execute(VIEWS).await.unwrap();
    let driver = PostgresDriver::new(&PostgresOptions { pool_size: 1, ..server.options("planned") }).unwrap();
    assert_eq!(told(&driver, None).await, USUAL);
    for (setting, expected) in [
        (PlannerSetting::CustomPlans, "on on on on on 8 8 force_custom_plan on"),
        (PlannerSetting::HashJoins, "off on off on on 8 8 force_custom_plan on"),
        (PlannerSetting::NoMergeJoins, "on on off on on 8 8 force_custom_plan on"),
        (PlannerSetting::NoNestedLoops, "off on on on on 8 8 force_custom_plan on"),
        (PlannerSetting::SentOrder, "on on on on on 1 1 force_custom_plan on"),
        (PlannerSetting::NoIndexScans, "on on on off off 8 8 force_custom_plan on"),
        (PlannerSetting::NoHashJoins, "on off on on on 8 8 force_custom_plan on"),
    ] {
        assert!(driver.planner_settings().contains(&setting));
        assert_eq!(told(&driver, Some(setting)).await, expected);
        assert_eq!(told(&driver, None).await, USUAL, "after {setting}");

        // One that a reader left may have been closed.
        let pid = number(&driver, "backend", ValueType::Int32).await;
        let broken = fragment(scan(&driver, "broken").await, &[(0, ValueType::Int32)], &[]);
        let failed = planned(&driver, &broken, Some(setting)).await.unwrap().try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(failed.code(), ErrorCode::DivisionByZero);
        assert_eq!(told(&driver, None).await, USUAL, "after an error with {setting}");
        assert_eq!(number(&driver, "backend", ValueType::Int32).await, pid, "the connection was not given up");

        let long = fragment(scan(&driver, "long").await, &[(0, ValueType::Int32)], &[]);
        let mut batches = planned(&driver, &long, Some(setting)).await.unwrap();
        batches.next().await.unwrap().unwrap();
        drop(batches);
        assert_eq!(told(&driver, None).await, USUAL, "after {setting} was left");
    }
    let read = fragment(scan(&driver, "told").await, &[(0, ValueType::Text)], &[]);
    let refused = planned(&driver, &read, Some(PlannerSetting::NoSemiJoins)).await.err().unwrap();
    assert_eq!(refused.code(), ErrorCode::FeatureNotSupported);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'planned' AND application_name = 'querygate' AND state <> 'idle'";
    let mut tries = 0;
    while admin.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tries += 1;
        assert!(tries < 100, "a transaction is left open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The server keeps one plan for all runs of a prepared statement, if it likes it.
#[tokio::test]
async fn a_plan_that_was_made_under_a_setting_is_kept_apart() {
    let Some(server) = server() else { return };
    server.database("apart", "").await.batch_execute(VIEWS).await.unwrap();
    let driver = PostgresDriver::new(&PostgresOptions { pool_size: 1, ..server.options("apart") }).unwrap();
    for (setting, kept) in [
        (Some(PlannerSetting::NoHashJoins), 1),
        (None, 2),
        (Some(PlannerSetting::NoHashJoins), 2),
        (Some(PlannerSetting::NoNestedLoops), 3),
        (None, 3),
    ] {
        told(&driver, setting).await;
        assert_eq!(number(&driver, "kept", ValueType::Int64).await, kept, "{setting:?}");
    }
}

/// A server goes over to a plan for any values after some runs, which can be much slower, and of which earlier runs tell nothing.
#[tokio::test]
async fn each_run_is_planned_for_its_values() {
    let Some(server) = server() else { return };
    let tables = "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 100) AS n;
        CREATE VIEW kept_plans AS SELECT coalesce(sum(generic_plans), 0)::int AS kept FROM pg_prepared_statements
          WHERE statement LIKE '%\"numbers\"%';
        CREATE VIEW custom_plans AS SELECT coalesce(sum(custom_plans), 0)::int AS made FROM pg_prepared_statements
          WHERE statement LIKE '%\"numbers\"%'";
    server.database("custom", "").await.batch_execute(tables).await.unwrap();
    let driver = PostgresDriver::new(&PostgresOptions { pool_size: 1, ..server.options("custom") }).unwrap();
    let found = filter(scan(&driver, "numbers").await, ComparisonOp::Eq, 0, ValueType::Int32);
    let statement = driver.render(&fragment(found, &[(0, ValueType::Int32)], &[Value::Int32(0)])).unwrap();
    for setting in [None, Some(PlannerSetting::CustomPlans), Some(PlannerSetting::NoHashJoins)] {
        for n in 1..=8 {
            let (values, context) = ([Value::Int32(n)], ExecuteContext { setting, ..ExecuteContext::default() });
            let batches = driver.run(&statement, &values, Ask::Batches(context)).await.unwrap().batches();
            let batches: Vec<_> = batches.unwrap().try_collect().await.unwrap();
            assert_eq!(integers(&values_of(&batches).unwrap()), [i64::from(n)]);
        }
        assert_eq!(number(&driver, "kept_plans", ValueType::Int32).await, 0, "{setting:?}");
        assert!(number(&driver, "custom_plans", ValueType::Int32).await >= 3, "{setting:?}");
    }
}
