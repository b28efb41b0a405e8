//! Parts of transactions of several sources that a PostgreSQL server keeps: what only its own rules say, and its crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::{PASSWORD, Server, server};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, Fate, GateId, GlobalId, PrepareError, Settled, Transaction};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_types::{ErrorCode, Result};

const GATE: GateId = GateId::new(0x9_0001);

const fn part(number: u64) -> GlobalId {
    GlobalId::new(GATE, number, 1)
}

fn context() -> ExecuteContext {
    ExecuteContext::default()
}

fn driver(server: &Server, database: &str) -> PostgresDriver {
    let writer = Some(("postgres".to_owned(), Some(PASSWORD.to_owned())));
    PostgresDriver::new(&PostgresOptions { distributed: true, writer, ..server.options(database) }).unwrap()
}

async fn made(server: &Server, database: &str, more: &str) -> PostgresDriver {
    let client = server.database(database, "").await;
    client.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, n int);").await.unwrap();
    client.batch_execute(more).await.unwrap();
    driver(server, database)
}

async fn insert(driver: &PostgresDriver, tx: &mut Transaction, id: i64, n: i32) -> Result<()> {
    let table = TableRef::new(["public", "t"]).unwrap();
    insert_row(driver, tx, &table, &[("id", Value::Int64(id)), ("n", Value::Int32(n))]).await
}

async fn inserted(driver: &PostgresDriver, id: GlobalId, row: (i64, i32)) -> Transaction {
    let mut tx = driver.writer().unwrap().begin(Begin::default().within(id), &context()).await.unwrap();
    insert(driver, &mut tx, row.0, row.1).await.unwrap();
    tx
}

async fn listed(driver: &PostgresDriver) -> Vec<GlobalId> {
    driver.writer().unwrap().prepared(GATE, &context()).await.unwrap()
}

async fn settle(driver: &PostgresDriver, number: u64, fate: Fate) -> Settled {
    driver.writer().unwrap().settle(&part(number), fate, &context()).await.unwrap()
}

async fn count(server: &Server, database: &str, what: &str) -> i64 {
    server.client(database).await.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

#[track_caller]
fn refused(prepared: std::result::Result<(), PrepareError>) -> querygate_types::Error {
    match prepared {
        Err(PrepareError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_keeps_none_or_too_few_says_so() {
    let Some(server) = Server::keeping(0) else { return };
    let none = made(&server, "none", "").await;
    let obstacles = none.writer().unwrap().distributed_obstacles().await.unwrap();
    assert!(obstacles.len() == 1 && obstacles[0].contains("max_prepared_transactions"), "{obstacles:?}");
    let mut tx = inserted(&none, part(1), (1, 1)).await;
    let error = refused(tx.prepare(&part(1)).await);
    assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{error}");
    assert!(error.hint().unwrap().contains("max_prepared_transactions"), "{error}");
    tx.rollback().await;
    assert_eq!(count(&server, "none", "t").await, 0);
    assert_eq!((listed(&none).await, settle(&none, 1, Fate::Committed).await), (Vec::new(), Settled::Absent));
    drop(server);
    let Some(server) = Server::keeping(1) else { return };
    let few = made(&server, "few", "").await;
    assert_eq!(few.writer().unwrap().distributed_obstacles().await.unwrap(), Vec::<String>::new());
    let mut first = inserted(&few, part(1), (1, 1)).await;
    first.prepare(&part(1)).await.unwrap();
    let mut second = inserted(&few, part(2), (2, 2)).await;
    let error = refused(second.prepare(&part(2)).await);
    assert_eq!(error.code(), ErrorCode::TooManyQueries, "{error}");
    second.rollback().await;
    first.commit_prepared().await.unwrap();
    assert_eq!(count(&server, "few", "t").await, 1);
}

#[tokio::test]
async fn what_the_server_cannot_keep_is_refused_and_undone() {
    let Some(server) = server() else { return };
    let rules = "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.n = 1 THEN CREATE TEMP TABLE IF NOT EXISTS scratch (n int); END IF;
            IF NEW.n = 2 THEN NOTIFY somebody; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd();
        ALTER TABLE t ADD CONSTRAINT tardy UNIQUE (n) DEFERRABLE INITIALLY DEFERRED; INSERT INTO t VALUES (9, 9);";
    let driver = made(server, "odd", rules).await;
    for (number, row, code) in [
        (1, (1, 1), ErrorCode::FeatureNotSupported),
        (2, (2, 2), ErrorCode::FeatureNotSupported),
        (3, (3, 9), ErrorCode::UniqueViolation),
    ] {
        let mut tx = inserted(&driver, part(number), row).await;
        let error = refused(tx.prepare(&part(number)).await);
        assert_eq!(error.code(), code, "{error} {:?}", error.cause());
        let told = format!("{error} {:?}", error.hint());
        for name in ["scratch", "somebody", "tardy"] {
            assert!(!told.contains(name), "{told}");
        }
        let after = insert(&driver, &mut tx, 4, 4).await.unwrap_err();
        assert_eq!(after.code(), ErrorCode::InFailedTransaction);
        tx.rollback().await;
    }
    assert_eq!((listed(&driver).await, count(server, "odd", "t").await), (Vec::new(), 1));
    // An id that is there is not given twice.
    let mut first = inserted(&driver, part(4), (4, 4)).await;
    first.prepare(&part(4)).await.unwrap();
    let mut second = inserted(&driver, part(4), (5, 5)).await;
    refused(second.prepare(&part(4)).await);
    second.rollback().await;
    first.rollback_prepared().await.unwrap();
    assert_eq!(count(server, "odd", "t").await, 1);
}

#[tokio::test]
async fn it_outlasts_the_server_and_is_of_its_own_database() {
    let Some(server) = Server::start() else { return };
    let driver = made(&server, "here", "").await;
    let there = made(&server, "there", "").await;
    for number in [1, 2] {
        let mut tx = inserted(&driver, part(number), (i64::try_from(number).unwrap(), 0)).await;
        tx.prepare(&part(number)).await.unwrap();
        drop(tx);
    }
    let open = inserted(&driver, part(3), (3, 0)).await;
    assert_eq!(listed(&there).await, Vec::new());
    // Somebody else's, whose name only begins like one of ours.
    let client = server.client("here").await;
    let others = "BEGIN; INSERT INTO t VALUES (7, 7); PREPARE TRANSACTION 'qg-0000000000090001-x'";
    client.batch_execute(others).await.unwrap();
    server.kill();
    server.run();
    drop(open);
    assert_eq!(listed(&driver).await, [part(1), part(2)]);
    assert_eq!(settle(&driver, 1, Fate::Committed).await, Settled::Done);
    assert_eq!(settle(&driver, 2, Fate::RolledBack).await, Settled::Done);
    assert_eq!(settle(&driver, 3, Fate::Committed).await, Settled::Absent);
    let client = server.client("here").await;
    let ids: Vec<i64> = client.query("SELECT id FROM t", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [1]);
    client.batch_execute("ROLLBACK PREPARED 'qg-0000000000090001-x'").await.unwrap();
}

/// A connection whose transaction is kept is as good as any other afterwards.
#[tokio::test]
async fn its_connection_is_used_again() {
    let Some(server) = server() else { return };
    let driver = made(server, "again", "").await;
    for number in 1..=20 {
        let mut tx = inserted(&driver, part(number), (i64::try_from(number).unwrap(), 0)).await;
        tx.prepare(&part(number)).await.unwrap();
        if number % 2 == 0 { tx.commit_prepared().await.unwrap() } else { tx.rollback_prepared().await.unwrap() }
    }
    assert_eq!(count(server, "again", "t").await, 10);
    let connections = "pg_stat_activity WHERE datname = 'again' AND application_name <> '' AND pid <> pg_backend_pid()";
    assert!(count(server, "postgres", connections).await <= 2, "readers and the writer");
    assert_eq!(count(server, "postgres", "pg_prepared_xacts WHERE database = 'again'").await, 0);
}

#[tokio::test]
async fn a_source_that_is_not_configured_for_it_keeps_nothing() {
    let Some(server) = server() else { return };
    drop(made(server, "alone", "").await);
    let writer = Some(("postgres".to_owned(), Some(PASSWORD.to_owned())));
    let driver = PostgresDriver::new(&PostgresOptions { writer, ..server.options("alone") }).unwrap();
    let mut tx = inserted(&driver, part(1), (1, 1)).await;
    assert_eq!(refused(tx.prepare(&part(1)).await).code(), ErrorCode::FeatureNotSupported);
    tx.rollback().await;
    assert_eq!(driver.writer().unwrap().distributed_obstacles().await.unwrap(), Vec::<String>::new());
    assert_eq!(count(server, "alone", "t").await, 0);
}
