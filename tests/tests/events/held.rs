//! What clients keep a gate at work with beyond single statements is shown to operators, who end it.

use super::gate::Gate;
use super::websocket::Socket;
use bytes::Bytes;
use futures::SinkExt as _;
use querygate_tests::server::{Request, change, runtime};
use serde_json::{Value, json};
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, SimpleQueryMessage};

const AT_MOST: Duration = Duration::from_secs(30);

/// The first two columns of the rows of a statement.
fn rows(client: &Client, sql: &str) -> Vec<(String, String)> {
    let found = runtime().block_on(client.simple_query(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let cells = |message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())),
        _ => None,
    };
    found.into_iter().filter_map(cells).collect()
}

/// Session and object of what a user is shown to hold of a kind.
fn held(root: &Client, user: &str, kind: &str) -> Vec<(String, String)> {
    rows(root, &format!("SELECT session, name FROM querygate.held WHERE login = '{user}' AND kind = '{kind}'"))
}

/// Session and object of the one thing that a user is shown to hold of a kind, once it is.
fn one(root: &Client, user: &str, kind: &str) -> (String, String) {
    let began = Instant::now();
    loop {
        if let [one] = held(root, user, kind).as_slice() {
            return one.clone();
        }
        assert!(began.elapsed() < AT_MOST, "{user} holds no {kind}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(root: &Client, session: &str) {
    let call = format!("CALL querygate.end_session({session})");
    let _ = runtime().block_on(root.simple_query(&call)).unwrap_or_else(|error| panic!("{call}: {error:?}"));
}

fn until_nothing_is_held(root: &Client, user: &str, kind: &str) {
    let began = Instant::now();
    while !held(root, user, kind).is_empty() {
        assert!(began.elapsed() < AT_MOST, "{user} still holds a {kind}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_is_present_or_follows_is_held_until_it_is_ended() {
    let gate = Gate::new();
    let (root, wanda) = (gate.client("root"), gate.client("wanda"));
    change(&wanda, "INSERT INTO notes(id, region) VALUES ('n', 'eu')").unwrap();
    let mut eve = Socket::live(&gate, "eve");
    for (kind, message) in [
        ("presence", json!({"type": "attend", "id": "p", "object": "desk_notes", "record": "n"})),
        ("live answer", json!({"type": "subscribe", "id": "p", "query": {"object": "desk_notes"}})),
    ] {
        eve.say(&message);
        let begun: Value = eve.text();
        assert_ne!(begun["type"], "error", "{begun}");
        let (session, object) = one(&root, "eve", kind);
        assert_eq!(object, "desk_notes", "{kind}");
        assert!(held(&wanda, "eve", kind).is_empty(), "it is another user's");
        end(&root, &session);
        let ended = eve.text();
        assert_eq!((&ended["type"], &ended["id"]), (&json!("error"), &json!("p")), "{kind}: {ended}");
        until_nothing_is_held(&root, "eve", kind);
    }
    let mut follower = gate.follow("eve", "?objects=desk_notes");
    assert_eq!(follower.status, 200);
    let (session, objects) = one(&root, "eve", "subscription");
    assert_eq!(objects, "desk_notes");
    end(&root, &session);
    let ended = std::iter::from_fn(|| follower.next(AT_MOST)).find(|block| block.event.is_some());
    assert_eq!(ended.and_then(|block| block.event).as_deref(), Some("error"));
    until_nothing_is_held(&root, "eve", "subscription");
}

#[test]
fn an_import_that_runs_is_held_until_it_is_ended() {
    let gate = Gate::new();
    let (root, wanda) = (gate.client("root"), gate.client("wanda"));
    change(&wanda, "INSERT INTO notes(id, region) VALUES ('n', 'eu')").unwrap();
    // SQLite has one writer: the import waits.
    let _ = rows(&wanda, "BEGIN; UPDATE notes SET region = 'us' WHERE id = 'n'");
    let (rest, token) = (gate.server.rest.unwrap(), gate.token("wanda"));
    let imported = std::thread::spawn(move || {
        let given: Vec<Value> = (0..100).map(|n| json!({"id": format!("i{n}")})).collect();
        let request = Request::new("POST", "/api/v1/data/desk_notes/import");
        let request = request.header("authorization", &format!("Bearer {token}"));
        request.json(&json!({"format": "json", "rows": given})).send(rest)
    });
    let (session, object) = one(&root, "wanda", "import");
    assert_eq!(object, "desk_notes");
    end(&root, &session);
    let answer = imported.join().unwrap();
    assert!(answer.status != 200 || answer.json()["ok"] == 0, "{}", answer.text());
    until_nothing_is_held(&root, "wanda", "import");
    let _ = rows(&wanda, "ROLLBACK");
    assert_eq!(rows(&wanda, "SELECT count(*), 'notes' FROM notes"), [("1".to_owned(), "notes".to_owned())]);
}

#[test]
fn an_upload_that_runs_is_held_until_it_is_ended() {
    let gate = Gate::new();
    let (root, wanda) = (gate.client("root"), gate.client("wanda"));
    let sink = runtime().block_on(wanda.copy_in::<_, Bytes>("COPY notes (id) FROM STDIN")).unwrap();
    let mut sink = pin!(sink);
    runtime().block_on(sink.send(Bytes::from_static(b"u1\n"))).unwrap();
    let (session, table) = one(&root, "wanda", "upload");
    assert_eq!(table, "notes");
    end(&root, &session);
    until_nothing_is_held(&root, "wanda", "upload");
    let other = gate.client("wanda");
    assert_eq!(rows(&other, "SELECT count(*), 'notes' FROM notes"), [("0".to_owned(), "notes".to_owned())]);
}
