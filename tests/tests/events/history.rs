//! Field history: what each reader is shown of it, whatever changed the record, and what becomes of it when the gate is killed.

use super::gate::{Gate, Outbox, STACK};
use super::source::Kind;
use futures::SinkExt;
use querygate_tests::server::{Request, runtime};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, SimpleQueryMessage};

const SETTINGS: &str = "objects = [\"desk_quiet\"]\n[history]\npath = \"history\"\n";

/// The stack, with history of notes but their titles' twin, and of the words of lines.
fn stack() -> String {
    let notes = "external: { remoteName: notes, writable: true }\n";
    let tracked = format!("{notes}    enable: {{ trackHistory: true }}\n");
    let stack = STACK.replacen(notes, &tracked, 1);
    let stack = stack.replacen("words: { type: text }", "words: { type: text, trackHistory: true }", 1);
    stack.replacen("region: { type: text }", "region: { type: text, trackHistory: false }", 1)
}

fn gate(kind: Kind, outbox: Outbox) -> Gate {
    Gate::made(kind, outbox, SETTINGS, &[("metadata/stack.yaml", &stack())])
}

type Entry = (String, String, Option<String>, Option<String>);

const OF_RECORD: &str = "SELECT operation, coalesce(field, '-'), old_value, new_value FROM querygate.history
    WHERE object = $1 AND record_id = $2 ORDER BY at, transaction_id, field";

/// The history of a record as a user is shown it.
fn history(client: &Client, object: &str, record: &str) -> Vec<Entry> {
    let values: [&(dyn ToSql + Sync); 2] = [&object, &record];
    let rows = runtime().block_on(client.query(OF_RECORD, &values)).unwrap();
    let found: Vec<Entry> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    // By literals, too, and by a list, and without a condition that is found by.
    let sql = OF_RECORD.replace("$1", &format!("'{object}'")).replace("$2", &format!("'{record}'"));
    assert_eq!(simple(client, &sql), found, "{sql}");
    let sql = OF_RECORD.replace("$1", &format!("'{object}'")).replace("= $2", &format!("IN ('{record}', 'nobody')"));
    assert_eq!(simple(client, &sql), found, "{sql}");
    let sql = OF_RECORD.replace("= $1", &format!("LIKE '{object}'")).replace("= $2", &format!("|| '' = '{record}'"));
    assert_eq!(simple(client, &sql), found, "{sql}");
    found
}

fn simple(client: &Client, sql: &str) -> Vec<Entry> {
    let messages = runtime().block_on(client.simple_query(sql)).unwrap();
    let row = |message: SimpleQueryMessage| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        let text = |at: usize| row.get(at).map(str::to_owned);
        Some((text(0).unwrap(), text(1).unwrap(), text(2), text(3)))
    };
    messages.into_iter().filter_map(row).collect()
}

fn run(client: &Client, sql: &str) {
    runtime().block_on(client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn entry(operation: &str, field: &str, old: Option<&str>, new: Option<&str>) -> Entry {
    (operation.to_owned(), field.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
}

fn is_seen(kind: Kind, outbox: Outbox) {
    let gate = gate(kind, outbox);
    let (wanda, eve, uma) = (gate.client("wanda"), gate.client("eve"), gate.client("uma"));
    run(&wanda, "INSERT INTO notes VALUES ('n1', 'a', 'eu', '12345', 's1', 1)");
    let inserted = |with_secret: bool| {
        let mut all = vec![entry("insert", "amount", None, Some("1")), entry("insert", "phone", None, Some("***45"))];
        all.extend(with_secret.then(|| entry("insert", "secret", None, Some("s1"))));
        all.push(entry("insert", "title", None, Some("a")));
        all
    };
    assert_eq!(history(&wanda, "desk_notes", "n1"), inserted(true), "{kind:?}");
    assert_eq!(history(&eve, "desk_notes", "n1"), inserted(false));
    assert!(history(&uma, "desk_notes", "n1").is_empty());

    // Hidden fields, masks that stay as they were, untracked fields and what is undone are no history.
    run(&wanda, "UPDATE notes SET secret = 's2' WHERE id = 'n1'");
    run(&wanda, "UPDATE notes SET phone = '99945' WHERE id = 'n1'");
    run(&wanda, "BEGIN; UPDATE notes SET title = 'never' WHERE id = 'n1'; ROLLBACK");
    run(
        &wanda,
        "BEGIN; UPDATE notes SET title = 'b' WHERE id = 'n1'; SAVEPOINT s; UPDATE notes SET title = 'no' WHERE id = 'n1';
         ROLLBACK TO s; UPDATE notes SET title = 'c' WHERE id = 'n1'; COMMIT",
    );
    run(&wanda, "UPDATE notes SET phone = '99946', title = NULL WHERE id = 'n1'");
    let behind = |with_secret: bool| {
        let mut all = inserted(with_secret);
        all.extend(with_secret.then(|| entry("update", "secret", Some("s1"), Some("s2"))));
        all.push(entry("update", "title", Some("a"), Some("c")));
        all.push(entry("update", "phone", Some("***45"), Some("***46")));
        all.push(entry("update", "title", Some("c"), None));
        all
    };
    assert_eq!(history(&wanda, "desk_notes", "n1"), behind(true), "{kind:?}");
    assert_eq!(history(&eve, "desk_notes", "n1"), behind(false));

    // It goes with the record, to whom reads it now.
    run(&wanda, "UPDATE notes SET region = 'us' WHERE id = 'n1'");
    assert!(history(&eve, "desk_notes", "n1").is_empty());
    assert_eq!(history(&uma, "desk_notes", "n1"), behind(false));
    let gate = gate.killed();
    let (wanda, uma) = (gate.client("wanda"), gate.client("uma"));
    assert_eq!(history(&uma, "desk_notes", "n1"), behind(false), "{kind:?} after a kill");

    // A record that was removed is another one than that which has its key then.
    run(&wanda, "DELETE FROM notes WHERE id = 'n1'");
    assert!(history(&wanda, "desk_notes", "n1").is_empty());
    gate.source().run("INSERT INTO notes(id, region) VALUES ('n1', 'us')");
    assert!(history(&wanda, "desk_notes", "n1").is_empty(), "made past the gate");
    run(&wanda, "DELETE FROM notes WHERE id = 'n1'");
    run(&wanda, "INSERT INTO notes(id, region, title) VALUES ('n1', 'us', 'new')");
    assert_eq!(history(&uma, "desk_notes", "n1"), [entry("insert", "title", None, Some("new"))]);
}

#[test]
fn a_reader_is_shown_what_it_reads_of_a_record_over_files() {
    is_seen(Kind::Sqlite, Outbox::None);
}

#[test]
fn a_reader_is_shown_what_it_reads_of_a_record_over_postgresql() {
    is_seen(Kind::Postgres, Outbox::None);
    is_seen(Kind::Postgres, Outbox::Table);
}

#[test]
fn a_reader_is_shown_what_it_reads_of_a_record_over_mariadb() {
    is_seen(Kind::MariaDb, Outbox::None);
}

#[test]
fn whatever_changes_a_record_leaves_history() {
    let gate = gate(Kind::Sqlite, Outbox::None);
    let wanda = gate.client("wanda");
    // Many at once, by COPY, which stores them in other ways where their rows are not kept.
    runtime().block_on(async {
        let copy = wanda.copy_in::<_, bytes::Bytes>("COPY notes(id, title, region) FROM STDIN").await.unwrap();
        let mut copy = std::pin::pin!(copy);
        for n in 0..700 {
            copy.send(format!("c{n}\tt{n}\teu\n").into()).await.unwrap();
        }
        copy.finish().await.unwrap();
    });
    for n in [0, 255, 256, 699] {
        let expected = [entry("insert", "title", None, Some(&format!("t{n}")))];
        assert_eq!(history(&wanda, "desk_notes", &format!("c{n}")), expected);
    }
    run(&wanda, "UPDATE notes SET title = title || '!'");
    let all = simple(
        &wanda,
        "SELECT operation, object, count(*)::text, count(DISTINCT record_id)::text FROM querygate.history GROUP BY 1, 2 ORDER BY 1",
    );
    let count = |operation| entry(operation, "desk_notes", Some("700"), Some("700"));
    assert_eq!(all, [count("insert"), count("update")]);

    // An upsert is what it did.
    let upsert = "INSERT INTO notes(id, title, region) VALUES ('c1', 'up', 'eu'), ('u1', 'up', 'eu')
                  ON CONFLICT (id) DO UPDATE SET title = excluded.title";
    run(&wanda, upsert);
    assert_eq!(history(&wanda, "desk_notes", "c1")[2..], [entry("update", "title", Some("t1!"), Some("up"))]);
    assert_eq!(history(&wanda, "desk_notes", "u1"), [entry("insert", "title", None, Some("up"))]);

    // By REST, with its door, and read there, too; who did it is for the user and for operators.
    let patch = |body: &serde_json::Value| {
        let request = Request::new("PATCH", "/api/v1/data/desk_notes/u1").json(body);
        let request = request.header("authorization", &format!("Bearer {}", gate.token("eve")));
        let answer = request.send(gate.server.rest.unwrap());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    patch(&json!({"title": "by eve"}));
    let who = "SELECT door, coalesce(actor, 'somebody'), old_value, new_value FROM querygate.history
               WHERE record_id = 'u1' AND operation = 'update'";
    let told = simple(&gate.client("eve"), who);
    assert_eq!((told[0].0.as_str(), told[0].3.as_deref()), ("rest", Some("by eve")), "{told:?}");
    assert_ne!(told[0].1, "somebody");
    assert_eq!(simple(&wanda, who)[0].1, "somebody");
    let get = |user: &str, path: &str| {
        let request = Request::new("GET", &format!("/api/v1/data/desk_notes/{path}"));
        let answer =
            request.header("authorization", &format!("Bearer {}", gate.token(user))).send(gate.server.rest.unwrap());
        (answer.status, answer.json())
    };
    let (status, answer) = get("eve", "u1/history");
    assert_eq!(status, 200, "{answer}");
    let shown = answer["history"].as_array().unwrap();
    assert_eq!(shown.len(), 2, "{answer}");
    assert_eq!((&shown[0]["newValue"], &shown[0]["door"]), (&json!("by eve"), &json!("rest")), "{answer}");
    assert_eq!((&shown[1]["operation"], &shown[1]["oldValue"]), (&json!("insert"), &json!(null)), "{answer}");
    assert_eq!(get("eve", "u1/history?limit=1&offset=1").1["history"], json!([shown[1]]));
    assert_eq!(get("uma", "u1/history").0, 404, "a record that is not read");
    assert_eq!(get("eve", "nobody/history").0, 404);
    assert_eq!(get("eve", "u1/history?limit=0x").0, 400);

    // What goes with a record is another one when it comes again.
    run(&wanda, "INSERT INTO lines VALUES ('l1', 'u1', 'words')");
    assert_eq!(history(&wanda, "desk_lines", "l1"), [entry("insert", "words", None, Some("words"))]);
    assert_eq!(history(&gate.client("eve"), "desk_lines", "l1").len(), 1, "of a master that is read");
    assert!(history(&gate.client("uma"), "desk_lines", "l1").is_empty(), "of a master that is not");
    run(&wanda, "DELETE FROM notes WHERE id = 'u1'");
    assert_eq!(gate.source().stored("SELECT id FROM note_lines"), [""; 0]);
    gate.source()
        .run("INSERT INTO notes(id, region) VALUES ('u1', 'eu'); INSERT INTO note_lines VALUES ('l1', 'u1', 'x')");
    assert!(history(&wanda, "desk_lines", "l1").is_empty());

    // What is kept for history alone is not followed.
    let mut stream = gate.follow("wanda", "");
    run(&wanda, "UPDATE notes SET title = 'untold' WHERE id = 'c1'");
    run(&wanda, "INSERT INTO quiet VALUES ('q1')");
    let event = loop {
        if let Some(event) = stream.next(Duration::from_secs(20)).unwrap().data {
            break event;
        }
    };
    assert_eq!(event["object"], "desk_quiet", "{event}");
}

#[test]
fn history_is_found_by_object_and_record() {
    let gate = gate(Kind::Sqlite, Outbox::None);
    let root = gate.client("root");
    let explained = |condition: &str| {
        let sql = format!("EXPLAIN SELECT * FROM querygate.history WHERE {condition}");
        let messages = runtime().block_on(root.simple_query(&sql)).unwrap();
        let line = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        messages.into_iter().filter_map(line).collect::<Vec<_>>().join("\n")
    };
    let plan = explained("object = 'desk_notes' AND record_id = 'secret key'");
    assert!(plan.contains("by object, record_id"), "{plan}");
    let plan = explained("record_id IN ('a', 'b')");
    assert!(plan.contains("by record_id"), "{plan}");
    let plan = explained("object <> 'desk_notes'");
    assert!(!plan.contains(", by"), "{plan}");
}

/// What is stored has its history, and what has not been stored has none, but where a source does not say what became of it.
#[test]
fn history_is_that_of_what_was_committed_when_the_gate_is_killed() {
    for (kind, outbox, knows) in [(Kind::Sqlite, Outbox::None, false), (Kind::Postgres, Outbox::None, true)] {
        let mut gate = gate(kind, outbox);
        for round in 0..2_u64 {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let client = gate.client("wanda");
                    runtime().spawn(async move {
                        for n in 0.. {
                            let id = format!("r{round}w{writer}n{n}");
                            let sql = format!("INSERT INTO notes(id, title, region) VALUES ('{id}', 'x', 'eu')");
                            if client.batch_execute(&sql).await.is_err() {
                                return;
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(700 + 400 * round));
            gate = gate.killed();
            for writer in writers {
                runtime().block_on(writer).unwrap();
            }
        }
        let wanda = gate.client("wanda");
        // A gate that has just started may not have its source yet.
        let until = Instant::now() + Duration::from_secs(20);
        while runtime().block_on(wanda.batch_execute("SELECT id FROM notes LIMIT 1")).is_err() {
            assert!(Instant::now() < until, "the source does not come");
            std::thread::sleep(Duration::from_millis(100));
        }
        let rows = simple(
            &wanda,
            "SELECT record_id, uncertain::text, count(*)::text, '' FROM querygate.history WHERE object = 'desk_notes' GROUP BY 1, 2",
        );
        let known: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        let stored = gate.source().stored("SELECT id FROM notes");
        assert!(stored.len() > 10, "little was written");
        for id in &stored {
            assert!(known.contains(id.as_str()), "{kind:?}: {id} has no history");
        }
        assert!(rows.iter().all(|row| row.2.as_deref() == Some("1")), "twice: {rows:?}");
        // A record that is not there is not read, so that nothing of what was not committed is shown.
        assert_eq!(known.len(), stored.len());
        assert!(!knows || rows.iter().all(|row| row.1 == "false" || row.1 == "f"), "{rows:?}");
    }
}
