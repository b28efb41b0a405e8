//! Advice on indexes against real databases: what the copy's planner says of an index that does not exist is what the
//! database does when it does. Work is counted in steps of SQLite's machine, not in time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use querygate_driver_api::advice::{IndexSpec, NativeQuery, NullTest, Planner, Study, TableConditions, WhatIf};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::value::ValueType;
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const ROWS: i64 = 40_000;
/// The native form of `SELECT total FROM orders WHERE tenant = $1 AND status = $2` and the like.
const POINT: &str =
    r#"SELECT "t1"."total" AS "c1" FROM "main"."orders" AS "t1" WHERE "t1"."tenant" = ?1 AND "t1"."status" = ?2"#;
const TOP: &str =
    r#"SELECT "t1"."id" AS "c1" FROM "main"."orders" AS "t1" WHERE "t1"."tenant" = ?1 ORDER BY "t1"."total" DESC"#;
const JOIN: &str = r#"SELECT "t2"."total" AS "c1" FROM "main"."tenants" AS "t1" JOIN "main"."orders" AS "t2" ON "t2"."tenant" = "t1"."name" WHERE "t1"."id" = ?1"#;
const CLOSED: &str =
    r#"SELECT "t1"."id" AS "c1" FROM "main"."orders" AS "t1" WHERE "t1"."closed" IS NULL AND "t1"."tenant" = ?1"#;

fn column(name: &str, value_type: ValueType) -> ColumnSpec {
    ColumnSpec { name: name.to_owned(), value_type, nullable: true }
}

/// Orders of 200 tenants in 4 states, 1 in 50 still open.
async fn database(folder: &Path) -> SqliteDriver {
    let path = folder.join("shop.db");
    let orders = TableSpec {
        name: "orders".to_owned(),
        columns: vec![
            column("id", ValueType::Int64),
            column("tenant", ValueType::Text),
            column("status", ValueType::Text),
            column("total", ValueType::Int64),
            column("closed", ValueType::Int64),
        ],
        primary_key: vec!["id".to_owned()],
        indexes: vec![vec!["status".to_owned()], vec!["status".to_owned(), "total".to_owned()]],
    };
    let tenants = TableSpec {
        name: "tenants".to_owned(),
        columns: vec![column("id", ValueType::Int64), column("name", ValueType::Text)],
        primary_key: vec!["id".to_owned()],
        indexes: Vec::new(),
    };
    let mut writer = SqliteWriter::open(&path).await.unwrap();
    let ids: Vec<i64> = (0..ROWS).collect();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(ids.iter().map(|id| Some(format!("tenant {}", id % 200))).collect::<StringArray>()),
        Arc::new(ids.iter().map(|id| Some(format!("state {}", id / 200 % 4))).collect::<StringArray>()),
        Arc::new(Int64Array::from(ids.iter().map(|id| id * 7_919 % 10_007).collect::<Vec<_>>())),
        Arc::new(Int64Array::from(ids.iter().map(|id| (id % 53 != 0).then_some(*id)).collect::<Vec<_>>())),
    ];
    let batch = RecordBatch::try_from_iter(["a", "b", "c", "d", "e"].into_iter().zip(arrays)).unwrap();
    writer.create_table(&orders).await.unwrap();
    writer.insert(&orders, [Ok(batch)]).await.unwrap();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from((0..200).collect::<Vec<i64>>())),
        Arc::new((0..200).map(|id| Some(format!("tenant {id}"))).collect::<StringArray>()),
    ];
    writer.create_table(&tenants).await.unwrap();
    let batch = RecordBatch::try_from_iter(["a", "b"].into_iter().zip(arrays)).unwrap();
    writer.insert(&tenants, [Ok(batch)]).await.unwrap();
    writer.close().await.unwrap();
    SqliteDriver::new(SqliteOptions::new(path))
}

fn table(name: &str) -> TableRef {
    TableRef::new(["main", name]).unwrap()
}

fn index(keys: &[&str], include: &[&str]) -> IndexSpec {
    let names = |names: &[&str]| names.iter().map(|name| Identifier::new(*name).unwrap()).collect();
    IndexSpec { table: table("orders"), keys: names(keys), include: names(include), code_point: Vec::new(), rows: None }
}

async fn study(driver: &SqliteDriver) -> (Study, Box<dyn WhatIf>) {
    let advice = driver.index_advice().unwrap();
    let mut study = advice.study(&[table("orders"), table("tenants"), table("absent")]).await.unwrap();
    let Planner::Asked(planner) = std::mem::replace(&mut study.planner, Planner::Absent(String::new())) else {
        panic!("no planner")
    };
    (study, planner)
}

/// The statement, with what its text says of `orders`.
fn query(text: &str) -> NativeQuery {
    let names = |names: &[&str]| names.iter().map(|name| Identifier::new(*name).unwrap()).collect();
    let (equal, nulls): (&[&str], Vec<NullTest>) = match text {
        POINT => (&["tenant", "status"], Vec::new()),
        CLOSED => (&["tenant"], vec![NullTest { column: Identifier::new("closed").unwrap(), negated: false }]),
        TOP => (&["tenant"], Vec::new()),
        _ => (&[], Vec::new()),
    };
    let mut tables = vec![TableConditions {
        table: table("orders"),
        equal: names(equal),
        range: Vec::new(),
        join: Vec::new(),
        nulls,
    }];
    if text == JOIN {
        let equal = names(&["id"]);
        tables.push(TableConditions {
            table: table("tenants"),
            equal,
            range: Vec::new(),
            join: Vec::new(),
            nulls: Vec::new(),
        });
    }
    NativeQuery { text: text.into(), tables, rows: None }
}

async fn open(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.join("shop.db")).connect().await.unwrap()
}

/// Steps that SQLite's machine takes for the statement.
async fn steps(folder: &Path, text: &str, tenant: &str, status: &str) -> u64 {
    let mut connection = open(folder).await;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let mut run = sqlx::query(AssertSqlSafe(text.to_owned())).bind(tenant.to_owned());
    if text.contains("?2") {
        run = run.bind(status.to_owned());
    }
    let rows = run.fetch_all(&mut connection).await.unwrap();
    assert!(!rows.is_empty());
    connection.close().await.unwrap();
    count.load(Ordering::Relaxed)
}

/// What the copy says of an index, then what happens when it is built.
async fn check(text: &str, spec: &IndexSpec, least_gain: f64) {
    let folder = tempfile::tempdir().unwrap();
    let driver = database(folder.path()).await;
    let (_, mut planner) = study(&driver).await;
    let before = planner.cost(&query(text), &[]).await.unwrap();
    let with = planner.cost(&query(text), &[spec]).await.unwrap();
    assert_eq!(with.used, [0], "{text}");
    let predicted = before.cost / with.cost;
    assert!(predicted > least_gain, "{text}: {before:?} {with:?}");

    let (tenant, status) = (if text == JOIN { "17" } else { "tenant 17" }, "state 2");
    let slow = steps(folder.path(), text, tenant, status).await;
    let advice = driver.index_advice().unwrap();
    let name = Identifier::new("querygate_orders_1").unwrap();
    advice.create(spec, &name).await.unwrap();
    let fast = steps(folder.path(), text, tenant, status).await;
    #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
    let measured = slow as f64 / fast as f64;
    assert!(measured > least_gain / 2.0, "{text}: {slow} steps, then {fast}");
    // Within a factor: a step is not a visit.
    assert!((0.1..10.0).contains(&(measured / predicted)), "{text}: predicted {predicted}, measured {measured}");

    advice.drop_index(&spec.table, &name).await.unwrap();
    advice.drop_index(&spec.table, &name).await.unwrap();
    let again = steps(folder.path(), text, tenant, status).await;
    assert!(again.abs_diff(slow) < 1_000, "{text}: {slow} steps, then {again}");
}

#[tokio::test]
async fn an_index_on_equalities_does_what_was_predicted() {
    check(POINT, &index(&["tenant", "status"], &[]), 20.0).await;
}

#[tokio::test]
async fn an_index_that_covers_and_orders_does_what_was_predicted() {
    check(TOP, &index(&["tenant", "total"], &["id"]), 20.0).await;
}

#[tokio::test]
async fn an_index_for_the_inner_side_of_a_join_does_what_was_predicted() {
    check(JOIN, &index(&["tenant"], &["total"]), 5.0).await;
}

#[tokio::test]
async fn a_partial_index_over_open_rows_does_what_was_predicted() {
    let rows = Some(NullTest { column: Identifier::new("closed").unwrap(), negated: false });
    check(CLOSED, &IndexSpec { rows, ..index(&["tenant"], &[]) }, 20.0).await;
}

#[tokio::test]
async fn what_gives_nothing_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let driver = database(folder.path()).await;
    let (_, mut planner) = study(&driver).await;
    let plain = planner.cost(&query(POINT), &[]).await.unwrap();
    let useless = index(&["total"], &[]);
    let with = planner.cost(&query(POINT), &[&useless]).await.unwrap();
    assert!(with.used.is_empty() && (with.cost - plain.cost).abs() < 1e-9);
    // Offered together, the better one is used; offered alone again, the answer is the same as before.
    let (one, both) = (index(&["tenant"], &[]), index(&["tenant", "status"], &[]));
    let alone = planner.cost(&query(POINT), &[&one]).await.unwrap();
    let together = planner.cost(&query(POINT), &[&one, &useless, &both]).await.unwrap();
    assert_eq!(together.used, [2]);
    assert!(together.cost < alone.cost);
    assert_eq!(planner.cost(&query(POINT), &[&one]).await.unwrap(), alone);
    assert!(planner.cost(&query("SELECT nonsense FROM nowhere"), &[]).await.is_err());
}

#[tokio::test]
async fn a_table_without_an_index_is_as_large_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let driver = database(folder.path()).await;
    let mut connection = open(folder.path()).await;
    for text in ["CREATE TABLE \"or ders\" (id INTEGER PRIMARY KEY)", "INSERT INTO \"or ders\" VALUES (1), (2), (3)"] {
        connection.execute(text).await.unwrap();
    }
    connection.close().await.unwrap();
    let advice = driver.index_advice().unwrap();
    for (name, key, rows) in [("tenants", "name", 200.0), ("or ders", "id", 3.0)] {
        let study = advice.study(&[table(name)]).await.unwrap();
        let Planner::Asked(mut planner) = study.planner else { panic!("no planner") };
        let text = format!("SELECT count(*) AS \"c1\" FROM \"main\".\"{name}\" AS \"t1\"");
        let plain = planner.cost(&query(&text), &[]).await.unwrap();
        let spec = IndexSpec { table: table(name), ..index(&[key], &[]) };
        let with = planner.cost(&query(&text), &[&spec]).await.unwrap();
        for costed in [plain, with] {
            assert!((costed.cost - rows).abs() < 1e-9, "{name}: {costed:?}");
        }
    }
}

#[tokio::test]
async fn a_study_tells_columns_and_indexes_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let driver = database(folder.path()).await;
    let mut connection = open(folder.path()).await;
    for text in [
        "CREATE UNIQUE INDEX one ON orders (id, tenant)",
        "CREATE INDEX some ON orders (total) WHERE closed IS NULL",
        "CREATE INDEX made ON orders (lower(tenant))",
        "CREATE INDEX folded ON orders (tenant COLLATE NOCASE)",
    ] {
        connection.execute(text).await.unwrap();
    }
    connection.close().await.unwrap();
    let (study, _) = study(&driver).await;
    assert_eq!(study.tables.len(), 2);
    let orders = &study.tables[0];
    assert!((orders.rows - 40_000.0).abs() < 1.0 && orders.writes.is_none());
    assert_eq!(orders.row_key, [Identifier::new("id").unwrap()], "an INTEGER PRIMARY KEY has no index");
    let column = |name: &str| orders.columns.iter().find(|column| column.name.as_str() == name).unwrap();
    assert!((180.0..220.0).contains(&column("tenant").distinct), "{}", column("tenant").distinct);
    assert!((4.0..4.5).contains(&column("status").distinct));
    assert!(column("id").distinct > 39_000.0);
    assert!((0.01..0.03).contains(&column("closed").nulls));
    assert!((8.0..11.0).contains(&column("tenant").width));
    let mut told: Vec<_> = orders
        .indexes
        .iter()
        .map(|i| (i.name.as_str(), i.keys.len(), i.unique, i.partial, i.expression, i.plain, i.scans))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("folded", 1, false, false, false, false, None),
            ("made", 0, false, false, true, false, None),
            ("one", 2, true, false, false, true, None),
            ("orders_0", 1, false, false, false, true, None),
            ("orders_1", 2, false, false, false, true, None),
            ("some", 1, false, true, false, true, None),
        ]
    );
}

#[tokio::test]
async fn names_are_quoted_and_statements_shown_as_they_run() {
    let driver = SqliteDriver::new(SqliteOptions::new("/nowhere/absent.db"));
    let advice = driver.index_advice().unwrap();
    let mut spec = index(&["te\"nant"], &["total"]);
    spec.table = table("or\"ders; DROP TABLE x");
    let ddl = |spec: &IndexSpec, name: &str| advice.ddl(spec, &Identifier::new(name).unwrap());
    assert_eq!(
        ddl(&spec, "a\"b").unwrap(),
        r#"CREATE INDEX main."a""b" ON "or""ders; DROP TABLE x" ("te""nant", "total")"#
    );
    assert!(ddl(&spec, "sqlite_own").is_err());
    assert!(ddl(&IndexSpec { keys: Vec::new(), ..spec.clone() }, "a").is_err());
    let missing = advice.create(&spec, &Identifier::new("a").unwrap()).await.unwrap_err();
    assert_eq!(missing.code().sqlstate(), "08001");
}

#[tokio::test]
async fn a_failed_creation_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let driver = database(folder.path()).await;
    let advice = driver.index_advice().unwrap();
    let name = Identifier::new("querygate_orders_1").unwrap();
    assert!(advice.create(&index(&["absent"], &[]), &name).await.is_err());
    let mut connection = open(folder.path()).await;
    let left =
        connection.fetch_one("SELECT count(*) FROM sqlite_schema WHERE name = 'querygate_orders_1'").await.unwrap();
    assert_eq!(left.get::<i64, _>(0), 0);
}
