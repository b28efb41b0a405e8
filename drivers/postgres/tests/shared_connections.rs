//! Look-ups over a connection that others use at the same time: answers, errors, what keeps others waiting, and what ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::query::{column, filter, fragment, integers, run, scan};
use common::{Server, server};
use futures::future::join_all;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, DeclineReason, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions, PostgresTls};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const INT: ValueType = ValueType::Int32;

/// `SELECT id, OTHER FROM name WHERE id = $1`.
async fn by_id(driver: &PostgresDriver, name: &str, other: ValueType) -> Fragment {
    let found = filter(scan(driver, name).await, ComparisonOp::Eq, 0, INT);
    fragment(found, &[(0, INT), (1, other)], &[Value::Int32(0)])
}

type Rows = Result<Option<Vec<Vec<Value>>>, Error>;

async fn look_up(driver: &PostgresDriver, statement: &Arc<NativeStatement>, id: i32) -> Rows {
    match driver.run(statement, &[Value::Int32(id)], Ask::LookUp).await? {
        Answer::Batch(batch) => values_of(&[batch]).map(Some),
        Answer::Declined(_) => Ok(None),
        answer => Err(answer.unexpected()),
    }
}

/// The same until one was answered over a shared connection, of which the first is opened beside one that lives.
async fn shared(driver: &PostgresDriver, statement: &Arc<NativeStatement>, id: i32) -> Vec<Vec<Value>> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        driver.health().await.unwrap();
        if let Some(rows) = look_up(driver, statement, id).await.unwrap() {
            return rows;
        }
        assert!(Instant::now() < until, "nothing is answered over a shared connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn active(admin: &Client, database: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'querygate' AND state = 'active'";
    admin.query_one(sql, &[&database]).await.unwrap().get(0)
}

async fn until_none_is_active(admin: &Client, database: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while active(admin, database).await > 0 {
        assert!(Instant::now() < until, "the server still works");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn many_look_ups_share_a_connection_and_each_hears_its_own_answer() {
    let Some(server) = server() else { return };
    let admin = server.database("sharing", "").await;
    admin
        .batch_execute("CREATE TABLE t AS SELECT g AS id, 'row ' || g AS t, g % 5 AS n FROM generate_series(1, 500) g; ALTER TABLE t ADD PRIMARY KEY (id)")
        .await
        .unwrap();
    let driver = server.driver("sharing");
    let statement = driver.render(&by_id(&driver, "t", ValueType::Text).await).unwrap();
    let row = |id: i32| vec![vec![Value::Int32(id), Value::text(format!("row {id}"))]];
    assert_eq!(shared(&driver, &statement, 7).await, row(7));
    // A value that fails beside others that do not.
    let quotient = ScalarExpr::Arithmetic {
        op: ArithmeticOp::Divide,
        left: Box::new(column(0)),
        right: Box::new(column(2)),
        value_type: INT,
    };
    let found = filter(scan(&driver, "t").await, ComparisonOp::Eq, 0, INT);
    let exprs = vec![(ColumnId(0), column(0)), (ColumnId(9), quotient)];
    let divided = Relation::Project { input: Box::new(found), exprs };
    let divided = driver.render(&fragment(divided, &[(0, INT), (9, INT)], &[Value::Int32(0)])).unwrap();
    let (found, failed) = tokio::join!(
        join_all((1..=100).map(|id| look_up(&driver, &statement, id))),
        join_all((1..=100).map(|id| look_up(&driver, &divided, id))),
    );
    let mut over_shared = 0;
    for (id, rows) in (1..=100).zip(found) {
        if let Some(rows) = rows.unwrap() {
            over_shared += 1;
            assert_eq!(rows, row(id));
        }
    }
    for (id, rows) in (1..=100).zip(failed) {
        match rows {
            Ok(None) => {}
            Ok(Some(rows)) => {
                over_shared += 1;
                assert_eq!(rows, [[Value::Int32(id), Value::Int32(id / (id % 5))]]);
            }
            Err(error) => {
                over_shared += 1;
                assert_eq!((error.code(), id % 5), (ErrorCode::DivisionByZero, 0));
            }
        }
    }
    assert!(over_shared > 100, "{over_shared} of 200");
    // No row, and no value.
    assert_eq!(shared(&driver, &statement, -1).await.len(), 0);
    match driver.run(&statement, &[Value::Null(INT)], Ask::LookUp).await.unwrap() {
        Answer::Batch(batch) => assert_eq!(batch.num_rows(), 0),
        Answer::Declined(_) => {}
        answer => panic!("{answer:?}"),
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'sharing' AND application_name = 'querygate'";
    assert!(admin.query_one(open, &[]).await.unwrap().get::<_, i64>(0) <= 2);
    let status = driver.pool().unwrap();
    assert_eq!((status.in_use, status.waiting), (0, 0), "a shared connection at rest is free");
}

#[tokio::test]
async fn what_keeps_others_waiting_loses_its_place() {
    let Some(server) = server() else { return };
    let admin = server.database("stalling", "").await;
    for name in ["held", "free"] {
        let sql = format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, t text); INSERT INTO {name} VALUES (1, 'one'), (2, 'two')"
        );
        admin.batch_execute(&sql).await.unwrap();
    }
    let driver = server.driver("stalling");
    let held = driver.render(&by_id(&driver, "held", ValueType::Text).await).unwrap();
    let free = driver.render(&by_id(&driver, "free", ValueType::Text).await).unwrap();
    assert_eq!((shared(&driver, &held, 1).await.len(), shared(&driver, &free, 1).await.len()), (1, 1));
    let holder = server.client("stalling").await;
    holder.batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let asked = Instant::now();
    let (stuck, behind) =
        tokio::join!(look_up(&driver, &held, 1), join_all((0..20).map(|_| look_up(&driver, &free, 2))),);
    // The one that is stuck is to be run elsewhere, like those behind it: none hears of another's end.
    assert_eq!(stuck.unwrap(), None);
    assert!(behind.into_iter().all(|rows| rows.unwrap().is_none_or(|rows| rows.len() == 1)));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // Its work at the server ends, though the lock is still held.
    until_none_is_active(&admin, "stalling").await;
    assert_eq!(look_up(&driver, &held, 1).await.unwrap(), None);
    until_none_is_active(&admin, "stalling").await;
    assert_eq!(shared(&driver, &free, 2).await.len(), 1);
    // Where it is run then, a deadline ends it at the server.
    let context =
        ExecuteContext { deadline: Some(Instant::now() + Duration::from_millis(100)), ..ExecuteContext::default() };
    let slow = by_id(&driver, "held", ValueType::Text).await;
    let error = run(&driver, &slow, &[Value::Int32(1)], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    until_none_is_active(&admin, "stalling").await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(integers(&run(&driver, &slow, &[Value::Int32(1)], ExecuteContext::default()).await.unwrap()), [1]);
}

#[tokio::test]
async fn whoever_leaves_stops_nobody_else() {
    let Some(server) = server() else { return };
    let admin = server.database("leaving", "").await;
    for name in ["held", "free"] {
        admin.batch_execute(&format!("CREATE TABLE {name} AS SELECT 1 AS id, 'one' AS t")).await.unwrap();
    }
    let driver = server.driver("leaving");
    let held = driver.render(&by_id(&driver, "held", ValueType::Text).await).unwrap();
    let free = driver.render(&by_id(&driver, "free", ValueType::Text).await).unwrap();
    shared(&driver, &free, 1).await;
    // Everybody leaves in the middle of everything: the rows of the others are theirs.
    let row = vec![vec![Value::Int32(1), Value::text("one")]];
    for round in 0..50_u64 {
        let short = Duration::from_micros(round * 20);
        let (_, rows) =
            tokio::join!(tokio::time::timeout(short, look_up(&driver, &held, 1)), look_up(&driver, &free, 1));
        assert!(rows.unwrap().is_none_or(|rows| rows == row), "{round}");
    }
    let holder = server.client("leaving").await;
    holder.batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let left = tokio::time::timeout(Duration::from_millis(20), look_up(&driver, &held, 1));
    let (left, rows) = tokio::join!(left, look_up(&driver, &free, 1));
    assert!(left.is_err());
    assert!(rows.unwrap().is_none_or(|rows| rows == row));
    // Nobody waits for it any more: the server is told to stop.
    until_none_is_active(&admin, "leaving").await;
    holder.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_changed_table_is_noticed() {
    let Some(server) = server() else { return };
    let admin = server.database("reshaped", "").await;
    admin.batch_execute("CREATE TABLE t (id int PRIMARY KEY, t text); INSERT INTO t VALUES (1, 'one')").await.unwrap();
    let driver = server.driver("reshaped");
    let fragment = by_id(&driver, "t", ValueType::Text).await;
    let statement = driver.render(&fragment).unwrap();
    assert_eq!(shared(&driver, &statement, 1).await.len(), 1);
    admin.batch_execute("ALTER TABLE t ALTER COLUMN t TYPE int USING 5").await.unwrap();
    // Prepared anew, and then what the server says of its columns.
    let code = loop {
        match look_up(&driver, &statement, 1).await {
            Ok(None) => {}
            Ok(Some(rows)) => panic!("{rows:?}"),
            Err(error) => break error.code(),
        }
    };
    assert_eq!(code, ErrorCode::SourceSchemaChanged);
    let error = run(&driver, &fragment, &[Value::Int32(1)], ExecuteContext::default()).await.unwrap_err();
    assert_eq!(error.code(), code);
    admin.batch_execute("ALTER TABLE t ALTER COLUMN t TYPE text USING 'back'").await.unwrap();
    assert_eq!(shared(&driver, &statement, 1).await, [[Value::Int32(1), Value::text("back")]]);
}

#[tokio::test]
async fn a_large_row_and_a_small_pool_have_connections_of_their_own() {
    let Some(server) = server() else { return };
    let admin = server.database("apart", "").await;
    admin
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, t text); INSERT INTO t VALUES (1, 'one'), (2, repeat('x', 2000000))",
        )
        .await
        .unwrap();
    let driver = server.driver("apart");
    let fragment = by_id(&driver, "t", ValueType::Text).await;
    let statement = driver.render(&fragment).unwrap();
    assert_eq!(shared(&driver, &statement, 1).await.len(), 1);
    let (large, small) = tokio::join!(look_up(&driver, &statement, 2), look_up(&driver, &statement, 1));
    assert_eq!(large.unwrap(), None);
    assert!(small.unwrap().is_none_or(|rows| rows.len() == 1));
    assert_eq!(look_up(&driver, &statement, 2).await.unwrap(), None);
    let whole = run(&driver, &fragment, &[Value::Int32(2)], ExecuteContext::default()).await.unwrap();
    assert!(matches!(&whole[0][1], Value::Text(text) if text.len() == 2_000_000));

    let small = PostgresDriver::new(&PostgresOptions { pool_size: 3, ..server.options("apart") }).unwrap();
    small.health().await.unwrap();
    let declined = small.run(&statement, &[Value::Int32(1)], Ask::LookUp).await.unwrap();
    assert!(matches!(declined, Answer::Declined(DeclineReason::SmallPool)), "{declined:?}");
}

#[tokio::test]
async fn a_server_that_dies_leaves_look_ups_to_others_and_comes_back() {
    let Some(server) = Server::with_tls() else { return };
    let admin = server.database("mortal", "").await;
    admin.batch_execute("CREATE TABLE t (id int PRIMARY KEY, t text); INSERT INTO t VALUES (1, 'one')").await.unwrap();
    let tls = PostgresTls::VerifyFull(Some(server.folder.join("ca.crt")));
    let options = PostgresOptions { host: "localhost".to_owned(), tls, ..server.options("mortal") };
    let driver = PostgresDriver::new(&options).unwrap();
    let fragment = by_id(&driver, "t", ValueType::Text).await;
    let statement = driver.render(&fragment).unwrap();
    assert_eq!(shared(&driver, &statement, 1).await.len(), 1);
    let sql =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'querygate'";
    assert!(admin.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    let holder = server.client("mortal").await;
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let asked = async { join_all((0..10).map(|_| look_up(&driver, &statement, 1))).await };
    let killed = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.kill();
    };
    let (answers, ()) = tokio::join!(asked, killed);
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_none()));
    assert_eq!(look_up(&driver, &statement, 1).await.unwrap(), None);
    let error = run(&driver, &fragment, &[Value::Int32(1)], ExecuteContext::default()).await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::SourceLost | ErrorCode::SourceUnavailable), "{error}");
    server.run();
    let until = Instant::now() + Duration::from_secs(20);
    while driver.health().await.is_err() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Before the server died it may have been what kept others waiting.
    let other = by_id(&driver, "t", ValueType::Text).await;
    let other = Relation::Limit { input: Box::new(other.relation), skip: 0, fetch: Some(5) };
    let other = driver.render(&Fragment { relation: other, ..fragment }).unwrap();
    assert_eq!(shared(&driver, &other, 1).await.len(), 1);
}
