//! Parts of transactions of several sources that leave a marker in a MongoDB database: its collection, and crashes of the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::changing::{marking, writing};
use common::server::Server;
use mongodb::bson::{Document, doc};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, CommitError, Fate, GateId, GlobalId, Transaction, Writer};
use querygate_mongodb::MongoDriver;
use querygate_types::ErrorCode;
use std::time::{Duration, Instant};

const fn part(number: u64) -> GlobalId {
    GlobalId::new(GateId::new(0x4_0001), number, 1)
}

fn context() -> ExecuteContext {
    ExecuteContext::default()
}

async fn made(server: &Server) {
    server.admin("marked").collection::<Document>("t").insert_one(doc! { "_id": 1, "n": 1 }).await.unwrap();
}

async fn inserted(driver: &MongoDriver, id: GlobalId, row: i32) -> Transaction {
    let mut tx = driver.begin(Begin::default().within(id), &context()).await.unwrap();
    let table = TableRef::new(["marked", "t"]).unwrap();
    insert_row(driver, &mut tx, &table, &[("_id", Value::Int32(row)), ("n", Value::Int32(0))]).await.unwrap();
    tx
}

async fn count(server: &Server, collection: &str) -> u64 {
    server.admin("marked").collection::<Document>(collection).count_documents(doc! {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collection_for_markers_none_is_left() {
    let Some(server) = Server::start_replicated().await else { return };
    made(&server).await;
    let driver = marking(&server, "marked");
    let obstacles = driver.distributed_obstacles().await.unwrap();
    assert!(obstacles.len() == 1 && obstacles[0].contains("querygate_commits"), "{obstacles:?}");
    let mut tx = inserted(&driver, part(1), 2).await;
    let error = tx.write_marker(&part(1)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{error}");
    tx.rollback().await;
    let error = driver.marker_fate(&part(1), &context()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{error}");
    let names = server.admin("marked").list_collection_names().await.unwrap();
    assert!(!names.iter().any(|name| name == "querygate_commits"), "nobody asked for it: {names:?}");
    server.admin("marked").run_command(doc! { "create": "querygate_commits" }).await.unwrap();
    assert_eq!(driver.distributed_obstacles().await.unwrap(), Vec::<String>::new());
    let mut tx = inserted(&driver, part(1), 2).await;
    tx.write_marker(&part(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(driver.marker_fate(&part(1), &context()).await.unwrap(), Fate::Committed);
    // A source that is not configured for it does not look at the collection.
    let alone = writing(&server, "marked");
    let error = alone.marker_fate(&part(1), &context()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FeatureNotSupported);
    let mut tx = inserted(&alone, part(2), 3).await;
    assert_eq!(tx.write_marker(&part(2)).await.unwrap_err().code(), ErrorCode::FeatureNotSupported);
    tx.rollback().await;
    assert_eq!((count(&server, "t").await, count(&server, "querygate_commits").await), (2, 1));
}

/// A transaction that has written its marker is waited for: its end is the answer.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_waits_for_one_that_is_about_to_commit() {
    let Some(server) = Server::start_replicated().await else { return };
    made(&server).await;
    server.admin("marked").run_command(doc! { "create": "querygate_commits" }).await.unwrap();
    let driver = marking(&server, "marked");
    for (number, fate) in [(1, Fate::Committed), (2, Fate::RolledBack)] {
        let mut tx = inserted(&driver, part(number), 10 + i32::try_from(number).unwrap()).await;
        tx.write_marker(&part(number)).await.unwrap();
        let deadline = Some(Instant::now() + Duration::from_millis(200));
        let early = driver.marker_fate(&part(number), &ExecuteContext { deadline, ..context() }).await;
        assert!(early.is_err(), "{early:?}");
        let asking = async { driver.marker_fate(&part(number), &context()).await.unwrap() };
        let ending = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match fate {
                Fate::Committed => tx.commit().await.unwrap(),
                Fate::RolledBack => tx.rollback().await,
            }
        };
        let (told, ()) = tokio::join!(asking, ending);
        assert_eq!(told, fate);
    }
    assert_eq!(count(&server, "t").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_outlasts_the_server() {
    let Some(server) = Server::start_replicated().await else { return };
    made(&server).await;
    server.admin("marked").run_command(doc! { "create": "querygate_commits" }).await.unwrap();
    let driver = marking(&server, "marked");
    let mut done = inserted(&driver, part(1), 2).await;
    done.write_marker(&part(1)).await.unwrap();
    done.commit().await.unwrap();
    let mut open = inserted(&driver, part(2), 3).await;
    open.write_marker(&part(2)).await.unwrap();
    server.kill();
    server.resume();
    let committed = open.commit().await;
    assert!(matches!(committed, Err(CommitError::RolledBack(_) | CommitError::Unknown(..))), "{committed:?}");
    let until = Instant::now() + Duration::from_secs(30);
    for (number, expected) in [(1, Fate::Committed), (2, Fate::RolledBack)] {
        let fate = loop {
            match driver.marker_fate(&part(number), &context()).await {
                Ok(fate) => break fate,
                // It is no primary yet.
                Err(error) => assert!(Instant::now() < until, "{error} {:?}", error.cause()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(fate, expected);
    }
    assert_eq!(count(&server, "t").await, 2);
}
