//! The shared conformance suite over a SQLite file that the writer made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_driver_api::testkit::{lifecycle, suite};
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use tempfile::TempDir;

const LIMITS: Limits = Limits { timestamp_step: 1_000, nan: false };

async fn loaded() -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("suite.db");
    let mut writer = SqliteWriter::open(&path).await.unwrap();
    for table in tables(LIMITS) {
        let column = |(name, value_type): &(&str, _)| ColumnSpec {
            name: (*name).to_owned(),
            value_type: *value_type,
            nullable: *name != "id",
        };
        let spec = TableSpec {
            name: table.name.to_owned(),
            columns: table.columns.iter().map(column).collect(),
            primary_key: vec!["id".to_owned()],
            indexes: if table.name == "nasty" {
                vec![vec!["words".to_owned()], vec!["instant".to_owned()]]
            } else {
                vec![]
            },
        };
        writer.create_table(&spec).await.unwrap();
        if !table.rows.is_empty() {
            let rows = writer.insert(&spec, [table.batch()]).await.unwrap();
            assert_eq!(usize::try_from(rows).unwrap(), table.rows.len());
        }
    }
    writer.close().await.unwrap();
    (folder, SqliteDriver::new(SqliteOptions { readers: 2, ..SqliteOptions::new(path) }))
}

#[tokio::test]
async fn every_pushed_fragment_equals_the_reference() {
    let (_folder, driver) = loaded().await;
    let report = suite::run(&driver, &["main"], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!(
        "equal {}, refused {refused}, overflowed {}, failed {}",
        report.equal,
        report.overflowed,
        report.failures.len()
    );
    for (text, count) in &report.refused {
        eprintln!("  refused {count}: {text}");
    }
    for failure in report.failures.iter().take(25) {
        eprintln!("FAILED {failure}");
    }
    assert!(report.failures.is_empty());
    assert!(report.equal > 4_000, "only {} fragments were pushed", report.equal);
}

#[tokio::test]
async fn executions_end_as_they_should() {
    let (_folder, driver) = loaded().await;
    assert_eq!(lifecycle::run(&driver, &["main"]).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.kind(), "sqlite");
}
