//! Changes of one row over PostgreSQL, run again and again: how often the server is waited for, what a run keeps of an earlier one and
//! what it does not, and errors in the middle of what is sent together.

use crate::servers::{ask, cells, client_of, prepared_with};
use crate::source::{Kind, Source, postgres};
use querygate_tests::server::{Server, runtime};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

/// A table whose key has two columns.
const SEATS: &str = "CREATE TABLE seat (room integer, place varchar(5), note text, PRIMARY KEY (room, place));
    INSERT INTO seat VALUES (1, 'a', 'x'), (1, 'b', 'y'), (2, 'a', 'z');";

/// How long answers are held, so that all that is sent together is there before the first of them is.
const HELD: Duration = Duration::from_millis(40);

/// Stands before a server, and counts how often one of its transactions waits for an answer.
struct Proxy {
    port: u16,
    ways: Arc<AtomicUsize>,
}

/// One connection through it: what was asked, and how much of that was answered.
#[derive(Default)]
struct Link {
    writes: AtomicBool,
    pending: Mutex<usize>,
}

/// Messages of one direction, as they come in pieces.
#[derive(Default)]
struct Messages {
    rest: Vec<u8>,
    /// A client's first message has no tag.
    is_tagged: bool,
}

impl Messages {
    fn take(&mut self, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.rest.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            let head = usize::from(self.is_tagged);
            let Some(length) = self.rest.get(head..head + 4) else { return found };
            let length = head + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.rest.len() < length {
                return found;
            }
            let message: Vec<u8> = self.rest.drain(..length).collect();
            found.push((if self.is_tagged { message[0] } else { 0 }, message));
            self.is_tagged = true;
        }
    }
}

impl Proxy {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), ways: Arc::default() };
        let ways = Arc::clone(&proxy.ways);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (link, ways) = (Arc::<Link>::default(), Arc::clone(&ways));
                let (from, to, asked) = (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&link));
                std::thread::spawn(move || asks(from, to, &asked, &ways));
                std::thread::spawn(move || answers(server, client, &link));
            }
        });
        proxy
    }

    /// How often the server was waited for.
    fn ways<T>(&self, work: impl FnOnce() -> T) -> (usize, T) {
        self.ways.store(0, Ordering::SeqCst);
        let done = work();
        (self.ways.load(Ordering::SeqCst), done)
    }
}

fn asks(mut from: TcpStream, mut to: TcpStream, link: &Link, ways: &AtomicUsize) {
    let (mut messages, mut bytes) = (Messages::default(), vec![0; 1 << 16]);
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        for (tag, message) in messages.take(&bytes[..count]) {
            if message.windows(15).any(|words| words == b"BEGIN ISOLATION") {
                link.writes.store(true, Ordering::SeqCst);
            }
            // Each of these is answered by a ReadyForQuery.
            if tag == b'Q' || tag == b'S' {
                let mut pending = link.pending.lock().unwrap();
                if *pending == 0 && link.writes.load(Ordering::SeqCst) {
                    ways.fetch_add(1, Ordering::SeqCst);
                }
                *pending += 1;
            }
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(std::net::Shutdown::Both));
}

fn answers(mut from: TcpStream, mut to: TcpStream, link: &Link) {
    let (mut messages, mut bytes) = (Messages { is_tagged: true, ..Messages::default() }, vec![0; 1 << 16]);
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let has_begun = link.writes.load(Ordering::SeqCst);
        if has_begun {
            std::thread::sleep(HELD);
        }
        let ready = messages.take(&bytes[..count]).iter().filter(|(tag, _)| *tag == b'Z').count();
        let mut pending = link.pending.lock().unwrap();
        *pending = pending.saturating_sub(ready);
        drop(pending);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(std::net::Shutdown::Both));
}

/// A gate whose way to its server leads through a proxy.
struct Gate {
    folder: TempDir,
    source: Source,
    proxy: Proxy,
    server: Server,
}

impl Gate {
    fn new() -> Self {
        let (folder, source) = prepared_with(Kind::Postgres, SEATS);
        let proxy = Proxy::before(postgres().port);
        let config = folder.path().join("querygate.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let (own, other) = (format!("port = {}", postgres().port), format!("port = {}", proxy.port));
        assert!(text.contains(&own), "{text}");
        std::fs::write(&config, text.replace(&own, &other)).unwrap();
        let server = Server::serve(&config);
        Self { folder, source, proxy, server }
    }

    fn client(&self) -> Client {
        client_of(&self.server, "omar")
    }

    /// What is open at the server, once it has had time to end it.
    fn left_open(&self) -> Vec<String> {
        let open = format!(
            "SELECT state FROM pg_stat_activity WHERE usename = 'writer' AND datname = '{}' AND state <> 'idle'",
            self.source.database
        );
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.source.stored(&open);
            if found.is_empty() || Instant::now() > until {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn ready(client: &Client, sql: &str, types: &[Type]) -> Statement {
    runtime().block_on(client.prepare_typed(sql, types)).unwrap()
}

/// The number of changed rows, or the error's code.
fn run(client: &Client, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<u64, String> {
    runtime().block_on(client.execute(statement, values)).map_err(|error| error.code().unwrap().code().to_owned())
}

#[test]
fn one_row_takes_few_ways() {
    let gate = Gate::new();
    let omar = gate.client();
    ask(&omar, "INSERT INTO ticket (id, title, region) VALUES (50, 'a', 'eu'), (51, 'b', 'eu'), (52, 'c', 'eu')")
        .unwrap();
    let update = ready(&omar, "UPDATE ticket SET title = $1 WHERE id = $2", &[Type::TEXT, Type::INT8]);
    let own_key =
        ready(&omar, "INSERT INTO ticket (id, title, region) VALUES ($1, $2, 'eu')", &[Type::INT8, Type::TEXT]);
    let given_key = ready(&omar, "INSERT INTO ticket (title, region) VALUES ($1, 'eu')", &[Type::TEXT]);
    let delete = ready(&omar, "DELETE FROM ticket WHERE id = $1", &[Type::INT8]);
    // Each statement is prepared once at the server.
    // A trigger of the table has a say in each row, so that after two runs rows are locked first without another try.
    for _ in 0..2 {
        run(&omar, &update, &[&"x", &50_i64]).unwrap();
    }
    run(&omar, &own_key, &[&60_i64, &"x"]).unwrap();
    run(&omar, &given_key, &[&"x"]).unwrap();
    run(&omar, &delete, &[&60_i64]).unwrap();
    let ways = |statement, values: &[&(dyn ToSql + Sync)]| {
        let (ways, changed) = gate.proxy.ways(|| run(&omar, statement, values));
        assert_eq!(changed, Ok(1));
        ways
    };
    // Begin and lock; change and look; commit. Again and again: no run has to be planned by the server anew.
    // Where the table is described anew meanwhile, two runs try again.
    let runs: Vec<_> = (0..8).map(|number| ways(&update, &[&format!("y{number}"), &50_i64])).collect();
    let tries = runs.iter().filter(|ways| **ways == 4).count();
    assert!(tries <= 2 && runs.iter().all(|ways| *ways == 3 || *ways == 4), "{runs:?}");
    assert_eq!(ways(&own_key, &[&61_i64, &"x"]), 2, "begin, change and look; commit");
    assert_eq!(ways(&given_key, &[&"x"]), 3, "begin and change; look; commit");
    assert_eq!(ways(&delete, &[&61_i64]), 3, "begin and lock; change; commit");
    ask(&omar, "BEGIN").unwrap();
    for key in [50_i64, 51] {
        assert!(matches!(ways(&update, &[&"z", &key]), 2 | 3));
    }
    let (commit, _) = gate.proxy.ways(|| ask(&omar, "COMMIT").unwrap());
    assert_eq!(commit, 1);
    assert_eq!(gate.source.stored("SELECT title FROM ticket WHERE id IN (50, 51) ORDER BY id"), ["z", "z"]);
    assert!(gate.left_open().is_empty());
}

/// A row that is found by its key is changed, or refused, as one that a query finds.
#[test]
fn by_key_and_by_query_do_the_same() {
    let gate = Gate::new();
    let omar = gate.client();
    ask(&omar, "INSERT INTO ticket (id, title, region) VALUES (50, 'a', 'eu'), (51, 'a', 'eu')").unwrap();
    for (set, kind, values) in [
        (
            "title = $1",
            Type::TEXT,
            vec![Some("plain"), Some("move me"), Some("longer than it may be"), Some("end"), None],
        ),
        ("region = $1", Type::TEXT, vec![Some("eu"), Some("us"), None]),
        ("title = title || $1", Type::TEXT, vec![Some("!"), Some("more than has room"), None]),
        ("title = upper($1), due = date '2026-01-01' + length($1)", Type::TEXT, vec![Some("up"), Some(""), None]),
        ("code = $1", Type::TEXT, vec![Some("taken"), None]),
    ] {
        let by = |condition: &str| {
            let sql = format!("UPDATE ticket SET {set} WHERE {condition}");
            ready(&omar, &sql, &[kind.clone(), Type::INT8])
        };
        let (fast, slow) = (by("id = $2"), by("id + 0 = $2"));
        for value in values {
            let (left, right) = (run(&omar, &fast, &[&value, &50_i64]), run(&omar, &slow, &[&value, &51_i64]));
            assert_eq!(left, right, "{set} {value:?}");
            let row =
                "SELECT row(title, region, code, due, amount, seen)::text FROM ticket WHERE id IN (50, 51) ORDER BY id";
            let stored = gate.source.stored(row);
            assert_eq!(stored[0], stored[1], "{set} {value:?}");
        }
        // A row that is hidden, and one that is not there.
        for key in [1_i64, 1_000] {
            assert_eq!(run(&omar, &fast, &[&Some("x"), &key]), Ok(0), "{set} {key}");
        }
        assert_eq!(run(&omar, &fast, &[&Some("x"), &None::<i64>]), Ok(0), "{set}");
    }
    let numbers =
        ready(&omar, "UPDATE ticket SET ratio = ratio / $1, amount = $1 WHERE id = $2", &[Type::INT4, Type::INT8]);
    let query =
        ready(&omar, "UPDATE ticket SET ratio = ratio / $1, amount = $1 WHERE id + 0 = $2", &[Type::INT4, Type::INT8]);
    ask(&omar, "UPDATE ticket SET ratio = 12, title = 'n' WHERE id IN (50, 51)").unwrap();
    for divisor in [Some(3), Some(0), Some(499), Some(500), Some(-1), None, Some(1)] {
        let (left, right) = (run(&omar, &numbers, &[&divisor, &50_i64]), run(&omar, &query, &[&divisor, &51_i64]));
        assert_eq!(left, right, "{divisor:?}");
    }
    let stored = gate.source.stored("SELECT row(ratio, amount)::text FROM ticket WHERE id IN (50, 51) ORDER BY id");
    assert_eq!(stored[0], stored[1]);
}

#[test]
fn a_key_may_have_several_columns() {
    let gate = Gate::new();
    let omar = gate.client();
    let narrow: [&(dyn ToSql + Sync); 2] = [&1_i32, &2_i32];
    let wide: [&(dyn ToSql + Sync); 2] = [&1_i64, &2_i64];
    for (sql, number, rooms) in [
        ("UPDATE seat SET note = note || $3 WHERE room = $1 AND place = $2", Type::INT4, narrow),
        ("UPDATE seat SET note = note || $3 WHERE place = $2 AND $1 = room", Type::INT4, narrow),
        ("UPDATE seat SET note = note || $3 WHERE room = $1 AND place = $2", Type::INT8, wide),
    ] {
        let update = ready(&omar, sql, &[number, Type::TEXT, Type::TEXT]);
        for _ in 0..2 {
            assert_eq!(run(&omar, &update, &[rooms[0], &"b", &"!"]), Ok(1), "{sql}");
            assert_eq!(run(&omar, &update, &[rooms[1], &"b", &"!"]), Ok(0), "{sql}");
            assert_eq!(run(&omar, &update, &[rooms[1], &None::<&str>, &"!"]), Ok(0), "{sql}");
        }
    }
    // Two values for one column are none of the key.
    let both = ready(
        &omar,
        "UPDATE seat SET note = 'no' WHERE room = $1 AND place = 'a' AND room = $2",
        &[Type::INT4, Type::INT4],
    );
    assert_eq!(run(&omar, &both, &[&1, &2]), Ok(0));
    assert_eq!(run(&omar, &both, &[&2, &2]), Ok(1));
    let delete = ready(&omar, "DELETE FROM seat WHERE room = 1 AND place = $1", &[Type::TEXT]);
    assert_eq!(run(&omar, &delete, &[&"a"]), Ok(1));
    assert_eq!(run(&omar, &delete, &[&"a"]), Ok(0));
    assert_eq!(gate.source.stored("SELECT note FROM seat ORDER BY room, place"), ["y!!!!!!", "no"]);
}

/// What a run keeps holds for all values and times, and for these rights alone.
#[test]
fn time_and_rights_are_those_of_each_run() {
    let gate = Gate::new();
    let omar = gate.client();
    ask(&omar, "INSERT INTO ticket (id, title, region) VALUES (50, 'a', 'eu')").unwrap();
    let stamped = ready(&omar, "UPDATE ticket SET seen = now() WHERE id = $1", &[Type::INT8]);
    let stored = ready(&omar, "INSERT INTO ticket (title, region, seen) VALUES ($1, 'eu', now())", &[Type::TEXT]);
    for _ in 0..3 {
        run(&omar, &stamped, &[&50_i64]).unwrap();
        run(&omar, &stored, &[&"t"]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(gate.source.stored("SELECT count(DISTINCT seen) FROM ticket WHERE title = 't'"), ["3"]);
    let late = "SELECT count(*) FROM ticket WHERE id = 50 AND seen > (SELECT min(seen) FROM ticket WHERE title = 't')";
    assert_eq!(gate.source.stored(late), ["1"]);
    // An instant is read in the zone of the moment.
    let zoned = ready(&omar, "UPDATE ticket SET seen = '2026-01-01 12:00' WHERE id = $1", &[Type::INT8]);
    for (zone, hour) in [("UTC", "12"), ("Asia/Tokyo", "03"), ("UTC", "12")] {
        ask(&omar, &format!("SET TimeZone = '{zone}'")).unwrap();
        run(&omar, &zoned, &[&50_i64]).unwrap();
        assert_eq!(
            gate.source.stored("SELECT to_char(seen AT TIME ZONE 'UTC', 'HH24') FROM ticket WHERE id = 50"),
            [hour]
        );
    }
    let update = ready(&omar, "UPDATE ticket SET title = $1 WHERE id = $2", &[Type::TEXT, Type::INT8]);
    run(&omar, &update, &[&"b", &50_i64]).unwrap();
    run(&omar, &update, &[&"c", &50_i64]).unwrap();
    let file = gate.folder.path().join("metadata/shop.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"allowEdit\":true", "\"allowEdit\":false")).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    gate.server.signal("HUP");
    while run(&omar, &update, &[&"c", &50_i64]) == Ok(1) {
        assert!(Instant::now() < until, "the new rights do not hold");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(run(&omar, &update, &[&"d", &50_i64]), Err("42501".to_owned()));
    assert_eq!(gate.source.stored("SELECT title FROM ticket WHERE id = 50"), ["c"]);
}

/// An error of any of the statements that are sent together has its own code, and leaves nothing open.
#[test]
fn errors_in_the_middle_leave_nothing() {
    let gate = Gate::new();
    let (omar, other) = (gate.client(), gate.client());
    ask(&omar, "INSERT INTO ticket (id, title, code, region) VALUES (50, 'a', 'own', 'eu'), (51, 'b', 'two', 'eu')")
        .unwrap();
    let insert = ready(
        &omar,
        "INSERT INTO ticket (id, title, code, region) VALUES ($1, 'n', $2, $3)",
        &[Type::INT8, Type::TEXT, Type::TEXT],
    );
    for (id, code, region, message) in
        [(50_i64, "x", "eu", "23505"), (70, "taken", "eu", "23505"), (70, "x", "us", "42501")]
    {
        assert_eq!(run(&omar, &insert, &[&id, &code, &region]), Err(message.to_owned()));
        assert!(gate.left_open().is_empty(), "{message}");
    }
    // A trigger moves the stored row out of reach: the look behind the change says so.
    let update = ready(&omar, "UPDATE ticket SET title = $1 WHERE id = $2", &[Type::TEXT, Type::INT8]);
    for _ in 0..2 {
        assert_eq!(run(&omar, &update, &[&"move me", &50_i64]), Err("42501".to_owned()));
    }
    // Somebody else has the row: a cancel, and a time that is up, end the wait.
    ask(&other, "BEGIN").unwrap();
    ask(&other, "UPDATE ticket SET title = 'held' WHERE id = 50").unwrap();
    ask(&omar, "SET statement_timeout = '300ms'").unwrap();
    assert_eq!(run(&omar, &update, &[&"late", &50_i64]), Err("57014".to_owned()));
    ask(&omar, "SET statement_timeout = 0").unwrap();
    let token = omar.cancel_token();
    let cancel = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        runtime().block_on(token.cancel_query(tokio_postgres::NoTls)).unwrap();
    });
    assert_eq!(run(&omar, &update, &[&"late", &50_i64]), Err("57014".to_owned()));
    cancel.join().unwrap();
    // Two that wait for each other: one of them fails, the other goes on.
    ask(&omar, "BEGIN").unwrap();
    run(&omar, &update, &[&"mine", &51_i64]).unwrap();
    let waits = std::thread::spawn({
        let sql = "UPDATE ticket SET title = 'theirs' WHERE id = 51";
        move || (ask(&other, sql).map_err(|(code, _)| code), other)
    });
    let mine = run(&omar, &update, &[&"mine", &50_i64]);
    let (theirs, other) = waits.join().unwrap();
    let errors: Vec<String> = mine.err().into_iter().chain(theirs.err()).collect();
    assert_eq!(errors, ["40P01"]);
    for client in [&omar, &other] {
        ask(client, "ROLLBACK").unwrap();
    }
    assert!(gate.left_open().is_empty());
    // The server ends the connection of an open transaction: it is lost, the next one is not.
    ask(&omar, "BEGIN").unwrap();
    run(&omar, &update, &[&"gone", &50_i64]).unwrap();
    let all = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = 'writer'";
    assert!(!gate.source.stored(&format!("{all} AND datname = '{}'", gate.source.database)).is_empty());
    let lost = run(&omar, &update, &[&"gone", &50_i64]).unwrap_err();
    assert!(lost.starts_with("08") || lost == "57P01", "{lost}");
    ask(&omar, "ROLLBACK").unwrap();
    // A connection that was lost while it was idle is no error: nothing had begun there.
    for _ in 0..2 {
        assert_eq!(run(&omar, &update, &[&"back", &50_i64]), Ok(1));
        gate.source.stored(&format!("{all} AND datname = '{}'", gate.source.database));
    }
    assert_eq!(ask(&omar, "SELECT title FROM ticket WHERE id = 50").unwrap(), [cells(&["back"])]);
    assert!(gate.left_open().is_empty());
}
