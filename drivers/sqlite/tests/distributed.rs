//! Parts of transactions of several sources that leave a marker in a SQLite database: what its table must be, and who else has the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, Fate, GateId, GlobalId, Transaction, Writer};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::ErrorCode;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const MARKERS: &str = "CREATE TABLE querygate_commits (id TEXT NOT NULL PRIMARY KEY, fate TEXT NOT NULL)";

const fn part(number: u64) -> GlobalId {
    GlobalId::new(GateId::new(0x5_0001), number, 1)
}

fn context() -> ExecuteContext {
    ExecuteContext::default()
}

async fn sql(path: &Path, text: &str) -> i64 {
    let mut connection = SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap();
    let row = connection.fetch_optional(AssertSqlSafe(text.to_owned())).await.unwrap();
    let number = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
    connection.close().await.unwrap();
    number
}

fn driver(path: &Path) -> SqliteDriver {
    let busy_timeout = Duration::from_millis(300);
    SqliteDriver::new(SqliteOptions { busy_timeout, writes: true, distributed: true, ..SqliteOptions::new(path) })
}

async fn made(markers: &str) -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("marked.db");
    sql(&path, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)").await;
    if !markers.is_empty() {
        sql(&path, markers).await;
    }
    let driver = driver(&path);
    (folder, driver)
}

async fn inserted(driver: &SqliteDriver, row: i64) -> Transaction {
    let mut tx = driver.begin(Begin::default(), &context()).await.unwrap();
    let table = TableRef::new(["main", "t"]).unwrap();
    insert_row(driver, &mut tx, &table, &[("id", Value::Int64(row)), ("n", Value::Int64(0))]).await.unwrap();
    tx
}

/// Two rows of one id would be two decisions.
#[tokio::test]
async fn a_table_that_admits_an_id_twice_takes_no_markers() {
    for markers in [
        "",
        "CREATE TABLE querygate_commits (id TEXT, fate TEXT)",
        "CREATE TABLE querygate_commits (id TEXT PRIMARY KEY)",
        "CREATE TABLE querygate_commits (id TEXT, fate TEXT, UNIQUE (id, fate))",
        "CREATE VIEW querygate_commits AS SELECT 'a' AS id, 'b' AS fate",
    ] {
        let (folder, driver) = made(markers).await;
        let obstacles = driver.distributed_obstacles().await.unwrap();
        assert!(obstacles.len() == 1 && obstacles[0].contains("querygate_commits"), "{markers}: {obstacles:?}");
        let mut tx = inserted(&driver, 1).await;
        let error = tx.write_marker(&part(1)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{markers}: {error} {:?}", error.cause());
        tx.rollback().await;
        let error = driver.marker_fate(&part(1), &context()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{markers}: {error}");
        assert_eq!(sql(&folder.path().join("marked.db"), "SELECT count(*) FROM t").await, 0);
    }
}

#[tokio::test]
async fn a_table_in_any_form_that_keeps_ids_apart_takes_them() {
    for markers in [
        MARKERS,
        // What the table says of a second row does not hold for markers.
        "CREATE TABLE querygate_commits (id TEXT PRIMARY KEY ON CONFLICT REPLACE, fate TEXT)",
        "CREATE TABLE querygate_commits (id TEXT PRIMARY KEY ON CONFLICT IGNORE, fate TEXT) WITHOUT ROWID",
        "CREATE TABLE querygate_commits (made TEXT, fate TEXT, id TEXT UNIQUE) STRICT",
    ] {
        let (_folder, driver) = made(markers).await;
        assert_eq!(driver.distributed_obstacles().await.unwrap(), Vec::<String>::new(), "{markers}");
        let mut tx = inserted(&driver, 1).await;
        tx.write_marker(&part(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(driver.marker_fate(&part(1), &context()).await.unwrap(), Fate::Committed, "{markers}");
        assert_eq!(driver.marker_fate(&part(2), &context()).await.unwrap(), Fate::RolledBack, "{markers}");
        for number in [1, 2] {
            let mut tx = inserted(&driver, 2).await;
            let error = tx.write_marker(&part(number)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::SerializationFailure, "{markers}: {error}");
            // What was done before can still be seen to be there, and goes.
            tx.rollback().await;
        }
        assert_eq!(driver.marker_fate(&part(1), &context()).await.unwrap(), Fate::Committed, "{markers}");
        assert_eq!(driver.marker_fate(&part(2), &context()).await.unwrap(), Fate::RolledBack, "{markers}");
    }
}

/// Another process, as the one that began it may still be, has the file too.
#[tokio::test]
async fn whoever_asks_waits_for_the_writer_of_another_process() {
    let (folder, driver) = made(MARKERS).await;
    let other = self::driver(&folder.path().join("marked.db"));
    let mut tx = inserted(&other, 1).await;
    tx.write_marker(&part(1)).await.unwrap();
    let early = driver.marker_fate(&part(1), &context()).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::LockNotAvailable, "{early}");
    tx.commit().await.unwrap();
    assert_eq!(driver.marker_fate(&part(1), &context()).await.unwrap(), Fate::Committed);
    let tx = inserted(&other, 2).await;
    drop(tx);
    assert_eq!(driver.marker_fate(&part(2), &context()).await.unwrap(), Fate::RolledBack);
    let mut late = inserted(&other, 2).await;
    assert_eq!(late.write_marker(&part(2)).await.unwrap_err().code(), ErrorCode::SerializationFailure);
    late.rollback().await;
    driver.forget_marker(&part(1), &context()).await.unwrap();
    let path = folder.path().join("marked.db");
    assert_eq!(sql(&path, "SELECT count(*) FROM querygate_commits").await, 1);
}
