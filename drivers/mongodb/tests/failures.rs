//! A server that is not there, dies, hangs or refuses: what fails, with which code, and that the rest goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::suited::{PAIRS, pairs};
use common::{driver, options, output, rows, rows_within, scan};
use futures::StreamExt;
use mongodb::bson::{Document, doc};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_types::ErrorCode;
use std::time::{Duration, Instant};

const INT: ValueType = ValueType::Int64;

async fn prepare(server: &Server) {
    let admin = server.admin("shop");
    let many = (0..60_000_i64).map(|id| doc! { "_id": id, "label": "x".repeat(150) });
    admin.collection::<Document>("many").insert_many(many).await.unwrap();
    admin
        .collection::<Document>("few")
        .insert_many([doc! { "_id": 1_i64, "label": "a" }, doc! { "_id": 2_i64, "label": "b" }])
        .await
        .unwrap();
    let endless = doc! { "create": PAIRS, "viewOn": "many", "collation": { "locale": "simple" }, "pipeline": [
        { "$lookup": { "from": "many", "pipeline": [{ "$project": { "_id": 1 } }], "as": "other" } }, { "$unwind": "$other" }, { "$set": { "id": "$_id" } },
    ] };
    admin.run_command(endless).await.unwrap();
}

async fn all(driver: &MongoDriver, table: &str) -> (Relation, Vec<OutputColumn>) {
    (scan(driver, table, 0).await, vec![output(0, INT), output(1, ValueType::Text)])
}

#[tokio::test]
async fn a_cancel_and_a_deadline_end_the_servers_own_operation() {
    let Some(server) = Server::start().await else { return };
    prepare(&server).await;
    let driver = driver(&server, "shop");
    let relation = pairs("shop", ColumnId(20));
    let context = ExecuteContext::default();
    let cancel = context.cancel.clone();
    let query = rows_within(&driver, relation.clone(), vec![output(20, INT)], &[], context);
    let stop = async {
        let began = Instant::now();
        while server.running().await.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20), "nothing runs");
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(query, stop);
    assert_eq!(ended.unwrap_err().code(), ErrorCode::QueryCanceled);
    ends(&server).await;
    let deadline = Some(Instant::now() + Duration::from_millis(300));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let error = rows_within(&driver, relation.clone(), vec![output(20, INT)], &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    ends(&server).await;
    // Nobody listens any more: the server stops too.
    let fragment = Fragment { relation, output: vec![output(20, INT)], parameters: vec![] };
    let statement = driver.render(&fragment).unwrap();
    let stream = driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    drop(stream);
    ends(&server).await;
    for _ in 0..20 {
        let (few, output) = all(&driver, "few").await;
        assert_eq!(rows(&driver, few, output, &[]).await.unwrap().len(), 2);
    }
}

/// Waits until the server does nothing for a source; a second at most, and what it takes to look.
async fn ends(server: &Server) {
    let began = Instant::now();
    loop {
        let running = server.running().await;
        if running.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{running:?}");
    }
}

#[tokio::test]
async fn a_server_that_dies_and_returns_is_found_again() {
    let Some(server) = Server::start().await else { return };
    prepare(&server).await;
    let mut options = options(&server, "shop");
    options.connect_timeout = Duration::from_secs(2);
    let driver = MongoDriver::new(&options);
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
    // While it is away, who asks is told at once, but for those who look again.
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(driver.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    server.resume();
    let began = Instant::now();
    while driver.health().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "the source is not found again");
        tokio::task::yield_now().await;
    }
    assert_eq!(rows(&driver, many, output, &[]).await.unwrap().len(), 60_000);
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_deadline_and_no_more() {
    let Some(server) = Server::start().await else { return };
    prepare(&server).await;
    let mut options = options(&server, "shop");
    options.answer_timeout = Duration::from_secs(2);
    let driver = MongoDriver::new(&options);
    let (few, output) = all(&driver, "few").await;
    server.signal("-STOP");
    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let began = Instant::now();
    let error = rows_within(&driver, few.clone(), output.clone(), &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.signal("-CONT");
    assert_eq!(rows(&driver, few, output, &[]).await.unwrap().len(), 2);
    // Nobody gives a deadline to questions about the catalog.
    server.signal("-STOP");
    let began = Instant::now();
    assert_eq!(driver.tables().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.signal("-CONT");
}

#[tokio::test]
async fn a_source_that_is_not_there_or_says_no_is_told_apart() {
    let mut options = MongoOptions::new("mongodb://127.0.0.1:1/", "shop");
    options.connect_timeout = Duration::from_millis(300);
    let absent = MongoDriver::new(&options);
    assert_eq!(absent.health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    let Some(server) = Server::start().await else { return };
    prepare(&server).await;
    let mut wrong = common::options(&server, "shop");
    wrong.password = Some("no".to_owned());
    let error = MongoDriver::new(&wrong).health().await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::SourceUnavailable, "source refuses the login"));
    assert!(!format!("{error} {:?} {:?}", error.detail(), error.hint()).contains("no\""));
    // Without a login the server tells nothing.
    let mut nobody = common::options(&server, "shop");
    (nobody.user, nobody.password) = (None, None);
    assert!(MongoDriver::new(&nobody).tables().await.is_err());
    let mut encrypted = common::options(&server, "shop");
    (encrypted.tls, encrypted.connect_timeout) =
        (Some(querygate_mongodb::MongoTls::Verify), Duration::from_millis(500));
    assert_eq!(MongoDriver::new(&encrypted).health().await.unwrap_err().code(), ErrorCode::SourceUnavailable);
    // A view with a collation of its own cannot be read by code point, and says so.
    let folding =
        doc! { "create": "folding", "viewOn": "few", "pipeline": [], "collation": { "locale": "en", "strength": 1 } };
    server.admin("shop").run_command(folding).await.unwrap();
    let (view, output) = all(&driver(&server, "shop"), "folding").await;
    let error = rows(&driver(&server, "shop"), view, output, &[]).await.unwrap_err();
    assert!(error.code() == ErrorCode::SourceError && error.hint().is_some(), "{error}");
    // The source's user cannot write, whatever is asked of it: there is no statement that could.
    let (few, output) = all(&driver(&server, "shop"), "few").await;
    assert_eq!(rows(&driver(&server, "shop"), few, output, &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told() {
    let Some(server) = Server::start().await else { return };
    prepare(&server).await;
    let mut options = options(&server, "shop");
    options.connections = 1;
    options.acquire_timeout = Duration::from_millis(100);
    let driver = MongoDriver::new(&options);
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
    let one = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, INT));
    let (many, output) = all(&driver, "many").await;
    let relation = Relation::Filter { input: Box::new(many), predicate: one };
    assert_eq!(rows(&driver, relation, output, &[Value::Int64(1)]).await.unwrap().len(), 1);
}
