//! What bad and oversized input gets: an error with its code, or an orderly close; other sessions unharmed.

use querygate_tests::server::{Frame, RawClient, Server, Variant, demo, runtime};
use std::net::Shutdown;
use std::time::Duration;

fn error_of(frames: &[Frame]) -> Option<String> {
    frames.iter().find(|frame| frame.tag == b'E').and_then(|frame| frame.field(b'C'))
}

/// Runs a text and returns the code of its first error; the session must answer afterwards.
fn code(client: &mut RawClient, sql: &str) -> Option<String> {
    client.query(sql);
    let code = error_of(&client.read_until(b'Z'));
    answers(client);
    code
}

fn answers(client: &mut RawClient) {
    client.query("SELECT 1");
    let frames = client.read_until(b'Z');
    assert!(frames.iter().any(|frame| frame.tag == b'D') && frames.last().unwrap().tag == b'Z', "{frames:?}");
}

#[test]
fn nesting_without_end_is_refused_and_nothing_falls_over() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let mut client = RawClient::login(server.postgres, "sam");
    let deep = 10_000;
    let nested = |open: &str, core: &str, close: &str| format!("{}{core}{}", open.repeat(deep), close.repeat(deep));
    let deep_of = |call: &str, core: &str| {
        let deep = (0..30).fold(core.to_owned(), |inner, _| call.replace("{}", &inner));
        format!("SELECT {deep} FROM opportunities")
    };
    for sql in [
        format!("SELECT {}", nested("(", "1", ")")),
        nested("SELECT * FROM (", "SELECT 1 AS a", ") t"),
        format!("SELECT {}", nested("- ", "1", "")),
        format!("SELECT {}", nested("NOT ", "true", "")),
        format!("SELECT {}", nested("abs(", "1", ")")),
        format!("SELECT {}", nested("CASE WHEN true THEN ", "1", " END")),
        format!("SELECT {}", nested("ARRAY[", "1", "]")),
        // Each of these is read, written or planned more than once.
        deep_of("nullif({}, 1)", "probability"),
        deep_of("greatest({}, interval '1 day')", "(created_at - '2024-01-01'::timestamptz)"),
        deep_of("coalesce({}, 1)", "probability"),
        deep_of("CASE WHEN {} > 1 THEN 2 ELSE 3 END", "probability"),
        deep_of("overlay({}, 'a', 1)", "name"),
        deep_of("position({})", "name"),
        format!("SELECT {}", (0..12).fold("1".to_owned(), |left, _| format!("({left} >= ALL (SELECT 1))::int"))),
        format!(
            "SELECT {}",
            (0..12).fold("1".to_owned(), |left, _| format!("(({left}, 1) NOT IN (SELECT 1, 1))::int"))
        ),
    ] {
        assert_eq!(code(&mut client, &sql).as_deref(), Some("54001"), "{}…", &sql[..40]);
    }
}

#[test]
fn long_chains_answer_or_are_refused() {
    // A server of its own: a chain must not end it, and if one does, other tests should not be to blame.
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let mut client = RawClient::login(server.postgres, "sam");
    let chain = |item: &str, separator: &str, count: usize| vec![item; count].join(separator);
    for (sql, most) in [
        (format!("SELECT {}", chain("1", " + ", 1_000)), None),
        (format!("SELECT {}", chain("1", " + ", 10_000)), Some("54001")),
        (format!("SELECT {}", chain("true", " AND ", 10_000)), Some("54001")),
        (format!("SELECT {}", chain("'a'", " || ", 10_000)), Some("54001")),
        (format!("SELECT count(*) FROM accounts WHERE {}", chain("id = 'x'", " OR ", 1_000)), None),
        (format!("SELECT {}", chain("true", " = ", 100_000)), Some("54001")),
        (format!("SELECT 1{}", " IS NULL".repeat(100_000)), Some("54001")),
        (format!("SELECT 1{}", " AT TIME ZONE 'UTC'".repeat(60_000)), Some("54001")),
        (chain("SELECT 1", ";", 40_000), Some("54000")),
        (chain("SELECT 1", " UNION ALL ", 500), None),
        (chain("SELECT 1", " UNION ALL ", 10_000), Some("54001")),
    ] {
        let found = code(&mut client, &sql);
        assert!(found.is_none() || found.as_deref() == most.or(Some("54001")), "{}…: {found:?}", &sql[..60]);
        assert!(server.is_alive());
    }
}

#[test]
fn as_many_columns_as_postgres_takes_and_no_more() {
    let mut client = RawClient::login(demo().server.postgres, "sam");
    let select = |count: usize| format!("SELECT {}", (0..count).map(|i| i.to_string()).collect::<Vec<_>>().join(", "));
    client.query(&select(1_600));
    let frames = client.read_until(b'Z');
    let row = frames.iter().find(|frame| frame.tag == b'D').unwrap_or_else(|| panic!("{:?}", error_of(&frames)));
    assert_eq!(u16::from_be_bytes([row.body[0], row.body[1]]), 1_600);
    assert_eq!(code(&mut client, &select(1_700)).as_deref(), Some("54000"));
}

#[test]
fn an_oversized_message_is_refused_before_it_is_read() {
    let address = demo().server.postgres;
    let mut other = RawClient::login(address, "iris");
    let mut client = RawClient::login(address, "sam");
    use std::io::Write;
    // 2 GiB are announced; not a byte of them has to be sent.
    client.tcp.write_all(&[b'Q', 0x7f, 0xff, 0xff, 0xff]).unwrap();
    let frames = client.read_until(b'Z');
    let found = error_of(&frames);
    assert!(matches!(found.as_deref(), Some("08P01" | "54000")), "{found:?}");
    answers(&mut other);
    let mut long = RawClient::login(address, "sam");
    let found = code(&mut long, &format!("SELECT '{}'", "x".repeat(17 << 20)));
    assert_eq!(found.as_deref(), Some("54000"));
}

#[test]
fn bytes_that_are_no_protocol_end_the_connection_only() {
    let address = demo().server.postgres;
    let mut other = RawClient::login(address, "iris");
    for (tag, body) in [(b'Q', &b"SELECT \xff\xfe\0"[..]), (b'?', b"abc"), (b'B', b"\0\0\0\x01"), (b'P', b"no end")] {
        let mut client = RawClient::login(address, "sam");
        client.send(tag, body);
        client.send(b'S', b"");
        let _ = client.tcp.shutdown(Shutdown::Write);
        let frames = client.read_until(0);
        let found = error_of(&frames);
        assert!(matches!(found.as_deref(), Some("08P01" | "22021")), "{:?}: {found:?} {frames:?}", char::from(tag));
        answers(&mut other);
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64], &[0, 0, 0, 8, 0, 9, 9, 9]] {
        use std::io::Write;
        let mut client = RawClient::connect(address);
        let _ = client.tcp.write_all(garbage);
        let _ = client.tcp.shutdown(Shutdown::Write);
        let _ = client.read_until(0);
        answers(&mut other);
    }
}

fn flooded() -> (Variant, Server) {
    let limits = "[server]\nconnection_max = 12\n";
    let variant = Variant::new(|config| config.replace("[server]\n", limits));
    let server = variant.serve();
    (variant, server)
}

#[test]
fn a_flood_is_refused_with_53300_and_ends_when_they_leave() {
    let (_variant, server) = flooded();
    let mut first = RawClient::login(server.postgres, "ada");
    let users = ["sam", "iris"].into_iter().cycle();
    let held: Vec<RawClient> = users.take(11).map(|user| RawClient::login(server.postgres, user)).collect();
    for _ in 0..20 {
        let mut client = RawClient::connect(server.postgres);
        client.startup(&[("user", "sam"), ("database", "demo")]);
        assert_eq!(error_of(&client.read_until(b'E')).as_deref(), Some("53300"));
        assert_eq!(client.read(), None);
    }
    answers(&mut first);
    drop(held);
    // Their places are free as soon as the server saw them go.
    let config = server.config("sam");
    let came_in = runtime().block_on(async {
        for _ in 0..200 {
            if config.connect(tokio_postgres::NoTls).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    });
    assert!(came_in);
}

#[test]
fn half_open_connections_hold_nobody_up() {
    let address = demo().server.postgres;
    let silent: Vec<RawClient> = (0..50).map(|_| RawClient::connect(address)).collect();
    let mut halves = Vec::new();
    for _ in 0..50 {
        use std::io::Write;
        let mut half = RawClient::connect(address);
        half.tcp.write_all(&[0, 0, 0, 40, 0, 3]).unwrap();
        halves.push(half);
    }
    // One that asked, and neither reads the answer nor says goodbye.
    let mut rude = RawClient::login(address, "ada");
    rude.query("SELECT * FROM events");
    let mut client = RawClient::login(address, "sam");
    answers(&mut client);
    drop((silent, halves, rude));
    answers(&mut client);
}

#[test]
fn a_query_over_its_memory_share_gets_53200_and_others_go_on() {
    let variant = Variant::new(|config| config.replace("memory_per_query = \"512MB\"", "memory_per_query = \"8MB\""));
    let server = variant.serve();
    let mut other = RawClient::login(server.postgres, "sam");
    let mut client = RawClient::login(server.postgres, "ada");
    for sql in [
        "SELECT * FROM events ORDER BY occurred_at, id",
        "SELECT count(*) FROM events a JOIN events b ON a.id = b.id",
        "SELECT array_agg(id) FROM events",
        "SELECT string_agg(id, ',') FROM events",
    ] {
        assert_eq!(code(&mut client, sql).as_deref(), Some("53200"), "{sql}");
        answers(&mut other);
    }
    assert_eq!(code(&mut client, "SELECT count(*) FROM events"), None);
}
