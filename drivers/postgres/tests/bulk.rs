//! Tables read by ranges of their pages over several connections under one snapshot, whole in COPY's format or under a condition that
//! leaves few rows out: the same rows as in the usual way, all types, beside writers; and how such a read ends early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::query::{column, filter, fragment, integers, run, scan, table};
use common::{Server, load, plain, server};
use futures::StreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{
    Answer, Ask, BatchStream, ExecuteContext, NativeStatement, Pages, SnapshotAnswer, SnapshotShare,
};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr};
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

/// Connections that read ranges of pages, or have read one and wait.
async fn readers(admin: &Client, database: &str) -> usize {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'querygate' \
               AND state <> 'idle' AND query LIKE '%WHERE ctid >=%'";
    usize::try_from(admin.query_one(sql, &[&database]).await.unwrap().get::<_, i64>(0)).unwrap()
}

/// Waits until so many connections read ranges of pages.
async fn wait_for_readers(admin: &Client, database: &str, expected: usize) {
    let began = Instant::now();
    while readers(admin, database).await != expected {
        assert!(began.elapsed() < Duration::from_secs(30), "{} read", readers(admin, database).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many connections read a statement of several ranges in turn, on this machine.
fn in_turn() -> usize {
    match std::thread::available_parallelism().unwrap().get() {
        1 => 0,
        cores => cores.min(4),
    }
}

/// The same columns of a table whole, and under a condition that every row meets and that has run before.
async fn whole_and_filtered(
    driver: &PostgresDriver,
    name: &str,
    output: &[(u32, ValueType)],
) -> [(Fragment, Vec<Value>); 2] {
    let all = fragment(scan(driver, name).await, output, &[]);
    let values = vec![Value::Int32(-7)];
    let narrowed = filter(scan(driver, name).await, ComparisonOp::Gt, 0, INT);
    let filtered = fragment(narrowed, output, &values);
    run(driver, &filtered, &values, ExecuteContext::default()).await.unwrap();
    [(all, Vec::new()), (filtered, values)]
}

async fn begin(
    driver: &PostgresDriver,
    (statement, values): (&Arc<NativeStatement>, &[Value]),
    context: ExecuteContext,
) -> querygate_types::Result<BatchStream> {
    driver.run(statement, values, Ask::Batches(context)).await.and_then(Answer::batches)
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

/// The rows of its heirs lie in pages of their own.
#[tokio::test]
async fn a_table_that_others_inherit_from_is_not_divided_by_pages() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_heirs", "").await;
    let sql = "CREATE TABLE estate (id int); CREATE TABLE heir () INHERITS (estate); CREATE TABLE alone (id int);
               INSERT INTO estate VALUES (1); INSERT INTO heir VALUES (2); INSERT INTO alone VALUES (3)";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "bulk_heirs", &["estate", "alone"]).await;
    for (name, rows, is_divided) in [("estate", vec![1, 2], false), ("alone", vec![3], true)] {
        let all = fragment(scan(&driver, name).await, &[(0, INT)], &[]);
        let statement = driver.render(&all).unwrap();
        let mut ids = integers(&run(&driver, &all, &[], ExecuteContext::default()).await.unwrap());
        ids.sort_unstable();
        assert_eq!(ids, rows);
        let SnapshotAnswer::Kept(moment) = driver.keep(&statement).await.unwrap() else { panic!("no room") };
        assert_eq!(moment.pages.is_some(), is_divided, "{name}");
    }
}

#[tokio::test]
async fn all_connections_see_one_moment_while_rows_move() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_moment", "").await;
    // Wide enough for a few ranges of pages, each row with room to move to.
    let sql = "CREATE TABLE moving (id int, n int, filler text) WITH (autovacuum_enabled = off);
               INSERT INTO moving SELECT g, 0, repeat('x', 900) FROM generate_series(1, 60000) g; ANALYZE moving";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "bulk_moment", &["moving"]).await;
    let both = whole_and_filtered(&driver, "moving", &[(0, INT), (1, INT)]).await;
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
    for (round, (asked, values)) in both.iter().chain(&both).chain(&both).enumerate() {
        let rows = run(&driver, asked, values, ExecuteContext::default()).await.unwrap();
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
        // Written anew, the table has its rows in other pages, and a moment from before may see none of them.
        let change = if moment.pages.is_some() {
            "VACUUM FULL moving"
        } else {
            "TRUNCATE moving; INSERT INTO moving VALUES (1, 1)"
        };
        admin.batch_execute(change).await.unwrap();
        let pages = moment.pages.map(|pages| Pages::divided(pages, 3)[1]);
        let share = Some(SnapshotShare { snapshot: Arc::clone(&moment.name), pages });
        let read = run(driver, &all, &[], ExecuteContext { share, ..ExecuteContext::default() }).await;
        assert_eq!(read.unwrap_err().code(), ErrorCode::SourceSchemaChanged, "{change}");
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
    let ends = async || wait_for_readers(&admin, "bulk_ends", 0).await;
    for (asked, values) in whole_and_filtered(&driver, "long", &[(0, INT), (1, ValueType::Text)]).await {
        let statement = driver.render(&asked).unwrap();
        let what = (&statement, values.as_slice());
        let context = ExecuteContext::default();
        let cancel = context.cancel.clone();
        let mut stream = begin(&driver, what, context).await.unwrap();
        stream.next().await.unwrap().unwrap();
        let is_paged = values.is_empty() || in_turn() > 0;
        assert_eq!(readers(&admin, "bulk_ends").await > 0, is_paged, "{values:?}");
        cancel.cancel();
        let last = stream.collect::<Vec<_>>().await.pop().unwrap();
        assert_eq!(last.unwrap_err().code(), ErrorCode::QueryCanceled);
        ends().await;

        let deadline = Instant::now() + Duration::from_millis(300);
        let context = ExecuteContext { deadline: Some(deadline), ..ExecuteContext::default() };
        // On a busy machine the time may be over before there is a stream.
        let error = match begin(&driver, what, context).await {
            Ok(stream) => {
                tokio::time::sleep_until(deadline.into()).await;
                stream.collect::<Vec<_>>().await.pop().unwrap().unwrap_err()
            }
            Err(error) => error,
        };
        assert_eq!(error.code(), ErrorCode::StatementTimeout);
        ends().await;

        let mut stream = begin(&driver, what, ExecuteContext::default()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        ends().await;
        // All connections can be used again, or were replaced.
        let counted = run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap().len();
        assert_eq!(counted, 300_000);
        assert_eq!(driver.pool().unwrap().in_use, 0);
    }
}

#[tokio::test]
async fn a_server_that_dies_never_leaves_half_a_table() {
    let Some(server) = Server::start() else { return };
    let admin = server.database("bulk_dies", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 300000) g; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(&server, "bulk_dies", &["long"]).await;
    for (asked, values) in whole_and_filtered(&driver, "long", &[(0, INT), (1, ValueType::Text)]).await {
        let statement = driver.render(&asked).unwrap();
        let mut stream = begin(&driver, (&statement, &values), ExecuteContext::default()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        server.kill();
        let last = stream.collect::<Vec<_>>().await.pop().unwrap();
        assert_eq!(last.unwrap_err().code(), ErrorCode::SourceLost);
        server.run();
        // Idle connections that died with the server are no reason to fail.
        let rows = run(&driver, &asked, &values, ExecuteContext::default()).await;
        assert_eq!(rows.unwrap().len(), 300_000);
    }
}

/// Which pages hold the rows that are left out is not seen, neither in the order of the others nor in how many come at a time.
#[tokio::test]
async fn rows_under_a_condition_come_as_one_connection_gives_them() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_turns", "").await;
    // Ranges of pages with all rows left out, some, and none.
    let sql = "CREATE TABLE sale (n int, id int, t text);
               INSERT INTO sale SELECT CASE WHEN g BETWEEN 20000 AND 45000 OR g % 7 = 0 THEN 0 ELSE 1 END, g, repeat('x', 900)
               FROM generate_series(1, 120000) g; ANALYZE sale";
    admin.batch_execute(sql).await.unwrap();
    let options = PostgresOptions { bulk_bytes: 0, pool_size: 8, ..server.options("bulk_turns") };
    let driver = PostgresDriver::new(&options).unwrap();
    driver.statistics(&table("sale")).await.unwrap();
    let narrowed = filter(scan(&driver, "sale").await, ComparisonOp::Eq, 0, INT);
    let visible = [Value::Int32(1)];
    let asked = fragment(narrowed, &[(0, INT), (1, INT), (2, ValueType::Text)], &visible);
    let statement = driver.render(&asked).unwrap();
    let mut batches = Vec::new();
    for paged in [false, true, true] {
        let mut stream = begin(&driver, (&statement, &visible), ExecuteContext::default()).await.unwrap();
        let mut all = vec![stream.next().await.unwrap().unwrap()];
        wait_for_readers(&admin, "bulk_turns", if paged { in_turn() } else { 0 }).await;
        while let Some(batch) = stream.next().await {
            all.push(batch.unwrap());
        }
        batches.push(all);
    }
    assert!(batches[0].len() > 5);
    assert!(batches[1] == batches[0] && batches[2] == batches[0]);
    // Few rows, by the same statement: they may be found by an index.
    let hidden = [Value::Int32(2)];
    let asked = fragment(filter(scan(&driver, "sale").await, ComparisonOp::Eq, 0, INT), &[(1, INT)], &hidden);
    assert_eq!(run(&driver, &asked, &hidden, ExecuteContext::default()).await.unwrap().len(), 0);
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

#[tokio::test]
async fn an_error_in_some_range_is_the_statements() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_fails", "").await;
    let sql = "CREATE TABLE part AS SELECT g AS id, 1 AS n, repeat('x', 900) AS t FROM generate_series(1, 60000) g; ANALYZE part";
    admin.batch_execute(sql).await.unwrap();
    let driver = eager(server, "bulk_fails", &["part"]).await;
    let narrowed = filter(scan(&driver, "part").await, ComparisonOp::Gt, 0, INT);
    let (left, right) = (Box::new(column(0)), Box::new(column(1)));
    let divided = ScalarExpr::Arithmetic { op: ArithmeticOp::Divide, left, right, value_type: INT };
    let relation = Relation::Project { input: Box::new(narrowed), exprs: vec![(ColumnId(9), divided)] };
    let values = [Value::Int32(0)];
    let asked = fragment(relation, &[(9, INT)], &values);
    for _ in 0..2 {
        assert_eq!(run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap().len(), 60_000);
    }
    let sql = "UPDATE part SET n = 0 WHERE id = 40000";
    admin.batch_execute(sql).await.unwrap();
    for _ in 0..2 {
        let error = run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::DivisionByZero);
        assert_eq!(driver.pool().unwrap().in_use, 0);
    }
    admin.batch_execute("UPDATE part SET n = 1; ALTER TABLE part DROP COLUMN n").await.unwrap();
    let error = run(&driver, &asked, &values, ExecuteContext::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
}

/// Who wants to change the table waits for its readers, and a reader that comes behind waits for the change: the others do without it.
#[tokio::test]
async fn a_change_of_the_table_that_waits_does_not_hold_up_its_readers() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_waits", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 900) AS t FROM generate_series(1, 60000) g;
               CREATE INDEX few ON long (id); ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let options = PostgresOptions { bulk_bytes: 0, pool_size: 8, ..server.options("bulk_waits") };
    let driver = PostgresDriver::new(&options).unwrap();
    driver.statistics(&table("long")).await.unwrap();
    for (asked, values) in whole_and_filtered(&driver, "long", &[(0, INT), (1, ValueType::Text)]).await {
        let statement = driver.render(&asked).unwrap();
        for change in ["ALTER TABLE long ALTER COLUMN t SET STATISTICS 50", "REINDEX INDEX few", "LOCK TABLE long"] {
            let over = Arc::new(AtomicBool::new(false));
            let changes = tokio::spawn({
                let (over, client) = (Arc::clone(&over), server.client("bulk_waits").await);
                async move {
                    while !over.load(Ordering::Relaxed) {
                        client.batch_execute(&format!("BEGIN; {change}; COMMIT")).await.unwrap();
                    }
                }
            });
            for round in 0..5 {
                let mut stream = begin(&driver, (&statement, &values), ExecuteContext::default()).await.unwrap();
                let mut rows = 0;
                while let Some(batch) = tokio::time::timeout(Duration::from_secs(60), stream.next()).await.unwrap() {
                    rows += batch.unwrap().num_rows();
                }
                assert_eq!(rows, 60_000, "{change}, {round}");
            }
            over.store(true, Ordering::Relaxed);
            changes.await.unwrap();
        }
    }
    assert_eq!(driver.pool().unwrap().in_use, 0);
}

/// The moment is named before the table can be looked at; after the wait it is another file, of which the moment sees no row.
#[tokio::test]
async fn a_table_that_is_written_anew_while_it_is_waited_for_is_read_as_it_is_then() {
    let Some(server) = server() else { return };
    let admin = server.database("bulk_anew", "").await;
    let sql = "CREATE TABLE long AS SELECT g AS id, repeat('x', 900) AS t FROM generate_series(1, 30000) g;
               CREATE TABLE copied AS SELECT * FROM long; ANALYZE";
    admin.batch_execute(sql).await.unwrap();
    let options = PostgresOptions { bulk_bytes: 0, bulk_rows: 1, ..server.options("bulk_anew") };
    let driver = PostgresDriver::new(&options).unwrap();
    driver.statistics(&table("long")).await.unwrap();
    for (asked, values) in whole_and_filtered(&driver, "long", &[(0, INT)]).await {
        let statement = driver.render(&asked).unwrap();
        for change in [
            "TRUNCATE long; INSERT INTO long SELECT * FROM copied",
            "ALTER TABLE long SET UNLOGGED",
            "ALTER TABLE long SET LOGGED",
        ] {
            admin.batch_execute(&format!("BEGIN; {change}")).await.unwrap();
            let reading = begin(&driver, (&statement, &values), ExecuteContext::default());
            let committing = async {
                let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'long'::regclass";
                while admin.query(waits, &[]).await.unwrap().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                admin.batch_execute("COMMIT").await.unwrap();
            };
            let (stream, ()) = tokio::join!(reading, committing);
            let (mut stream, mut rows) = (stream.unwrap(), 0);
            while let Some(batch) = stream.next().await {
                rows += batch.unwrap().num_rows();
            }
            assert_eq!(rows, 30_000, "{change}");
        }
    }
    assert_eq!(driver.pool().unwrap().in_use, 0);
}
