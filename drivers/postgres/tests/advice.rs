//! Advice on indexes against a real server: what its planner says of a hypothetical index is what the server does when the
//! index is built. Work is counted in costs and in pages touched, not in time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use common::server;
use querygate_driver_api::advice::{IndexSpec, NativeQuery, NullTest, Planner, Study, WhatIf};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_types::ErrorCode;
use tokio_postgres::{Client, SimpleQueryMessage};

const DATA: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, tenant text, status text, total int, closed int, note text);
    INSERT INTO orders SELECT g, 'tenant ' || g % 200, 'state ' || g / 200 % 4, g * 7919 % 10007,
      CASE WHEN g % 53 <> 0 THEN g END, repeat('n', 60) FROM generate_series(0, 39999) g;
    CREATE TABLE tenants (id int PRIMARY KEY, name text);
    INSERT INTO tenants SELECT g, 'tenant ' || g FROM generate_series(0, 199) g;
    VACUUM ANALYZE";
const POINT: &str =
    r#"SELECT "t1"."total" AS "c1" FROM "public"."orders" AS "t1" WHERE ("t1"."tenant" = $1) AND ("t1"."status" = $2)"#;
const COVERED: &str = r#"SELECT "t1"."total" AS "c1" FROM "public"."orders" AS "t1" WHERE ("t1"."tenant" = $1)"#;
const JOIN: &str = r#"SELECT "t2"."total" AS "c1" FROM "public"."tenants" AS "t1" JOIN "public"."orders" AS "t2" ON "t2"."tenant" = "t1"."name" WHERE "t1"."id" = $1"#;
const OPEN: &str =
    r#"SELECT "t1"."id" AS "c1" FROM "public"."orders" AS "t1" WHERE ("t1"."closed" IS NULL) AND ("t1"."tenant" = $1)"#;
const ORDERED: &str =
    r#"SELECT "t1"."id" AS "c1" FROM "public"."orders" AS "t1" ORDER BY "t1"."tenant" COLLATE "C" LIMIT 10"#;

fn table(name: &str) -> TableRef {
    TableRef::new(["public", name]).unwrap()
}

fn index(keys: &[&str], include: &[&str]) -> IndexSpec {
    let names = |names: &[&str]| names.iter().map(|name| Identifier::new(*name).unwrap()).collect();
    let (keys, include) = (names(keys), names(include));
    IndexSpec { table: table("orders"), keys, include, code_point: Vec::new(), rows: None }
}

fn name(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

/// A database with the data and the extension; none where the extension is not installed, which `CI` does not excuse.
async fn database(database: &str) -> Option<(Client, PostgresDriver)> {
    let server = server()?;
    let client = server.database(database, "").await;
    client.batch_execute(DATA.strip_suffix("VACUUM ANALYZE").unwrap()).await.unwrap();
    client.batch_execute("VACUUM ANALYZE").await.unwrap();
    if client.batch_execute("CREATE EXTENSION hypopg").await.is_err() {
        assert!(std::env::var_os("CI").is_none(), "HypoPG is not installed");
        eprintln!("SKIPPED: HypoPG is absent (apt-get install postgresql-15-hypopg)");
        return None;
    }
    Some((client, server.driver(database)))
}

async fn study(driver: &PostgresDriver) -> (Study, Box<dyn WhatIf>) {
    let advice = driver.index_advice().unwrap();
    let mut study = advice.study(&[table("orders"), table("tenants"), table("absent")]).await.unwrap();
    match std::mem::replace(&mut study.planner, Planner::Absent(String::new())) {
        Planner::Asked(planner) => (study, planner),
        Planner::Absent(why) => panic!("{why}"),
    }
}

fn query(text: &str) -> NativeQuery {
    NativeQuery { text: text.into(), tables: Vec::new(), rows: None }
}

/// Pages that a run with these values touches.
async fn pages(client: &Client, text: &str) -> u64 {
    let values = match text {
        POINT => "('tenant 17', 'state 2')",
        JOIN => "(17)",
        ORDERED => "",
        _ => "('tenant 17')",
    };
    client.batch_execute(&format!("PREPARE q AS {text}")).await.unwrap();
    let explain =
        format!("EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, SUMMARY off, FORMAT JSON) EXECUTE q{values}");
    let rows = client.simple_query(&explain).await.unwrap();
    client.batch_execute("DEALLOCATE q").await.unwrap();
    let text = rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let plan: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    let count = |key: &str| plan[0]["Plan"][key].as_u64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

async fn check(at: &str, text: &str, spec: IndexSpec, least_gain: f64) {
    let Some((client, driver)) = database(at).await else { return };
    let (_, mut planner) = study(&driver).await;
    let before = planner.cost(&query(text), &[]).await.unwrap();
    let with = planner.cost(&query(text), &[&spec]).await.unwrap();
    assert_eq!(with.used, [0], "{text}");
    assert!(before.cost / with.cost > least_gain, "{text}: {before:?} {with:?}");
    let slow = pages(&client, text).await;

    let advice = driver.index_advice().unwrap();
    advice.create(&spec, &name("querygate_1")).await.unwrap();
    client.batch_execute("VACUUM ANALYZE").await.unwrap();
    let fast = pages(&client, text).await;
    assert!(slow > 2 * fast, "{text}: {slow} pages, then {fast}");
    let (again, mut planner) = study(&driver).await;
    let built = planner.cost(&query(text), &[]).await.unwrap();
    assert!((0.6..1.6).contains(&(built.cost / with.cost)), "{text}: told {with:?}, built {built:?}");
    assert!(again.tables[0].indexes.iter().any(|index| index.name == "querygate_1" && index.valid));

    advice.drop_index(&spec.table, &name("querygate_1")).await.unwrap();
    advice.drop_index(&spec.table, &name("querygate_1")).await.unwrap();
    assert!(pages(&client, text).await > slow / 2);
}

#[tokio::test]
async fn an_index_on_equalities_does_what_was_predicted() {
    check("advised_point", POINT, index(&["tenant", "status"], &[]), 3.0).await;
}

#[tokio::test]
async fn a_covering_index_does_what_was_predicted() {
    check("advised_covered", COVERED, index(&["tenant"], &["total"]), 10.0).await;
}

#[tokio::test]
async fn an_index_for_the_inner_side_of_a_join_does_what_was_predicted() {
    check("advised_join", JOIN, index(&["tenant"], &[]), 2.0).await;
}

#[tokio::test]
async fn a_partial_index_over_open_rows_does_what_was_predicted() {
    let rows = Some(NullTest { column: name("closed"), negated: false });
    check("advised_open", OPEN, IndexSpec { rows, ..index(&["tenant"], &[]) }, 5.0).await;
}

#[tokio::test]
async fn an_index_by_code_point_serves_orders_by_code_point() {
    let spec = IndexSpec { code_point: vec![name("tenant")], ..index(&["tenant"], &[]) };
    check("advised_ordered", ORDERED, spec, 10.0).await;
}

#[tokio::test]
async fn refused_indexes_count_as_none_and_refused_statements_are_errors() {
    let Some((_, driver)) = database("advised_odd").await else { return };
    let (_, mut planner) = study(&driver).await;
    let plain = planner.cost(&query(POINT), &[]).await.unwrap();
    let absent = index(&["absent"], &[]);
    assert_eq!(planner.cost(&query(POINT), &[&absent]).await.unwrap(), plain);
    assert!(planner.cost(&query("SELECT 1; DROP TABLE orders"), &[]).await.is_err());
    assert!(planner.cost(&query("SELECT * FROM nowhere"), &[]).await.is_err());
    // The connection is as good as before.
    assert_eq!(planner.cost(&query(POINT), &[]).await.unwrap(), plain);
}

#[tokio::test]
async fn without_the_extension_there_is_no_planner_and_the_reason() {
    let Some(server) = server() else { return };
    let client = server.database("unadvised", "").await;
    client.batch_execute("CREATE TABLE orders (id int)").await.unwrap();
    let driver = server.driver("unadvised");
    let study = driver.index_advice().unwrap().study(&[table("orders")]).await.unwrap();
    assert_eq!(study.tables.len(), 1);
    assert!(matches!(study.planner, Planner::Absent(why) if why.contains("CREATE EXTENSION hypopg")));
}

#[tokio::test]
async fn without_the_right_to_ask_the_extension_there_is_no_planner_and_the_reason() {
    let Some((client, _)) = database("unasked").await else { return };
    let rights = "CREATE ROLE asker LOGIN PASSWORD 'a'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO asker;
        REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC";
    client.batch_execute(rights).await.unwrap();
    let asker = PostgresOptions {
        user: "asker".to_owned(),
        password: Some("a".to_owned()),
        ..server().unwrap().options("unasked")
    };
    let driver = PostgresDriver::new(&asker).unwrap();
    let study = driver.index_advice().unwrap().study(&[table("orders")]).await.unwrap();
    assert_eq!(study.tables.len(), 1);
    assert!(matches!(study.planner, Planner::Absent(why) if why.contains("may not use")));
}

#[tokio::test]
async fn a_study_tells_what_rests_on_each_index() {
    let Some((client, driver)) = database("studied").await else { return };
    client
        .batch_execute(
            "ALTER TABLE tenants ADD UNIQUE (name);
             ALTER TABLE orders ADD FOREIGN KEY (tenant) REFERENCES tenants (name);
             CREATE INDEX for_key ON orders (tenant, total); CREATE INDEX plain ON orders (status) INCLUDE (total);
             CREATE INDEX part ON orders (total) WHERE closed IS NULL; CREATE INDEX made ON orders (lower(status));
             CREATE INDEX back ON orders (total DESC); CREATE INDEX other ON orders (status COLLATE \"C\");
             CREATE INDEX hashed ON orders USING hash (status); CREATE UNIQUE INDEX one ON orders (total, id)",
        )
        .await
        .unwrap();
    let (study, _) = study(&driver).await;
    let orders = &study.tables[0];
    let mut told: Vec<_> = orders
        .indexes
        .iter()
        .map(|i| (i.name.as_str(), i.keys.len(), i.unique, i.constraint, i.partial, i.expression, i.plain))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("back", 1, false, false, false, false, false),
            ("for_key", 2, false, true, false, false, true),
            ("hashed", 1, false, false, false, false, false),
            ("made", 0, false, false, false, true, true),
            ("one", 2, true, false, false, false, true),
            ("orders_pkey", 1, true, true, false, false, true),
            ("other", 1, false, false, false, false, false),
            ("part", 1, false, false, true, false, true),
            ("plain", 1, false, false, false, false, true),
        ]
    );
    let column = |name: &str| orders.columns.iter().find(|column| column.name.as_str() == name).unwrap();
    assert!((190.0..210.0).contains(&column("tenant").distinct) && column("tenant").collates);
    assert!(!column("total").collates && (0.01..0.03).contains(&column("closed").nulls));
    assert!(orders.indexes.iter().all(|index| index.scans.is_some() && index.bytes.is_some_and(|bytes| bytes > 0)));
}

#[tokio::test]
async fn indexes_are_made_by_the_advisors_user_only() {
    let Some((client, _)) = database("roles").await else { return };
    client
        .batch_execute(
            "CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
             CREATE ROLE builder LOGIN PASSWORD 'b'; ALTER TABLE orders OWNER TO builder;
             GRANT CREATE, USAGE ON SCHEMA public TO builder",
        )
        .await
        .unwrap();
    let reader = PostgresOptions {
        user: "reader".to_owned(),
        password: Some("r".to_owned()),
        ..server().unwrap().options("roles")
    };
    let spec = index(&["status"], &[]);
    let plain = PostgresDriver::new(&reader).unwrap();
    let refused = plain.index_advice().unwrap().create(&spec, &name("mine")).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InsufficientPrivilege, "{refused}");
    let advisor = Some(("builder".to_owned(), Some("b".to_owned())));
    let driver = PostgresDriver::new(&PostgresOptions { advisor, ..reader }).unwrap();
    let advice = driver.index_advice().unwrap();
    advice.create(&spec, &name("mine")).await.unwrap();
    let taken = advice.create(&spec, &name("mine")).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::ObjectNotInPrerequisiteState);
    let missing = advice.create(&index(&["absent"], &[]), &name("none")).await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::SourceSchemaChanged, "{missing}");
    advice.drop_index(&spec.table, &name("mine")).await.unwrap();
}

#[tokio::test]
async fn what_fails_half_way_leaves_nothing_behind() {
    let Some((client, driver)) = database("half").await else { return };
    // Too long for an entry, and not to be compressed.
    let wide =
        "INSERT INTO orders SELECT -1, string_agg(md5(g::text), ''), '', 0, 0, '' FROM generate_series(1, 400) g";
    client.batch_execute(wide).await.unwrap();
    assert!(driver.index_advice().unwrap().create(&index(&["tenant"], &[]), &name("wide")).await.is_err());
    let left = client.query_one("SELECT count(*) FROM pg_class WHERE relname = 'wide'", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn statements_are_quoted_and_do_not_block_writers() {
    let driver = PostgresDriver::new(&PostgresOptions::new("s", "127.0.0.1", "u", "d")).unwrap();
    let advice = driver.index_advice().unwrap();
    let mut spec = index(&["te\"nant"], &["total"]);
    spec.rows = Some(NullTest { column: name("closed"), negated: true });
    assert_eq!(
        advice.ddl(&spec, &name("a\"b")).unwrap(),
        r#"CREATE INDEX CONCURRENTLY "a""b" ON "public"."orders" ("te""nant") INCLUDE ("total") WHERE "closed" IS NOT NULL"#
    );
    assert_eq!(advice.drop_ddl(&spec.table, &name("a\"b")).unwrap(), r#"DROP INDEX CONCURRENTLY "public"."a""b""#);
    assert!(advice.ddl(&spec, &name(&"n".repeat(64))).is_err());
}
