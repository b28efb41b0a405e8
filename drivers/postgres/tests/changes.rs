//! Changes to a PostgreSQL database: the shared suite, and what only PostgreSQL has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use common::{LIMITS, PASSWORD, Server, plain, server};
use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::testkit::changes;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Begin, ChangeOp, ChangeSet, ChangeShape, CommitError, Fate, Isolation, NativeChange, ReadAfter, TargetColumn,
};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

/// A driver whose readers and writers are different users, as they should be.
async fn driver(server: &Server, database: &str) -> PostgresDriver {
    PostgresDriver::new(&options(server, database).await).unwrap()
}

async fn options(server: &Server, database: &str) -> PostgresOptions {
    let grants = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writing;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO reading;";
    let users = format!(
        "DO $$ BEGIN CREATE USER reading PASSWORD '{0}'; CREATE USER writing PASSWORD '{0}';
         EXCEPTION WHEN duplicate_object THEN NULL; WHEN unique_violation THEN NULL; END $$",
        PASSWORD.replace('\'', "''")
    );
    let client = server.client(database).await;
    client.batch_execute(&users).await.unwrap();
    client.batch_execute(grants).await.unwrap();
    PostgresOptions {
        user: "reading".to_owned(),
        writer: Some(("writing".to_owned(), Some(PASSWORD.to_owned()))),
        ..server.options(database)
    }
}

async fn check(database: &str, distributed: bool, least: usize) {
    let Some(server) = server() else { return };
    let options = PostgresOptions { distributed, ..options(server, database).await };
    let driver = PostgresDriver::new(&options).unwrap();
    let report = changes::run(Arc::new(driver), &["public"], LIMITS).await.unwrap();
    eprintln!("{database}: stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > least, "only {} values were stored", report.stored);
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let Some(server) = server() else { return };
    load_empty(&server.database("changed", "").await, plain).await;
    check("changed", true, 190).await;
}

#[tokio::test]
async fn columns_in_other_forms_keep_what_they_are_given_or_refuse_it() {
    let Some(server) = server() else { return };
    let client = server.database("changed_forms", "").await;
    let types = "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE DOMAIN amount AS numeric(18,4); CREATE DOMAIN nested AS amount;";
    client.batch_execute(types).await.unwrap();
    let declare = |name: &str, value_type: ValueType| match (name, value_type) {
        ("words", _) => "varchar(3) COLLATE folded".to_owned(),
        ("medium", _) => "smallint".to_owned(),
        ("large", _) => "smallint".to_owned(),
        ("money", _) => "nested".to_owned(),
        ("number", _) => "real".to_owned(),
        ("wide", _) => "double precision".to_owned(),
        ("clock", _) => "time(3)".to_owned(),
        ("moment", _) => "timestamp(0)".to_owned(),
        ("instant", _) => "timestamp".to_owned(),
        ("tags", _) => "varchar(2)[]".to_owned(),
        (name, value_type) => plain(name, value_type),
    };
    load_empty(&client, declare).await;
    check("changed_forms", false, 100).await;
}

/// The one table of the suite that is changed.
async fn load_empty(client: &tokio_postgres::Client, declare: impl Fn(&str, ValueType) -> String) {
    for table in querygate_driver_api::testkit::dataset::tables(LIMITS) {
        if table.name != "empty" {
            continue;
        }
        let columns = table.columns.iter().map(|(name, value_type)| {
            let key = if *name == "id" { " PRIMARY KEY" } else { "" };
            format!("\"{name}\" {}{key}", declare(name, *value_type))
        });
        let columns: Vec<String> = columns.collect();
        client.batch_execute(&format!("CREATE TABLE \"{}\" ({})", table.name, columns.join(", "))).await.unwrap();
    }
}

/// Tables with every rule that a source may have.
const RULES: &str = "CREATE SCHEMA shop; SET search_path = shop;
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, must text NOT NULL DEFAULT 'x', small int CHECK (small < 10),
        twice int GENERATED ALWAYS AS (small * 2) STORED, alone text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE log (id int, note text);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.must = 'forbidden' THEN RAISE EXCEPTION 'secret %', NEW.must; END IF;
        IF NEW.must = 'skipped' THEN RETURN NULL; END IF;
        INSERT INTO log VALUES (NEW.id, NEW.must); RETURN NEW; END $$;
    CREATE TRIGGER noted BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TABLE odd (id uuid PRIMARY KEY, body json);
    INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1, 'x', 1, DEFAULT, 'a'), (2, 2, 'x', 2, DEFAULT, 'b');
    GRANT USAGE ON SCHEMA shop TO PUBLIC; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO PUBLIC;";

fn context() -> ExecuteContext {
    ExecuteContext::default()
}

/// A change of `shop` with the columns that these names have.
async fn change(
    driver: &PostgresDriver,
    table: &str,
    op: ChangeOp,
    key: &[&str],
    assigned: &[&str],
) -> Arc<NativeChange> {
    let remote = driver.describe(&TableRef::new(["shop", table]).unwrap()).await.unwrap();
    let writer = driver.writer().unwrap();
    let target = |name: &&str| {
        let column = remote.columns.iter().find(|column| column.name.as_str() == *name).unwrap();
        let value_type = column.value_type.unwrap();
        TargetColumn::new(column, value_type, writer.writable_as(column, value_type).unwrap())
    };
    let shape = ChangeShape {
        table: remote.table.clone(),
        op,
        key: key.iter().map(target).collect(),
        assigned: assigned.iter().map(target).collect(),
        returning: Vec::new(),
    };
    writer.render_change(&shape).unwrap()
}

fn set(change: &NativeChange, row: &[Value]) -> ChangeSet {
    let columns = row.iter().enumerate().map(|(at, value)| (format!("c{at}"), value.to_array().unwrap(), true));
    ChangeSet::new(&change.shape, RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap()
}

#[tokio::test]
async fn rules_of_the_source_are_told_by_their_kind_alone() {
    let Some(server) = server() else { return };
    server.database("rules", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "rules").await;
    let insert = change(&driver, "child", ChangeOp::Insert, &["id"], &["parent", "must", "small"]).await;
    let row = |id: i32, parent: i32, must: Value, small: i32| {
        vec![Value::Int32(id), Value::Int32(parent), must, Value::Int32(small)]
    };
    let generated = change(&driver, "child", ChangeOp::Update, &["id"], &["twice"]).await;
    let referred = change(&driver, "parent", ChangeOp::Delete, &["id"], &[]).await;
    let x = Value::text("x");
    for (change, row, code) in [
        (&insert, row(1, 1, x.clone(), 1), ErrorCode::UniqueViolation),
        (&insert, row(3, 9, x.clone(), 1), ErrorCode::ForeignKeyViolation),
        (&insert, row(3, 1, Value::Null(ValueType::Text), 1), ErrorCode::NotNullViolation),
        (&insert, row(3, 1, x.clone(), 11), ErrorCode::CheckViolation),
        (&insert, row(3, 1, Value::text("forbidden"), 1), ErrorCode::CheckViolation),
        (&insert, row(3, 1, Value::text("skipped"), 1), ErrorCode::SerializationFailure),
        (&generated, vec![Value::Int32(1), Value::Int32(5)], ErrorCode::GeneratedAlways),
        (&referred, vec![Value::Int32(1)], ErrorCode::ForeignKeyViolation),
    ] {
        let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
        let error = tx.apply(change, &set(change, &row), &context()).await.unwrap_err();
        assert_eq!(error.code(), code, "{row:?}: {error}");
        let told = format!("{error} {:?}", error.hint());
        for name in ["child", "parent", "must", "small", "twice", "secret", "forbidden", "shop"] {
            assert!(!told.contains(name), "{told}");
        }
        tx.rollback().await;
    }
    // The trigger finds its table without a schema, and its changes are of the same transaction.
    let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
    assert_eq!(tx.apply(&insert, &set(&insert, &row(3, 1, x, 1)), &context()).await.unwrap().count, 1);
    tx.commit().await.unwrap();
    let client = server.client("rules").await;
    let noted: i64 = client.query_one("SELECT count(*) FROM shop.log WHERE id = 3", &[]).await.unwrap().get(0);
    assert_eq!(noted, 1);
    // A rule that is looked at only then ends the commit.
    let unique = change(&driver, "child", ChangeOp::Update, &["id"], &["alone"]).await;
    let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
    tx.apply(&unique, &set(&unique, &[Value::Int32(2), Value::text("a")]), &context()).await.unwrap();
    match tx.commit().await {
        Err(CommitError::RolledBack(error)) => assert_eq!(error.code(), ErrorCode::UniqueViolation),
        other => panic!("{other:?}"),
    }
}

/// The column `small` of every row of `shop.child`.
/// Its answer comes after the commit was sent.
#[tokio::test]
async fn a_last_change_that_its_source_leaves_out_is_not_committed_without() {
    let Some(server) = server() else { return };
    let client = server.database("last_changes", "").await;
    client.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "last_changes").await;
    let parent = change(&driver, "parent", ChangeOp::Insert, &["id"], &[]).await;
    let child = change(&driver, "child", ChangeOp::Insert, &["id"], &["must"]).await;
    let count = async |table: &str| -> i64 {
        client.query_one(&format!("SELECT count(*) FROM shop.{table}"), &[]).await.unwrap().get(0)
    };
    for (number, (id, must, expected)) in (70_i32..).zip([
        (7, "plain", None),
        (8, "skipped", Some(ErrorCode::SerializationFailure)),
        (9, "forbidden", Some(ErrorCode::CheckViolation)),
        (7, "again", Some(ErrorCode::UniqueViolation)),
    ]) {
        let before = (count("parent").await, count("child").await);
        let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
        tx.apply(&parent, &set(&parent, &[Value::Int32(number)]), &context()).await.unwrap();
        let stale = count("parent").await;
        tx.change_last(Arc::clone(&child), set(&child, &[Value::Int32(id), Value::text(must)])).unwrap();
        let committed = tx.commit().await;
        let after = (count("parent").await, count("child").await);
        assert_eq!(stale, before.0, "{must}: nothing is stored before the commit");
        match (expected, committed) {
            (None, Ok(())) => assert_eq!(after, (before.0 + 1, before.1 + 1)),
            (Some(code), Err(CommitError::RolledBack(error))) => {
                assert_eq!((error.code(), after), (code, before), "{must}");
            }
            (_, other) => panic!("{must}: {other:?}"),
        }
    }
}

async fn all_small(driver: &PostgresDriver) -> Arc<NativeStatement> {
    let remote = driver.describe(&TableRef::new(["shop", "child"]).unwrap()).await.unwrap();
    let column = remote.columns.iter().find(|column| column.name.as_str() == "small").unwrap();
    let (id, value_type) = (ColumnId(0), ValueType::Int32);
    let scanned = ScanColumn {
        id,
        name: column.name.clone(),
        value_type,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    let relation = Relation::Scan { table: remote.table.clone(), columns: vec![scanned] };
    let output = vec![OutputColumn { id, name: "small".to_owned(), value_type, nullable: true }];
    driver.render(&Fragment { relation, output, parameters: Vec::new() }).unwrap()
}

#[tokio::test]
async fn a_read_behind_a_change_sees_it() {
    let Some(server) = server() else { return };
    server.database("behind", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "behind").await;
    let update = change(&driver, "child", ChangeOp::Update, &["id"], &["small"]).await;
    let (read, all) = (all_small(&driver).await, context());
    let small = |value: i32| set(&update, &[Value::Int32(1), Value::Int32(value)]);
    // At first the server knows neither statement, later both.
    for value in 3..9 {
        let mut tx = driver.writer().unwrap().begin(Begin::default(), &all).await.unwrap();
        let (applied, found) =
            tx.apply_and_read(&update, &small(value), ReadAfter { statement: &read, values: &[] }, &all).await.unwrap();
        assert_eq!(applied.count, 1);
        let found: Vec<i32> =
            found.iter().flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
        assert!(found.contains(&value) && found.len() == 2, "{found:?}");
        assert!(tx.mark().is_some());
        tx.commit().await.unwrap();
    }
    // What is wrong with the change is told, and not that the read behind it came too late.
    let mut tx = driver.writer().unwrap().begin(Begin::default(), &all).await.unwrap();
    let error =
        tx.apply_and_read(&update, &small(11), ReadAfter { statement: &read, values: &[] }, &all).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CheckViolation);
    assert!(tx.has_failed());
    tx.rollback().await;
    // A transaction in which nothing was done has not begun, and ends all the same.
    driver.writer().unwrap().begin(Begin::default(), &all).await.unwrap().commit().await.unwrap();
    driver.writer().unwrap().begin(Begin::default(), &all).await.unwrap().rollback().await;
}

#[tokio::test]
async fn writers_in_each_others_way_are_told_so() {
    let Some(server) = server() else { return };
    server.database("conflicts", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "conflicts").await;
    let writer = driver.writer().unwrap();
    let update = change(&driver, "child", ChangeOp::Update, &["id"], &["small"]).await;
    let touch = |id: i32, small: i32| set(&update, &[Value::Int32(id), Value::Int32(small)]);
    // One sees what was there when it began: it may not change what somebody has changed since.
    let mut late = writer.begin(Begin::with(Isolation::RepeatableRead), &context()).await.unwrap();
    late.apply(&update, &touch(2, 3), &context()).await.unwrap();
    let mut early = writer.begin(Begin::default(), &context()).await.unwrap();
    early.apply(&update, &touch(1, 3), &context()).await.unwrap();
    early.commit().await.unwrap();
    let error = late.apply(&update, &touch(1, 4), &context()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SerializationFailure);
    late.rollback().await;
    let mut one = writer.begin(Begin::default(), &context()).await.unwrap();
    let mut two = writer.begin(Begin::default(), &context()).await.unwrap();
    one.apply(&update, &touch(1, 5), &context()).await.unwrap();
    two.apply(&update, &touch(2, 5), &context()).await.unwrap();
    let (first, second) = (touch(2, 6), touch(1, 6));
    let (all, both) = (context(), context());
    let (first, second) = tokio::join!(one.apply(&update, &first, &all), two.apply(&update, &second, &both));
    let errors: Vec<ErrorCode> =
        [first, second].into_iter().filter_map(Result::err).map(|error| error.code()).collect();
    assert_eq!(errors, [ErrorCode::DeadlockDetected]);
}

/// Takes the server's next number of a transaction.
async fn next_number(client: &tokio_postgres::Client) -> i64 {
    client.query_one("SELECT pg_current_xact_id()::text::int8", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_server_that_dies_leaves_an_answer_to_what_became_of_a_commit() {
    let Some(server) = Server::start() else { return };
    server.database("dying", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(&server, "dying").await;
    let writer = driver.writer().unwrap();
    let update = change(&driver, "child", ChangeOp::Update, &["id"], &["small"]).await;
    let before = next_number(&server.client("dying").await).await;
    let mut tx = writer.begin(Begin::default(), &context()).await.unwrap();
    tx.apply(&update, &set(&update, &[Value::Int32(1), Value::Int32(9)]), &context()).await.unwrap();
    server.kill();
    let (error, mark) = match tx.commit().await {
        Err(CommitError::Unknown(error, Some(mark))) => (error, mark),
        other => panic!("{other:?}"),
    };
    assert_eq!(error.code(), ErrorCode::TransactionOutcomeUnknown);
    server.run();
    assert_eq!(writer.fate_of(&mark).await.unwrap(), Some(Fate::RolledBack));
    // Where its number was never written down, others get it now, and their fate is not its fate. A server that happened to write down
    // how far it had counted gives others later ones.
    let client = server.client("dying").await;
    let again = next_number(&client).await;
    for _ in 0..50 {
        next_number(&client).await;
    }
    let expected = if again > before + 1 { Some(Fate::RolledBack) } else { None };
    assert_eq!(writer.fate_of(&mark).await.unwrap(), expected, "{before} {again}");
}

#[tokio::test]
async fn odd_types_are_stored_as_they_print() {
    let Some(server) = server() else { return };
    server.database("odd", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "odd").await;
    let insert = change(&driver, "odd", ChangeOp::Insert, &["id"], &["body"]).await;
    let (id, body) = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{\"b\" : 1, \"a\":[ ]}");
    let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
    tx.apply(&insert, &set(&insert, &[Value::text(id), Value::text(body)]), &context()).await.unwrap();
    tx.commit().await.unwrap();
    let delete = change(&driver, "odd", ChangeOp::Delete, &["id"], &[]).await;
    let client = server.client("odd").await;
    let row = client.query_one("SELECT id::text, body::text FROM shop.odd", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (id, body));
    let mut tx = driver.writer().unwrap().begin(Begin::default(), &context()).await.unwrap();
    assert_eq!(tx.apply(&delete, &set(&delete, &[Value::text(id)]), &context()).await.unwrap().count, 1);
    let broken = tx.apply(&insert, &set(&insert, &[Value::text(id), Value::text("{")]), &context()).await.unwrap_err();
    assert_eq!(broken.code(), ErrorCode::InvalidTextRepresentation);
    tx.rollback().await;
}

#[tokio::test]
async fn readers_cannot_write_and_a_dropped_change_holds_no_lock() {
    let Some(server) = server() else { return };
    server.database("dropped", "").await.batch_execute(RULES).await.unwrap();
    let driver = driver(server, "dropped").await;
    let writer = driver.writer().unwrap();
    let update = change(&driver, "child", ChangeOp::Update, &["id"], &["small"]).await;
    let mut holder = writer.begin(Begin::default(), &context()).await.unwrap();
    holder.apply(&update, &set(&update, &[Value::Int32(1), Value::Int32(3)]), &context()).await.unwrap();
    let mut waiting = writer.begin(Begin::default(), &context()).await.unwrap();
    waiting.apply(&update, &set(&update, &[Value::Int32(2), Value::Int32(3)]), &context()).await.unwrap();
    let (first, all) = (set(&update, &[Value::Int32(1), Value::Int32(4)]), context());
    let waited = tokio::time::timeout(Duration::from_millis(100), waiting.apply(&update, &first, &all)).await;
    assert!(waited.is_err() && waiting.has_failed());
    drop(waiting);
    // Its own change of the second row is undone though the first is still locked.
    let mut next = writer.begin(Begin::default(), &context()).await.unwrap();
    let (second, all) = (set(&update, &[Value::Int32(2), Value::Int32(5)]), context());
    let free = tokio::time::timeout(Duration::from_secs(3), next.apply(&update, &second, &all)).await;
    assert_eq!(free.unwrap().unwrap().count, 1);
    next.rollback().await;
    holder.rollback().await;
    let statement = NativeStatement { bindings: Vec::new(), ..update.statement.clone() };
    let text = "UPDATE shop.child SET small = 0";
    let statement = Arc::new(NativeStatement { text: text.into(), ..statement });
    let error = match driver.run(&statement, &[], Ask::Batches(context())).await {
        Ok(answer) => answer.batches().unwrap().try_next().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error.code(), ErrorCode::ReadOnlyTransaction | ErrorCode::SourceError), "{error}");
}

#[tokio::test]
async fn a_source_without_a_writing_user_has_no_writer() {
    let Some(server) = server() else { return };
    assert!(server.driver("postgres").writer().is_none());
}
