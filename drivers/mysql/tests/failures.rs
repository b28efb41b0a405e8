//! A server that is not there, dies, hangs, changes or refuses: what fails, with which code, and that the rest goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use common::server::Server;
use common::{driver, options, output, rows, rows_within, scan};
use futures::StreamExt;
use proxy::Proxy;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_types::ErrorCode;
use std::time::{Duration, Instant};

const INT: ValueType = ValueType::Int64;

fn prepare(server: &Server) {
    server.sql(
        "CREATE DATABASE shop; USE shop;
         CREATE TABLE many (id BIGINT PRIMARY KEY, label VARCHAR(200) NOT NULL);
         INSERT INTO many SELECT seq, REPEAT('x', 150) FROM seq_1_to_60000;
         CREATE TABLE few (id BIGINT PRIMARY KEY, secret VARCHAR(20)); INSERT INTO few VALUES (1, 'a'), (2, 'b');",
    );
}

async fn all(driver: &MysqlDriver, table: &str) -> (Relation, Vec<querygate_driver_api::fragment::OutputColumn>) {
    let output = vec![output(0, INT), output(1, ValueType::Text)];
    (scan(driver, table, 0).await, output)
}

/// Pairs of rows, counted: only the server itself can stop it in time.
async fn endless(driver: &MysqlDriver) -> Relation {
    let (left, right) = (scan(driver, "many", 0).await, scan(driver, "many", 10).await);
    let column = |id| ScalarExpr::Column(ColumnId(id));
    let on = ScalarExpr::compare(ComparisonOp::NotEq, column(1), column(11));
    let input = Box::new(Relation::Join { kind: JoinKind::Inner, left: Box::new(left), right: Box::new(right), on });
    let count = AggregateExpr {
        function: AggregateFunction::CountStar,
        args: vec![],
        distinct: false,
        filter: None,
        value_type: INT,
    };
    Relation::Aggregate { input, group: vec![], aggregates: vec![(ColumnId(20), count)] }
}

/// Statements of sources that run on the server.
fn running(server: &Server) -> String {
    server
        .sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'gate' AND COMMAND = 'Execute'")
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_cancel_and_a_deadline_end_the_servers_own_query() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let driver = driver(&server, "shop");
    let relation = endless(&driver).await;
    let context = ExecuteContext::default();
    let cancel = context.cancel.clone();
    let query = rows_within(&driver, relation.clone(), vec![output(20, INT)], &[], context);
    let stop = async {
        // Each look is a process of its own; the query is there or not yet.
        let began = Instant::now();
        loop {
            tokio::task::yield_now().await;
            if running(&server) == "1" || began.elapsed() > Duration::from_secs(20) {
                break;
            }
        }
        assert_eq!(running(&server), "1");
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(query, stop);
    assert_eq!(ended.unwrap_err().code(), ErrorCode::QueryCanceled);
    assert_eq!(running(&server), "0");
    let deadline = Some(Instant::now() + Duration::from_millis(300));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let error = rows_within(&driver, relation, vec![output(20, INT)], &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    assert_eq!(running(&server), "0");
    // A connection whose statement was killed is as good as any.
    for _ in 0..20 {
        let (few, output) = all(&driver, "few").await;
        assert_eq!(rows(&driver, few, output, &[]).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_dies_and_returns_is_found_again() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let driver = driver(&server, "shop");
    let (many, output) = all(&driver, "many").await;
    let fragment = Fragment { relation: many.clone(), output: output.clone(), parameters: vec![] };
    let statement = driver.render(&fragment).unwrap();
    let context = ExecuteContext { batch_rows: 100, ..ExecuteContext::default() };
    let mut stream = driver.run(&statement, &[], Ask::Batches(context)).await.unwrap().batches().unwrap();
    stream.next().await.unwrap().unwrap();
    server.kill();
    // What is in flight may still come, then the loss is said: a cut result never looks whole.
    let mut error = None;
    while let Some(item) = stream.next().await {
        error = item.err();
    }
    assert_eq!(error.unwrap().code(), ErrorCode::SourceLost);
    let error = driver.health().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceUnavailable);
    // While it is away, who asks is told at once.
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(driver.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    server.resume();
    let began = Instant::now();
    while driver.health().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the source is not found again");
        tokio::task::yield_now().await;
    }
    assert_eq!(rows(&driver, many, output, &[]).await.unwrap().len(), 60_000);
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_deadline_and_no_more() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let mut options = options(&server, "shop");
    (options.answer_timeout, options.connect_timeout) = (Duration::from_secs(1), Duration::from_secs(2));
    let driver = MysqlDriver::new(&options);
    let (few, output) = all(&driver, "few").await;
    server.freeze();
    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let began = Instant::now();
    let error = rows_within(&driver, few.clone(), output.clone(), &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.thaw();
    assert_eq!(rows(&driver, few, output, &[]).await.unwrap().len(), 2);
    // Nobody gives a deadline to questions about the catalog.
    server.freeze();
    let began = Instant::now();
    assert_eq!(driver.tables().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.thaw();
}

#[tokio::test]
async fn a_source_that_is_not_there_or_says_no_is_told_apart() {
    let absent = MysqlDriver::new(&MysqlOptions::new("127.0.0.1", 1, "gate", "shop"));
    assert_eq!(absent.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let mut wrong = options(&server, "shop");
    wrong.password = Some("no".to_owned());
    let error = MysqlDriver::new(&wrong).health().await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::SourceUnavailable, "source refuses the login"));
    let error = driver(&server, "no_such_schema").health().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceUnavailable);
    let mut encrypted = options(&server, "shop");
    encrypted.tls = querygate_mysql::MysqlTls::Required;
    assert_eq!(MysqlDriver::new(&encrypted).health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    // One table of several may not be read.
    server.sql(
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'gate'@'127.0.0.1'; GRANT SELECT ON shop.few TO 'gate'@'127.0.0.1';",
    );
    let driver = driver(&server, "shop");
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names, ["few"]);
    let error = driver.describe(&TableRef::new(["many"]).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UndefinedTable);
}

#[tokio::test]
async fn a_schema_that_changed_is_said_without_names() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let driver = driver(&server, "shop");
    let (few, output) = all(&driver, "few").await;
    assert_eq!(rows(&driver, few.clone(), output.clone(), &[]).await.unwrap().len(), 2);
    server.sql("ALTER TABLE shop.few DROP COLUMN secret");
    let error = rows(&driver, few.clone(), output.clone(), &[]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
    assert!(!format!("{error} {:?} {:?}", error.detail(), error.hint()).contains("secret"));
    // Another type than was described is read as its text, or refused; never misread.
    server.sql("ALTER TABLE shop.few ADD COLUMN secret DATE; UPDATE shop.few SET secret = '2024-01-01'");
    let found = rows(&driver, few.clone(), output.clone(), &[]).await.unwrap();
    assert_eq!(found[0][1], Value::text("2024-01-01"));
    server.sql("ALTER TABLE shop.few MODIFY id DOUBLE");
    assert_eq!(rows(&driver, few.clone(), output.clone(), &[]).await.unwrap_err().code(), ErrorCode::DataException);
    server.sql("DROP TABLE shop.few");
    assert_eq!(rows(&driver, few, output, &[]).await.unwrap_err().code(), ErrorCode::SourceSchemaChanged);
}

/// 1412: a table has changed since the statement was prepared; 1615: the server could not prepare it anew itself.
#[tokio::test]
async fn a_statement_whose_tables_have_changed_is_prepared_anew_and_runs() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let proxy = Proxy::before(server.port);
    let options = MysqlOptions { port: proxy.port, connections: 1, ..options(&server, "shop") };
    let driver = MysqlDriver::new(&options);
    let (few, output) = all(&driver, "few").await;
    let read = || rows(&driver, few.clone(), output.clone(), &[]);
    assert_eq!(read().await.unwrap().len(), 2);
    for number in [1412, 1615] {
        for times in 1..=3 {
            proxy.fail(number, times);
            assert_eq!(read().await.unwrap().len(), 2, "{number} {times} times");
            assert_eq!(proxy.seen(), (0, times), "{number}: each attempt prepares anew");
        }
        // A server that goes on so is believed.
        proxy.fail(number, 10);
        assert_eq!(read().await.unwrap_err().code(), ErrorCode::SourceSchemaChanged);
        assert_eq!(proxy.seen().0, 6, "{number}: four attempts");
        proxy.fail(number, 0);
        assert_eq!(read().await.unwrap().len(), 2, "{number}: the connection is of use");
    }
    // Other errors are told at once.
    proxy.fail(1205, 2);
    assert_eq!(read().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert_eq!(proxy.seen().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_its_tables_is_asked_again() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let driver = driver(&server, "shop");
    let (few, output) = all(&driver, "few").await;
    std::thread::scope(|scope| {
        let forgetting =
            scope.spawn(|| server.sql(&"FLUSH TABLES shop.few; ALTER TABLE shop.few COMMENT 'again';".repeat(300)));
        let mut asked = 0;
        while !forgetting.is_finished() {
            let found = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(rows(&driver, few.clone(), output.clone(), &[]))
            });
            assert_eq!(found.unwrap().len(), 2);
            asked += 1;
        }
        assert!(asked > 5, "asked only {asked} times");
    });
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told() {
    let Some(server) = Server::start() else { return };
    prepare(&server);
    let mut options = options(&server, "shop");
    options.connections = 1;
    options.acquire_timeout = Duration::from_millis(100);
    let driver = MysqlDriver::new(&options);
    let (many, output) = all(&driver, "many").await;
    let statement = driver.render(&Fragment { relation: many, output, parameters: vec![] }).unwrap();
    let context = ExecuteContext { batch_rows: 10, ..ExecuteContext::default() };
    let stream = driver.run(&statement, &[], Ask::Batches(context)).await.unwrap().batches().unwrap();
    let error = driver.health().await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::SourceUnavailable, "source is busy"));
    drop(stream);
    let began = Instant::now();
    while driver.health().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "an abandoned stream keeps its connection");
    }
    let values = [Value::Int64(1)];
    let one = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, INT));
    let (many, output) = all(&driver, "many").await;
    let found = rows(&driver, Relation::Filter { input: Box::new(many), predicate: one }, output, &values).await;
    assert_eq!(found.unwrap().len(), 1);
}
