//! A join that PostgreSQL plans badly, asked through the gate: another setting of its planner is tried, proven and pinned, and no
//! connection keeps it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;

use common::{PASSWORD, Server as Database};
use querygate_tests::server::{Server, binary, psql, runtime};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Five conditions that say the same: PostgreSQL takes each to leave a tenth of what the others leave, expects one row on either
/// side, and joins a thousand with hundreds by looking at every pair.
const TABLES: &str = "
    CREATE TABLE orders (number int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c int NOT NULL, d int NOT NULL, e int NOT NULL,
      code int NOT NULL);
    CREATE TABLE items (number int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c int NOT NULL, d int NOT NULL, e int NOT NULL,
      code int NOT NULL);
    INSERT INTO orders SELECT g, g % 10, g % 10, g % 10, g % 10, g % 10, g FROM generate_series(1, 8000) g;
    INSERT INTO items SELECT g, g % 10, g % 10, g % 10, g % 10, g % 10, g FROM generate_series(1, 8000) g;
    CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON orders, items TO reader;
    ANALYZE";
const JOIN: &str = "SELECT count(*) FROM orders o JOIN items i ON i.code = o.code \
                    WHERE o.a = 1 AND o.b = 1 AND o.c = 1 AND o.d = 1 AND o.e = 1 \
                    AND i.a = 1 AND i.b = 1 AND i.c = 1 AND i.d = 1 AND i.e = 1";
const ROUNDS: usize = 60;

fn configured(folder: &Path, database: &Database) {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/shop", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()];
    let output = Command::new(binary()).args(arguments).env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("reader"), "reader").unwrap();
    let user = |name: &str, more: &str| {
        let verifier = postgres_protocol::password::scram_sha_256(format!("demo-{name}").as_bytes());
        format!(
            "[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\nuser_id = \"{name}\"\npermission_sets = \
             [\"shop_reader\"]\n{more}\n"
        )
    };
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"postgres\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"reader\"\npassword = \"file:reader\"\ndatabase = \"shop\"\npool_size = 2\n\
         [learning]\n{}{}",
        database.port,
        user("nora", ""),
        user("root", "operator = true"),
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
}

fn ask(server: &Server, user: &str, statements: &[&str]) -> Vec<String> {
    let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement]).collect();
    let printed = psql(server, user, &[&["-At"], arguments.as_slice()].concat());
    assert!(printed.success, "{statements:?}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

/// Time of some runs together.
fn timed(server: &Server, first: &str) -> Duration {
    let began = Instant::now();
    let rows = ask(server, "nora", &[first, JOIN, JOIN, JOIN]);
    assert_eq!(rows.iter().filter(|row| *row == "800").count(), 3, "{rows:?}");
    began.elapsed()
}

#[test]
fn a_join_that_the_source_plans_badly_is_pinned_to_a_better_setting() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(async {
        let admin = database.database("shop", "").await;
        admin.batch_execute(TABLES).await.unwrap();
        admin
    });
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let server = Server::serve(&folder.path().join("querygate.toml"));

    let pinned = "SELECT alternative, ratio < 0.5, runs >= 3, why FROM querygate.plans WHERE state = 'pinned' AND login = 'nora'";
    let mut found = Vec::new();
    for _ in 0..ROUNDS {
        assert_eq!(ask(&server, "nora", &[JOIN; 5]), ["800"; 5]);
        found = ask(&server, "root", &[pinned]);
        if !found.is_empty() {
            break;
        }
    }
    let all = ask(&server, "root", &["SELECT alternative, state, runs, mean_ms, ratio, why FROM querygate.plans"]);
    let [found] = found.as_slice() else { panic!("nothing is pinned: {all:?}") };
    assert!(found.starts_with("hash_joins|t|t|took ×"), "{found}");
    assert!(!all.iter().any(|row| row.starts_with("fetch") || row.starts_with("no_semi_joins")), "{all:?}");

    let explained = ask(&server, "nora", &[&format!("EXPLAIN {JOIN}")]);
    let choice = explained.iter().find(|line| line.starts_with("Plan choice: ")).unwrap();
    assert!(choice.starts_with("Plan choice: hash_joins: took ×"), "{choice}");
    assert!(choice.contains("(others: default, ") && choice.contains("no_hash_joins"), "{choice}");
    let (usual, advised) =
        (timed(&server, "SET querygate.learning = off"), timed(&server, "SET querygate.learning = on"));
    assert!(advised < usual.mul_f64(0.7), "{advised:?} against {usual:?}");

    // Look-ups have nothing to decide.
    assert_eq!(ask(&server, "nora", &["SELECT code FROM orders WHERE number = 7"]), ["7"]);
    let contests = "SELECT count(DISTINCT fingerprint) FROM querygate.plans WHERE login = 'nora'";
    assert_eq!(ask(&server, "root", &[contests]), ["1"]);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND state LIKE 'idle in transaction%'";
    assert_eq!(runtime().block_on(admin.query_one(open, &[])).unwrap().get::<_, i64>(0), 0);

    let fingerprint =
        ask(&server, "root", &["SELECT DISTINCT fingerprint FROM querygate.plans WHERE state = 'pinned'"]);
    ask(&server, "root", &[&format!("CALL querygate.pin('{}', 'default')", fingerprint[0])]);
    let explained = ask(&server, "nora", &[&format!("EXPLAIN {JOIN}")]);
    assert!(
        explained.iter().any(|line| line
            == "Plan choice: default: a person chose it (others: custom_plans, hash_joins, no_merge_joins, \
                no_hash_joins, no_index_scans, no_nested_loops)"),
        "{explained:?}"
    );
}
