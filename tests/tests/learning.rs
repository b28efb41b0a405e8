//! Learning as its users meet it: what passed is there as tables, survives a kill, and unusual reading raises one alert.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "learning/changes.rs"]
mod changes;

use querygate_tests::server::{RawClient, Server, Variant, psql, runtime};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a question is asked until what happens in the background has happened.
const ASKED: usize = 2_000;

/// Rows that psql prints for a user.
fn ask(server: &Server, user: &str, sql: &str) -> Vec<String> {
    let printed = psql(server, user, &["-At", "-c", sql]);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

/// Asks until the answer is as expected.
fn wait_for(server: &Server, user: &str, sql: &str, expected: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..ASKED {
        last = ask(server, user, sql);
        if last == expected {
            return;
        }
    }
    panic!("{sql}: {last:?} instead of {expected:?}");
}

/// Takes alerts, and refuses them while told so.
struct Receiver {
    address: SocketAddr,
    took: Arc<Mutex<Vec<String>>>,
    refuses: Arc<AtomicBool>,
    refused: Arc<Mutex<usize>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (took, refuses, refused) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(0)));
        let kept = (Arc::clone(&took), Arc::clone(&refuses), Arc::clone(&refused));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = request(&mut stream) else { continue };
                let status = if kept.1.load(Ordering::SeqCst) {
                    *kept.2.lock().unwrap() += 1;
                    "503 Later"
                } else {
                    kept.0.lock().unwrap().push(request);
                    "204 No Content"
                };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, took, refuses, refused }
    }
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut came = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        came.extend(&part[..n]);
        let text = String::from_utf8_lossy(&came).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
        if body.len() >= length {
            return Some(text);
        }
    }
}

/// The demo with learning, and alerts to an address.
fn variant(alerts: Option<SocketAddr>) -> Variant {
    let webhook = alerts.map_or(String::new(), |address| {
        format!("webhook = \"http://{address}/alerts\"\nwebhook_secret = \"file:alert.key\"\n")
    });
    // The demo may bring a table of its own.
    let without = |config: String| {
        let mut kept = true;
        let line = |line: &&str| {
            if line.starts_with('[') {
                kept = *line != "[learning]";
            }
            kept
        };
        config.lines().filter(line).map(|line| format!("{line}\n")).collect::<String>()
    };
    let variant = Variant::new(|c| format!("{}\n[learning]\ndirectory = \"learnt\"\n{webhook}", without(c)));
    std::fs::write(variant.file("alert.key"), "0123456789abcdef0123456789abcdef\n").unwrap();
    variant
}

const TEMPLATE: &str = "select name from accounts where id = ?";

#[test]
fn statements_add_up_per_template_and_survive_a_kill() {
    let variant = variant(None);
    let mut server = variant.serve();
    for n in 1..=3 {
        let _ = ask(&server, "sam", &format!("SELECT name FROM accounts WHERE id = 'a{n}'"));
    }
    let _ = ask(&server, "ada", "SELECT name  FROM accounts\nWHERE id = 'secret-literal'");
    let counts = format!("SELECT statements, principals FROM querygate.templates WHERE template = '{TEMPLATE}'");
    wait_for(&server, "ada", &counts, &["4|2"]);
    assert_eq!(ask(&server, "sam", &counts), ["3|1"], "a user sees what it did itself");
    assert_eq!(ask(&server, "iris", "SELECT count(*) FROM querygate.templates WHERE login <> 'iris'"), ["0"]);
    let latency =
        format!("SELECT p50_ms > 0 AND p99_ms >= p50_ms FROM querygate.templates WHERE template = '{TEMPLATE}'");
    assert_eq!(ask(&server, "ada", &latency), ["t"]);
    assert_eq!(ask(&server, "sam", "SELECT * FROM querygate.telemetry"), [""; 0]);
    assert_eq!(ask(&server, "ada", "SELECT state, dropped FROM querygate.telemetry"), ["running|0"]);

    // What an operator's session keeps to itself is not learnt from; nobody else can hide.
    let _ = ask(&server, "ada", "SET querygate.learning = off; SELECT count(*) FROM invoices WHERE id = 'x'");
    let _ = ask(&server, "sam", "SET querygate.learning = off; SELECT count(*) FROM contacts WHERE id = 'x'");
    let seen = "SELECT template FROM querygate.templates WHERE template LIKE 'select count(*) from % where id = ?' \
                OR template LIKE 'select count ( * ) from % where id = ?'";
    wait_for(&server, "ada", seen, &["select count ( * ) from contacts where id = ?"]);

    server.signal("KILL");
    assert_eq!(server.stop(), 137);
    let file = std::fs::read(variant.file("learnt/telemetry.db")).unwrap();
    let wal = std::fs::read(variant.file("learnt/telemetry.db-wal")).unwrap_or_default();
    for bytes in [file, wal] {
        assert!(!bytes.windows(14).any(|part| part == b"secret-literal"), "a literal is on the disk");
    }
    let server = variant.serve();
    assert_eq!(ask(&server, "ada", &counts), ["4|2"]);
    drop(server);

    std::fs::write(variant.file("learnt/telemetry.db"), "no database").unwrap();
    let _ = std::fs::remove_file(variant.file("learnt/telemetry.db-wal"));
    let server = variant.serve();
    wait_for(&server, "ada", "SELECT detail FROM querygate.telemetry", &["set aside: the file is damaged"]);
    assert_eq!(ask(&server, "ada", "SELECT count(*) FROM accounts").len(), 1);
}

/// What comes by the thousand is added up where it ends, also by sessions that are gone at once: every statement and row is in the
/// tables, and in those of the next process too.
#[test]
fn look_ups_by_the_thousand_are_added_up_and_none_is_lost() {
    const LOOK_UPS: usize = 500;
    let variant = variant(None);
    let mut server = variant.serve();
    let look_ups = |from: usize| -> String {
        let one = |n: usize| format!("SELECT name FROM accounts WHERE id = 'acc_{:05}'", 1 + n % 50);
        (from..from + LOOK_UPS).map(one).collect::<Vec<_>>().join("; ")
    };
    let (mut runs, mut rows) = (0, 0);
    let summed = "SELECT summed FROM querygate.telemetry";
    let enough = |server: &Server| ask(server, "ada", summed)[0].parse::<usize>().unwrap() >= 2_000;
    while runs < 5_000 || !enough(&server) {
        assert!(runs < 200_000, "nothing is added up");
        // One that goes on for a while, and one that ends with its only statements.
        rows += ask(&server, "sam", &[look_ups(runs), look_ups(runs + LOOK_UPS)].join("; ")).len();
        rows += ask(&server, "sam", &look_ups(runs + 2 * LOOK_UPS)).len();
        runs += 3 * LOOK_UPS;
    }
    let counts = format!(
        "SELECT statements, errors, rows, p50_ms > 0, p99_ms >= p50_ms, total_ms >= p50_ms, bytes > rows \
         FROM querygate.templates WHERE template = '{TEMPLATE}' AND login = 'sam'"
    );
    let expected = format!("{runs}|0|{rows}|t|t|t|t");
    wait_for(&server, "sam", &counts, &[&expected]);
    assert!(rows > 0);
    // What was asked since the last batch waits.
    let kept = "SELECT taken - written - thinned BETWEEN 0 AND 100, dropped, errors FROM querygate.telemetry";
    assert_eq!(ask(&server, "ada", kept), ["t|0|0"], "every statement that was taken is a row or in a sum");
    server.signal("KILL");
    assert_eq!(server.stop(), 137);
    let server = variant.serve();
    assert_eq!(ask(&server, "sam", &counts), [expected]);
}

#[test]
fn a_bulk_read_by_somebody_who_never_does_is_one_alert_that_survives_a_restart() {
    let receiver = Receiver::start();
    let variant = variant(Some(receiver.address));
    let mut server = variant.serve();
    // One connection, as a program would use: many small reads of two people.
    for user in ["iris", "sam"] {
        let small: Vec<String> =
            (0..30).map(|n| format!("SELECT name FROM accounts WHERE id >= 'a{n}' LIMIT {}", n + 1)).collect();
        let _ = ask(&server, user, &small.join("; "));
    }
    let known = "SELECT sum(statements) FROM querygate.templates WHERE template LIKE 'select name%'";
    wait_for(&server, "sam", known, &["30"]);
    let [mut ada, mut iris] = ["ada", "iris"].map(|user| {
        let mut listener = RawClient::login(server.postgres, user);
        listener.query("LISTEN Querygate_Anomalies");
        let tags: Vec<u8> = listener.read_until(b'Z').iter().map(|frame| frame.tag).collect();
        assert_eq!(tags, [b'C', b'Z']);
        listener
    });
    let bulk = ask(&server, "sam", "SELECT id FROM contacts LIMIT 6000");
    assert_eq!(bulk.len(), 6_000);
    let found = "SELECT kind, severity, subject, state FROM querygate.anomalies";
    wait_for(&server, "ada", found, &["bulk read|critical|principal sam|open"]);
    let [what] = &ask(&server, "ada", "SELECT what FROM querygate.anomalies")[..] else { panic!() };
    assert!(what.starts_with("sam read 6,000 rows of contacts in ") && what.contains("; usual: "), "{what}");
    // Whoever listens is told without asking, of what it may see.
    let heard = ada.read_until(b'A');
    let [heard] = heard.as_slice() else { panic!("{heard:?}") };
    let heard = String::from_utf8_lossy(&heard.body[4..]).into_owned();
    assert!(heard.starts_with("querygate_anomalies\0{") && heard.contains("\"subject\":\"principal sam\""), "{heard}");
    iris.query("UNLISTEN *");
    let tags: Vec<u8> = iris.read_until(b'Z').iter().map(|frame| frame.tag).collect();
    assert_eq!(tags, [b'C', b'Z'], "what somebody else did");
    let unknown = psql(&server, "ada", &["-c", "LISTEN other"]);
    assert!(
        unknown.err.starts_with("ERROR:  0A000") && unknown.err.contains("querygate_anomalies"),
        "{}",
        unknown.both()
    );
    assert_eq!(ask(&server, "iris", "SELECT count(*) FROM querygate.anomalies"), ["0"]);
    assert_eq!(ask(&server, "sam", "SELECT count(*) FROM querygate.anomalies"), ["1"], "one's own doing");

    // The receiver is away until the next start.
    for _ in 0..ASKED {
        if *receiver.refused.lock().unwrap() > 0 {
            break;
        }
        let _ = ask(&server, "ada", "SELECT 1");
    }
    assert!(*receiver.refused.lock().unwrap() > 0);
    server.signal("KILL");
    assert_eq!(server.stop(), 137);
    receiver.refuses.store(false, Ordering::SeqCst);
    let server = variant.serve();
    wait_for(&server, "ada", "SELECT delivery FROM querygate.anomalies", &["delivered"]);
    let took = receiver.took.lock().unwrap().clone();
    let [alert] = took.as_slice() else { panic!("{took:?}") };
    let (head, body) = alert.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /alerts HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("x-querygate-signature: sha256="), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["subject"], &body["text"]), (&"principal sam".into(), &what.as_str().into()));

    // Only an operator acknowledges.
    let refused = psql(&server, "sam", &["-c", "CALL querygate.acknowledge(1)"]);
    assert!(refused.err.starts_with("ERROR:  42501"), "{}", refused.both());
    let unknown = psql(&server, "ada", &["-c", "CALL querygate.acknowledge(77)"]);
    assert!(unknown.err.starts_with("ERROR:  42704"), "{}", unknown.both());
    let [id] = &ask(&server, "ada", "SELECT id FROM querygate.anomalies")[..] else { panic!() };
    let done = ask(&server, "ada", &format!("CALL querygate.acknowledge({id})"));
    assert_eq!(done, [format!("incident {id} is acknowledged")]);
    let by = "SELECT acknowledged_by, acknowledged IS NULL FROM querygate.anomalies";
    assert_eq!(ask(&server, "ada", by), ["ada|f"]);
    assert_eq!(ask(&server, "sam", by), ["|t"], "what operators do is theirs");
    assert_eq!(ask(&server, "ada", "CALL querygate.mute('principal sam', 2)").len(), 1);
    let audit = "SELECT count(*) FROM querygate.audit WHERE template LIKE 'call querygate%'";
    assert_eq!(ask(&server, "ada", audit), ["4"], "every call, the refused ones too");
}

/// A cursor that is left open leaves its record when it ends, which may be never; what was read through it is seen all the same.
#[test]
fn a_bulk_read_through_a_cursor_that_stays_open_is_an_incident() {
    let variant = variant(None);
    let server = variant.serve();
    let small: Vec<String> =
        (0..30).map(|n| format!("SELECT name FROM accounts WHERE id >= 'a{n}' LIMIT {}", n + 1)).collect();
    let _ = ask(&server, "sam", &small.join("; "));
    let known = "SELECT sum(statements) FROM querygate.templates WHERE template LIKE 'select name%'";
    wait_for(&server, "sam", known, &["30"]);
    let mut sam = RawClient::login(server.postgres, "sam");
    for (sql, rows) in [("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM contacts", 0), ("FETCH 6000 FROM c", 6_000)] {
        sam.query(sql);
        let frames = sam.read_until(b'Z');
        assert_eq!(frames.iter().filter(|frame| frame.tag == b'D').count(), rows, "{sql}");
    }
    let found = "SELECT kind, severity, subject, state FROM querygate.anomalies";
    wait_for(&server, "ada", found, &["bulk read|critical|principal sam|open"]);
    let counted =
        "SELECT coalesce(sum(statements), 0) FROM querygate.templates WHERE template LIKE '%select id from contacts%'";
    assert_eq!(ask(&server, "sam", counted), ["0"], "it has not ended");
    sam.query("CLOSE c");
    assert_eq!(sam.read_until(b'Z').first().map(|frame| frame.tag), Some(b'C'));
    wait_for(&server, "sam", counted, &["1"]);
    assert_eq!(ask(&server, "ada", "SELECT count(*) FROM querygate.anomalies"), ["1"], "it is told once");
}

/// What passes is looked at too: amounts that are a thousand times as large from one day to the next are told, without a value.
#[test]
fn another_range_of_amounts_is_an_incident() {
    let variant = variant(None);
    let (database, copy) = (variant.file("data/crm.sqlite"), variant.file("data/crm.copy"));
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    let server = variant.serve();
    let read = |times: usize| {
        let statements = vec!["SELECT value, status FROM contracts"; times];
        let arguments: Vec<&str> = statements.iter().flat_map(|sql| ["-c", sql]).collect();
        assert!(psql(&server, "ada", &[&["-Aqt"], arguments.as_slice()].concat()).success);
    };
    let found = "SELECT what FROM querygate.anomalies WHERE kind = 'data quality'";
    read(40);
    assert_eq!(ask(&server, "ada", found), [""; 0]);
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(&database).busy_timeout(Duration::from_secs(10));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let changed = sqlx::query("UPDATE contracts SET value = value * 1000").execute(&mut connection).await.unwrap();
        assert_eq!(changed.rows_affected(), 10_000);
    });
    read(5);
    let mut told = Vec::new();
    for _ in 0..ASKED {
        told = ask(&server, "ada", found);
        if !told.is_empty() {
            break;
        }
    }
    assert!(
        matches!(&told[..], [what] if what.starts_with("contracts.value: values lie ") && what.ends_with(" beyond it")),
        "{told:?}"
    );
    assert_eq!(ask(&server, "sam", found), [""; 0], "what is wrong with data is for operators");
}
