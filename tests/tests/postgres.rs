//! A PostgreSQL server behind the gate, from introspection to the port: two users, what is pushed, what happens when it dies.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")
)]
#![allow(clippy::print_stderr, reason = "says what was skipped")]

#[path = "postgres/arrays.rs"]
mod arrays;
#[path = "postgres/cached_lookups.rs"]
mod cached_lookups;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the Flight door")]
mod client;
#[path = "postgres/client_metadata.rs"]
mod client_metadata;
#[path = "postgres/clinic.rs"]
mod clinic;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;
#[path = "postgres/described.rs"]
mod described;
#[path = "own_types/differences.rs"]
mod differences;
#[path = "own_types/doors.rs"]
mod doors;
#[path = "postgres/every_type.rs"]
mod every_type;
#[path = "postgres/interference.rs"]
mod interference;
#[path = "postgres/jsonb.rs"]
mod jsonb;
#[path = "postgres/own_types.rs"]
mod own_types;
#[path = "own_types/postgres_types.rs"]
mod postgres_types;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "postgres/shared_connections.rs"]
mod shared_connections;
#[path = "flight/text.rs"]
mod text;
#[path = "own_types/values.rs"]
mod values;
#[path = "own_types/wire.rs"]
mod wire;
#[path = "postgres/written.rs"]
mod written;

use common::{PASSWORD, Server as Database};
use querygate_tests::server::{Server, binary, psql, runtime};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TABLES: &str = "
    CREATE TYPE state AS ENUM ('new', 'paid', 'sent_back');
    CREATE TABLE customers (id text PRIMARY KEY, name varchar(40) NOT NULL, region text NOT NULL);
    CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL REFERENCES customers (id), region text NOT NULL,
        amount numeric(12,2) NOT NULL, state state NOT NULL, placed timestamptz NOT NULL, note text, cost numeric(12,2));
    COMMENT ON TABLE orders IS 'What customers bought';
    CREATE INDEX ON orders (region);
    CREATE SCHEMA stock; CREATE TABLE stock.items (sku uuid PRIMARY KEY, label text, extra jsonb);
    INSERT INTO customers VALUES ('c1', 'Ärger & Co', 'north'), ('c2', 'zebra', 'south'), ('c3', 'Apfel', 'north');
    INSERT INTO orders SELECT g, 'c' || 1 + g % 3, CASE g % 3 WHEN 1 THEN 'south' ELSE 'north' END, g * 1.10,
        (ARRAY['new', 'paid', 'sent_back'])[1 + g % 3]::state, timestamptz '2024-01-01 00:00Z' + g * interval '1 hour',
        CASE WHEN g % 10 = 0 THEN NULL ELSE 'note ' || g END, g FROM generate_series(1, 3000) g;
    INSERT INTO orders VALUES (0, 'c2', 'south', 0, 'new', '2024-01-01 00:00Z', 'hidden zero', 0);
    INSERT INTO stock.items VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'bolt', '{\"size\": 3}');
    ANALYZE;
";

/// Runs the binary with the database's password in its environment.
fn querygate(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {text}");
    assert!(!text.contains(PASSWORD), "{text}");
    text
}

/// Describes the database with `introspect`, narrows what it grants, and writes a configuration with two users.
fn configured(folder: &Path, database: &Database) {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/shop", database.port);
    let said =
        querygate(&["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()]);
    assert!(said.contains("3 tables written") && said.contains("kind = \"postgres\""), "{said}");
    let file = metadata.join("shop.json");
    let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let package = &mut stack["packages"][0]["manifest"];
    let orders = package["objects"].as_array().unwrap().iter().find(|object| object["name"] == "shop_orders").unwrap();
    assert_eq!(orders["description"], "What customers bought");
    assert_eq!(orders["fields"]["customer"]["reference"], "shop_customers");
    assert_eq!(orders["fields"]["state"]["options"].as_array().unwrap().len(), 3);
    let objects = package["objects"].as_array().unwrap();
    let items = objects.iter().find(|object| object["name"] == "shop_stock_items").unwrap();
    assert_eq!(items["external"]["remoteSchema"], "stock");
    package["permissions"][0]["rowLevelSecurity"] = serde_json::json!([{
        "name": "own_region", "object": "shop_orders", "operation": "select", "using": "region == current_user.region",
    }]);
    package["permissions"][0]["fields"] = serde_json::json!({"shop_orders.cost": {"readable": false}});
    std::fs::write(&file, stack.to_string()).unwrap();
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let user = |name: &str, region: &str| {
        let verifier = postgres_protocol::password::scram_sha_256(format!("demo-{name}").as_bytes());
        format!(
            "[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\nuser_id = \"{name}\"\npermission_sets = \
             [\"shop_reader\"]\nattributes = {{ region = \"{region}\" }}\n"
        )
    };
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[governance]\nverify_sample = 1\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \
         \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\ndatabase = \"shop\"\npassword = \
         \"file:password\"\npool_size = 4\nconnect_timeout = \"2s\"\n{}{}",
        database.port,
        user("nora", "north"),
        user("sven", "south").replace("user_id", "operator = true\nuser_id")
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
}

fn answer(server: &Server, user: &str, sql: &str) -> String {
    let printed = psql(server, user, &["-At", "-F", "|", "-c", sql]);
    assert!(printed.success, "{user}: {sql}: {}", printed.err);
    printed.out.trim_end().to_owned()
}

fn refused(server: &Server, user: &str, sql: &str) -> String {
    let printed = psql(server, user, &["-At", "-c", sql]);
    assert!(!printed.success, "{user}: {sql}: {}", printed.out);
    printed.err
}

/// The database with its tables, and who may change them.
async fn shop(database: &Database) -> tokio_postgres::Client {
    let admin = database.database("shop", "").await;
    admin.batch_execute(TABLES).await.unwrap();
    admin
}

#[test]
fn a_database_is_described_governed_and_read_through_the_port() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(shop(&database));
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let server = Server::serve(&folder.path().join("querygate.toml"));

    // Each sees what the policy allows, as the database itself says.
    for (user, region) in [("nora", "north"), ("sven", "south")] {
        let sql = "SELECT count(*), sum(amount), min(note), max(placed)::text FROM orders";
        let truth = "SELECT count(*)::text, sum(amount)::text, min(note COLLATE \"C\") FROM orders WHERE region = $1";
        let truth = runtime().block_on(admin.query_one(truth, &[&region])).unwrap();
        let truth = [0, 1, 2].map(|i| truth.get::<_, String>(i)).join("|");
        assert!(answer(&server, user, sql).starts_with(&truth), "{user}: {truth}");
        assert_eq!(answer(&server, user, "SELECT DISTINCT region FROM orders"), region);
        assert!(refused(&server, user, "SELECT cost FROM orders").contains("42703"));
    }
    // What can fail never meets a hidden row; the database would say so loudly.
    let quotient = "SELECT count(*) FROM orders WHERE 1000000 / id < 500";
    assert_eq!(answer(&server, "nora", quotient), "667");
    assert!(refused(&server, "sven", quotient).contains("22012"));
    // By code point, whatever the database's own order is.
    assert_eq!(answer(&server, "nora", "SELECT name FROM customers ORDER BY name"), "Apfel\nzebra\nÄrger & Co");
    let joined = "SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer = c.id WHERE o.state = 'paid' \
                  GROUP BY c.name ORDER BY c.name";
    assert_eq!(answer(&server, "nora", joined), "");
    assert_eq!(answer(&server, "sven", joined), "zebra|1000");
    assert_eq!(answer(&server, "nora", "SELECT label, extra FROM stock_items"), "bolt|{\"size\": 3}");

    // The whole statement goes down as one, policy inside, values beside it. Only an operator sees its text.
    assert!(!answer(&server, "nora", &format!("EXPLAIN {joined}")).contains("SELECT"));
    let explained = answer(&server, "sven", &format!("EXPLAIN {joined}"));
    let text: String = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("postgres=SELECT") && text.contains("\"public\".\"orders\""), "{explained}");
    assert!(text.contains("\"region\" = $1") || text.contains("\"region\" = $2"), "{explained}");
    assert!(text.contains("COLLATE \"C\") ASC"), "{explained}");
    assert!(!text.contains("paid") && !text.contains("south"), "{explained}");
    let fenced = answer(&server, "sven", "EXPLAIN SELECT count(*) FROM orders WHERE id + 1 > 5");
    assert!(fenced.contains("OFFSET 0"), "{fenced}");

    // Each of these was computed in the gate as well.
    let found = server.self_checks();
    assert!(found["equal"] >= 9 && !found.contains_key("different") && !found.contains_key("failed"), "{found:?}");
    connections(&server);
    dies_and_comes_back(&database, &server);
}

/// What the source's connections do, for operators and for Prometheus.
fn connections(server: &Server) {
    let sql = "SELECT pool_size, in_use, waiting, failed, breaker, idle > 0, opened > 0, mean_lease_ms < 1000 FROM querygate.sources";
    assert_eq!(answer(server, "sven", sql), "4|0|0|0|closed|t|t|t");
    assert_eq!(answer(server, "nora", "SELECT count(*) FROM querygate.sources"), "0");
    let metrics = server.get("/metrics");
    for line in [
        "querygate_source_connections{source=\"shop\",state=\"in_use\"} 0",
        "querygate_source_connections_max{source=\"shop\"} 4",
        "querygate_source_connects_total{source=\"shop\",outcome=\"failed\"} 0",
        "querygate_source_breaker{source=\"shop\",state=\"closed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// Only queries that need the source fail, at once and with its name, until it is there again.
fn dies_and_comes_back(database: &Database, server: &Server) {
    let sql = "SELECT count(*) FROM customers";
    database.kill();
    let asked = Instant::now();
    let error = refused(server, "nora", sql);
    assert!(error.contains("08001") || error.contains("08006"), "{error}");
    assert!(error.contains("shop") && !error.contains("127.0.0.1"), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(answer(server, "nora", "SELECT 1"), "1");
    // Nobody tries for a while: whoever asks hears of the failure at once.
    while server.get("/metrics").contains("querygate_source_breaker{source=\"shop\",state=\"closed\"} 1") {
        refused(server, "nora", sql);
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
    // Who looks from outside is told, without a statement of their own to the source.
    let state = "SELECT up, error LIKE '%\"shop\"%', error LIKE '%127.0.0.1%' FROM querygate.sources";
    assert_eq!(answer(server, "sven", state), "f|t|f");
    assert!(server.get("/readyz").contains("\"sources\":{\"up\":0,\"down\":1}"), "{}", server.get("/readyz"));
    assert!(server.get("/metrics").contains("querygate_source_up{source=\"shop\"} 0"));
    let _ = server.wait_for("a source cannot be reached", 0);
    database.run();
    let back = Instant::now();
    while !psql(server, "nora", &["-At", "-c", sql]).success {
        assert!(back.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(answer(server, "nora", sql), "3");
    let _ = server.wait_for("a source answers again", 0);
    assert_eq!(answer(server, "sven", "SELECT up, error IS NULL FROM querygate.sources"), "t|t");
    assert!(server.get("/readyz").contains("\"sources\":{\"up\":1,\"down\":0}"), "{}", server.get("/readyz"));
    let told = |text: &str| server.lines().iter().filter(|line| line.contains(text)).count();
    assert_eq!((told("a source cannot be reached"), told("a source answers again")), (1, 1));

    // Without a statement the gate finds out by itself that it is back.
    database.kill();
    while answer(server, "sven", "SELECT up FROM querygate.sources") == "t" {
        refused(server, "nora", sql);
        assert!(back.elapsed() < Duration::from_secs(60));
    }
    database.run();
    let back = Instant::now();
    while answer(server, "sven", "SELECT up FROM querygate.sources") == "f" {
        assert!(back.elapsed() < Duration::from_secs(30), "{}", server.lines().join("\n"));
    }
}
