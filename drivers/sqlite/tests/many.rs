//! Databases with thousands of tables: describing one takes no longer for the others, and a schema that changes is seen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Collation;
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::ErrorCode;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::time::{Duration, Instant};
use tempfile::TempDir;

async fn database(tables: usize) -> (TempDir, SqliteConnection, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("many.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    let mut script = String::from("BEGIN;");
    for n in 0..tables {
        script.push_str(&format!(
            "CREATE TABLE t{n} (id TEXT PRIMARY KEY NOT NULL, n INTEGER, ref TEXT REFERENCES t{}(id));",
            n / 2
        ));
    }
    script.push_str("INSERT INTO t0 VALUES ('a', 1, NULL); COMMIT; ANALYZE;");
    connection.execute(AssertSqlSafe(script)).await.unwrap();
    (folder, connection, SqliteDriver::new(SqliteOptions { readers: 1, ..SqliteOptions::new(path) }))
}

fn table(name: &str) -> TableRef {
    TableRef::new(["main", name]).unwrap()
}

/// The shortest of some times that it takes to describe some tables.
async fn described(driver: &SqliteDriver, tables: usize) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..7 {
        let began = Instant::now();
        for n in 0..tables {
            let remote = driver.describe(&table(&format!("t{n}"))).await.unwrap();
            assert_eq!((remote.columns.len(), remote.foreign_keys.len()), (3, 1));
        }
        shortest = shortest.min(began.elapsed());
    }
    shortest
}

#[tokio::test]
async fn a_table_among_thousands_is_described_as_fast_as_one_of_few() {
    const ASKED: usize = 150;
    let (_few, _, driver) = database(ASKED).await;
    let few = described(&driver, ASKED).await;
    let (_many, _, driver) = database(ASKED * 30).await;
    let many = described(&driver, ASKED).await;
    println!("{ASKED} tables described: {few:?} of {ASKED}, {many:?} of {}", ASKED * 30);
    assert!(many < few * 6, "{few:?} of {ASKED}, {many:?} of {}", ASKED * 30);
    assert_eq!(driver.tables().await.unwrap().len(), ASKED * 30);
}

#[tokio::test]
async fn what_changes_while_a_connection_is_open_is_seen() {
    let (_folder, mut connection, driver) = database(3).await;
    let t1 = table("t1");
    assert_eq!(driver.describe(&t1).await.unwrap().columns.len(), 3);
    assert_eq!(driver.describe(&table("t9")).await.unwrap_err().code(), ErrorCode::UndefinedTable);
    connection.execute("CREATE TABLE t9 (id INTEGER PRIMARY KEY); ALTER TABLE t1 ADD COLUMN more TEXT").await.unwrap();
    assert_eq!(driver.describe(&t1).await.unwrap().columns.len(), 4);
    assert_eq!(driver.describe(&table("t9")).await.unwrap().columns.len(), 1);
    // The same name and place, another definition.
    let again = "DROP TABLE t9; CREATE TABLE t9 (id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE)";
    connection.execute(again).await.unwrap();
    let columns = driver.describe(&table("t9")).await.unwrap().columns;
    assert!(columns.len() == 2 && columns.iter().all(|column| column.collation != Collation::Binary), "{columns:?}");
    connection.execute("DROP TABLE t1").await.unwrap();
    assert_eq!(driver.describe(&t1).await.unwrap_err().code(), ErrorCode::UndefinedTable);
}

#[tokio::test]
async fn statistics_are_those_of_the_last_analyze() {
    let (_folder, mut connection, driver) = database(3).await;
    let rows = async || driver.describe(&table("t0")).await.unwrap().row_estimate;
    assert_eq!(rows().await, Some(1));
    connection.execute("INSERT INTO t0 VALUES ('b', 2, NULL), ('c', 3, NULL); ANALYZE").await.unwrap();
    assert_eq!(rows().await, Some(3));
    assert_eq!(driver.statistics(&table("t0")).await.unwrap().rows, Some(3));
}
