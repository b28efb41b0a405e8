//! Answers that are kept up to date: over random histories, what a client has after each transaction is what the question gives.

use super::gate::{Gate, Outbox};
use super::source::Kind;
use super::websocket::Socket;
use querygate_tests::harness::Rng;
use querygate_tests::server::{Request, change, runtime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// An answer as a client has it.
#[derive(Debug, Default)]
struct Replayed {
    order: Vec<String>,
    records: BTreeMap<String, Value>,
    error: Option<Value>,
    has_begun: bool,
    deltas: usize,
}

impl Replayed {
    fn take(&mut self, message: &Value) {
        match message["type"].as_str().unwrap() {
            "result" => {
                for one in message["records"].as_array().unwrap() {
                    self.put(&one["key"], &one["record"]);
                }
                self.has_begun = message["last"] == true;
            }
            "delta" => {
                assert!(self.has_begun, "{message}");
                self.deltas += 1;
                for change in message["changes"].as_array().unwrap() {
                    let key = change["key"].as_str().unwrap();
                    match change["op"].as_str().unwrap() {
                        "add" => {
                            assert!(!self.records.contains_key(key), "{message}");
                            self.put(&change["key"], &change["record"]);
                        }
                        "change" => {
                            assert_ne!(
                                self.records.insert(key.to_owned(), change["record"].clone()).unwrap(),
                                change["record"]
                            );
                        }
                        "remove" => {
                            assert!(self.records.remove(key).is_some(), "{message}");
                            self.order.retain(|own| own != key);
                        }
                        other => panic!("{other}"),
                    }
                }
                if let Some(order) = message["order"].as_array() {
                    self.order = order.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
                }
            }
            "error" => self.error = Some(message.clone()),
            other => panic!("{other}"),
        }
    }

    fn put(&mut self, key: &Value, record: &Value) {
        let key = key.as_str().unwrap().to_owned();
        self.order.push(key.clone());
        assert!(self.records.insert(key, record.clone()).is_none());
    }

    fn answer(&self, is_ordered: bool) -> Vec<Value> {
        let records: Vec<Value> = self.order.iter().map(|key| self.records[key].clone()).collect();
        if is_ordered { records } else { sorted(records) }
    }
}

fn sorted(mut records: Vec<Value>) -> Vec<Value> {
    records.sort_by_key(ToString::to_string);
    records
}

fn is_ordered(query: &Value) -> bool {
    query.get("orderBy").is_some() || query.get("limit").is_some()
}

/// What the question gives to a user now.
fn asked(gate: &Gate, token: &str, query: &Value) -> Vec<Value> {
    let path = format!("/api/v1/data/{}/query", query["object"].as_str().unwrap());
    let request = Request::new("POST", &path).header("authorization", &format!("Bearer {token}")).json(query);
    let answer = request.send(gate.server.rest.unwrap());
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let records = answer.json()["records"].as_array().unwrap().clone();
    if is_ordered(query) { records } else { sorted(records) }
}

/// One client with all questions.
struct Watcher {
    token: String,
    user: &'static str,
    socket: Socket,
    answers: Vec<Replayed>,
}

impl Watcher {
    fn new(gate: &Gate, user: &'static str, queries: &[Value]) -> Self {
        let mut socket = Socket::live(gate, user);
        assert!(socket.status.contains(" 101 "), "{}", socket.status);
        for (number, query) in queries.iter().enumerate() {
            socket.say(&json!({"type": "subscribe", "id": number.to_string(), "query": query}));
        }
        let answers = queries.iter().map(|_| Replayed::default()).collect();
        Self { token: gate.token(user), user, socket, answers }
    }

    fn take(&mut self) {
        let message = self.socket.text();
        let number: usize = message["id"].as_str().unwrap_or_else(|| panic!("{message}")).parse().unwrap();
        self.answers[number].take(&message);
    }

    /// Takes messages until each answer is what its question gives.
    fn settle(&mut self, gate: &Gate, queries: &[Value], what: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        for (number, query) in queries.iter().enumerate() {
            let expected = asked(gate, &self.token, query);
            loop {
                let own = &self.answers[number];
                assert_eq!(own.error, None, "{}: {query}", self.user);
                if own.has_begun && own.answer(is_ordered(query)) == expected {
                    break;
                }
                let told = format!("{what}, {}: {query}\n{:?}\n{expected:?}", self.user, own.answer(is_ordered(query)));
                assert!(Instant::now() < end, "{told}");
                self.take();
            }
        }
    }
}

fn queries() -> Vec<Value> {
    vec![
        json!({"object": "desk_notes"}),
        json!({"object": "desk_notes", "fields": ["title", "amount"], "where": {"amount": {"$gte": 50}}}),
        json!({"object": "desk_notes", "where": {"$or": [{"region": "eu"}, {"title": {"$contains": "7"}}]}}),
        json!({"object": "desk_notes", "orderBy": [{"field": "amount", "order": "desc"}], "limit": 3}),
        json!({"object": "desk_notes", "orderBy": [{"field": "title"}]}),
        json!({"object": "desk_notes", "groupBy": ["region"], "aggregations": [
            {"function": "count", "alias": "n"}, {"function": "sum", "field": "amount", "alias": "total"}]}),
        json!({"object": "desk_notes", "aggregations": [{"function": "max", "field": "amount", "alias": "most"}]}),
        json!({"object": "desk_lines"}),
        json!({"object": "desk_lines", "where": {"words": {"$ne": "000000"}}, "expand": {"note": {"object": "desk_notes"}}}),
        json!({"object": "desk_notes", "search": "1", "searchFields": ["title"]}),
    ]
}

fn run(client: &Client, sql: &str) {
    runtime().block_on(client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

struct History {
    rng: Rng,
    next: usize,
}

impl History {
    fn text(&mut self) -> String {
        format!("{:06}", self.rng.below(1_000_000))
    }

    fn region(&mut self) -> &'static str {
        ["eu", "us", "asia"][self.rng.below(3)]
    }

    fn id(&mut self) -> usize {
        self.rng.below(self.next + 1)
    }

    fn statement(&mut self) -> String {
        let (text, region, id, amount) = (self.text(), self.region(), self.id(), self.rng.below(100));
        match self.rng.below(15) {
            0..=3 => {
                self.next += 1;
                format!(
                    "INSERT INTO notes(id, title, region, phone, secret, amount) VALUES ('n{:03}', '{text}', '{region}', '555{text}', \
                     's', {amount})",
                    self.next
                )
            }
            4 => format!("UPDATE notes SET region = '{region}' WHERE id = 'n{id:03}'"),
            5 => format!("UPDATE notes SET amount = {amount}, title = '{text}' WHERE id = 'n{id:03}'"),
            6 => format!("UPDATE notes SET secret = '{text}' WHERE id = 'n{id:03}'"),
            7 => format!("UPDATE notes SET amount = amount + 1 WHERE region = '{region}'"),
            8 => format!("UPDATE notes SET phone = '55{text}' WHERE id = 'n{id:03}'"),
            9 => format!("UPDATE lines SET words = '{text}' WHERE note = 'n{id:03}'"),
            10..=13 => format!(
                "INSERT INTO lines(id, note, words) SELECT 'l{}' || id, id, '{text}' FROM notes WHERE id = 'n{id:03}'",
                self.rng.below(1_000_000)
            ),
            _ => format!("DELETE FROM lines WHERE note = 'n{id:03}'; DELETE FROM notes WHERE id = 'n{id:03}'"),
        }
    }

    fn transaction(&mut self) -> String {
        if self.rng.below(3) > 0 {
            return self.statement();
        }
        let end = if self.rng.below(4) == 0 { "ROLLBACK" } else { "COMMIT" };
        let statements: Vec<String> = (0..self.rng.between(1, 4)).map(|_| self.statement()).collect();
        format!("BEGIN; {}; {end}", statements.join("; "))
    }
}

fn histories(gate: &Gate, steps: usize) {
    let first: u64 = std::env::var("QUERYGATE_EVENT_SEED").map_or(1, |seed| seed.parse().unwrap());
    let client = gate.client("wanda");
    run(&client, "DELETE FROM lines");
    run(&client, "DELETE FROM notes");
    let queries = queries();
    let mut watchers: Vec<Watcher> =
        ["wanda", "eve", "uma"].into_iter().map(|user| Watcher::new(gate, user, &queries)).collect();
    let mut history = History { rng: Rng::new(first), next: 0 };
    for step in 0..steps {
        let sql = history.transaction();
        run(&client, &sql);
        for watcher in &mut watchers {
            watcher.settle(gate, &queries, &format!("step {step}: {sql}"));
        }
    }
    for watcher in &watchers {
        let deltas: Vec<usize> = watcher.answers.iter().map(|answer| answer.deltas).collect();
        assert!(deltas.iter().all(|count| *count > 0), "{}: {deltas:?}", watcher.user);
        // By the rules themselves: a clerk has the notes of one region, without secrets.
        for record in watcher.answers[0].records.values().filter(|_| watcher.user != "wanda") {
            let region = if watcher.user == "eve" { "eu" } else { "us" };
            assert_eq!((&record["region"], record.get("secret")), (&json!(region), None), "{record}");
            assert!(record["phone"].as_str().unwrap().starts_with("***"), "{record}");
        }
    }
}

#[test]
fn answers_are_what_their_questions_give_after_each_transaction_over_a_file() {
    histories(&Gate::new(), 60);
}

#[test]
fn answers_are_what_their_questions_give_after_each_transaction_over_servers() {
    histories(&Gate::over(Kind::Postgres, Outbox::None, ""), 60);
    histories(&Gate::over(Kind::Postgres, Outbox::Table, ""), 30);
    histories(&Gate::over(Kind::MariaDb, Outbox::None, ""), 30);
}

#[test]
fn answers_are_what_their_questions_give_after_each_transaction_over_memory() {
    histories(&Gate::in_memory(""), 60);
}

fn error_of(socket: &mut Socket, message: &Value) -> Value {
    socket.say(message);
    let told = socket.text();
    assert_eq!(told["type"], "error", "{told}");
    told["code"].clone()
}

#[test]
fn what_cannot_be_kept_up_to_date_is_refused_and_the_connection_stays() {
    let gate = Gate::new();
    let mut socket = Socket::live(&gate, "eve");
    let subscribe = |id: &str, query: Value| json!({"type": "subscribe", "id": id, "query": query});
    let mut refused = |message: Value, code: &str| assert_eq!(error_of(&mut socket, &message), code, "{message}");
    refused(json!([]), "INVALID_REQUEST");
    refused(json!({"type": "publish", "id": "a"}), "INVALID_REQUEST");
    refused(subscribe("a", json!({})), "INVALID_REQUEST");
    refused(subscribe("a", json!({"object": "desk_nothing"})), "OBJECT_NOT_FOUND");
    refused(subscribe("a", json!({"object": "desk_quiet"})), "PERMISSION_DENIED");
    refused(subscribe("a", json!({"object": "desk_notes", "where": {"secret": "s"}})), "PERMISSION_DENIED");
    refused(subscribe("a", json!({"object": "desk_notes", "where": {"phone": "s"}})), "PERMISSION_DENIED");
    refused(subscribe("a", json!({"object": "desk_notes", "count": true})), "VALIDATION_FAILED");
    refused(subscribe("a", json!({"object": "desk_notes", "limit": 0})), "VALIDATION_FAILED");
    refused(json!({"type": "unsubscribe", "id": "a"}), "NOT_FOUND");
    socket.say(&subscribe("a", json!({"object": "desk_notes"})));
    assert_eq!(socket.text()["type"], "result");
    assert_eq!(error_of(&mut socket, &subscribe("a", json!({"object": "desk_notes"}))), "INVALID_REQUEST");
    socket.say(&json!({"type": "unsubscribe", "id": "a"}));
    assert_eq!(socket.text(), json!({"type": "end", "id": "a"}));
    socket.say(&subscribe("a", json!({"object": "desk_notes"})));
    assert_eq!(socket.text()["type"], "result");
    for number in 1..32 {
        socket.say(&subscribe(&number.to_string(), json!({"object": "desk_notes"})));
        assert_eq!(socket.text()["type"], "result");
    }
    socket.say(&subscribe("more", json!({"object": "desk_notes"})));
    assert_eq!(socket.text()["type"], "error");
    // A user has so many in all connections.
    let mut other = Socket::live(&gate, "eve");
    other.say(&subscribe("a", json!({"object": "desk_notes"})));
    assert_eq!(other.text()["type"], "error");
    drop(socket);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        other.say(&subscribe("a", json!({"object": "desk_notes"})));
        if other.text()["type"] == "result" {
            break;
        }
        assert!(Instant::now() < end, "places of a connection that has ended are not given back");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn objects_without_events_are_asked_again_every_few_seconds_or_refused() {
    let gate = Gate::with("objects = [\"desk_notes\"]\n");
    let wanda = gate.client("wanda");
    let query = json!({"object": "desk_lines"});
    let mut socket = Socket::live(&gate, "wanda");
    assert!(error_of(&mut socket, &json!({"type": "subscribe", "id": "a", "query": query})).is_string());
    socket.say(&json!({"type": "subscribe", "id": "a", "query": query, "every": 1}));
    assert_eq!(socket.text()["records"], json!([]));
    change(&wanda, "INSERT INTO notes(id, region) VALUES ('n', 'eu')").unwrap();
    change(&wanda, "INSERT INTO lines(id, note) VALUES ('l', 'n')").unwrap();
    assert_eq!(socket.text()["changes"][0]["key"], "l");
}

#[test]
fn an_answer_comes_as_server_sent_events() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let query = "%7B%22object%22%3A%22desk_notes%22%2C%22fields%22%3A%5B%22title%22%5D%7D";
    let mut stream = gate.follow("eve", &format!("?query={query}"));
    assert_eq!(stream.status, 200);
    assert_eq!(stream.event(), json!({"type": "result", "id": "", "records": [], "last": true}));
    for (id, region) in [("u", "us"), ("e", "eu")] {
        change(&wanda, &format!("INSERT INTO notes(id, title, region) VALUES ('{id}', 't', '{region}')")).unwrap();
    }
    let told = json!({"op": "add", "key": "e", "record": {"title": "t"}});
    assert_eq!(stream.event()["changes"], json!([told]));
    change(&wanda, "UPDATE notes SET region = 'us' WHERE id = 'e'").unwrap();
    assert_eq!(stream.event()["changes"], json!([{"op": "remove", "key": "e"}]));
    for query in [
        "?query=x",
        "?query=%7B%7D",
        "?live=true",
        "?live=yes",
        "?query=%7B%22object%22%3A%22desk_notes%22%7D&objects=desk_notes",
    ] {
        assert_eq!(gate.follow("eve", query).status, 400, "{query}");
    }
}
