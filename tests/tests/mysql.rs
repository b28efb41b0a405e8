//! A real MariaDB behind the real binary: introspected, governed, asked by two users through the Postgres port.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests panic"
)]

#[path = "own_types/answers.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod answers;
#[path = "own_types/checked.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod checked;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the Flight door")]
mod client;
#[path = "own_types/decoded.rs"]
mod decoded;
#[path = "own_types/described.rs"]
mod described;
#[path = "own_types/differences.rs"]
mod differences;
#[path = "own_types/doors.rs"]
mod doors;
#[path = "mysql/every_type.rs"]
mod every_type;
#[path = "own_types/mysql_types.rs"]
mod mysql_types;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod server;
#[path = "mysql/described.rs"]
mod tables;
#[path = "flight/text.rs"]
mod text;
#[path = "own_types/values.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod values;
#[path = "own_types/wire.rs"]
mod wire;

use querygate_tests::server::{Server, binary, psql_with};
use serde_json::{Value, json};
use server::{PASSWORD, Server as MariaDb, USER};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SHOP: &str = "
    CREATE DATABASE shop; USE shop; SET NAMES utf8mb4;
    CREATE TABLE customers (
        id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, name VARCHAR(80) NOT NULL COMMENT 'As on the invoice',
        region_id VARCHAR(10) NOT NULL, email VARCHAR(80), revenue DECIMAL(12,2), stage ENUM('lead','active','lost') NOT NULL,
        vip TINYINT(1) NOT NULL, created_at DATETIME NOT NULL, photo BLOB, KEY by_region (region_id)
    ) COMMENT 'Who buys' CHARACTER SET utf8mb4;
    CREATE TABLE orders (
        id INT PRIMARY KEY, customer_id VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, total DECIMAL(10,2) NOT NULL,
        placed_on DATE NOT NULL, FOREIGN KEY (customer_id) REFERENCES customers (id)
    ) CHARACTER SET utf8mb4;
    INSERT INTO customers VALUES
        ('c1', 'Anna', 'emea', 'anna@one.example', 1000.50, 'active', 1, '2024-01-31 10:00:00', NULL),
        ('c2', 'Bob', 'emea', 'bob@two.example', 20, 'lead', 0, '2024-02-29 00:00:00', NULL),
        ('C2', 'never', 'x', '', 0, 'lost', 0, '1999-01-01', NULL) ON DUPLICATE KEY UPDATE name = name;
    INSERT INTO customers VALUES ('c3', 'Carl', 'amer', 'carl@three.example', 77777.77, 'active', 0, '2023-12-31 23:59:59', NULL);
    INSERT INTO orders SELECT seq, CONCAT('c', 1 + seq % 3), seq * 1.25, '2024-01-01' + INTERVAL seq DAY FROM seq_1_to_300;
";

/// A MariaDB with the shop, the gate's folder beside it, and the gate.
struct Shop {
    database: MariaDb,
    folder: TempDir,
}

fn querygate(folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env("SHOP_PASSWORD", PASSWORD);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Introspects the server, then says in the metadata who may see what.
fn prepared() -> Option<Shop> {
    let database = MariaDb::start()?;
    database.sql(SHOP);
    let folder = TempDir::new().unwrap();
    let address = format!("mysql://{USER}@127.0.0.1:{}/shop", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", "metadata"];
    let (success, said) = querygate(folder.path(), &arguments, "");
    assert!(success, "{said}");
    assert!(said.contains("kind = \"mysql\""), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    let file = folder.path().join("metadata/shop.json");
    let mut stack: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    govern(&mut stack["packages"][0]["manifest"]);
    std::fs::write(&file, stack.to_string()).unwrap();
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let mut config = format!(
        "[server]\ndatabase = \"demo\"\n[governance]\nverify_sample = 1\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"mysql\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\ndatabase = \"shop\"\npassword = \"file:password\"\n",
        database.port
    );
    for (name, settings) in [
        ("boss", "permission_sets = [\"shop_reader\"]"),
        ("rep", "permission_sets = [\"shop_rep\"]\nattributes = { region_id = \"emea\" }"),
        ("lead", "administrator = true\npermission_sets = [\"shop_rep\"]\nattributes = { region_id = \"emea\" }"),
    ] {
        let (success, entry) = querygate(folder.path(), &["user", "add", name], &format!("demo-{name}\n"));
        assert!(success, "{entry}");
        let verifier = entry.lines().find(|line| line.starts_with("verifier")).unwrap();
        config.push_str(&format!("[[users]]\nname = \"{name}\"\n{verifier}\nuser_id = \"{name}\"\n{settings}\n"));
    }
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    let (success, said) = querygate(folder.path(), &["check", "querygate.toml"], "");
    assert!(success, "{said}");
    Some(Shop { database, folder })
}

/// The rep sees one region, no revenue, and e-mail addresses masked; and only small orders.
fn govern(package: &mut Value) {
    for object in package["objects"].as_array_mut().unwrap() {
        if object["name"] == "shop_customers" {
            assert_eq!(object["description"], "Who buys");
            assert_eq!(object["fields"]["name"]["description"], "As on the invoice");
            assert_eq!(object["fields"]["stage"]["type"], "select");
            object["fields"]["email"]["maskingRule"] = json!("email");
            object["fields"]["email"]["requiredPermissions"] = json!(["shop.see_email"]);
        } else {
            assert_eq!(object["fields"]["customer_id"]["reference"], "shop_customers");
        }
    }
    package["capabilities"] = json!([{"name": "shop.see_email", "label": "See e-mail", "scope": "org"}]);
    let sets = package["permissions"].as_array_mut().unwrap();
    sets[0]["systemPermissions"] = json!(["shop.see_email"]);
    sets.push(json!({
        "name": "shop_rep", "label": "Rep",
        "objects": {"shop_customers": {"allowRead": true}, "shop_orders": {"allowRead": true}},
        "fields": {"shop_customers.revenue": {"readable": false}},
        "rowLevelSecurity": [
            {"name": "region", "object": "shop_customers", "operation": "select",
             "using": "region_id == current_user.region_id"},
            {"name": "small", "object": "shop_orders", "operation": "select", "using": "total < 100"},
        ],
    }));
}

fn ask(gate: &Server, user: &str, sql: &str) -> String {
    psql_with(gate.postgres, user, &format!("demo-{user}"), "disable", &["-At", "-c", sql]).both().trim().to_owned()
}

#[test]
fn two_users_see_their_own_shop_and_the_server_does_the_work() {
    let Some(shop) = prepared() else { return };
    let gate = Server::serve(&shop.folder.path().join("querygate.toml"));
    for (sql, boss, rep) in [
        ("SELECT count(*) FROM customers", "3", "2"),
        (
            "SELECT id, email FROM customers WHERE id IN ('c1', 'C1', 'c3') ORDER BY id",
            "c1|anna@one.example\nc3|carl@three.example",
            "c1|a***@one.example",
        ),
        ("SELECT sum(total), max(placed_on) FROM orders", "56437.50|2024-10-27", "3950.00|2024-03-20"),
        ("SELECT count(*) FROM customers WHERE name LIKE 'A%' AND vip", "1", "1"),
        (
            "SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY c.name",
            "Anna|100\nBob|100\nCarl|100",
            "Anna|26\nBob|27",
        ),
        (
            "SELECT name FROM customers WHERE created_at >= '2024-01-31 10:00:00' ORDER BY created_at DESC",
            "Bob\nAnna",
            "Bob\nAnna",
        ),
        ("SELECT name FROM customers ORDER BY name DESC LIMIT 1", "Carl", "Bob"),
    ] {
        assert_eq!(ask(&gate, "boss", sql), boss, "{sql}");
        assert_eq!(ask(&gate, "rep", sql), rep, "{sql}");
    }
    assert_eq!(ask(&gate, "boss", "SELECT revenue FROM customers WHERE id = 'c3'"), "77777.77");
    let refused = ask(&gate, "rep", "SELECT revenue FROM customers");
    assert!(refused.contains("42703") && !refused.contains("77777"), "{refused}");
    // What can fail meets no hidden row, and its error says nothing of one.
    let risky = "SELECT count(*) FROM orders WHERE 1 / (total - 125) < 1";
    assert!(ask(&gate, "boss", risky).contains("22012"));
    assert_eq!(ask(&gate, "rep", risky), "79");
    // An administrator's plan shows the statement; the rep's does not show the policy, which the server was given.
    let secret = "SELECT name FROM customers WHERE id = 'secret-key'";
    let plan = ask(&gate, "lead", &format!("EXPLAIN {secret}"));
    assert!(plan.contains("mysql=SELECT") && plan.contains("`id` = (? COLLATE utf8mb4_nopad_bin)"), "{plan}");
    let hidden = ask(&gate, "rep", &format!("EXPLAIN {secret}"));
    assert!(hidden.contains("row policies inside") && !hidden.contains("region_id"), "{hidden}");
    assert!(!plan.contains("secret-key") && !hidden.contains("emea"), "{plan}\n{hidden}");
    shop.database.sql("SET GLOBAL log_output = 'TABLE', general_log = 1");
    assert_eq!(ask(&gate, "rep", secret), "");
    shop.database.sql("SET GLOBAL general_log = 0");
    let prepared = shop.database.sql("SELECT argument FROM mysql.general_log WHERE command_type = 'Prepare'");
    let given = prepared.lines().find(|line| line.contains("`customers`")).unwrap_or(&prepared);
    assert!(given.contains("`region_id` = (? COLLATE") && given.contains("`id` = (? COLLATE"), "{given}");
    assert!(!prepared.contains("secret-key") && !prepared.contains("emea"), "{prepared}");
    let joined =
        "EXPLAIN SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name";
    let plan = ask(&gate, "rep", joined);
    assert!(plan.contains("row policies inside") && !plan.contains("HashJoin"), "{plan}");
    assert!(!plan.contains("emea"), "{plan}");
    let found = gate.self_checks();
    assert!(found["equal"] >= 14 && !found.contains_key("different") && !found.contains_key("failed"), "{found:?}");
}

/// A view whose definer is gone, as after a restore: introspection says that it cannot be read, its reader hears which table it is, and
/// the operator why. What is computed of unsigned numbers has a sign.
#[test]
fn a_view_that_cannot_be_read_is_named() {
    let Some(database) = MariaDb::start() else { return };
    database.sql(
        "CREATE DATABASE broken; USE broken; CREATE TABLE t (id int PRIMARY KEY, n bigint unsigned);
         INSERT INTO t VALUES (1, 18446744073709551615), (2, 0), (3, NULL);
         CREATE USER 'former'@'localhost'; GRANT ALL ON broken.* TO 'former'@'localhost';
         CREATE DEFINER = 'former'@'localhost' SQL SECURITY DEFINER VIEW q AS SELECT id, n FROM t;
         DROP USER 'former'@'localhost';",
    );
    let folder = TempDir::new().unwrap();
    let (gate, said) = every_type::served(folder.path(), &database, "broken");
    // Without rights over the server's users no more is said than that access is denied.
    assert!(said.contains("cannot be read: q (") && said.contains("1045"), "{said}");
    let from = gate.lines().len();
    let told = ask(&gate, "ann", "SELECT id FROM q");
    assert!(told.contains("table \"q\"") && !told.contains("former"), "{told}");
    let logged = gate.wait_for("a source refused to be read", from);
    assert!(logged.contains("1045") && logged.contains("tables=\"q\""), "{logged}");
    for (sql, expected) in [
        ("SELECT -n FROM t ORDER BY id", "-18446744073709551615\n0"),
        ("SELECT id FROM t WHERE n IS NOT NULL ORDER BY -n", "1\n2"),
        ("SELECT id FROM t WHERE -n < 0", "1"),
        ("SELECT sum(-n) FROM t", "-18446744073709551615"),
        ("SELECT abs(-n) FROM t WHERE id = 1", "18446744073709551615"),
        (
            "SELECT 0 - n, n * -1, n + n FROM t WHERE id = 1",
            "-18446744073709551615|-18446744073709551615|36893488147419103230",
        ),
    ] {
        assert_eq!(ask(&gate, "ann", sql), expected, "{sql}");
    }
}

#[test]
fn a_server_that_goes_away_takes_only_its_tables_along() {
    let Some(shop) = prepared() else { return };
    let gate = Server::serve(&shop.folder.path().join("querygate.toml"));
    let count = "SELECT count(*) FROM customers";
    assert_eq!(ask(&gate, "boss", count), "3");
    shop.database.kill();
    let lost = ask(&gate, "boss", count);
    assert!(lost.contains("08001") || lost.contains("08006"), "{lost}");
    assert_eq!(ask(&gate, "boss", "SELECT 1"), "1");
    shop.database.resume();
    let began = std::time::Instant::now();
    // Each attempt is a process and a login.
    while ask(&gate, "boss", count) != "3" {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{}", ask(&gate, "boss", count));
    }
    drop(gate);
    shop.database.kill();
    // A source that is away at the start is no reason not to start.
    let gate = Server::serve(&shop.folder.path().join("querygate.toml"));
    let lost = ask(&gate, "boss", count);
    assert!(lost.contains("08001") && !lost.contains(PASSWORD), "{lost}");
    assert_eq!(ask(&gate, "boss", "SELECT 1"), "1");
    // When it comes, its tables are found without a word from anybody.
    shop.database.resume();
    let _ = gate.wait_for("a source is back", 0);
    let _ = gate.wait_for("metadata reloaded", 0);
    assert_eq!(ask(&gate, "boss", count), "3");
}
