//! Deployments that have no transactions, give no rights, die, hang or end a transaction: what is said, and what is stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::changing::{Target, writing, writing_options};
use common::server::{PASSWORD, Server, USER};
use mongodb::bson::{Document, doc};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, ChangeOp, CommitError, Isolation, Transaction, Writer};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_types::{Error, ErrorCode};
use std::time::{Duration, Instant};

async fn fill(server: &Server) {
    let few = [doc! { "_id": 1_i64, "n": 1 }, doc! { "_id": 2_i64, "n": 2 }];
    server.admin("shop").collection::<Document>("few").insert_many(few).await.unwrap();
}

async fn stored(server: &Server) -> i32 {
    let found = server.admin("shop").collection::<Document>("few").find_one(doc! { "_id": 1_i64 }).await;
    found.unwrap().unwrap().get_i32("n").unwrap()
}

fn row(n: i64) -> [Value; 2] {
    [Value::Int64(1), Value::Int64(n)]
}

async fn beginning(driver: &MongoDriver) -> Result<Transaction, Error> {
    driver.begin(Begin::default(), &ExecuteContext::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_without_transactions_or_rights_says_so() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = writing(&server, "shop");
    let error = beginning(&driver).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::FeatureNotSupported, "the deployment has no transactions"));
    assert!(error.hint().is_some());
    let table = driver.describe(&TableRef::new(["few"]).unwrap()).await.unwrap();
    let found = driver.obstacles(&table).await.unwrap();
    assert_eq!(found, ["the deployment has no transactions: its server is no member of a replica set"]);
    // A login that may only read.
    let Some(server) = Server::start_replicated().await else { return };
    fill(&server).await;
    let reader = Some((USER.to_owned(), Some(PASSWORD.to_owned())));
    let reading = MongoDriver::new(&MongoOptions { writer: reader, ..writing_options(&server, "shop") });
    let target = Target::of(&reading, "few").await;
    let lacking = ["insert", "update", "remove"].map(|action| format!("the writing user lacks the action {action}"));
    assert_eq!(reading.obstacles(&target.remote).await.unwrap(), lacking);
    let update = target.change(ChangeOp::Update, &["n"]);
    let mut tx = target.begin().await;
    let error = Target::apply(&mut tx, &update, &row(5)).await.unwrap_err();
    assert!(error.code() == ErrorCode::SourceError && error.hint().is_some(), "{error}");
    assert!(!error.to_string().contains("few"), "{error}");
    tx.rollback().await;
    assert_eq!(writing(&server, "shop").obstacles(&target.remote).await.unwrap(), Vec::<String>::new());
    let (driver, context) = (writing(&server, "shop"), ExecuteContext::default());
    let serializable = driver.begin(Begin::with(Isolation::Serializable), &context).await;
    assert_eq!(serializable.unwrap_err().code(), ErrorCode::FeatureNotSupported);
    let mut nobody = writing_options(&server, "shop");
    nobody.writer = Some(("writer".to_owned(), Some("no".to_owned())));
    let error = beginning(&MongoDriver::new(&nobody)).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::SourceUnavailable, "source refuses the login"));
    assert_eq!(stored(&server).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_stores_all_or_nothing() {
    let Some(server) = Server::start_replicated().await else { return };
    fill(&server).await;
    let mut options = writing_options(&server, "shop");
    options.connect_timeout = Duration::from_secs(2);
    let driver = MongoDriver::new(&options);
    let target = Target::of(&driver, "few").await;
    let update = target.change(ChangeOp::Update, &["n"]);
    // Before the commit: nothing is stored, and that is known.
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &row(5)).await.unwrap();
    server.kill();
    let error = Target::apply(&mut tx, &update, &row(6)).await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::SourceLost | ErrorCode::SourceUnavailable), "{error}");
    tx.rollback().await;
    // The server hears of a transaction with its first statement.
    let away = async {
        let mut tx = beginning(&driver).await?;
        Target::apply(&mut tx, &update, &row(6)).await
    };
    let error = away.await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::SourceLost | ErrorCode::SourceUnavailable), "{error}");
    back(&server, &driver).await;
    assert_eq!(stored(&server).await, 1);
    // In the commit: nobody knows.
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &row(7)).await.unwrap();
    server.kill();
    let began = Instant::now();
    match tx.commit().await {
        Err(CommitError::Unknown(error, None)) => assert_eq!(error.code(), ErrorCode::TransactionOutcomeUnknown),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    back(&server, &driver).await;
    assert_eq!(stored(&server).await, 1);
}

/// Starts the server again, and waits until changes are taken.
async fn back(server: &Server, driver: &MongoDriver) {
    server.resume();
    let began = Instant::now();
    let target = loop {
        assert!(began.elapsed() < Duration::from_secs(60), "the source is not found again");
        match driver.describe(&TableRef::new(["few"]).unwrap()).await {
            Ok(_) => break Target::of(driver, "few").await,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let update = target.change(ChangeOp::Update, &["n"]);
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "no change is taken again");
        if let Ok(mut tx) = beginning(driver).await {
            let changed = Target::apply(&mut tx, &update, &row(9)).await;
            tx.rollback().await;
            if changed.is_ok() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_a_deadline_and_a_commit_is_asked_for_again() {
    let Some(server) = Server::start_replicated().await else { return };
    fill(&server).await;
    let driver = writing(&server, "shop");
    let target = Target::of(&driver, "few").await;
    let update = target.change(ChangeOp::Update, &["n"]);
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &row(5)).await.unwrap();
    server.signal("-STOP");
    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let began = Instant::now();
    let error = Target::apply_within(&mut tx, &update, &[row(6).to_vec()], &context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.signal("-CONT");
    tx.rollback().await;
    assert_eq!(stored(&server).await, 1);
    // The first try of a commit gets no answer in its time.
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &row(8)).await.unwrap();
    server.signal("-STOP");
    let waking = async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.signal("-CONT");
    };
    let (committed, ()) = tokio::join!(tx.commit(), waking);
    committed.unwrap();
    assert_eq!(stored(&server).await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_server_ends_is_told_as_one_that_failed() {
    let Some(server) = Server::start_replicated().await else { return };
    fill(&server).await;
    let short = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 1 };
    server.admin("admin").run_command(short).await.unwrap();
    let driver = writing(&server, "shop");
    let target = Target::of(&driver, "few").await;
    let update = target.change(ChangeOp::Update, &["n"]);
    let (mut changed, mut committed) = (target.begin().await, target.begin().await);
    Target::apply(&mut changed, &update, &row(5)).await.unwrap();
    target.locked(&mut committed, Value::Int64(2), "n").await.unwrap();
    let began = Instant::now();
    let open = async || {
        let command = doc! { "currentOp": 1, "transaction": { "$exists": true } };
        let found = server.admin("admin").run_command(command).await.unwrap();
        found.get_array("inprog").unwrap().len()
    };
    while open().await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the server ends no transaction");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = Target::apply(&mut changed, &update, &row(6)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SerializationFailure, "{:?}", error.cause());
    changed.rollback().await;
    match committed.commit().await {
        Err(CommitError::RolledBack(error)) => assert_eq!(error.code(), ErrorCode::SerializationFailure),
        other => panic!("{other:?}"),
    }
    assert_eq!(stored(&server).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_at_a_time_are_bounded_and_readers_go_on() {
    let Some(server) = Server::start_replicated().await else { return };
    fill(&server).await;
    let mut options = writing_options(&server, "shop");
    options.write_connections = 1;
    let driver = MongoDriver::new(&options);
    let target = Target::of(&driver, "few").await;
    let update = target.change(ChangeOp::Update, &["n"]);
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &row(5)).await.unwrap();
    let deadline = Some(Instant::now() + Duration::from_millis(100));
    let second = driver.begin(Begin::default(), &ExecuteContext { deadline, ..ExecuteContext::default() }).await;
    assert_eq!(second.unwrap_err().code(), ErrorCode::StatementTimeout);
    driver.health().await.unwrap();
    assert_eq!(stored(&server).await, 1);
    drop(tx);
    // Whoever is gone gives its place and its documents back.
    let began = Instant::now();
    loop {
        let mut tx = target.begin().await;
        let changed = Target::apply(&mut tx, &update, &row(6)).await;
        tx.rollback().await;
        match changed {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), ErrorCode::SerializationFailure),
        }
        assert!(began.elapsed() < Duration::from_secs(5), "a dropped transaction keeps its documents");
    }
    assert_eq!(stored(&server).await, 1);
}
