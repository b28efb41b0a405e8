//! Changes to a SQLite file: the shared suite, and what only SQLite has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

use arrow::array::RecordBatch;
use async_trait::async_trait;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::around::{DriverAround, TransactionAround, WriterAround};
use querygate_driver_api::testkit::changes;
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Applied, Begin, ChangeOp, ChangeSet, ChangeShape, NativeChange, TargetColumn, Transaction, TxMark, Writer,
};
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use querygate_types::{ErrorCode, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Row};
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

/// A database with a table for markers.
async fn marked() -> (TempDir, SqliteDriver) {
    let (folder, driver) = made(false).await;
    drop(driver);
    let path = folder.path().join("changes.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    connection
        .execute("CREATE TABLE querygate_commits (id TEXT NOT NULL PRIMARY KEY, fate TEXT NOT NULL)")
        .await
        .unwrap();
    connection.close().await.unwrap();
    (
        folder,
        SqliteDriver::new(SqliteOptions { readers: 2, writes: true, distributed: true, ..SqliteOptions::new(path) }),
    )
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let (_folder, driver) = marked().await;
    let report = changes::run(Arc::new(driver), &["main"], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 180, "only {} values were stored", report.stored);
}

/// Tables as others make them: dates without a fixed form, folded texts, numbers in columns that take anything.
const FOREIGN: &str = "
    CREATE TABLE loose (id TEXT COLLATE NOCASE PRIMARY KEY ON CONFLICT REPLACE, d DATETIME, m FLOAT, j JSON, n NUMERIC) WITHOUT ROWID;
    CREATE TABLE firm (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n < 10), t TEXT, UNIQUE (t)) STRICT;
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES firm(id), twice INTEGER AS (parent * 2) STORED);
    CREATE TRIGGER refused BEFORE INSERT ON firm WHEN NEW.t = 'forbidden' BEGIN SELECT RAISE(ABORT, 'secret forbidden'); END;
    INSERT INTO firm VALUES (1, 1, 'a'); INSERT INTO loose VALUES ('A', '2024-01-31', 1, '[]', 1);
";

async fn foreign() -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("foreign.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    connection.execute(FOREIGN).await.unwrap();
    connection.close().await.unwrap();
    (folder, SqliteDriver::new(SqliteOptions { writes: true, ..SqliteOptions::new(path) }))
}

async fn change(
    driver: &SqliteDriver,
    table: &str,
    op: ChangeOp,
    key: &str,
    assigned: &[(&str, ValueType)],
) -> NativeChange {
    let remote = driver.describe(&TableRef::new(["main", table]).unwrap()).await.unwrap();
    let target = |name: &str, wanted: Option<ValueType>| {
        let column = remote.columns.iter().find(|column| column.name.as_str() == name).unwrap();
        let value_type = wanted.or(column.value_type).unwrap();
        TargetColumn::new(column, value_type, driver.writable_as(column, value_type).unwrap())
    };
    let assigned = assigned.iter().map(|(name, wanted)| target(name, Some(*wanted))).collect();
    let shape =
        ChangeShape { table: remote.table.clone(), op, key: vec![target(key, None)], assigned, returning: Vec::new() };
    NativeChange::clone(&driver.render_change(&shape).unwrap())
}

fn set(change: &NativeChange, row: &[Value]) -> ChangeSet {
    let columns = row.iter().enumerate().map(|(at, value)| (format!("c{at}"), value.to_array().unwrap(), true));
    ChangeSet::new(&change.shape, RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap()
}

#[tokio::test]
async fn rules_of_the_source_are_told_by_their_kind_alone() {
    let (_folder, driver) = foreign().await;
    let context = ExecuteContext::default();
    let firm = [("n", ValueType::Int64), ("t", ValueType::Text)];
    let firm = change(&driver, "firm", ChangeOp::Insert, "id", &firm).await;
    let child = change(&driver, "child", ChangeOp::Insert, "id", &[("parent", ValueType::Int64)]).await;
    let twice = change(&driver, "child", ChangeOp::Insert, "id", &[("twice", ValueType::Int64)]).await;
    let loose = change(&driver, "loose", ChangeOp::Insert, "id", &[]).await;
    let int = Value::Int64;
    for (change, row, code) in [
        (&firm, vec![int(1), int(1), Value::text("b")], ErrorCode::UniqueViolation),
        (&firm, vec![int(2), int(1), Value::text("a")], ErrorCode::UniqueViolation),
        (&firm, vec![int(2), Value::Null(ValueType::Int64), Value::text("b")], ErrorCode::NotNullViolation),
        (&firm, vec![int(2), int(10), Value::text("b")], ErrorCode::CheckViolation),
        (&firm, vec![int(2), int(1), Value::text("forbidden")], ErrorCode::CheckViolation),
        (&child, vec![int(1), int(9)], ErrorCode::ForeignKeyViolation),
        (&twice, vec![int(1), int(9)], ErrorCode::GeneratedAlways),
        // The table's own words would replace the other row.
        (&loose, vec![Value::text("a")], ErrorCode::UniqueViolation),
    ] {
        let mut tx = driver.begin(Begin::default(), &context).await.unwrap();
        let error = tx.apply(change, &set(change, &row), &context).await.unwrap_err();
        assert_eq!(error.code(), code, "{row:?}: {error} {:?}", error.cause());
        for name in ["firm", "child", "twice", "secret", "forbidden", "loose"] {
            assert!(!format!("{error} {:?}", error.hint()).contains(name), "{error}");
        }
        tx.rollback().await;
    }
    // Another row, by the column's own collation.
    let delete = change(&driver, "loose", ChangeOp::Delete, "id", &[]).await;
    let mut tx = driver.begin(Begin::default(), &context).await.unwrap();
    let error = tx.apply(&delete, &set(&delete, &[Value::text("a")]), &context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SerializationFailure);
    tx.rollback().await;
}

#[tokio::test]
async fn loose_columns_keep_what_they_are_given_or_refuse_it() {
    let (folder, driver) = foreign().await;
    let context = ExecuteContext::default();
    let money = ValueType::Decimal128 { precision: 18, scale: 4 };
    let assigned = [("d", ValueType::Timestamp { utc: true }), ("m", money), ("j", ValueType::TextList)];
    let update = change(&driver, "loose", ChangeOp::Update, "id", &assigned).await;
    let decimal = |value| Value::Decimal128 { value, precision: 18, scale: 4 };
    let moment = Value::Timestamp { micros: 1_000_001, utc: true };
    let list = Value::TextList([Some("1".into()), None].into());
    let mut tx = driver.begin(Begin::default(), &context).await.unwrap();
    tx.savepoint(0).await.unwrap();
    let row = [Value::text("A"), moment.clone(), decimal(10_i128.pow(17) + 1), list.clone()];
    let inexact = tx.apply(&update, &set(&update, &row), &context).await.unwrap_err();
    assert_eq!(inexact.code(), ErrorCode::NumericOutOfRange);
    tx.rollback_to(0).await.unwrap();
    let row = [Value::text("A"), moment, decimal(12_345), list];
    tx.apply(&update, &set(&update, &row), &context).await.unwrap();
    tx.commit().await.unwrap();
    let path = folder.path().join("foreign.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let row = sqlx::query("SELECT d, m, j FROM loose").fetch_one(&mut connection).await.unwrap();
    let (d, m, j): (String, f64, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(
        (d.as_str(), m.to_string().as_str(), j.as_str()),
        ("1970-01-01T00:00:01.000001Z", "1.2345", "[\"1\",null]")
    );
    let remote = driver.describe(&TableRef::new(["main", "loose"]).unwrap()).await.unwrap();
    let number = remote.columns.iter().find(|column| column.name.as_str() == "n").unwrap();
    assert!(driver.writable_as(number, ValueType::Text).is_err(), "a text of digits would be a number there");
}

#[tokio::test]
async fn a_source_that_is_only_read_has_no_writer() {
    let (folder, _driver) = made(false).await;
    let driver = SqliteDriver::new(SqliteOptions::new(folder.path().join("changes.db")));
    assert!(driver.writer().is_none());
}

/// Something that a writer gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Leaves the last row of a set out, and counts it.
    LosesRow,
    /// Stores what was to be undone.
    KeepsUndone,
    /// Stores what was done after a savepoint.
    KeepsSavepoint,
    /// Does not hear a cancel or a deadline.
    IsDeaf,
    /// Says that a commit without an answer was one that failed.
    KnowsBetter,
}

#[derive(Debug)]
struct LyingDriver {
    inner: SqliteDriver,
    lie: Lie,
}

#[derive(Debug)]
struct LyingTransaction {
    inner: Transaction,
    lie: Lie,
}

impl DriverAround for LyingDriver {
    fn inner(&self) -> &dyn Driver {
        &self.inner
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl WriterAround for LyingDriver {
    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        let inner = self.inner.begin(begin, context).await?;
        Ok(Transaction::new(Box::new(LyingTransaction { inner, lie: self.lie })))
    }
}

#[async_trait]
impl TransactionAround for LyingTransaction {
    fn inner(&self) -> &Transaction {
        &self.inner
    }

    fn inner_mut(&mut self) -> &mut Transaction {
        &mut self.inner
    }

    fn into_inner(self: Box<Self>) -> Transaction {
        self.inner
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        let context = if self.lie == Lie::IsDeaf { ExecuteContext::default() } else { context.clone() };
        if self.lie != Lie::LosesRow || rows.len() < 2 || change.shape.assigned.is_empty() {
            return self.inner.apply(change, rows, &context).await;
        }
        let fewer = ChangeSet::new(&change.shape, rows.rows().slice(0, rows.len() - 1))?;
        let mut applied = self.inner.apply(change, &fewer, &context).await?;
        applied.count += 1;
        let last = applied.stored[0].slice(0, 1);
        applied.stored.push(last);
        Ok(applied)
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        if self.lie == Lie::KeepsSavepoint && !self.inner.has_failed() {
            return Ok(());
        }
        self.inner.rollback_to(id).await
    }

    fn mark(&self) -> Option<TxMark> {
        (self.lie == Lie::KnowsBetter).then(|| TxMark::new("1"))
    }

    async fn rollback(self: Box<Self>) {
        if self.lie == Lie::KeepsUndone {
            drop(self.inner.commit().await);
        } else {
            self.inner.rollback().await;
        }
    }
}

#[tokio::test]
async fn the_suite_notices_a_writer_that_lies() {
    for lie in [Lie::LosesRow, Lie::KeepsUndone, Lie::KeepsSavepoint, Lie::IsDeaf, Lie::KnowsBetter] {
        let (_folder, inner) = made(false).await;
        // A lie may also end the run, by what no case expects.
        let noticed = match changes::run(Arc::new(LyingDriver { inner, lie }), &["main"], LIMITS).await {
            Ok(report) => !report.failures.is_empty(),
            Err(_) => true,
        };
        assert!(noticed, "{lie:?}");
    }
}

/// A file as a writer leaves it that is killed in the middle of a change: its journal holds what is to be taken back.
async fn left(folder: &TempDir, name: &str) -> std::path::PathBuf {
    let path = folder.path().join("whole.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    // Pages of the change go to the file before its end.
    for sql in [
        "PRAGMA cache_size = 1",
        "CREATE TABLE IF NOT EXISTS t (id TEXT PRIMARY KEY NOT NULL, a TEXT)",
        "INSERT OR REPLACE INTO t VALUES ('k', 'before')",
        "BEGIN IMMEDIATE",
        "UPDATE t SET a = 'after'",
        "INSERT INTO t SELECT hex(randomblob(8)), hex(randomblob(300)) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n)",
    ] {
        connection.execute(sql).await.unwrap();
    }
    let copy = folder.path().join(name);
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(folder.path().join("whole.db-journal"), folder.path().join(format!("{name}-journal"))).unwrap();
    connection.execute("ROLLBACK").await.unwrap();
    connection.close().await.unwrap();
    copy
}

#[tokio::test]
async fn a_file_that_a_killed_writer_left_is_made_whole_by_one_that_writes() {
    let folder = TempDir::new().unwrap();
    let path = left(&folder, "read.db").await;
    let reads = SqliteDriver::new(SqliteOptions::new(&path));
    for _ in 0..2 {
        assert_eq!(reads.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    }
    let writes = SqliteDriver::new(SqliteOptions { writes: true, ..SqliteOptions::new(&path) });
    let tables = writes.tables().await.unwrap();
    assert_eq!(writes.describe(&tables[0]).await.unwrap().primary_key.len(), 1);
    // Whoever was kept out before reads now, and nothing of the change is there.
    reads.health().await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let rows = connection.fetch_all("SELECT a FROM t").await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>(), ["before"]);
    connection.close().await.unwrap();
}

/// The writer of another program is killed while connections of the driver are open.
#[tokio::test]
async fn open_connections_read_again_after_another_writer_was_killed() {
    let folder = TempDir::new().unwrap();
    let path = left(&folder, "shared.db").await;
    let journal = folder.path().join("shared.db-journal");
    let kept = std::fs::read(&journal).unwrap();
    let driver = SqliteDriver::new(SqliteOptions { writes: true, ..SqliteOptions::new(&path) });
    driver.health().await.unwrap();
    assert!(!journal.exists(), "the change was taken back");
    std::fs::write(&journal, kept).unwrap();
    // The connection that is open meets it, and the next one has it taken back.
    let first = driver.health().await.map_err(|error| error.code());
    assert!(matches!(first, Ok(()) | Err(ErrorCode::SourceUnavailable)), "{first:?}");
    driver.health().await.unwrap();
    assert!(!journal.exists());
}
