//! Sources that are absent, refuse, hang, die, come back or change; and statements that are stopped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::query::{column, fragment, integers, rows, run, scan, table};
use common::{Server, server, signal};
use futures::StreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::pool::Budget;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions, PostgresTls};
use querygate_types::{Error, ErrorCode};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const INT: ValueType = ValueType::Int32;

/// Runs `SELECT id FROM name`.
async fn ids(driver: &dyn Driver, name: &str) -> Result<Vec<i64>, Error> {
    let remote = driver.describe(&table(name)).await?;
    drop(remote);
    Ok(integers(&rows(driver, scan(driver, name).await, &[(0, INT)], &[]).await?))
}

async fn all_of(driver: &dyn Driver, name: &str) -> Fragment {
    fragment(scan(driver, name).await, &[(0, INT)], &[])
}

/// Statements of the driver that the server works on, waiting ones included.
async fn running(admin: &Client, database: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'querygate' AND state = 'active'";
    admin.query_one(sql, &[&database]).await.unwrap().get(0)
}

async fn until_running(admin: &Client, database: &str, count: i64) {
    let end = Instant::now() + Duration::from_secs(10);
    while running(admin, database).await != count {
        assert!(Instant::now() < end, "{count} statements");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn cancel_and_deadline_reach_the_servers_own_statement() {
    let Some(server) = server() else { return };
    let admin = server.database("stopping", "").await;
    admin.batch_execute("CREATE TABLE held (id int); INSERT INTO held VALUES (1)").await.unwrap();
    let driver = server.driver("stopping");
    let fragment = all_of(&driver, "held").await;
    let statement = driver.render(&fragment).unwrap();
    let holder = server.client("stopping").await;
    holder.batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let context = ExecuteContext::default();
    let cancel = context.cancel.clone();
    let mut stream = driver.run(&statement, &[], Ask::Batches(context)).await.unwrap().batches().unwrap();
    until_running(&admin, "stopping", 1).await;
    cancel.cancel();
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), ErrorCode::QueryCanceled);
    until_running(&admin, "stopping", 0).await;

    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    let error = run(&driver, &fragment, &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    until_running(&admin, "stopping", 0).await;

    let stream = driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    until_running(&admin, "stopping", 1).await;
    drop(stream);
    until_running(&admin, "stopping", 0).await;

    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ids(&driver, "held").await.unwrap(), [1]);
}

#[tokio::test]
async fn the_pool_is_bounded_and_says_so() {
    let Some(server) = server() else { return };
    let admin = server.database("bounded", "").await;
    admin.batch_execute("CREATE TABLE held (id int); CREATE TABLE free (id int)").await.unwrap();
    let options =
        PostgresOptions { pool_size: 2, acquire_timeout: Duration::from_millis(100), ..server.options("bounded") };
    let driver = PostgresDriver::new(&options).unwrap();
    let (held, free) = (all_of(&driver, "held").await, all_of(&driver, "free").await);
    let holder = server.client("bounded").await;
    holder.batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let statement = driver.render(&held).unwrap();
    let one = driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    let two = driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    let error = run(&driver, &free, &[], ExecuteContext::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceUnavailable);
    assert!(error.message().contains("\"shop\"") && error.hint().is_some(), "{error}");
    let deadline = Some(Instant::now() + Duration::from_millis(20));
    let context = ExecuteContext { deadline, ..ExecuteContext::default() };
    assert_eq!(run(&driver, &free, &[], context).await.unwrap_err().code(), ErrorCode::StatementTimeout);
    until_running(&admin, "bounded", 2).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    for stream in [one, two] {
        assert!(stream.collect::<Vec<_>>().await.iter().all(Result::is_ok));
    }
    assert!(run(&driver, &free, &[], ExecuteContext::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_killed_fails_its_statements_and_comes_back() {
    let Some(server) = Server::start() else { return };
    let admin = server.database("mortal", "").await;
    admin
        .batch_execute("CREATE TABLE long AS SELECT g AS id, repeat('x', 200) AS t FROM generate_series(1, 200000) g")
        .await
        .unwrap();
    let driver = server.driver("mortal");
    let text = (1, ValueType::Text);
    let all = fragment(scan(&driver, "long").await, &[(0, INT), text], &[]);
    let statement = driver.render(&all).unwrap();
    assert_eq!(run(&driver, &all, &[], ExecuteContext::default()).await.unwrap().len(), 200_000);

    let mut stream =
        driver.run(&statement, &[], Ask::Batches(ExecuteContext::default())).await.unwrap().batches().unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    server.kill();
    let last = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().code(), ErrorCode::SourceLost);
    // Down: at once, with the source's name and a hint; the second time without trying.
    for _ in 0..2 {
        let asked = Instant::now();
        let error = driver.health().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::SourceUnavailable);
        assert!(error.message().contains("\"shop\"") && error.hint().is_some(), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(2));
    }

    server.run();
    let end = Instant::now() + Duration::from_secs(15);
    while let Err(error) = driver.health().await {
        assert_eq!(error.code(), ErrorCode::SourceUnavailable);
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(run(&driver, &all, &[], ExecuteContext::default()).await.unwrap().len(), 200_000);

    // Restarted behind idle connections: nobody notices.
    server.kill();
    server.run();
    assert_eq!(run(&driver, &all, &[], ExecuteContext::default()).await.unwrap().len(), 200_000);
}

#[tokio::test]
async fn a_server_process_that_hangs_holds_nobody_else() {
    let Some(server) = server() else { return };
    let admin = server.database("hanging", "").await;
    admin.batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await.unwrap();
    let driver = server.driver("hanging");
    assert_eq!(ids(&driver, "t").await.unwrap(), [1]);
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = 'hanging' AND application_name = 'querygate'";
    let pids: Vec<String> =
        admin.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, i32>(0).to_string()).collect();
    let all = all_of(&driver, "t").await;
    pids.iter().for_each(|pid| signal("STOP", pid));
    let asked = Instant::now();
    let context = ExecuteContext { deadline: Some(asked + Duration::from_millis(200)), ..ExecuteContext::default() };
    let error = run(&driver, &all, &[], context).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StatementTimeout);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(run(&driver, &all, &[], ExecuteContext::default()).await.unwrap().len(), 1);
    pids.iter().for_each(|pid| signal("CONT", pid));
}

#[tokio::test]
async fn a_source_that_cannot_be_entered_says_why_without_secrets() {
    let Some(server) = server() else { return };
    let absent = PostgresOptions { port: 1, ..server.options("postgres") };
    let wrong_password = PostgresOptions { password: Some("guessed".to_owned()), ..server.options("postgres") };
    let no_database = server.options("nowhere_at_all");
    let no_tls = PostgresOptions { tls: PostgresTls::Unverified, ..server.options("postgres") };
    for (options, part) in [
        (absent, "cannot be reached"),
        (wrong_password, "credentials"),
        (no_database, "no such database"),
        (no_tls, "cannot be reached"),
    ] {
        let error = PostgresDriver::new(&options).unwrap().health().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::SourceUnavailable);
        let told = format!("{error} {:?}", error.hint());
        assert!(told.contains(part) && told.contains("\"shop\""), "{told}");
        assert!(!told.contains("guessed") && !told.contains("nowhere_at_all") && !told.contains("127.0.0.1"), "{told}");
        assert!(!format!("{options:?}").contains("guessed"));
    }
}

#[tokio::test]
async fn a_certificate_must_prove_what_was_asked_for() {
    let Some(server) = Server::with_tls() else { return };
    let (ours, theirs) = (Some(server.folder.join("ca.crt")), Some(server.folder.join("other.crt")));
    for (host, tls, trusted) in [
        ("localhost", PostgresTls::VerifyFull(ours.clone()), true),
        ("127.0.0.1", PostgresTls::VerifyFull(ours.clone()), false),
        ("127.0.0.1", PostgresTls::VerifyCa(ours.clone()), true),
        ("localhost", PostgresTls::VerifyCa(theirs.clone()), false),
        ("localhost", PostgresTls::VerifyFull(theirs), false),
        ("127.0.0.1", PostgresTls::Unverified, true),
        ("127.0.0.1", PostgresTls::Off, true),
    ] {
        let is_on = tls != PostgresTls::Off;
        let named = format!("{host} {tls:?}");
        let options = PostgresOptions { host: host.to_owned(), tls, ..server.options("postgres") };
        let driver = PostgresDriver::new(&options).unwrap();
        match driver.health().await {
            Ok(()) => {
                assert!(trusted, "{named}");
                let admin = server.client("postgres").await;
                let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'querygate'";
                let encrypted: bool = admin.query_one(sql, &[]).await.unwrap().get(0);
                assert_eq!(encrypted, is_on, "{named}");
            }
            Err(error) => {
                assert!(!trusted, "{named}: {error} {:?}", error.cause());
                assert!(error.message().contains("certificate"), "{named}: {error} {:?}", error.cause());
            }
        }
        drop(driver);
        let admin = server.client("postgres").await;
        until_gone(&admin).await;
    }
    let absent = PostgresTls::VerifyFull(Some("/nowhere/ca.pem".into()));
    let options = PostgresOptions { tls: absent, ..server.options("postgres") };
    assert_eq!(PostgresDriver::new(&options).unwrap_err().code(), ErrorCode::ConfigInvalid);
}

#[tokio::test]
async fn all_sources_together_keep_to_their_budget() {
    let Some(server) = server() else { return };
    let budget = Budget::new(2);
    let mut drivers = Vec::new();
    for name in ["budget_a", "budget_b", "budget_c"] {
        let admin = server.database(name, "").await;
        admin.batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").await.unwrap();
        let acquire_timeout = Duration::from_secs(30);
        let options = PostgresOptions { budget: budget.clone(), acquire_timeout, ..server.options(name) };
        drivers.push(PostgresDriver::new(&options).unwrap());
    }
    let admin = server.client("postgres").await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'querygate' AND datname LIKE 'budget%'";
    for round in 0..3 {
        for driver in &drivers {
            assert_eq!(ids(driver, "t").await.unwrap(), [7], "{round}");
        }
    }
    // What a driver has closed is gone at the server a moment later.
    let end = Instant::now() + Duration::from_secs(60);
    let idle = || drivers.iter().map(|driver| driver.pool().unwrap().idle).sum::<usize>();
    while admin.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 2 || idle() != 2 {
        assert!(Instant::now() < end, "more or fewer connections than places: {}", idle());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Many at once: everybody gets a turn.
    let asked = drivers.iter().flat_map(|driver| (0..3).map(move |_| ids(driver, "t")));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.unwrap(), [7]);
    }
    // Held by others, there is none in time.
    let (one, two) = (budget.place(), budget.place());
    let places = (one.await.unwrap(), two.await.unwrap());
    let options = PostgresOptions {
        budget: budget.clone(),
        acquire_timeout: Duration::from_millis(50),
        ..server.options("budget_a")
    };
    let error = PostgresDriver::new(&options).unwrap().health().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceUnavailable);
    assert!(error.hint().unwrap().contains("source_connections_max"), "{error:?}");
    drop(places);
    assert_eq!(ids(&drivers[0], "t").await.unwrap(), [7]);
}

/// No connection of a driver is left.
async fn until_gone(admin: &Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'querygate'";
    while admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_schema_that_changes_is_noticed_and_names_nothing() {
    let Some(server) = server() else { return };
    let admin = server.database("changing", "").await;
    admin.batch_execute("CREATE TABLE t (id int, secret_a int, b int); INSERT INTO t VALUES (1, 2, 3)").await.unwrap();
    let driver = server.driver("changing");
    let scanned = scan(&driver, "t").await;
    let read = |id| {
        let (driver, scanned) = (&driver, scanned.clone());
        async move { rows(driver, scanned, &[(id, INT)], &[]).await }
    };
    assert_eq!(integers(&read(1).await.unwrap()), [2]);
    assert_eq!(integers(&read(2).await.unwrap()), [3]);
    admin.batch_execute("ALTER TABLE t ADD COLUMN c int; ALTER TABLE t ALTER COLUMN b TYPE smallint").await.unwrap();
    assert_eq!(integers(&read(1).await.unwrap()), [2]);
    assert_eq!(integers(&read(2).await.unwrap()), [3], "a narrower integer reads");
    admin.batch_execute("ALTER TABLE t ALTER COLUMN b TYPE text").await.unwrap();
    assert_eq!(read(2).await.unwrap_err().code(), ErrorCode::SourceSchemaChanged);
    admin.batch_execute("ALTER TABLE t DROP COLUMN secret_a").await.unwrap();
    for id in [1, 2] {
        let error = read(id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
        let told = format!("{error} {:?} {:?}", error.hint(), error.detail());
        assert!(told.contains("\"shop\"") && !told.contains("secret_a"), "{told}");
    }
    admin.batch_execute("DROP TABLE t").await.unwrap();
    assert_eq!(read(0).await.unwrap_err().code(), ErrorCode::SourceSchemaChanged);
    assert_eq!(driver.describe(&table("t")).await.unwrap_err().code(), ErrorCode::UndefinedTable);
    assert!(driver.health().await.is_ok());
}

#[tokio::test]
async fn what_the_gates_user_may_not_read_fails_alone() {
    let Some(server) = server() else { return };
    let admin = server.database("closed", "").await;
    admin
        .batch_execute(
            "CREATE TABLE open (id int); CREATE TABLE hidden_thing (id int); INSERT INTO open VALUES (7);
             CREATE ROLE gate LOGIN PASSWORD 'gate'; GRANT SELECT ON open TO gate",
        )
        .await
        .unwrap();
    let options =
        PostgresOptions { user: "gate".to_owned(), password: Some("gate".to_owned()), ..server.options("closed") };
    let driver = PostgresDriver::new(&options).unwrap();
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names, ["open"]);
    let error = ids(&driver, "hidden_thing").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceError);
    assert!(error.hint().is_some() && !error.to_string().contains("hidden_thing"), "{error}");
    assert_eq!(ids(&driver, "open").await.unwrap(), [7]);
}

#[tokio::test]
async fn the_servers_words_about_values_stay_inside() {
    use querygate_driver_api::function::ScalarFunction;
    use querygate_driver_api::scalar::{ArithmeticOp, ScalarExpr};
    let Some(server) = server() else { return };
    let admin = server.database("quoting", "").await;
    admin.batch_execute("CREATE TABLE t (id bigint, n bigint); INSERT INTO t VALUES (4242, 0)").await.unwrap();
    let driver = server.driver("quoting");
    let quotient = |op| ScalarExpr::Arithmetic {
        op,
        left: Box::new(column(0)),
        right: Box::new(column(1)),
        value_type: ValueType::Int64,
    };
    let square = ScalarExpr::Arithmetic {
        op: ArithmeticOp::Multiply,
        left: Box::new(ScalarExpr::Parameter(0, ValueType::Int64)),
        right: Box::new(column(0)),
        value_type: ValueType::Int64,
    };
    let narrow = ScalarExpr::Cast { expr: Box::new(column(0)), from: ValueType::Int64, to: ValueType::Int16 };
    let narrow =
        ScalarExpr::Function { function: ScalarFunction::Abs, args: vec![narrow], value_type: ValueType::Int16 };
    admin.batch_execute("INSERT INTO t VALUES (99999999, 1)").await.unwrap();
    for (expr, value_type, code) in [
        (quotient(ArithmeticOp::Divide), ValueType::Int64, ErrorCode::DivisionByZero),
        (quotient(ArithmeticOp::Remainder), ValueType::Int64, ErrorCode::DivisionByZero),
        (square, ValueType::Int64, ErrorCode::NumericOutOfRange),
        (narrow, ValueType::Int16, ErrorCode::NumericOutOfRange),
    ] {
        let exprs = vec![(querygate_driver_api::identifier::ColumnId(9), expr)];
        let relation = Relation::Project { input: Box::new(scan(&driver, "t").await), exprs };
        let error = rows(&driver, relation, &[(9, value_type)], &[Value::Int64(i64::MAX)]).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!format!("{error} {:?}", error.hint()).contains("99999999"), "{error}");
    }
}
