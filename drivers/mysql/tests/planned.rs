//! Statements that run with a setting of MariaDB's planner, on one connection that other statements use after them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{ids, options, output, scan};
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, BatchStream, ExecuteContext};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_types::{ErrorCode, PlannerSetting, Result};
use std::time::{Duration, Instant};

const TABLES: &str = "CREATE DATABASE shop; USE shop;
    CREATE TABLE orders (id BIGINT PRIMARY KEY, code INT NOT NULL); CREATE TABLE items (id BIGINT PRIMARY KEY, code INT NOT NULL);
    INSERT INTO orders SELECT seq, seq * 7 FROM seq_1_to_4000; INSERT INTO items SELECT seq, seq * 5 FROM seq_1_to_4000;
    CREATE FUNCTION told() RETURNS VARCHAR(2000) CHARSET utf8mb4 READS SQL DATA RETURN CONCAT(@@join_cache_level, ' ', @@optimizer_switch);
    CREATE VIEW told AS SELECT told() AS told;
    CREATE VIEW session AS SELECT CAST(CONNECTION_ID() AS SIGNED) AS id;
    GRANT EXECUTE ON shop.* TO 'gate'@'127.0.0.1'; ANALYZE TABLE orders, items;";

async fn planned(driver: &MysqlDriver, read: &Fragment, setting: Option<PlannerSetting>) -> Result<BatchStream> {
    let context = ExecuteContext { setting, ..ExecuteContext::default() };
    driver.run(&driver.render(read).unwrap(), &[], Ask::Batches(context)).await?.batches()
}

async fn read(driver: &MysqlDriver, read: &Fragment, setting: Option<PlannerSetting>) -> Vec<Vec<Value>> {
    let batches: Vec<_> = planned(driver, read, setting).await.unwrap().try_collect().await.unwrap();
    values_of(&batches).unwrap()
}

async fn whole(driver: &MysqlDriver, name: &str, value_type: ValueType) -> Fragment {
    Fragment { relation: scan(driver, name, 0).await, output: vec![output(0, value_type)], parameters: vec![] }
}

/// Level of join buffers, and whether semi-joins are considered.
async fn told(driver: &MysqlDriver, setting: Option<PlannerSetting>) -> (String, bool) {
    let rows = read(driver, &whole(driver, "told", ValueType::Text).await, setting).await;
    let Value::Text(text) = &rows[0][0] else { panic!("{rows:?}") };
    let (level, switches) = text.split_once(' ').unwrap();
    assert!(switches.contains("subquery_cache=off"), "{switches}");
    (level.to_owned(), switches.split(',').any(|switch| switch == "semijoin=on"))
}

/// `SELECT o.id FROM orders o JOIN items i ON i.code = o.code`.
async fn joined(driver: &MysqlDriver) -> Fragment {
    let (left, right) = (Box::new(scan(driver, "orders", 0).await), Box::new(scan(driver, "items", 10).await));
    let on = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(1)), ScalarExpr::Column(ColumnId(11)));
    let relation = Relation::Join { kind: JoinKind::Inner, left, right, on };
    Fragment { relation, output: vec![output(0, ValueType::Int64)], parameters: vec![] }
}

#[tokio::test]
async fn a_setting_is_for_one_statement_whatever_becomes_of_it() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = MysqlDriver::new(&MysqlOptions { connections: 1, ..options(&server, "shop") });
    assert!(driver.planner_settings().is_empty(), "whose server it is is not known before it has answered");
    let usual = told(&driver, None).await;
    assert_eq!(usual, ("2".to_owned(), true));
    let join = joined(&driver).await;
    for (setting, expected) in
        [(PlannerSetting::HashJoins, ("3".to_owned(), true)), (PlannerSetting::NoSemiJoins, ("2".to_owned(), false))]
    {
        assert!(driver.planner_settings().contains(&setting));
        assert_eq!(told(&driver, Some(setting)).await, expected);
        assert_eq!(told(&driver, None).await, usual, "after {setting}");
        let session = whole(&driver, "session", ValueType::Int64).await;
        let id = read(&driver, &session, None).await;
        assert_eq!(read(&driver, &session, Some(setting)).await, id);
        let mut left = planned(&driver, &join, Some(setting)).await.unwrap();
        left.next().await.unwrap().unwrap();
        drop(left);
        assert_eq!(told(&driver, None).await, usual, "after {setting} was left");
    }
    for setting in [PlannerSetting::NoNestedLoops, PlannerSetting::SentOrder] {
        let refused = planned(&driver, &join, Some(setting)).await.err().unwrap();
        assert_eq!(refused.code(), ErrorCode::FeatureNotSupported);
    }
}

#[tokio::test]
async fn hash_joins_give_the_same_rows_sooner() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = MysqlDriver::new(&options(&server, "shop"));
    let join = joined(&driver).await;
    let mut best = [Duration::MAX; 2];
    for _ in 0..3 {
        for (place, setting) in [None, Some(PlannerSetting::HashJoins)].into_iter().enumerate() {
            let began = Instant::now();
            let found = ids(&read(&driver, &join, setting).await);
            best[place] = best[place].min(began.elapsed());
            let expected: Vec<i64> = (1..=4_000).filter(|id| id % 5 == 0 && id * 7 / 5 <= 4_000).collect();
            assert_eq!(found, expected, "{setting:?}");
        }
    }
    assert!(best[1] < best[0] / 2, "{best:?}");
}
