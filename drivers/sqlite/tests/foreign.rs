//! Databases that somebody else made: loose types, other collations, odd values, barriers, a source that is not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::fault::{Fault, FaultyDriver};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::{Error, ErrorCode};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TABLES: &str = "
    CREATE TABLE loose (id INTEGER PRIMARY KEY, n INT, t TEXT COLLATE NOCASE, d DATE, m DECIMAL(10,2), f BOOLEAN, x);
    INSERT INTO loose VALUES
        (1, 5, 'a', '2024-01-31', 1.005, 1, 1), (2, 'abc', 'A', '2024-01-31T10:00:00Z', '2.50', 0, 'x'),
        (3, NULL, 'a ', NULL, 3, NULL, NULL), (4, 7, 'B', '31.1.2024', 0.1, 5, x'00');
    CREATE TABLE firm (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, t TEXT) STRICT;
    INSERT INTO firm VALUES (1, 10, 'x'), (2, -9223372036854775808, 'hidden'), (3, 30, 'x');
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES firm(id), UNIQUE (parent, id));
    CREATE INDEX by_t ON firm (t);
    CREATE VIEW seen AS SELECT id, t FROM firm WHERE t = 'x';
    CREATE VIEW loosely AS SELECT id, n, t FROM loose;
    CREATE VIRTUAL TABLE words USING fts5(body);
    CREATE TABLE bytes (id INTEGER PRIMARY KEY, t TEXT);
    INSERT INTO bytes VALUES (1, CAST(x'61ff' AS TEXT)), (2, 'a' || char(0) || 'b');
    ANALYZE;
";

async fn opened() -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("foreign.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    connection.execute(TABLES).await.unwrap();
    connection.close().await.unwrap();
    (folder, SqliteDriver::new(SqliteOptions::new(path)))
}

fn table(name: &str) -> TableRef {
    TableRef::new(["main", name]).unwrap()
}

/// All readable columns, ids from 0 in order of declaration.
async fn scan(driver: &SqliteDriver, name: &str) -> Relation {
    let remote = driver.describe(&table(name)).await.unwrap();
    let columns = remote.columns.iter().zip(0..).filter_map(|(column, id)| {
        Some(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type?,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    });
    Relation::Scan { table: remote.table, columns: columns.collect() }
}

fn output(id: u32, value_type: ValueType) -> OutputColumn {
    OutputColumn { id: ColumnId(id), name: format!("c{id}"), value_type, nullable: true }
}

async fn rows(
    driver: &dyn Driver,
    relation: Relation,
    output: Vec<OutputColumn>,
    values: &[Value],
) -> Result<Vec<Vec<Value>>, Error> {
    let fragment = Fragment { relation, output, parameters: values.iter().map(Value::value_type).collect() };
    let statement = driver.render(&fragment).unwrap();
    let batches: Vec<_> =
        driver.run(&statement, values, Ask::Batches(ExecuteContext::default())).await?.batches()?.try_collect().await?;
    values_of(&batches)
}

fn filter(input: Relation, op: ComparisonOp, id: u32, value_type: ValueType) -> Relation {
    let predicate = ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(id)), ScalarExpr::Parameter(0, value_type));
    Relation::Filter { input: Box::new(input), predicate }
}

fn ids(rows: &[Vec<Value>]) -> Vec<i64> {
    rows.iter().filter_map(|row| if let Value::Int64(id) = row[0] { Some(id) } else { None }).collect()
}

#[tokio::test]
async fn tables_are_listed_and_described() {
    let (_folder, driver) = opened().await;
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names, ["bytes", "child", "firm", "loose", "loosely", "seen"]);
    let loose = driver.describe(&table("loose")).await.unwrap();
    let types: Vec<_> = loose.columns.iter().map(|column| (column.value_type, column.encoding)).collect();
    let money = ValueType::Decimal128 { precision: 10, scale: 2 };
    assert_eq!(
        types,
        [
            (Some(ValueType::Int64), Encoding::Canonical),
            (Some(ValueType::Int64), Encoding::Canonical),
            (Some(ValueType::Text), Encoding::Canonical),
            (Some(ValueType::Date), Encoding::Text),
            (Some(money), Encoding::Double),
            (Some(ValueType::Boolean), Encoding::Canonical),
            (None, Encoding::Canonical),
        ]
    );
    assert!(matches!(loose.columns[2].collation, Collation::Named(_)));
    assert_eq!((loose.row_estimate, loose.primary_key[0].as_str()), (Some(4), "id"));
    let child = driver.describe(&table("child")).await.unwrap();
    assert_eq!(child.foreign_keys[0].references, table("firm"));
    assert_eq!(child.unique[0].len(), 2);
    let firm = driver.describe(&table("firm")).await.unwrap();
    let split = firm.split.unwrap();
    assert_eq!((split.least, split.greatest), (1, 3));
    assert_eq!(driver.statistics(&table("firm")).await.unwrap().rows, Some(3));
    assert_eq!(driver.describe(&table("absent")).await.unwrap_err().code(), ErrorCode::UndefinedTable);
}

#[tokio::test]
async fn text_compares_by_code_point_whatever_the_collation() {
    let (_folder, driver) = opened().await;
    // The view's column compares as the table's does, and does not say so.
    for name in ["loose", "loosely"] {
        let equal = filter(scan(&driver, name).await, ComparisonOp::Eq, 2, ValueType::Text);
        let found = rows(&driver, equal, vec![output(0, ValueType::Int64)], &[Value::text("a")]).await.unwrap();
        assert_eq!(ids(&found), [1], "{name}");
    }
}

#[tokio::test]
async fn a_value_of_another_class_is_never_compared_and_never_read_as_its_column() {
    let (_folder, driver) = opened().await;
    // SQLite itself would find 'abc' greater than any number.
    let greater = filter(scan(&driver, "loose").await, ComparisonOp::Gt, 1, ValueType::Int64);
    let found = rows(&driver, greater, vec![output(0, ValueType::Int64)], &[Value::Int64(0)]).await.unwrap();
    assert_eq!(ids(&found), [1, 4]);
    for (column, value_type, expected) in [
        (1, ValueType::Int64, ErrorCode::DataException),
        (3, ValueType::Date, ErrorCode::DataException),
        (5, ValueType::Boolean, ErrorCode::DataException),
    ] {
        let read = rows(&driver, scan(&driver, "loose").await, vec![output(column, value_type)], &[]).await;
        let error = read.unwrap_err();
        assert_eq!(error.code(), expected);
        assert!(!error.to_string().contains("abc") && !error.to_string().contains("31.1"), "{error}");
    }
    for (id, code) in [(1, ErrorCode::CharacterNotInRepertoire), (2, ErrorCode::CharacterNotInRepertoire)] {
        let one = filter(scan(&driver, "bytes").await, ComparisonOp::Eq, 0, ValueType::Int64);
        let read = rows(&driver, one, vec![output(1, ValueType::Text)], &[Value::Int64(id)]).await;
        assert_eq!(read.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn money_in_doubles_and_texts_reads_at_its_scale() {
    let (_folder, driver) = opened().await;
    let money = ValueType::Decimal128 { precision: 10, scale: 2 };
    let read = rows(&driver, scan(&driver, "loose").await, vec![output(4, money)], &[]).await.unwrap();
    let cents: Vec<i128> = read
        .iter()
        .filter_map(|row| if let Value::Decimal128 { value, .. } = row[0] { Some(value) } else { None })
        .collect();
    assert_eq!(cents, [101, 250, 300, 10]);
}

#[tokio::test]
async fn whole_numbers_among_texts_read_as_texts() {
    let (_folder, driver) = opened().await;
    let Relation::Scan { table, mut columns } = scan(&driver, "loose").await else { panic!() };
    let column = &driver.describe(&table).await.unwrap().columns[1];
    columns[1].encoding = driver.read_as(column, ValueType::Text).unwrap();
    columns[1].value_type = ValueType::Text;
    let scan = Relation::Scan { table, columns };
    let read = rows(&driver, scan.clone(), vec![output(1, ValueType::Text)], &[]).await.unwrap();
    let texts = [Value::text("5"), Value::text("abc"), Value::Null(ValueType::Text), Value::text("7")];
    assert_eq!(read.concat(), texts);
    // They are compared in the gate.
    let relation = filter(scan, ComparisonOp::Eq, 1, ValueType::Text);
    let output = vec![output(0, ValueType::Int64)];
    assert!(driver.render(&Fragment { relation, output, parameters: vec![ValueType::Text] }).is_err());
}

#[tokio::test]
async fn what_can_fail_meets_no_row_below_the_fence() {
    let (_folder, driver) = opened().await;
    let absolute = || ScalarExpr::Function {
        function: ScalarFunction::Abs,
        args: vec![ScalarExpr::Column(ColumnId(1))],
        value_type: ValueType::Int64,
    };
    let user = |input| Relation::Filter {
        input: Box::new(input),
        predicate: ScalarExpr::compare(ComparisonOp::Gt, absolute(), ScalarExpr::Parameter(1, ValueType::Int64)),
    };
    let values = [Value::text("x"), Value::Int64(20)];
    let policy = filter(scan(&driver, "firm").await, ComparisonOp::Eq, 2, ValueType::Text);
    let fenced = user(Relation::Fence { input: Box::new(policy) });
    let found = rows(&driver, fenced, vec![output(0, ValueType::Int64)], &values).await.unwrap();
    assert_eq!(ids(&found), [3]);
    // Without a policy the hidden row's overflow is the statement's.
    let open = filter(scan(&driver, "firm").await, ComparisonOp::NotEq, 2, ValueType::Text);
    let error = rows(&driver, user(open), vec![output(0, ValueType::Int64)], &values).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NumericOutOfRange);
}

#[tokio::test]
async fn a_source_that_is_not_there_or_changed_says_so_without_names() {
    let absent = SqliteDriver::new(SqliteOptions::new("/nowhere/absent.db"));
    assert_eq!(absent.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    let (_folder, driver) = opened().await;
    let mut gone = scan(&driver, "firm").await;
    if let Relation::Scan { columns, .. } = &mut gone {
        columns[2].name = querygate_driver_api::identifier::Identifier::new("dropped_secret").unwrap();
    }
    // Qualified, so that SQLite cannot take the name for a text.
    let error = rows(&driver, gone, vec![output(2, ValueType::Text)], &[]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn values_that_have_no_exact_form_are_refused_before_they_are_sent() {
    let (_folder, driver) = opened().await;
    for (value, id) in [(Value::text("a\0b"), 2), (Value::Int64(1), 1)] {
        let relation = filter(scan(&driver, "firm").await, ComparisonOp::Eq, id, value.value_type());
        let parameters = vec![value.value_type()];
        let fragment = Fragment { relation, output: vec![output(0, ValueType::Int64)], parameters };
        let statement = driver.render(&fragment).unwrap();
        let refused = driver.accepts(&statement, std::slice::from_ref(&value)).is_err();
        assert_eq!(refused, matches!(value, Value::Text(_)));
        let ran = driver.run(&statement, &[value], Ask::Batches(ExecuteContext::default())).await;
        assert_eq!(ran.err().map(|error| error.code()), refused.then_some(ErrorCode::FeatureNotSupported));
        // A value of another type is a fault of ours, never a conversion.
        let wrong = driver.run(&statement, &[Value::Boolean(true)], Ask::Batches(ExecuteContext::default())).await;
        assert!(wrong.is_err());
    }
}

#[tokio::test]
async fn the_fault_layer_fails_as_it_says() {
    let (_folder, driver) = opened().await;
    let relation = scan(&driver, "firm").await;
    let fragment = Fragment { relation, output: vec![output(0, ValueType::Int64)], parameters: vec![] };
    let inner: Arc<dyn Driver> = Arc::new(driver);
    let run = |fault| {
        let driver = FaultyDriver::always(Arc::clone(&inner), fault);
        let statement = driver.render(&fragment).unwrap();
        async move {
            let deadline = Some(Instant::now() + Duration::from_millis(30));
            let context = ExecuteContext { deadline, ..ExecuteContext::default() };
            let batches: Vec<_> =
                driver.run(&statement, &[], Ask::Batches(context)).await?.batches()?.try_collect().await?;
            Ok::<_, Error>(batches.len())
        }
    };
    assert_eq!(run(Fault::None).await.unwrap(), 1);
    assert_eq!(run(Fault::ShortBatches).await.unwrap(), 3);
    assert_eq!(run(Fault::Refused).await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert_eq!(run(Fault::LostAfter(1)).await.unwrap_err().code(), ErrorCode::SourceLost);
    assert_eq!(run(Fault::StalledAfter(0)).await.unwrap_err().code(), ErrorCode::StatementTimeout);
}
