//! Large tables read under a condition, off the connection's own bytes: the same rows as in the usual way, all types, values as
//! values; and how such a read ends early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::query::{column, filter, fragment, run, scan, table};
use common::{Server, load, plain, server};
use futures::StreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, ExecuteContext, SnapshotAnswer, SnapshotShare};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions, PostgresTls};
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INT: ValueType = ValueType::Int32;
const TEXT: ValueType = ValueType::Text;

/// A driver with one connection, to which each measured table is large.
async fn eager(server: &Server, database: &str, measured: &[&str]) -> PostgresDriver {
    let options = PostgresOptions { bulk_bytes: 0, pool_size: 1, ..server.options(database) };
    measured_by(&options, measured).await
}

async fn measured_by(options: &PostgresOptions, measured: &[&str]) -> PostgresDriver {
    let driver = PostgresDriver::new(options).unwrap();
    for name in measured {
        driver.statistics(&table(name)).await.unwrap();
    }
    driver
}

/// All readable columns of a table where the first is not NULL or is.
async fn all_of(driver: &PostgresDriver, name: &str) -> Fragment {
    let relation = scan(driver, name).await;
    let Relation::Scan { columns, .. } = &relation else { panic!() };
    let output: Vec<_> = columns.iter().map(|column| (column.id.0, column.value_type)).collect();
    let first = columns[0].id.0;
    let null = |negated| ScalarExpr::IsNull { expr: Box::new(column(first)), negated };
    let predicate = ScalarExpr::Or(vec![null(false), null(true)]);
    fragment(Relation::Filter { input: Box::new(relation), predicate }, &output, &[])
}

fn sorted(rows: Vec<Vec<Value>>) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    lines.sort();
    lines
}

/// The statement that the driver's one connection ran last, and the number of its process.
async fn last(server: &Server, database: &str) -> (String, i32) {
    let admin = server.client(database).await;
    let sql = "SELECT query, pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'querygate'";
    let row = admin.query_one(sql, &[&database]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn every_type_arrives_as_in_the_usual_way() {
    let Some(server) = server() else { return };
    let admin = server.database("large_types", "").await;
    load(&admin, plain).await;
    let usual = server.driver("large_types");
    let names: Vec<String> = usual.tables().await.unwrap().iter().map(|t| t.name().to_owned()).collect();
    let measured: Vec<&str> = names.iter().map(String::as_str).collect();
    let eager = eager(server, "large_types", &measured).await;
    for name in &names {
        let (large, plain) = (all_of(&eager, name).await, all_of(&usual, name).await);
        let rows = run(&eager, &large, &[], ExecuteContext::default()).await.unwrap();
        let expected = run(&usual, &plain, &[], ExecuteContext::default()).await.unwrap();
        assert_eq!(rows.len(), expected.len(), "{name}");
        assert_eq!(sorted(rows), sorted(expected), "{name}");
    }
}

/// Values go beside the text, whatever they hold; none, one and many rows come.
#[tokio::test]
async fn a_value_is_bound() {
    let Some(server) = server() else { return };
    let admin = server.database("large_values", "").await;
    let sql =
        "CREATE TABLE firm (id int, name text); INSERT INTO firm SELECT g, 'n' || g FROM generate_series(1, 20000) g;
               INSERT INTO firm VALUES (-1, 'o''x\"; DROP TABLE firm; --'), (NULL, NULL)";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "large_values", &["firm"]).await;
    let relation = scan(&driver, "firm").await;
    let ask = async |op, id, value: Value| {
        let narrowed = filter(relation.clone(), op, id, value.value_type());
        let asked = fragment(narrowed, &[(0, INT), (1, TEXT)], std::slice::from_ref(&value));
        run(&driver, &asked, &[value], ExecuteContext::default()).await.unwrap().len()
    };
    assert_eq!(ask(ComparisonOp::GtEq, 1, Value::text("o'x\"; DROP TABLE firm; --")).await, 1);
    assert_eq!(ask(ComparisonOp::Gt, 1, Value::text("o'x\"; DROP TABLE firm; --")).await, 0);
    assert_eq!(ask(ComparisonOp::Gt, 1, Value::Null(TEXT)).await, 0);
    assert_eq!(ask(ComparisonOp::Gt, 0, Value::Int32(5_000)).await, 15_000);
    let (text, _) = last(server, "large_values").await;
    assert_eq!(ask(ComparisonOp::Gt, 0, Value::Int32(19_999)).await, 1);
    assert_eq!(last(server, "large_values").await.0, text, "the value is in the text");
    // What an index may answer is prepared and run as ever.
    assert_eq!(ask(ComparisonOp::Eq, 1, Value::text("o'x\"; DROP TABLE firm; --")).await, 1);
}

/// The same statement reads few rows or many, by its value: how it is read follows its last run, what comes does not.
#[tokio::test]
async fn an_equality_gives_its_rows_however_many_its_last_run_gave() {
    let Some(server) = server() else { return };
    let admin = server.database("large_equal", "").await;
    let sql =
        "CREATE TABLE sale (region text, id int); INSERT INTO sale SELECT 'EU', g FROM generate_series(1, 50000) g;
               INSERT INTO sale VALUES ('US', 1), (NULL, 2);
               CREATE VIEW prepared AS SELECT statement, generic_plans + custom_plans AS runs FROM pg_prepared_statements";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "large_equal", &["sale"]).await;
    let narrowed = filter(scan(&driver, "sale").await, ComparisonOp::Eq, 0, TEXT);
    let prepared = scan(&driver, "prepared").await;
    // Rows, and how often the statement ran as a prepared one until then: it does where its last run gave few.
    for (region, expected, prepared_runs) in [
        ("EU", 50_000, 1),
        ("EU", 50_000, 1),
        ("US", 1, 1),
        ("EU", 50_000, 2),
        ("EU", 50_000, 2),
        ("none", 0, 2),
        ("none", 0, 3),
        ("EU", 50_000, 4),
    ] {
        let value = Value::text(region);
        let asked = fragment(narrowed.clone(), &[(0, TEXT), (1, INT)], std::slice::from_ref(&value));
        let rows = run(&driver, &asked, std::slice::from_ref(&value), ExecuteContext::default()).await.unwrap();
        assert_eq!(rows.len(), expected);
        assert!(rows.iter().all(|row| row[0] == value));
        let asked = fragment(prepared.clone(), &[(0, TEXT), (1, ValueType::Int64)], &[]);
        let known = run(&driver, &asked, &[], ExecuteContext::default()).await.unwrap();
        let is_it = |row: &&Vec<Value>| matches!(&row[0], Value::Text(text) if text.contains("\"sale\""));
        assert_eq!(known.iter().find(is_it).unwrap()[1], Value::Int64(prepared_runs), "{region}");
    }
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

/// Types of the database's own, of which the client library asks the server.
#[tokio::test]
async fn own_types_are_read_in_the_usual_way() {
    let Some(server) = server() else { return };
    let admin = server.database("large_own", "").await;
    let sql = "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TABLE felt (id int, m mood);
               INSERT INTO felt SELECT g, CASE WHEN g % 2 = 0 THEN 'low' ELSE 'high' END::mood FROM generate_series(1, 3000) g";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "large_own", &["felt"]).await;
    for _ in 0..3 {
        let asked = all_of(&driver, "felt").await;
        assert_eq!(run(&driver, &asked, &[], ExecuteContext::default()).await.unwrap().len(), 3_000);
    }
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

#[tokio::test]
async fn an_error_in_the_middle_is_the_statements_and_leaves_the_connection() {
    let Some(server) = server() else { return };
    let admin = server.database("large_fails", "").await;
    let sql =
        "CREATE TABLE part (id int, n int); INSERT INTO part SELECT g, 20000 - g FROM generate_series(1, 30000) g";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "large_fails", &["part"]).await;
    let narrowed = filter(scan(&driver, "part").await, ComparisonOp::Gt, 0, INT);
    let (left, right) = (Box::new(column(0)), Box::new(column(1)));
    let divided = ScalarExpr::Arithmetic { op: ArithmeticOp::Divide, left, right, value_type: INT };
    let relation = Relation::Project { input: Box::new(narrowed), exprs: vec![(ColumnId(9), divided)] };
    let values = [Value::Int32(0)];
    let asked = fragment(relation, &[(9, INT)], &values);
    let mut process = None;
    for _ in 0..3 {
        let error = run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::DivisionByZero);
        let (_, now) = last(server, "large_fails").await;
        assert_eq!(*process.get_or_insert(now), now, "another connection was opened");
    }
    // A table that is not there any more.
    admin.batch_execute("ALTER TABLE part DROP COLUMN n").await.unwrap();
    let error = run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
    let alone = fragment(scan(&driver, "part").await, &[(0, INT)], &[]);
    assert_eq!(run(&driver, &alone, &[], ExecuteContext::default()).await.unwrap().len(), 30_000);
}

#[tokio::test]
async fn a_read_that_is_cancelled_late_or_abandoned_stops_the_server() {
    let Some(server) = server() else { return };
    let admin = server.database("large_ends", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 300000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "large_ends", &["long"]).await;
    let values = [Value::Int32(0)];
    let narrowed = filter(scan(&driver, "long").await, ComparisonOp::Gt, 0, INT);
    let all = fragment(narrowed, &[(0, INT), (1, TEXT)], &values);
    let statement = driver.render(&all).unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'large_ends' AND application_name = 'querygate' \
                   AND state = 'active'";
    let ends = async || {
        let began = Instant::now();
        while admin.query_one(running, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "the server still reads");
        }
    };
    let begin = async |context: ExecuteContext| {
        driver.run(&statement, &values, Ask::Batches(context)).await.and_then(Answer::batches)
    };
    let context = ExecuteContext::default();
    let cancel = context.cancel.clone();
    let mut stream = begin(context).await.unwrap();
    stream.next().await.unwrap().unwrap();
    cancel.cancel();
    let end = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(end.unwrap_err().code(), ErrorCode::QueryCanceled);
    ends().await;
    let deadline = Instant::now() + Duration::from_millis(300);
    // On a busy machine the time may be over before there is a stream.
    let error = match begin(ExecuteContext { deadline: Some(deadline), ..ExecuteContext::default() }).await {
        Ok(stream) => {
            tokio::time::sleep_until(deadline.into()).await;
            stream.collect::<Vec<_>>().await.pop().unwrap().unwrap_err()
        }
        Err(error) => error,
    };
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    ends().await;
    let mut stream = begin(ExecuteContext::default()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    ends().await;
    // The one connection can be used again, or was replaced.
    let counted = run(&driver, &all, &values, ExecuteContext::default()).await.unwrap().len();
    assert_eq!(counted, 300_000);
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

/// While the server waits for a lock before it describes the columns, nothing of the answer has come.
#[tokio::test]
async fn a_read_is_cancelled_before_its_columns_are_known() {
    let Some(server) = server() else { return };
    let admin = server.database("large_waits", "").await;
    admin
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t SELECT g FROM generate_series(1, 100) g")
        .await
        .unwrap();
    let driver = eager(server, "large_waits", &["t"]).await;
    let values = [Value::Int32(0)];
    let asked = fragment(filter(scan(&driver, "t").await, ComparisonOp::Gt, 0, INT), &[(0, INT)], &values);
    for at_once in [true, false] {
        admin.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let context = ExecuteContext::default();
        let cancel = context.cancel.clone();
        let canceled = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(if at_once { 0 } else { 200 })).await;
            cancel.cancel();
        });
        let error = run(&driver, &asked, &values, context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::QueryCanceled);
        canceled.await.unwrap();
        admin.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap().len(), 100);
        assert_eq!(driver.pool().unwrap().in_use, 0);
    }
}

/// The client library closes a statement that is not kept, some time after its last run: the next reader of many rows does not take the
/// answer to that for its own.
#[tokio::test]
async fn what_the_library_asks_by_itself_is_answered_first() {
    let Some(server) = server() else { return };
    let admin = server.database("large_after", "").await;
    admin
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t SELECT g FROM generate_series(1, 5000) g")
        .await
        .unwrap();
    let driver = eager(server, "large_after", &["t"]).await;
    let values = [Value::Int32(0)];
    let relation = scan(&driver, "t").await;
    let asked = fragment(filter(relation.clone(), ComparisonOp::Gt, 0, INT), &[(0, INT)], &values);
    let mut process = None;
    for round in 0..20 {
        // A text that is too long to be kept prepared.
        let list: Vec<Value> = (0..4_000).map(|n| Value::Int32(round + n)).collect();
        let parameters = (0..list.len()).map(|at| ScalarExpr::Parameter(at, INT)).collect();
        let predicate = ScalarExpr::InList { expr: Box::new(column(0)), list: parameters, negated: false };
        let listed = Relation::Filter { input: Box::new(relation.clone()), predicate };
        let few = fragment(listed, &[(0, INT)], &list);
        assert!(run(&driver, &few, &list, ExecuteContext::default()).await.unwrap().len() >= 3_999);
        assert_eq!(run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap().len(), 5_000);
        let (_, now) = last(server, "large_after").await;
        assert_eq!(*process.get_or_insert(now), now, "round {round}: the connection was lost");
    }
}

#[tokio::test]
async fn a_server_that_dies_never_leaves_half_a_table() {
    let Some(server) = Server::start() else { return };
    let admin = server.database("large_dies", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 300000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(&server, "large_dies", &["long"]).await;
    let values = [Value::Int32(0)];
    let narrowed = filter(scan(&driver, "long").await, ComparisonOp::Gt, 0, INT);
    let all = fragment(narrowed, &[(0, INT), (1, TEXT)], &values);
    let statement = driver.render(&all).unwrap();
    let mut stream =
        driver.run(&statement, &values, Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    stream.next().await.unwrap().unwrap();
    server.kill();
    let began = Instant::now();
    let end = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(end.unwrap_err().code(), ErrorCode::SourceLost);
    assert!(began.elapsed() < Duration::from_secs(3), "the client heard of it late");
    server.run();
    // An idle connection that died with the server is no reason to fail.
    for _ in 0..2 {
        assert_eq!(run(&driver, &all, &values, ExecuteContext::default()).await.unwrap().len(), 300_000);
        server.kill();
        server.run();
    }
}

/// Parts of one result see one moment, in a transaction that is left behind them.
#[tokio::test]
async fn a_kept_moment_is_seen() {
    let Some(server) = server() else { return };
    let admin = server.database("large_moment", "").await;
    admin
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t SELECT g FROM generate_series(1, 5000) g")
        .await
        .unwrap();
    let options = PostgresOptions { bulk_bytes: 0, ..server.options("large_moment") };
    let driver = measured_by(&options, &["t"]).await;
    let values = [Value::Int32(0)];
    let asked = fragment(filter(scan(&driver, "t").await, ComparisonOp::Gt, 0, INT), &[(0, INT)], &values);
    let statement = driver.render(&asked).unwrap();
    let SnapshotAnswer::Kept(moment) = driver.keep(&statement).await.unwrap() else { panic!("no room") };
    admin.batch_execute("DELETE FROM t WHERE id > 10").await.unwrap();
    for (share, expected) in [(true, 5_000), (false, 10), (true, 5_000), (false, 10)] {
        let share = share.then(|| SnapshotShare { snapshot: Arc::clone(&moment.name), pages: None });
        let context = ExecuteContext { share, ..ExecuteContext::default() };
        assert_eq!(run(&driver, &asked, &values, context).await.unwrap().len(), expected);
    }
}

/// Encrypted, the bytes are those inside.
#[tokio::test]
async fn an_encrypted_connection_is_read_in_the_same_way() {
    let Some(server) = Server::with_tls() else { return };
    let admin = server.database("large_tls", "").await;
    let sql = "CREATE TABLE t AS SELECT g AS id, repeat('é', 100) AS t FROM generate_series(1, 20000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let options = PostgresOptions { bulk_bytes: 0, tls: PostgresTls::Unverified, ..server.options("large_tls") };
    let driver = measured_by(&options, &["t"]).await;
    let (narrowed, values) = (filter(scan(&driver, "t").await, ComparisonOp::Gt, 0, INT), [Value::Int32(100)]);
    let asked = fragment(narrowed, &[(0, INT), (1, TEXT)], &values);
    assert_eq!(run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap().len(), 19_900);
    let whole = fragment(scan(&driver, "t").await, &[(0, INT), (1, TEXT)], &[]);
    assert_eq!(run(&driver, &whole, &[], ExecuteContext::default()).await.unwrap().len(), 20_000);
}

/// The same rows of all types under a condition, one connection or several.
#[tokio::test]
async fn every_type_arrives_under_a_condition_as_in_the_usual_way() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_filtered", "").await;
    load(&admin, plain).await;
    admin.batch_execute("ANALYZE").await.unwrap();
    let usual = server.driver("bulk_filtered");
    let names: Vec<String> = usual.tables().await.unwrap().iter().map(|t| t.name().to_owned()).collect();
    let options = PostgresOptions { bulk_bytes: 0, bulk_rows: 1, ..server.options("bulk_filtered") };
    let driver = PostgresDriver::new(&options).unwrap();
    for name in &names {
        driver.statistics(&table(name)).await.unwrap();
        let relation = scan(&usual, name).await;
        let Relation::Scan { columns, .. } = &relation else { panic!() };
        let output: Vec<_> = columns.iter().map(|column| (column.id.0, column.value_type)).collect();
        let null = |negated| ScalarExpr::IsNull { expr: Box::new(column(output[0].0)), negated };
        let predicate = ScalarExpr::Or(vec![null(false), null(true)]);
        let asked = fragment(Relation::Filter { input: Box::new(relation.clone()), predicate }, &output, &[]);
        let expected = sorted(run(&usual, &asked, &[], ExecuteContext::default()).await.unwrap());
        for round in 0..3 {
            let rows = sorted(run(&driver, &asked, &[], ExecuteContext::default()).await.unwrap());
            assert!(rows == expected, "{name}, {round}");
        }
    }
}
