//! What followers ask for, and what they are refused.

use super::gate::Gate;
use super::sse::Sse;
use querygate_tests::server::{Request, change, runtime};
use serde_json::{Value, json};
use std::time::Duration;

fn note(id: &str, region: &str) -> String {
    format!(
        "INSERT INTO notes(id, title, region, phone, secret, amount) VALUES ('{id}', 't', '{region}', '12345', 'hush', 1)"
    )
}

#[test]
fn filters_sequences_and_refusals() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let mut all = gate.follow("wanda", "").begun();
    let mut gone = gate.follow("eve", "?objects=*&operations=delete").begun();
    change(&wanda, &note("a", "eu")).unwrap();
    change(&wanda, "UPDATE notes SET region = 'us' WHERE id = 'a'").unwrap();
    change(&wanda, "INSERT INTO quiet(id) VALUES ('q')").unwrap();
    change(&wanda, &note("b", "us")).unwrap();
    let (first, second, third) = (all.event(), all.event(), all.event());
    assert_eq!(
        (&first["operation"], &first["record"]["secret"], &first["actor"]),
        (&json!("insert"), &json!("hush"), &json!("wanda"))
    );
    assert_eq!((&second["operation"], &second["changed"]), (&json!("update"), &json!(["region"])));
    assert_eq!(
        (&third["key"], &third["object"]),
        (&json!({"id": "b"}), &json!("desk_notes")),
        "of quiet objects nothing is told"
    );
    // Out of view is gone, with the key only.
    let told = gone.event();
    assert_eq!((&told["operation"], &told["key"]), (&json!("delete"), &json!({"id": "a"})));
    assert!(told.get("record").is_none() && told.get("changed").is_none() && told.get("actor").is_none(), "{told}");
    assert_eq!(told["sequence"], second["sequence"]);

    let refused = |user: &str, query: &str| {
        let mut stream = gate.follow(user, query);
        (stream.status, stream.next(Duration::from_secs(5)).and_then(|block| block.data).unwrap_or_default())
    };
    for (query, status) in [
        ("?objects=desk_nothing", 404),
        ("?objects=desk_quiet", 501),
        ("?operations=upsert", 400),
        ("?from=-1", 400),
        ("?from=99999999999999999999", 400),
        ("?from=18446744073709551615", 400),
        ("?from=1&from=2", 400),
        ("?until=1", 400),
    ] {
        let (told, body) = refused("wanda", query);
        assert_eq!(told, status, "{query} {body}");
    }
    assert_eq!(refused("eve", "?objects=desk_quiet").0, 403);
    let unknown = Sse::open(gate.server.rest.unwrap(), "", &[]);
    assert_eq!(unknown.status, 401);
    let cookie = format!("better-auth.session_token={}", gate.token("eve"));
    let from = |origin: &str| {
        let headers = [("cookie", cookie.clone()), ("origin", origin.to_owned())];
        Sse::open(gate.server.rest.unwrap(), "", &headers).status
    };
    assert_eq!((from("http://elsewhere.example"), from("http://gate")), (403, 200));
}

#[test]
fn an_event_does_not_say_how_many_rows_were_changed_before() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let mut seen = gate.follow("eve", "").begun();
    let hidden = "INSERT INTO notes(id, region) SELECT 'h' || n, 'us' FROM generate_series(1, 17) n";
    runtime().block_on(wanda.batch_execute(&format!("BEGIN; {hidden}; {}; COMMIT", note("v", "eu")))).unwrap();
    let told = seen.event();
    assert_eq!((&told["key"], &told["operation"]), (&json!({"id": "v"}), &json!("insert")));
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let names = [text("transaction"), text("sequence"), told["at"].to_string(), String::new()];
    for (change, row) in (0..4).flat_map(|change| (0..100).map(move |row| (change, row))) {
        for name in &names {
            let guess = format!("{name}/{change}/{row}");
            let digest = ring::digest::digest(&ring::digest::SHA256, guess.as_bytes());
            let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!hex.starts_with(&text("id")), "the name of an event is made of {guess}");
        }
    }
}

#[test]
fn a_large_transaction_comes_whole_and_in_order() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let mut seen = gate.follow("eve", "?objects=desk_notes").begun();
    let insert = "INSERT INTO notes(id, region, title) SELECT 'n' || n, CASE WHEN n % 3 = 0 THEN 'us' ELSE 'eu' END, repeat('x', 900) \
         FROM generate_series(1, 3000) n";
    change(&wanda, insert).unwrap();
    let told: Vec<Value> = (0..2_000).map(|_| seen.event()).collect();
    let expected: Vec<Value> = (1..=3_000).filter(|n| n % 3 != 0).map(|n| json!({"id": format!("n{n}")})).collect();
    assert_eq!(told.iter().map(|event| event["key"].clone()).collect::<Vec<_>>(), expected);
    assert!(told.iter().all(|event| event["sequence"] == told[0]["sequence"]));
    let ids: std::collections::BTreeSet<&str> = told.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), told.len());
    // Only the last of them is where a client goes on.
    assert_eq!(seen.last_id.as_deref(), told[0]["sequence"].as_str());
    change(&wanda, "UPDATE notes SET title = 'y' WHERE id IN ('n1', 'n3', 'n3000', 'n2999')").unwrap();
    let (first, second) = (seen.event(), seen.event());
    assert_eq!([&first["key"]["id"], &second["key"]["id"]], [&json!("n1"), &json!("n2999")]);
}

#[test]
fn who_signs_out_is_told_nothing_more() {
    let gate = Gate::new();
    let (wanda, token) = (gate.client("wanda"), gate.token("eve"));
    let headers = [("authorization", format!("Bearer {token}"))];
    let mut stream = Sse::open(gate.server.rest.unwrap(), "", &headers).begun();
    change(&wanda, &note("a", "eu")).unwrap();
    assert_eq!(stream.event()["key"], json!({"id": "a"}));
    let out = Request::new("POST", "/api/v1/auth/sign-out").header("authorization", &format!("Bearer {token}"));
    assert_eq!(out.send(gate.server.rest.unwrap()).status, 200);
    std::thread::sleep(Duration::from_millis(2_500));
    change(&wanda, &note("b", "eu")).unwrap();
    let end = loop {
        let block = stream.next(Duration::from_secs(20)).expect("the stream ends with a word");
        if block.data.is_some() {
            break block;
        }
    };
    assert_eq!((end.event.as_deref(), &end.data.unwrap()["code"]), (Some("error"), &json!("UNAUTHENTICATED")));
}

#[test]
fn rows_that_follow_others_are_judged_by_what_is_read_now() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    change(&wanda, &note("a", "eu")).unwrap();
    change(&wanda, &note("b", "us")).unwrap();
    let mut lines = gate.follow("eve", "?objects=desk_lines").begun();
    change(&wanda, "INSERT INTO lines(id, note, words) VALUES ('l1', 'b', 'hidden')").unwrap();
    change(&wanda, "INSERT INTO lines(id, note, words) VALUES ('l2', 'a', 'seen')").unwrap();
    let told = lines.event();
    assert_eq!(told["record"], json!({"id": "l2", "note": "a", "words": "seen"}), "{told}");
    change(&wanda, "UPDATE lines SET words = 'still hidden' WHERE id = 'l1'").unwrap();
    change(&wanda, "UPDATE lines SET words = 'new' WHERE id = 'l2'").unwrap();
    let told = lines.event();
    assert_eq!((&told["operation"], &told["record"]["words"]), (&json!("update"), &json!("new")));
}

#[test]
fn who_reads_slowly_holds_up_no_one_and_misses_nothing() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let mut fast = gate.follow("wanda", "?objects=desk_notes").begun();
    let begin = fast.last_id.clone().unwrap();
    // It asks, and reads nothing of the answer.
    let mut slow = std::net::TcpStream::connect(gate.server.rest.unwrap()).unwrap();
    let token = gate.token("wanda");
    let request = format!("GET /api/v1/realtime HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {token}\r\n\r\n");
    std::io::Write::write_all(&mut slow, request.as_bytes()).unwrap();
    let before = gate.server.resident_bytes();
    let long = "x".repeat(200_000);
    for n in 0..100 {
        change(&wanda, &format!("INSERT INTO notes(id, title, region) VALUES ('n{n}', '{long}', 'eu')")).unwrap();
    }
    let ids = |stream: &mut Sse| (0..100).map(|_| stream.event()["key"]["id"].clone()).collect::<Vec<_>>();
    let expected: Vec<Value> = (0..100).map(|n| json!(format!("n{n}"))).collect();
    assert_eq!(ids(&mut fast), expected);
    let grown = gate.server.resident_bytes().saturating_sub(before);
    assert!(grown < 300 << 20, "{grown} bytes");
    drop(slow);
    // A client that was cut off goes on where it was.
    assert_eq!(ids(&mut gate.follow("wanda", &format!("?from={begin}"))), expected);
}

#[test]
fn operators_see_who_follows_and_others_themselves() {
    let gate = Gate::new();
    let _eve = gate.follow("eve", "?objects=desk_notes").begun();
    let _uma = gate.follow("uma", "").begun();
    let rows = |user: &str| {
        let client = gate.client(user);
        let sql = "SELECT login, door, objects, lag_ms IS NULL FROM querygate.subscriptions ORDER BY login";
        let rows = runtime().block_on(client.query(sql, &[])).unwrap();
        let row = |row: &tokio_postgres::Row| {
            (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, String>(2), row.get::<_, bool>(3))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let of =
        |login: &str, objects: &str, hidden: bool| (login.to_owned(), "rest".to_owned(), objects.to_owned(), hidden);
    assert_eq!(rows("root"), [of("eve", "desk_notes", false), of("uma", "*", false)]);
    assert_eq!(rows("eve"), [of("eve", "desk_notes", true)]);
}

#[test]
fn a_listener_is_notified() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    let mut config = gate.server.config("eve");
    config.dbname("desk").password(querygate_tests::server::PASSWORD);
    let (sender, notes) = std::sync::mpsc::channel::<(String, Value)>();
    let client = runtime().block_on(async {
        let (client, mut connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(message)) = futures::future::poll_fn(|context| connection.poll_message(context)).await {
                if let tokio_postgres::AsyncMessage::Notification(note) = message {
                    let _ = sender.send((note.channel().to_owned(), serde_json::from_str(note.payload()).unwrap()));
                }
            }
        });
        client
    });
    let listen = |sql: &str| runtime().block_on(client.batch_execute(sql));
    listen("LISTEN \"querygate.desk_notes\"").unwrap();
    assert!(listen("LISTEN \"querygate.desk_nothing\"").is_err() && listen("LISTEN \"querygate.desk_quiet\"").is_err());
    change(&wanda, &note("u", "us")).unwrap();
    change(&wanda, &note("e", "eu")).unwrap();
    let (channel, told) = notes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(
        (channel.as_str(), &told["key"], &told["record"]["phone"]),
        ("querygate.desk_notes", &json!({"id": "e"}), &json!("***45"))
    );
    let long = "x".repeat(9_000);
    change(&wanda, &format!("UPDATE notes SET title = '{long}' WHERE id = 'e'")).unwrap();
    let (_, told) = notes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((&told["operation"], &told["key"], told.get("record")), (&json!("update"), &json!({"id": "e"}), None));
    listen("UNLISTEN *").unwrap();
}

/// Events as a table: what a follower is told, whoever reads it, and without those whom it does not concern.
#[test]
fn what_is_kept_is_a_table_for_each_reader() {
    let gate = Gate::with("objects = [\"desk_notes\", \"desk_lines\"]\n");
    let wanda = gate.client("wanda");
    let run =
        |sql: &str| runtime().block_on(wanda.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    run("INSERT INTO notes VALUES ('n1', 'a', 'eu', '12345', 's1', 1), ('n2', 'b', 'us', '67890', 's2', 2)");
    run("UPDATE notes SET secret = 'other' WHERE id = 'n1'");
    run("UPDATE notes SET region = 'us', title = 'c' WHERE id = 'n1'");
    run("BEGIN; UPDATE notes SET title = 'never'; ROLLBACK");
    run("INSERT INTO lines VALUES ('l1', 'n2', 'words'), ('l2', 'n1', 'others')");
    run("INSERT INTO quiet VALUES ('q1')");
    run("DELETE FROM notes WHERE id = 'n2'");
    for user in ["wanda", "eve", "uma", "root"] {
        let client = gate.client(user);
        let told: Vec<Value> = match user {
            // An operator without rights sees no record.
            "root" => Vec::new(),
            _ => gate.follow(user, "?from=0").all(Duration::from_secs(3)),
        };
        let sql = "SELECT sequence::text, id, object, record_id, operation, changed, record, actor, door, transaction_id, uncertain
                   FROM querygate.events ORDER BY sequence, object, id";
        let rows = runtime().block_on(client.query(sql, &[])).unwrap();
        let text = |row: &tokio_postgres::Row, at: usize| row.get::<_, Option<String>>(at);
        let json = |row: &tokio_postgres::Row, at: usize| {
            text(row, at).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
        };
        let shown = rows.iter().map(|row| {
            assert_eq!(text(row, 8).unwrap(), "postgres");
            assert!(!row.get::<_, bool>(10));
            json!({"sequence": text(row, 0), "id": text(row, 1), "object": text(row, 2), "key": {"id": text(row, 3)}, "operation": text(row, 4),
                "changed": json(row, 5), "record": json(row, 6), "actor": text(row, 7), "transaction": text(row, 9)})
        });
        let mut shown: Vec<Value> = shown.collect();
        let mut expected: Vec<Value> = told.into_iter().map(|event| {
            let part = |name: &str| event.get(name).cloned().unwrap_or_default();
            json!({"sequence": part("sequence"), "id": part("id"), "object": part("object"), "key": part("key"), "operation": part("operation"),
                "changed": part("changed"), "record": part("record"), "actor": part("actor"), "transaction": part("transaction")})
        }).collect();
        shown.sort_by_key(ToString::to_string);
        expected.sort_by_key(ToString::to_string);
        assert_eq!(shown, expected, "{user}");
        assert_eq!(shown.is_empty(), user == "root", "{user}");
        // By an object, as a literal and as a parameter, and in ways by which none is found.
        let lines = shown.iter().filter(|event| event["object"] == "desk_lines").count();
        let count = |sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]| {
            runtime().block_on(client.query_one(sql, values)).unwrap().get::<_, i64>(0)
        };
        let lines = i64::try_from(lines).unwrap();
        assert_eq!(count("SELECT count(*) FROM querygate.events WHERE object = 'desk_lines'", &[]), lines, "{user}");
        assert_eq!(count("SELECT count(*) FROM querygate.events WHERE object = $1", &[&"desk_lines"]), lines, "{user}");
        assert_eq!(count("SELECT count(*) FROM querygate.events WHERE object LIKE '%_lines'", &[]), lines, "{user}");
        let others = "SELECT count(*) FROM querygate.events WHERE object IN ('desk_quiet', 'nothing of this name')";
        assert_eq!(count(others, &[]), 0, "{user}");
        assert_eq!(
            count("SELECT count(*) FROM querygate.events WHERE record LIKE '%s1%' OR record LIKE '%12345%'", &[]),
            i64::from(user == "wanda"),
            "{user}"
        );
    }
    // What comes afterwards is there for the next statement, also after a kill.
    let before =
        runtime().block_on(wanda.query_one("SELECT count(*) FROM querygate.events", &[])).unwrap().get::<_, i64>(0);
    run("UPDATE notes SET title = 'd' WHERE id = 'n1'");
    let count = "SELECT count(*) FROM querygate.events";
    assert_eq!(runtime().block_on(wanda.query_one(count, &[])).unwrap().get::<_, i64>(0), before + 1);
    let gate = gate.killed();
    assert_eq!(runtime().block_on(gate.client("wanda").query_one(count, &[])).unwrap().get::<_, i64>(0), before + 1);
}
