//! Hooks of reads: questions run them, statements of SQL are refused or keep to the filter that stands for them.

use super::gate::{Gate, refusal};
use super::sql::rows;
use querygate_tests::server::{PASSWORD, Request, change, runtime};
use serde_json::{Value, json};
use std::time::Duration;

const STACK: &str = include_str!("reads.yaml");
const ROWS: &str = r#"
CREATE TABLE asked(id TEXT PRIMARY KEY NOT NULL, name TEXT, region TEXT);
CREATE TABLE filtered(id TEXT PRIMARY KEY NOT NULL, name TEXT, region TEXT);
CREATE TABLE closed(id TEXT PRIMARY KEY NOT NULL, name TEXT);
CREATE TABLE log(id TEXT PRIMARY KEY NOT NULL, name TEXT, asked TEXT);
INSERT INTO asked VALUES ('a1', 'Ada', 'eu'), ('a2', 'secret', 'eu');
INSERT INTO filtered VALUES ('f1', 'One', 'eu'), ('f2', 'Two', 'us');
INSERT INTO closed VALUES ('c1', 'x');"#;

fn gate() -> Gate {
    Gate::over(STACK, ROWS, None, [("nora", "reads_all"), ("omar", "reads_all")])
}

#[test]
fn questions_run_hooks_of_reads() {
    let gate = gate();
    let token = gate.token("nora");
    let ask = |object: &str, filter: Value| {
        let answer = gate.send(&token, "POST", &format!("{object}/query"), &json!({ "where": filter }));
        (answer.status, answer.json())
    };
    let (status, found) = ask("reads_asked", json!({"id": "a1"}));
    assert_eq!((status, &found["records"][0]["name"], &found["total"]), (200, &json!("Ada"), &json!(1)), "{found}");
    let (status, refused) = ask("reads_asked", json!({"name": "forbidden"}));
    assert_eq!((status, &refused["error"]), (400, &json!("Not this question of nora")), "{refused}");
    let (status, refused) = ask("reads_asked", json!({"name": "counted"}));
    assert_eq!((status, &refused["error"]), (400, &json!("There are 0")), "{refused}");
    let (status, refused) = ask("reads_asked", json!({}));
    assert_eq!((status, &refused["error"]), (400, &json!("A secret record")), "{refused}");
    let one = gate.send(&token, "GET", "reads_asked/a2", &Value::Null);
    assert_eq!((one.status, &one.json()["error"]), (400, &json!("A secret record")));
    let one = gate.send(&token, "GET", "reads_asked/a1", &Value::Null);
    assert_eq!((one.status, &one.json()["record"]["name"]), (200, &json!("Ada")));
    // Groups and totals have no hooks.
    let body = json!({"aggregations": [{"function": "count", "alias": "n"}]});
    let counted = gate.send(&token, "POST", "reads_asked/query", &body).json();
    assert_eq!(counted["records"][0]["n"], 2, "{counted}");
    // A change is no read; a refusal after it would be of what is stored already.
    let changed = gate.send(&token, "PATCH", "reads_asked/a2", &json!({"region": "us"}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    let stored = gate.send(&token, "POST", "reads_log", &json!({"name": "x", "asked": "a2"}));
    assert_eq!(stored.status, 201, "{}", stored.text());
}

#[test]
fn a_filter_stands_for_a_hook_at_every_door() {
    let gate = gate();
    let (nora, token) = (gate.client("nora"), gate.token("nora"));
    assert_eq!(rows(&nora, "SELECT id FROM filtered ORDER BY 1"), ["f1"]);
    assert_eq!(rows(&nora, "SELECT count(*) FROM filtered"), ["1"]);
    assert_eq!(change(&nora, "UPDATE filtered SET name = 'Changed' WHERE true").unwrap(), 1);
    let found = gate.send(&token, "GET", "reads_filtered", &Value::Null).json();
    assert_eq!((&found["total"], &found["records"][0]["id"]), (&json!(1), &json!("f1")), "{found}");
    let body = json!({"where": {"name": "forbidden"}});
    assert_eq!(gate.send(&token, "POST", "reads_filtered/query", &body).status, 400);
    assert_eq!(gate.stored("SELECT name FROM filtered ORDER BY id"), ["Changed", "Two"]);
}

#[test]
fn what_sql_cannot_honour_is_refused() {
    let gate = gate();
    let nora = gate.client("nora");
    for sql in [
        "SELECT * FROM asked",
        "SELECT count(*) FROM asked",
        "SELECT 1 FROM log WHERE EXISTS (SELECT 1 FROM asked)",
        "WITH a AS (SELECT id FROM asked) SELECT * FROM a",
        "UPDATE asked SET region = 'us' WHERE name = 'Ada'",
        "DELETE FROM asked",
        "INSERT INTO log (id, name) SELECT id, name FROM asked",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM asked",
        "EXPLAIN SELECT * FROM asked",
        "COPY asked TO STDOUT",
        "SELECT * FROM asked FOR UPDATE",
    ] {
        let (state, text) = refusal(&nora, sql);
        assert_eq!(state, "0A000", "{sql}: {text}");
    }
    assert_eq!(refusal(&nora, "SELECT * FROM closed").0, "42501");
    // A reference is looked up as the gate's own work.
    assert_eq!(change(&nora, "INSERT INTO log (id, asked) VALUES ('l1', 'a1')").unwrap(), 1);
    assert_eq!(refusal(&nora, "INSERT INTO log (id, asked) VALUES ('l2', 'nowhere')").0, "23503");
}

#[test]
fn records_that_only_questions_read_are_not_followed() {
    let users = [("nora", "reads_all"), ("omar", "reads_all")];
    let gate = Gate::with((STACK, ROWS), None, users, "[events]\npath = \"events\"\n");
    let token = gate.token("nora");
    let follow = |object: &str| {
        let request = Request::new("GET", &format!("/api/v1/realtime?objects={object}"));
        request.header("authorization", &format!("Bearer {token}")).send(gate.server.rest.unwrap())
    };
    let refused = follow("reads_asked");
    assert_eq!(refused.status, 501, "{}", refused.text());
    let mut config = gate.server.config("nora");
    config.dbname("sales").password(PASSWORD);
    let (sender, notes) = std::sync::mpsc::channel::<Value>();
    let client = runtime().block_on(async {
        let (client, mut connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(message)) = futures::future::poll_fn(|context| connection.poll_message(context)).await {
                if let tokio_postgres::AsyncMessage::Notification(note) = message {
                    let _ = sender.send(serde_json::from_str(note.payload()).unwrap());
                }
            }
        });
        client
    });
    let listen = |channel: &str| runtime().block_on(client.batch_execute(&format!("LISTEN \"querygate.{channel}\"")));
    let error = listen("reads_asked").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().code().code(), "0A000");
    listen("*").unwrap();
    for (object, record) in [
        ("reads_asked", json!({"id": "a3", "name": "secret"})),
        ("reads_filtered", json!({"id": "f3", "name": "Three", "region": "us"})),
        ("reads_filtered", json!({"id": "f4", "name": "Four", "region": "eu"})),
    ] {
        let made = gate.send(&token, "POST", object, &record);
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let told = notes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((&told["object"], &told["key"]), (&json!("reads_filtered"), &json!({"id": "f4"})), "{told}");
}
