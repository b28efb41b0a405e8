//! Tables read whole, over several connections under one snapshot in COPY's format: the same rows as in the usual way, all
//! types, beside writers; and how such a read ends early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::query::{fragment, integers, run, scan, table};
use common::{Server, load, plain, server};
use futures::StreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, ExecuteContext, Pages, SnapshotAnswer, SnapshotShare};
use querygate_driver_api::relation::Relation;
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const INT: ValueType = ValueType::Int32;

/// A driver that reads every table of which it was told the size in this way.
async fn eager(server: &Server, database: &str, measured: &[&str]) -> PostgresDriver {
    let options = PostgresOptions { bulk_bytes: 0, ..server.options(database) };
    let driver = PostgresDriver::new(&options).unwrap();
    for name in measured {
        driver.statistics(&table(name)).await.unwrap();
    }
    driver
}

/// All readable columns of a table, as they describe themselves.
async fn whole(driver: &PostgresDriver, name: &str) -> Vec<Vec<Value>> {
    let relation = scan(driver, name).await;
    let Relation::Scan { columns, .. } = &relation else { panic!() };
    let output: Vec<_> = columns.iter().map(|column| (column.id.0, column.value_type)).collect();
    run(driver, &fragment(relation, &output, &[]), &[], ExecuteContext::default()).await.unwrap()
}

fn sorted(rows: Vec<Vec<Value>>) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    lines.sort();
    lines
}

/// Statements with COPY that run or have run last on some connection.
async fn copies(admin: &Client, database: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'querygate' \
               AND state = 'active' AND query LIKE 'COPY%'";
    admin.query_one(sql, &[&database]).await.unwrap().get(0)
}

#[tokio::test]
async fn every_type_arrives_as_in_the_usual_way() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_types", "").await;
    load(&admin, plain).await;
    let names: Vec<String> =
        server.driver("bulk_types").tables().await.unwrap().iter().map(|t| t.name().to_owned()).collect();
    assert!(names.len() >= 4, "{names:?}");
    let measured: Vec<&str> = names.iter().map(String::as_str).collect();
    let (usual, eager) = (server.driver("bulk_types"), eager(server, "bulk_types", &measured).await);
    for name in &names {
        let (rows, expected) = (whole(&eager, name).await, whole(&usual, name).await);
        assert_eq!(rows.len(), expected.len(), "{name}");
        assert_eq!(sorted(rows), sorted(expected), "{name}");
    }
    // A view has no pages.
    admin.batch_execute("CREATE VIEW seen AS SELECT id FROM many").await.unwrap();
    eager.statistics(&table("seen")).await.unwrap();
    assert_eq!(whole(&eager, "seen").await.len(), whole(&usual, "many").await.len());
}

#[tokio::test]
async fn a_grant_on_columns_alone_reads_in_the_usual_way() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_columns", "").await;
    let sql =
        "CREATE TABLE partly (id int, hidden text); INSERT INTO partly SELECT g, 'x' FROM generate_series(1, 1000) g;
               CREATE ROLE columns LOGIN PASSWORD 'c'; GRANT SELECT (id) ON partly TO columns";
    admin.batch_execute(sql).await.unwrap();
    let options = PostgresOptions {
        bulk_bytes: 0,
        user: "columns".to_owned(),
        password: Some("c".to_owned()),
        ..server.options("bulk_columns")
    };
    let driver = PostgresDriver::new(&options).unwrap();
    driver.statistics(&table("partly")).await.unwrap();
    let all = fragment(scan(&driver, "partly").await, &[(0, INT)], &[]);
    let rows = run(&driver, &all, &[], ExecuteContext::default()).await.unwrap();
    assert_eq!(rows.len(), 1_000);
}

#[tokio::test]
async fn all_connections_see_one_moment_while_rows_move() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_moment", "").await;
    // Wide enough for a few ranges of pages, each row with room to move to.
    let sql = "CREATE TABLE moving (id int, n int, filler text) WITH (autovacuum_enabled = off);
               INSERT INTO moving SELECT g, 0, repeat('x', 900) FROM generate_series(1, 60000) g;";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "bulk_moment", &["moving"]).await;
    let over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (over, client) = (Arc::clone(&over), server.client("bulk_moment").await);
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                client.batch_execute("UPDATE moving SET n = n + 1 WHERE id % 3 = 0").await.unwrap();
                client.batch_execute("BEGIN; DELETE FROM moving WHERE id <= 500; INSERT INTO moving SELECT g, 0, 'new' FROM generate_series(1, 500) g; COMMIT").await.unwrap();
            }
        })
    };
    let relation = scan(&driver, "moving").await;
    for round in 0..3 {
        let all = fragment(relation.clone(), &[(0, INT), (1, INT)], &[]);
        let rows = run(&driver, &all, &[], ExecuteContext::default()).await.unwrap();
        assert_eq!(rows.len(), 60_000, "round {round}");
        let mut ids = integers(&rows);
        ids.sort_unstable();
        assert!(ids.iter().zip(1..).all(|(id, expected)| *id == expected), "round {round}: a row is there twice");
        // Those that are counted up together are at one count.
        let counts = rows.iter().filter_map(|row| match row.as_slice() {
            [Value::Int32(id), Value::Int32(n)] if id % 3 == 0 && *id > 500 => Some(*n),
            _ => None,
        });
        let counts: std::collections::BTreeSet<i32> = counts.collect();
        assert_eq!(counts.len(), 1, "round {round}: {counts:?}");
    }
    over.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[tokio::test]
async fn shares_of_a_kept_moment_have_each_row_once_while_rows_move() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_shares", "").await;
    let sql = "CREATE TABLE moving (id int, n int, filler text) WITH (autovacuum_enabled = off);
               INSERT INTO moving SELECT g, 0, repeat('x', 900) FROM generate_series(1, 60000) g;";
    admin.batch_execute(sql).await.unwrap();
    let paged = eager(server, "bulk_shares", &["moving"]).await;
    let plain = server.driver("bulk_shares");
    for (driver, expected) in [(&paged, 3), (&plain, 1)] {
        let all = fragment(scan(driver, "moving").await, &[(0, INT), (1, INT)], &[]);
        let statement = driver.render(&all).unwrap();
        let before = sorted(run(driver, &all, &[], ExecuteContext::default()).await.unwrap());
        let SnapshotAnswer::Kept(moment) = driver.keep(&statement).await.unwrap() else { panic!("no room") };
        let shares = match moment.pages {
            Some(pages) => Pages::divided(pages, 3).into_iter().map(Some).collect(),
            None => vec![None],
        };
        assert_eq!(shares.len(), expected);
        let mut rows = Vec::new();
        for pages in shares {
            let changes = "UPDATE moving SET n = n + 1 WHERE id % 3 = 0; DELETE FROM moving WHERE id <= 500;
                           INSERT INTO moving SELECT g, -1, 'new' FROM generate_series(1, 500) g";
            admin.batch_execute(changes).await.unwrap();
            let share = Some(SnapshotShare { snapshot: Arc::clone(&moment.name), pages });
            let context = ExecuteContext { share, ..ExecuteContext::default() };
            rows.extend(run(driver, &all, &[], context).await.unwrap());
        }
        assert_eq!(rows.len(), 60_000);
        assert!(sorted(rows) == before);
        // Written anew, the table has its rows in other pages; what reads no pages sees the moment as it was.
        admin.batch_execute("VACUUM FULL moving").await.unwrap();
        let pages = moment.pages.map(|pages| Pages::divided(pages, 3)[1]);
        let share = Some(SnapshotShare { snapshot: Arc::clone(&moment.name), pages });
        let read = run(driver, &all, &[], ExecuteContext { share, ..ExecuteContext::default() }).await;
        match pages {
            Some(_) => assert_eq!(read.unwrap_err().code(), ErrorCode::SourceSchemaChanged),
            None => assert!(sorted(read.unwrap()) == before),
        }
        // Once nobody keeps it, it gives nothing; the server needs a moment to see that.
        let share = Some(SnapshotShare { snapshot: Arc::clone(&moment.name), pages: None });
        drop(moment);
        let began = Instant::now();
        let gone = loop {
            let context = ExecuteContext { share: share.clone(), ..ExecuteContext::default() };
            match run(driver, &all, &[], context).await {
                Ok(_) => assert!(began.elapsed() < Duration::from_secs(60), "the moment stays"),
                Err(error) => break error,
            }
        };
        assert_eq!(gone.code(), ErrorCode::SourceSchemaChanged);
        assert_eq!(driver.pool().unwrap().in_use, 0);
    }
}

#[tokio::test]
async fn a_moment_is_kept_only_where_others_have_room() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_room", "").await;
    admin.batch_execute("CREATE TABLE few (id int); INSERT INTO few VALUES (1)").await.unwrap();
    for (pool_size, expected) in [(1, 0), (3, 0), (4, 2), (8, 4)] {
        let options = PostgresOptions { pool_size, ..server.options("bulk_room") };
        let driver = PostgresDriver::new(&options).unwrap();
        let statement = driver.render(&fragment(scan(&driver, "few").await, &[(0, INT)], &[])).unwrap();
        let mut kept = Vec::new();
        while let SnapshotAnswer::Kept(moment) = driver.keep(&statement).await.unwrap() {
            assert_eq!(moment.executions_max, pool_size / 2);
            kept.push(moment);
        }
        assert_eq!(kept.len(), expected, "{pool_size}");
    }
}

#[tokio::test]
async fn a_read_that_is_cancelled_late_or_abandoned_stops_the_server() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_ends", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 300000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "bulk_ends", &["long"]).await;
    let all = fragment(scan(&driver, "long").await, &[(0, INT), (1, ValueType::Text)], &[]);
    let statement = driver.render(&all).unwrap();
    let ends = async || {
        let began = Instant::now();
        while copies(&admin, "bulk_ends").await > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "the server still copies");
        }
    };
    let context = ExecuteContext::default();
    let cancel = context.cancel.clone();
    let mut stream = driver.run(&statement, &[], Ask::Batches(context)).await.unwrap().batches().unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(copies(&admin, "bulk_ends").await > 0, "it is not read in this way");
    cancel.cancel();
    let last = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().code(), ErrorCode::QueryCanceled);
    ends().await;

    let deadline = Instant::now() + Duration::from_millis(300);
    let context = ExecuteContext { deadline: Some(deadline), ..ExecuteContext::default() };
    // On a busy machine the time may be over before there is a stream.
    let error = match driver.run(&statement, &[], Ask::Batches(context)).await.and_then(Answer::batches) {
        Ok(stream) => {
            tokio::time::sleep_until(deadline.into()).await;
            stream.collect::<Vec<_>>().await.pop().unwrap().unwrap_err()
        }
        Err(error) => error,
    };
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    ends().await;

    let mut stream =
        driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    ends().await;
    // All connections can be used again, or were replaced.
    let counted = run(&driver, &all, &[], ExecuteContext::default()).await.unwrap().len();
    assert_eq!(counted, 300_000);
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

#[tokio::test]
async fn a_server_that_dies_never_leaves_half_a_table() {
    let Some(server) = Server::start() else { return };
    let admin = server.database("bulk_dies", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 300000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(&server, "bulk_dies", &["long"]).await;
    let all = fragment(scan(&driver, "long").await, &[(0, INT), (1, ValueType::Text)], &[]);
    let statement = driver.render(&all).unwrap();
    let mut stream =
        driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    stream.next().await.unwrap().unwrap();
    server.kill();
    let last = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().code(), ErrorCode::SourceLost);
    server.run();
    // Idle connections that died with the server are no reason to fail.
    let rows = run(&driver, &all, &[], ExecuteContext::default()).await;
    assert_eq!(rows.unwrap().len(), 300_000);
}
