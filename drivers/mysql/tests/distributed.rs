//! Parts of transactions of several sources that a MariaDB server keeps: XA transactions, their connections and its crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::options;
use common::server::{PASSWORD, Server};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Begin, Fate, GateId, GlobalId, PrepareError, Settled, Transaction, Writer};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_types::{ErrorCode, Result};
use std::time::{Duration, Instant};

const GATE: GateId = GateId::new(0x3_0001);

const fn part(number: u64) -> GlobalId {
    GlobalId::new(GATE, number, 1)
}

fn context() -> ExecuteContext {
    ExecuteContext::default()
}

fn driver(server: &Server) -> MysqlDriver {
    let writer = Some(("writing".to_owned(), Some(PASSWORD.to_owned())));
    MysqlDriver::new(&MysqlOptions { distributed: true, writer, ..options(server, "kept") })
}

fn made(server: &Server) -> MysqlDriver {
    let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
    server.sql(&format!(
        "CREATE DATABASE kept; USE kept; CREATE TABLE t (id BIGINT PRIMARY KEY, n INT);
         CREATE USER 'writing'@'127.0.0.1' IDENTIFIED BY '{password}';
         GRANT SELECT, INSERT, UPDATE, DELETE ON kept.* TO 'writing'@'127.0.0.1';"
    ));
    driver(server)
}

async fn insert(driver: &MysqlDriver, tx: &mut Transaction, id: i64) -> Result<()> {
    let table = TableRef::new(["kept", "t"]).unwrap();
    insert_row(driver, tx, &table, &[("id", Value::Int64(id)), ("n", Value::Int32(0))]).await
}

async fn inserted(driver: &MysqlDriver, id: GlobalId, row: i64) -> Transaction {
    let mut tx = driver.begin(Begin::default().within(id), &context()).await.unwrap();
    insert(driver, &mut tx, row).await.unwrap();
    tx
}

async fn settle(driver: &MysqlDriver, number: u64, fate: Fate) -> Settled {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let settled = driver.settle(&part(number), fate, &context()).await.unwrap();
        if settled != Settled::Held || Instant::now() > until {
            return settled;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn ids(server: &Server) -> Vec<String> {
    server.sql("SELECT id FROM kept.t ORDER BY id").lines().map(str::to_owned).collect()
}

/// The server knows it under its connection alone as long as that is there, and says of others that there is no such transaction.
#[tokio::test]
async fn it_is_held_as_long_as_its_connection_lasts() {
    let Some(server) = Server::start() else { return };
    let driver = made(&server);
    let mut tx = inserted(&driver, part(1), 1).await;
    tx.prepare(&part(1)).await.unwrap();
    for fate in [Fate::Committed, Fate::RolledBack] {
        assert_eq!(driver.settle(&part(1), fate, &context()).await.unwrap(), Settled::Held);
    }
    assert_eq!(driver.prepared(GATE, &context()).await.unwrap(), [part(1)]);
    drop(tx);
    assert_eq!(settle(&driver, 1, Fate::Committed).await, Settled::Done);
    assert_eq!(ids(&server), ["1"]);
}

#[tokio::test]
async fn it_outlasts_the_server_beside_those_of_others() {
    let Some(server) = Server::start() else { return };
    let driver = made(&server);
    for number in [1, 2] {
        let mut tx = inserted(&driver, part(number), i64::try_from(number).unwrap()).await;
        tx.prepare(&part(number)).await.unwrap();
        drop(tx);
    }
    let open = inserted(&driver, part(3), 3).await;
    // Ids in other forms, one of them of bytes that are no text.
    for (id, row) in [("'others'", 7), ("X'FF00FE'", 8), ("'qg-0000000000030001-9-1','second'", 9)] {
        let text = format!("USE kept; XA START {id}; INSERT INTO t VALUES ({row}, 0); XA END {id}; XA PREPARE {id};");
        server.sql(&text);
    }
    assert_eq!(driver.prepared(GATE, &context()).await.unwrap().len(), 2);
    server.kill();
    server.resume();
    drop(open);
    let mut listed = driver.prepared(GATE, &context()).await;
    if listed.is_err() {
        // Its connection had rested while the server went down.
        listed = driver.prepared(GATE, &context()).await;
    }
    let mut listed = listed.unwrap();
    listed.sort();
    assert_eq!(listed, [part(1), part(2)]);
    assert_eq!(settle(&driver, 1, Fate::Committed).await, Settled::Done);
    assert_eq!(settle(&driver, 2, Fate::RolledBack).await, Settled::Done);
    assert_eq!(settle(&driver, 3, Fate::Committed).await, Settled::Absent);
    assert_eq!(ids(&server), ["1"]);
}

#[tokio::test]
async fn only_what_began_under_its_id_is_kept() {
    let Some(server) = Server::start() else { return };
    let driver = made(&server);
    assert_eq!(driver.distributed_obstacles().await.unwrap(), Vec::<String>::new());
    let mut plain = driver.begin(Begin::default(), &context()).await.unwrap();
    insert(&driver, &mut plain, 1).await.unwrap();
    match plain.prepare(&part(1)).await {
        Err(PrepareError::Refused(error)) => assert_eq!(error.code(), ErrorCode::FeatureNotSupported),
        other => panic!("{other:?}"),
    }
    plain.rollback().await;
    let mut other = inserted(&driver, part(1), 1).await;
    assert!(matches!(other.prepare(&part(2)).await, Err(PrepareError::Refused(_))));
    other.rollback().await;
    assert_eq!(ids(&server), Vec::<String>::new());
    // A second transaction of one id does not begin.
    let first = inserted(&driver, part(3), 3).await;
    assert!(driver.begin(Begin::default().within(part(3)), &context()).await.is_err());
    first.rollback().await;
    // One that the server has rolled back leaves a connection that is used again.
    for number in 4..24 {
        let mut tx = inserted(&driver, part(number), 4).await;
        assert_eq!(insert(&driver, &mut tx, 4).await.unwrap_err().code(), ErrorCode::UniqueViolation);
        tx.rollback().await;
    }
    let mut tx = inserted(&driver, part(30), 5).await;
    tx.prepare(&part(30)).await.unwrap();
    tx.commit_prepared().await.unwrap();
    let connections = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'writing'";
    let open: u32 = server.sql(connections).trim().parse().unwrap();
    assert!(open <= 2, "{open}");
    assert_eq!(ids(&server), ["5"]);
}

/// Of two that wait for each other, the server rolls one back, and leaves it in a state that takes nothing but its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_lost_a_deadlock_ends_as_it_should() {
    let Some(server) = Server::start() else { return };
    let driver = made(&server);
    let (mut first, mut second) = (inserted(&driver, part(1), 1).await, inserted(&driver, part(2), 2).await);
    let (left, right) = tokio::join!(insert(&driver, &mut first, 2), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        insert(&driver, &mut second, 1).await
    });
    let (lost, mut won) = match (&left, &right) {
        (Err(error), Ok(())) => {
            assert_eq!(error.code(), ErrorCode::DeadlockDetected, "{error}");
            (first, second)
        }
        (Ok(()), Err(error)) => {
            assert_eq!(error.code(), ErrorCode::DeadlockDetected, "{error}");
            (second, first)
        }
        other => panic!("{other:?}"),
    };
    lost.rollback().await;
    let id = if left.is_err() { part(2) } else { part(1) };
    won.prepare(&id).await.unwrap();
    won.commit_prepared().await.unwrap();
    assert_eq!(ids(&server), ["1", "2"]);
    let again = inserted(&driver, part(3), 3).await;
    again.commit().await.unwrap();
    assert_eq!(ids(&server), ["1", "2", "3"]);
}
