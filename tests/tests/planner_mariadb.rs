//! A join without an index at a real MariaDB, asked through the gate: hash joins are tried, proven and pinned, and an index is
//! suggested on the evidence of the server's own EXPLAIN.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod server;

use querygate_tests::server::{Server, binary, psql};
use server::{PASSWORD, Server as MariaDb, USER};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const TABLES: &str = "
    CREATE DATABASE shop; USE shop;
    CREATE TABLE orders (number INT PRIMARY KEY, code INT NOT NULL); CREATE TABLE items (number INT PRIMARY KEY, code INT NOT NULL);
    INSERT INTO orders SELECT seq, seq * 7 FROM seq_1_to_4000; INSERT INTO items SELECT seq, seq * 5 FROM seq_1_to_4000;
    ANALYZE TABLE orders, items;";
const JOIN: &str = "SELECT count(*) FROM orders o JOIN items i ON i.code = o.code";
const FOUND: &str = "571";
const ROUNDS: usize = 60;

fn configured(folder: &Path, database: &MariaDb) {
    let metadata = folder.join("metadata");
    let address = format!("mysql://{USER}@127.0.0.1:{}/shop", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()];
    let output = Command::new(binary()).args(arguments).env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let user = |name: &str, more: &str| {
        let verifier = postgres_protocol::password::scram_sha_256(format!("demo-{name}").as_bytes());
        format!(
            "[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\nuser_id = \"{name}\"\npermission_sets = \
             [\"shop_reader\"]\n{more}\n"
        )
    };
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"mysql\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\npassword = \"file:password\"\ndatabase = \"shop\"\npool_size = 2\n\
         [learning]\nsuggest_every = \"0s\"\n{}{}",
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

/// The first row of an answer that comes in the end.
fn in_the_end(server: &Server, mut before: impl FnMut(), sql: &str, all: &str) -> String {
    for _ in 0..ROUNDS {
        before();
        if let Some(found) = ask(server, "root", &[sql]).into_iter().next() {
            return found;
        }
    }
    panic!("{sql}: nothing; {:?}", ask(server, "root", &[all]));
}

#[test]
fn a_join_without_an_index_is_hashed_and_an_index_for_it_is_suggested() {
    let Some(database) = MariaDb::start() else { return };
    database.sql(TABLES);
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let server = Server::serve(&folder.path().join("querygate.toml"));

    let work = || assert_eq!(ask(&server, "nora", &[JOIN; 5]), [FOUND; 5]);
    let pinned = "SELECT alternative, ratio < 0.7, why FROM querygate.plans WHERE state = 'pinned' AND login = 'nora'";
    let all = "SELECT alternative, state, runs, mean_ms, ratio, why FROM querygate.plans";
    let found = in_the_end(&server, work, pinned, all);
    assert!(found.starts_with("hash_joins|t|took ×"), "{found}");
    let explained = ask(&server, "nora", &[&format!("EXPLAIN {JOIN}")]);
    let choice = explained.iter().find(|line| line.starts_with("Plan choice: ")).unwrap();
    assert!(choice.starts_with("Plan choice: hash_joins: took ×") && choice.ends_with("(others: default)"), "{choice}");

    let suggest = || drop(ask(&server, "root", &["CALL querygate.suggest_indexes()"]));
    let suggested =
        "SELECT ddl, confidence <= 0.5, evidence FROM querygate.index_suggestions WHERE state = 'suggested'";
    let all = "SELECT state, ddl, evidence FROM querygate.index_suggestions";
    let found = in_the_end(&server, suggest, suggested, all);
    assert!(found.starts_with("CREATE INDEX ") && found.contains("(`code`"), "{found}");
    assert!(found.contains("|t|") && found.contains("MariaDB's EXPLAIN of the plan as it is"), "{found}");
}
