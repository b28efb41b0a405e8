//! Index advice over a real PostgreSQL server, from introspection to the port: HypoPG is asked, a user of its own builds the index
//! concurrently, the effect is measured.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;

use common::{PASSWORD, Server as Database};
use querygate_tests::server::{Server, binary, psql, runtime};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const ASKED: usize = 600;
const RUNS: usize = 15;
const TABLES: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, region text NOT NULL, amount numeric(12,2) NOT NULL, day date NOT NULL, note text);
    INSERT INTO orders SELECT g, 'region ' || g % 50, g * 1.10, date '2024-01-01' + g % 700, repeat('x', 80)
      FROM generate_series(1, 120000) g;
    CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON orders TO reader;
    CREATE ROLE builder LOGIN PASSWORD 'builder'; ALTER TABLE orders OWNER TO builder; GRANT CREATE, USAGE ON SCHEMA public TO builder;
    ANALYZE";

fn configured(folder: &Path, database: &Database) {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/shop", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()];
    let output = Command::new(binary()).args(arguments).env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = metadata.join("shop.json");
    let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    stack["packages"][0]["manifest"]["permissions"][0]["rowLevelSecurity"] = serde_json::json!([{
        "name": "own_region", "object": "shop_orders", "operation": "select", "using": "region == current_user.region",
    }]);
    std::fs::write(&file, stack.to_string()).unwrap();
    for name in ["reader", "builder"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    let user = |name: &str, more: &str| {
        let verifier = postgres_protocol::password::scram_sha_256(format!("demo-{name}").as_bytes());
        format!(
            "[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\nuser_id = \"{name}\"\npermission_sets = \
             [\"shop_reader\"]\nattributes = {{ region = \"region 7\" }}\n{more}\n"
        )
    };
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"postgres\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"reader\"\npassword = \"file:reader\"\nadvisor_user = \"builder\"\n\
         advisor_password = \"file:builder\"\napply_indexes = true\ndatabase = \"shop\"\npool_size = 4\n\
         [learning]\nsuggest_every = \"0s\"\n{}{}",
        database.port,
        user("nora", ""),
        user("root", "operator = true"),
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
}

fn ask(server: &Server, user: &str, sql: &str) -> Vec<String> {
    let printed = psql(server, user, &["-At", "-c", sql]);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

fn workload(server: &Server) {
    let day = |n: usize| format!("SELECT count(*), sum(amount) FROM orders WHERE day = DATE '2024-03-{:02}'", n + 1);
    let statements: Vec<String> = (0..RUNS).map(day).collect();
    let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement.as_str()]).collect();
    let printed = psql(server, "nora", &[&["-At"], arguments.as_slice()].concat());
    assert!(printed.success, "{}", printed.both());
}

fn wait_for(server: &Server, before: Option<&str>, sql: &str) -> String {
    for _ in 0..ASKED {
        let first = before.map(|call| ask(server, "root", call));
        if let Some(found) = ask(server, "root", sql).into_iter().next() {
            return found;
        }
        drop(first);
    }
    let all = ask(server, "root", "SELECT state, ddl, evidence, measured FROM querygate.index_suggestions");
    panic!("{sql}: nothing; {all:?}");
}

#[test]
fn postgres_is_advised_by_its_own_planner_and_indexed_by_a_user_of_its_own() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(async {
        let admin = database.database("shop", "").await;
        admin.batch_execute(TABLES).await.unwrap();
        admin
    });
    let hypopg = runtime().block_on(admin.batch_execute("CREATE EXTENSION hypopg")).is_ok();
    if !hypopg {
        assert!(std::env::var_os("CI").is_none(), "HypoPG is not installed");
        eprintln!("SKIPPED: HypoPG is absent (apt-get install postgresql-15-hypopg)");
        return;
    }
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let server = Server::serve(&folder.path().join("querygate.toml"));
    workload(&server);
    let suggested = "SELECT id, ddl FROM querygate.index_suggestions WHERE state = 'suggested' AND kind = 'create'";
    let found = wait_for(&server, Some("CALL querygate.suggest_indexes()"), suggested);
    let (id, ddl) = found.split_once('|').unwrap();
    assert!(ddl.starts_with("CREATE INDEX CONCURRENTLY \"qg_orders_region_day"), "{ddl}");
    assert!(ddl.contains("ON \"public\".\"orders\" (\"region\", \"day\")"), "the policy's column leads: {ddl}");
    let evidence = ask(&server, "root", &format!("SELECT evidence FROM querygate.index_suggestions WHERE id = {id}"));
    assert!(evidence[0].contains("HypoPG"), "{evidence:?}");

    ask(&server, "root", &format!("CALL querygate.apply({id})"));
    let built = "SELECT pg_get_userbyid(c.relowner)::text, i.indisvalid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid \
                 WHERE c.relname LIKE 'qg\\_orders%'";
    let built = runtime().block_on(admin.query_one(built, &[])).unwrap();
    assert_eq!((built.get::<_, String>(0).as_str(), built.get::<_, bool>(1)), ("builder", true));
    workload(&server);
    let helped =
        format!("SELECT measured_effect FROM querygate.index_suggestions WHERE id = {id} AND state = 'helped'");
    let effect: f64 = wait_for(&server, None, &helped).parse().unwrap();
    assert!(effect > 0.2, "{effect}");
    ask(&server, "root", &format!("CALL querygate.undo({id})"));
    let left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'qg\\_orders%'";
    assert_eq!(runtime().block_on(admin.query_one(left, &[])).unwrap().get::<_, i64>(0), 0);
}
