//! Hooks that ask for other records and change them, in the transaction of the change that they are of.

use super::gate::{Gate, refusal};
use querygate_tests::server::{Answer, change};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const STACK: &str = include_str!("api.yaml");
const ROWS: &str = r#"
CREATE TABLE orders(id TEXT PRIMARY KEY NOT NULL, kind TEXT, customer TEXT, total REAL, note TEXT);
CREATE TABLE customers(id TEXT PRIMARY KEY NOT NULL, name TEXT, orders REAL, credit REAL, region TEXT, secret TEXT, tags TEXT);
CREATE TABLE log(id TEXT PRIMARY KEY NOT NULL, name TEXT, ref TEXT);
INSERT INTO customers VALUES ('c1', 'Ada', 0, 10, 'eu', 'hush', '{"a":3}'), ('c2', 'Ben', 0, 20, 'us', 'psst', NULL),
    ('c3', 'Cay', 0, 1, 'eu', NULL, NULL);
INSERT INTO log VALUES ('taken', 'first', NULL), ('o1', 'old', NULL), ('o2', 'old', NULL);"#;
const FAR: &str = "CREATE TABLE far(id TEXT PRIMARY KEY NOT NULL, note TEXT); INSERT INTO far VALUES ('f1', 'there');";

fn gate() -> Gate {
    Gate::over(STACK, ROWS, Some(FAR), [("nora", "api_manager"), ("omar", "api_clerk")])
}

fn insert(client: &Client, id: &str, kind: &str, total: u32) -> Result<u64, (String, String)> {
    let sql = format!("INSERT INTO orders (id, kind, customer, total) VALUES ('{id}', '{kind}', 'c1', {total})");
    change(client, &sql)
}

impl Gate {
    fn note(&self, id: &str) -> String {
        self.stored(&format!("SELECT note FROM orders WHERE id = '{id}'")).pop().unwrap_or_else(|| "none".to_owned())
    }

    fn log(&self) -> Vec<String> {
        self.stored("SELECT id FROM log ORDER BY 1")
    }
}

#[test]
fn a_hook_asks_for_records_that_its_user_may_read() {
    let gate = gate();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    insert(&nora, "n1", "find", 1).unwrap();
    assert_eq!(gate.note("n1"), "Ada|hush|3|c3+c1|2|31");
    insert(&omar, "o1", "find", 1).unwrap();
    assert_eq!(gate.note("o1"), "Ada|none|3|c3+c1|1|11");
    // Rows that the transaction made are seen, and those of an ON CONFLICT and of an UPDATE are asked about, too.
    change(&nora, "BEGIN; UPDATE customers SET name = 'Eve' WHERE id = 'c1'").unwrap();
    change(&nora, "UPDATE orders SET customer = 'c1', total = 2 WHERE id = 'n1'").unwrap();
    change(&nora, "COMMIT").unwrap();
    assert_eq!(gate.note("n1"), "Eve|hush|3|c3+c1|2|31");
    assert_eq!(
        refusal(&nora, "INSERT INTO orders (id, kind, customer) VALUES ('n2', 'find', 'c7')").1,
        "No such customer"
    );
    insert(&omar, "o2", "user", 1).unwrap();
    assert_eq!(gate.note("o2"), "not seen");
}

#[test]
fn a_hook_changes_records_in_the_transaction_of_its_change() {
    let gate = gate();
    let nora = gate.client("nora");
    insert(&nora, "w1", "write", 1).unwrap();
    insert(&nora, "w2", "write", 1).unwrap();
    let customers =
        "SELECT concat_ws('|', id, name, CAST(orders AS INTEGER), CAST(credit AS INTEGER)) FROM customers ORDER BY 1";
    assert_eq!(gate.stored(customers), ["c1|Ada|2|10", "c2|Ben|0|20", "c3|Cay|0|1"]);
    assert_eq!(gate.stored("SELECT ref FROM log WHERE name = 'counted' ORDER BY 1"), ["w1 1 Ada", "w2 2 Ada"]);
    // What a hook throws takes its own changes back, too; and so does ROLLBACK, to a savepoint or of all.
    let before = (gate.stored(customers), gate.log());
    assert_eq!(insert(&nora, "w3", "write", 101).unwrap_err(), ("P0001".into(), "Too much".into()));
    change(&nora, "BEGIN; SAVEPOINT a").unwrap();
    insert(&nora, "w4", "write", 1).unwrap();
    change(&nora, "ROLLBACK TO a").unwrap();
    insert(&nora, "w5", "write", 1).unwrap();
    change(&nora, "ROLLBACK").unwrap();
    assert_eq!((gate.stored(customers), gate.log()), before);
    insert(&nora, "m1", "many", 1).unwrap();
    assert_eq!(gate.note("m1"), "2|Upsert|New|2");
    assert_eq!(gate.stored(customers), ["c1|Upsert|9|10", "c2|Ben|0|20", "c3|Cay|9|1", "c9|New"]);
    assert_eq!(gate.stored("SELECT id FROM log WHERE name <> 'counted'"), Vec::<String>::new());
}

#[test]
fn a_script_goes_on_after_what_it_was_refused() {
    let gate = gate();
    let nora = gate.client("nora");
    insert(&nora, "a1", "catch", 1).unwrap();
    let told = gate.stored("SELECT name FROM log WHERE id = 'told'").pop().unwrap();
    let expected = "DUPLICATE_RECORD 409 true;RECORD_NOT_FOUND 404 true;VALIDATION_FAILED 400 true;INVALID_FIELD 400 true;\
        OBJECT_NOT_FOUND 404 true;INVALID_FILTER 400 true;DUPLICATE_RECORD 409 true";
    assert_eq!(told, expected);
    assert_eq!(gate.log(), ["o1", "o2", "taken", "told"]);
    insert(&nora, "t1", "transaction", 1).unwrap();
    assert_eq!(gate.log(), ["o1", "o2", "t1", "t2", "t4 undo", "t6 DUPLICATE_RECORD", "taken", "told"]);
    insert(&nora, "l1", "log", 1).unwrap();
    assert!(!gate.log().contains(&"undone with its hook".to_owned()));
    assert_eq!(gate.note("l1"), "NULL");
}

#[test]
fn a_refusal_that_a_script_passes_on_is_told_as_it_is() {
    let gate = gate();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    insert(&nora, "p1", "pass on", 1).unwrap();
    let (state, text) = insert(&omar, "p2", "pass on", 1).unwrap_err();
    assert_eq!(state, "42501", "{text}");
    assert!(text.starts_with("PermissionDeniedError: "), "{text}");
    assert_eq!(insert(&nora, "p3", "duplicate", 1).unwrap_err().0, "23505");
    let token = gate.token("omar");
    let answer: Answer = gate.send(&token, "POST", "api_orders", &json!({"kind": "pass on"}));
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("PERMISSION_DENIED")), "{}", answer.text());
    let token = gate.token("nora");
    let answer = gate.send(&token, "POST", "api_orders", &json!({"kind": "duplicate"}));
    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("DUPLICATE_RECORD")), "{}", answer.text());
    let found: Value = gate.send(&token, "GET", "api_orders", &Value::Null).json();
    assert_eq!(found["total"], 1, "{found}");
}

#[test]
fn what_a_hook_does_is_bounded() {
    let gate = gate();
    let nora = gate.client("nora");
    insert(&nora, "f1", "far", 1).unwrap();
    assert_eq!(gate.note("f1"), "1 NOT_IMPLEMENTED a transaction that changes several sources is not supported");
    assert_eq!(insert(&nora, "u1", "undeclared", 1).unwrap_err().0, "38000");
    let (state, text) = insert(&nora, "y1", "cycle", 1).unwrap_err();
    assert_eq!((state.as_str(), text.as_str()), ("54001", "hooks whose changes run further hooks go 10 deep at most"));
    assert_eq!(gate.stored("SELECT CAST(count(*) AS TEXT) FROM orders WHERE kind = 'cycle'"), ["0"]);
    insert(&nora, "k1", "calls", 1).unwrap();
    assert_eq!(gate.note("k1"), "1000 a run of a hook makes 1000 calls of ctx.api at most");
    // A deadline ends what it waits for, and the script.
    change(&nora, "SET statement_timeout = '700ms'").unwrap();
    let began = Instant::now();
    assert_eq!(insert(&nora, "s1", "slow", 1).unwrap_err().0, "57014");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    change(&nora, "SET statement_timeout = 0").unwrap();
    insert(&nora, "z1", "find", 1).unwrap();
    assert_eq!(gate.stored("SELECT id FROM orders ORDER BY 1"), ["f1", "k1", "z1"]);
}

#[test]
fn the_platform_acts_where_metadata_says_so_and_tells_nothing() {
    let gate = gate();
    let omar = gate.client("omar");
    insert(&omar, "s1", "system", 0).unwrap();
    assert_eq!(gate.note("s1"), "Ben");
    assert_eq!(gate.stored("SELECT ref FROM log WHERE name = 'system'"), ["omar"]);
    assert_eq!(gate.stored("SELECT CAST(CAST(orders AS INTEGER) AS TEXT) FROM customers WHERE id = 'c2'"), ["77"]);
    let hidden = ("P0001".to_owned(), "a hook of the table refuses the change".to_owned());
    assert_eq!(insert(&omar, "s2", "system", 1).unwrap_err(), hidden);
    assert_eq!(insert(&omar, "s3", "system", 2).unwrap_err(), hidden);
    let lines: Vec<Value> = gate.audit();
    let of_hook = |line: &&Value| line["hook"] == "as_system" && line["as"] == "system" && line["login"] == "omar";
    assert!(
        lines.iter().filter(of_hook).any(|line| line["change"] == "begun" && line["object"] == "customers"),
        "{lines:?}"
    );
    assert!(lines.iter().filter(of_hook).any(|line| line["template"].is_string()), "{lines:?}");
    // What the platform sees stays out of what its user is shown.
    assert_eq!(refusal(&omar, "UPDATE customers SET name = 'x' WHERE id = 'c1'").0, "42501");
    insert(&omar, "u1", "user", 0).unwrap();
    assert_eq!(gate.note("u1"), "not seen");
}

#[test]
fn a_hook_after_the_commit_has_a_transaction_of_its_own() {
    let gate = gate();
    let nora = gate.client("nora");
    insert(&nora, "l1", "later", 1).unwrap();
    insert(&nora, "l2", "later", 2).unwrap();
    change(&nora, "BEGIN").unwrap();
    insert(&nora, "l3", "later", 3).unwrap();
    change(&nora, "ROLLBACK").unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    let is_told = || gate.server.lines().iter().any(|line| line.contains("is not tried again"));
    while Instant::now() < end && (!gate.log().contains(&"later 1".to_owned()) || !is_told()) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_told());
    assert_eq!(gate.log(), ["later 1", "o1", "o2", "taken"]);
}
