//! Changes to a SQLite file: the shared suite, and what only SQLite has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::changes;
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use std::sync::Arc;
use tempfile::TempDir;

const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };

async fn made(fixed_text: bool) -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("changes.db");
    let mut writer = SqliteWriter::open(&path).await.unwrap();
    let table = tables(LIMITS).into_iter().find(|table| table.name == "empty").unwrap();
    let column = |(name, value_type): &(&str, _)| ColumnSpec {
        name: (*name).to_owned(),
        value_type: *value_type,
        nullable: *name != "id",
    };
    let spec = TableSpec {
        name: table.name.to_owned(),
        columns: table.columns.iter().map(column).collect(),
        primary_key: vec!["id".to_owned()],
        indexes: Vec::new(),
    };
    writer.create_table(&spec).await.unwrap();
    writer.close().await.unwrap();
    let options = SqliteOptions { readers: 2, fixed_text, writes: true, ..SqliteOptions::new(path) };
    (folder, SqliteDriver::new(options))
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let (_folder, driver) = made(false).await;
    let report = changes::run(Arc::new(driver), &["main"], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 180, "only {} values were stored", report.stored);
}

#[tokio::test]
async fn a_source_that_is_only_read_has_no_writer() {
    let (folder, _driver) = made(false).await;
    let driver = SqliteDriver::new(SqliteOptions::new(folder.path().join("changes.db")));
    assert!(driver.writer().is_none());
}
