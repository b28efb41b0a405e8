//! Random histories, and a model of what each follower may read: what is published is the difference of it.

use super::gate::{Gate, Outbox, USERS};
use super::source::Kind;
use super::sse::Sse;
use querygate_tests::harness::Rng;
use querygate_tests::server::runtime;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tokio_postgres::Client;

#[derive(Debug, Clone, PartialEq)]
struct Note {
    title: String,
    region: &'static str,
    phone: String,
    secret: String,
    amount: i64,
}

type Notes = BTreeMap<String, Note>;

/// A note as a follower reads it.
fn seen(user: usize, id: &str, note: &Note) -> Option<Value> {
    let (_, set, region) = USERS[user];
    let is_clerk = set == "desk_clerk";
    if is_clerk && note.region != region {
        return None;
    }
    let mut record = Map::new();
    record.insert("id".to_owned(), json!(id));
    record.insert("title".to_owned(), json!(note.title));
    record.insert("region".to_owned(), json!(note.region));
    let masked = format!("{}{}", "*".repeat(note.phone.len() - 2), &note.phone[note.phone.len() - 2..]);
    record.insert("phone".to_owned(), json!(masked));
    if !is_clerk {
        record.insert("secret".to_owned(), json!(note.secret));
    }
    record.insert("amount".to_owned(), json!(note.amount));
    Some(Value::Object(record))
}

/// What the difference of two states comes to for a follower.
fn difference(user: usize, before: &Notes, after: &Notes) -> Vec<Value> {
    let mut told = Vec::new();
    for id in before.keys().chain(after.keys().filter(|id| !before.contains_key(*id))) {
        let was = before.get(id).and_then(|note| seen(user, id, note));
        let is = after.get(id).and_then(|note| seen(user, id, note));
        let (operation, record) = match (was, is) {
            (None, Some(is)) => ("insert", is),
            (Some(was), Some(is)) if was != is => ("update", is),
            (Some(_), None) => ("delete", Value::Null),
            (None, None) | (Some(_), Some(_)) => continue,
        };
        told.push(json!({"id": id, "operation": operation, "record": record}));
    }
    sorted(told)
}

fn sorted(mut told: Vec<Value>) -> Vec<Value> {
    told.sort_by_key(ToString::to_string);
    told
}

/// Events of a follower, transaction by transaction.
fn by_transaction(events: &[Value]) -> Vec<Vec<Value>> {
    let mut transactions: Vec<(Value, Vec<Value>)> = Vec::new();
    for event in events {
        let told = json!({"id": event["key"]["id"], "operation": event["operation"], "record": event["record"]});
        match transactions.last_mut() {
            Some((sequence, own)) if *sequence == event["sequence"] => own.push(told),
            _ => transactions.push((event["sequence"].clone(), vec![told])),
        }
    }
    let numbers: Vec<u64> = transactions.iter().map(|(n, _)| n.as_str().unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    transactions.into_iter().map(|(_, told)| sorted(told)).collect()
}

fn run(client: &Client, sql: &str) {
    runtime().block_on(client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

struct History {
    rng: Rng,
    next: usize,
    /// Whether the source has any.
    savepoints: bool,
}

impl History {
    fn text(&mut self) -> String {
        format!("{:06}", self.rng.below(1_000_000))
    }

    fn region(&mut self) -> &'static str {
        ["eu", "us", "asia"][self.rng.below(3)]
    }

    fn some(&mut self, notes: &Notes) -> Option<String> {
        let at = self.rng.below(notes.len());
        notes.keys().nth(at).cloned()
    }

    /// One statement, carried out in the model, too.
    fn statement(&mut self, notes: &mut Notes) -> String {
        let kind = self.rng.below(10);
        if kind < 3 || notes.is_empty() {
            self.next += 1;
            let id = format!("n{:05}", self.next);
            let note = Note {
                title: self.text(),
                region: self.region(),
                phone: self.text(),
                secret: self.text(),
                amount: i64::try_from(self.rng.below(100)).unwrap(),
            };
            let sql = format!(
                "INSERT INTO notes(id, title, region, phone, secret, amount) VALUES ('{id}', '{}', '{}', '{}', '{}', {})",
                note.title, note.region, note.phone, note.secret, note.amount
            );
            notes.insert(id, note);
            return sql;
        }
        if kind == 9 {
            let region = self.region();
            for note in notes.values_mut().filter(|note| note.region == region) {
                note.amount += 1;
            }
            return format!("UPDATE notes SET amount = amount + 1 WHERE region = '{region}'");
        }
        let id = self.some(notes).unwrap();
        if kind == 8 {
            notes.remove(&id);
            return format!("DELETE FROM notes WHERE id = '{id}'");
        }
        let (text, region) = (self.text(), self.region());
        let note = notes.get_mut(&id).unwrap();
        let (field, value) = match kind {
            3 => {
                note.title.clone_from(&text);
                ("title", text)
            }
            4 | 5 => {
                note.region = region;
                ("region", region.to_owned())
            }
            6 => {
                note.phone.clone_from(&text);
                ("phone", text)
            }
            _ => {
                note.secret.clone_from(&text);
                ("secret", text)
            }
        };
        format!("UPDATE notes SET {field} = '{value}' WHERE id = '{id}'")
    }

    /// One transaction, and whether it was committed.
    fn transaction(&mut self, client: &Client, notes: &Notes) -> Notes {
        let mut after = notes.clone();
        if self.rng.below(3) > 0 {
            let sql = self.statement(&mut after);
            run(client, &sql);
            return after;
        }
        run(client, "BEGIN");
        for _ in 0..self.rng.between(1, 4) {
            let sql = self.statement(&mut after);
            run(client, &sql);
        }
        if self.rng.below(2) == 0 && self.savepoints {
            let mut lost = after.clone();
            run(client, "SAVEPOINT s");
            for _ in 0..self.rng.between(1, 3) {
                let sql = self.statement(&mut lost);
                run(client, &sql);
            }
            run(client, "ROLLBACK TO SAVEPOINT s");
            if self.rng.below(2) == 0 {
                let sql = self.statement(&mut after);
                run(client, &sql);
            }
        }
        if self.rng.below(4) == 0 {
            run(client, "ROLLBACK");
            return notes.clone();
        }
        run(client, "COMMIT");
        after
    }
}

/// A history, and what each follower was published of it.
fn history(gate: &Gate, client: &Client, seed: u64, steps: usize, savepoints: bool) {
    run(client, "DELETE FROM notes");
    // A commit is published a moment after it was answered.
    let begin = format!("begin {seed}");
    run(client, &format!("INSERT INTO notes(id) VALUES ('{begin}')"));
    run(client, "DELETE FROM notes");
    let mut before = gate.follow("wanda", "?objects=desk_notes&from=0");
    while {
        let event = before.event();
        event["key"]["id"] != *begin || event["operation"] != "delete"
    } {}
    let mut followers: Vec<Sse> =
        USERS.iter().map(|(user, ..)| gate.follow(user, "?objects=desk_notes").begun()).collect();
    let begins: Vec<String> = followers.iter().map(|follower| follower.last_id.clone().unwrap()).collect();
    let mut history = History { rng: Rng::new(seed), next: 0, savepoints };
    let mut notes = Notes::new();
    let mut expected: Vec<Vec<Vec<Value>>> = vec![Vec::new(); USERS.len()];
    for _ in 0..steps {
        let after = history.transaction(client, &notes);
        for (user, expected) in expected.iter_mut().enumerate() {
            let told = difference(user, &notes, &after);
            if !told.is_empty() {
                expected.push(told);
            }
        }
        notes = after;
    }
    run(
        client,
        "INSERT INTO notes(id, title, region, phone, secret, amount) VALUES ('end eu', 't', 'eu', '12345', 's', 1)",
    );
    run(
        client,
        "INSERT INTO notes(id, title, region, phone, secret, amount) VALUES ('end us', 't', 'us', '12345', 's', 1)",
    );
    let ends = ["end eu", "end eu", "end us"];
    for (user, follower) in followers.iter_mut().enumerate() {
        let events = follower.until(ends[user]);
        assert_eq!(by_transaction(&events), expected[user], "seed {seed}, {}", USERS[user].0);
        if USERS[user].1 == "desk_clerk" {
            for event in &events {
                assert!(event["record"].get("secret").is_none() && event.get("actor").is_none(), "{event}");
                let changed = event["changed"].as_array();
                assert!(changed.is_none_or(|changed| !changed.contains(&json!("secret"))), "{event}");
            }
        }
        // Again from where it began, and from the middle.
        let mut again = gate.follow(USERS[user].0, &format!("?objects=desk_notes&from={}", begins[user]));
        assert_eq!(again.until(ends[user]), events, "seed {seed}, again");
        if let Some(middle) = events.get(events.len() / 2) {
            let from = middle["sequence"].as_str().unwrap();
            let rest: Vec<Value> =
                events.iter().skip_while(|event| event["sequence"].as_str().unwrap() <= from).cloned().collect();
            let mut again = gate.follow(USERS[user].0, &format!("?objects=desk_notes&from={from}"));
            assert_eq!(again.until(ends[user]), rest, "seed {seed}, from the middle");
        }
    }
}

fn histories(gate: &Gate) {
    each(gate, true);
}

/// `savepoints`: whether the source has any.
pub(crate) fn each(gate: &Gate, savepoints: bool) {
    let count: u64 = std::env::var("QUERYGATE_EVENT_HISTORIES").map_or(4, |count| count.parse().unwrap());
    let first: u64 = std::env::var("QUERYGATE_EVENT_SEED").map_or(1, |seed| seed.parse().unwrap());
    let client = gate.client("wanda");
    for seed in first..first + count {
        history(gate, &client, seed, 40, savepoints);
    }
}

#[test]
fn each_follower_hears_the_difference_of_what_he_may_read_over_a_file() {
    histories(&Gate::new());
    histories(&Gate::over(Kind::Sqlite, Outbox::Table, ""));
}

#[test]
fn each_follower_hears_the_difference_of_what_he_may_read_over_servers() {
    histories(&Gate::over(Kind::Postgres, Outbox::None, ""));
    histories(&Gate::over(Kind::Postgres, Outbox::Table, ""));
    histories(&Gate::over(Kind::MariaDb, Outbox::None, ""));
}
