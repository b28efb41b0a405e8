//! What one user may try to fill the gate's memory with: cursors, results that nobody reads, rows that scroll, prepared texts, many
//! sessions at once. The process stays within the user's share and a quarter, and others go on meanwhile.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stdout, reason = "says what was measured")]

use arrow_flight::sql::client::FlightSqlServiceClient;
use querygate_tests::server::{Frame, RawClient, Server, Variant, runtime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

/// What one user may have.
const SHARE: u64 = 128 << 20;
/// What another one's statements take beside.
const BESIDE: u64 = 32 << 20;
/// What the process may have more for one statement of 64 MB: the eighth that is borne, and what the process itself takes.
const ALONE: u64 = 88 << 20;
/// Between two looks at what the process has.
const LOOKS: Duration = Duration::from_millis(2);
/// The allocator gives back at once, so that what the process has is what is held.
const ALLOCATOR: [&str; 2] = ["env", "_RJEM_MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0"];

fn serve() -> (Variant, Server) {
    let variant = Variant::new(|config| {
        let limits = "memory_total = \"256MB\"\nmemory_per_user = \"128MB\"\nmemory_per_query = \"64MB\"";
        config.replace("memory_total = \"2GB\"\nmemory_per_query = \"512MB\"", limits)
    });
    let server = variant.serve();
    // What is made once is not the attack's.
    for user in ["iris", "sam"] {
        let mut client = RawClient::login(server.postgres, user);
        for sql in ["SELECT count(*) FROM accounts", "SELECT * FROM events LIMIT 100000"] {
            assert_eq!(refusal(&mut client, sql), None);
        }
    }
    (variant, server)
}

/// Code and hint of what a statement ended with, if it failed.
fn refusal(client: &mut RawClient, sql: &str) -> Option<(String, String)> {
    client.query(sql);
    of(&client.read_until(b'Z'))
}

fn of(frames: &[Frame]) -> Option<(String, String)> {
    let error = frames.iter().find(|frame| frame.tag == b'E')?;
    Some((error.field(b'C').unwrap(), error.field(b'H').unwrap_or_default()))
}

/// The most bytes that the process has in memory while something is done.
fn watched<T>(server: &Server, work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = server.resident_bytes();
            while !done.load(Ordering::Relaxed) {
                most = most.max(server.resident_bytes());
                std::thread::sleep(LOOKS);
            }
            most
        });
        let given = work();
        done.store(true, Ordering::Relaxed);
        (given, watch.join().unwrap())
    })
}

/// Runs an attack by sam, with iris at work beside it; the process must not grow beyond the share.
fn attack<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let before = server.resident_bytes();
    let look_up = || {
        let mut iris = RawClient::login(server.postgres, "iris");
        loop {
            let last = done.load(Ordering::Relaxed);
            let began = Instant::now();
            for sql in ["SELECT count(*) FROM accounts", "SELECT kind, count(*) FROM events GROUP BY kind"] {
                assert_eq!(refusal(&mut iris, sql), None, "{sql}");
            }
            assert!(began.elapsed() < Duration::from_secs(300), "iris waited {:?}", began.elapsed());
            if last {
                break;
            }
        }
    };
    let (given, most) = watched(server, || {
        std::thread::scope(|scope| {
            let beside = scope.spawn(look_up);
            let given = work();
            done.store(true, Ordering::Relaxed);
            beside.join().unwrap();
            given
        })
    });
    let (grown, start) = (most.saturating_sub(before) >> 20, before >> 20);
    println!("{start} MB, grown by {grown} MB");
    assert!(most <= before + SHARE / 4 * 5 + BESIDE, "{start} MB, grown by {grown} MB");
    given
}

fn assert_user_is_named(refused: Option<(String, String)>) {
    let (code, hint) = refused.expect("there was room for all of it");
    assert_eq!(code, "53200");
    assert!(hint.contains("memory_per_user"), "{hint}");
}

/// The user has the share again.
fn assert_free(server: &Server) {
    let mut sam = RawClient::login(server.postgres, "sam");
    let whole = "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT repeat('y', 500) FROM events; MOVE 100000 FROM c; COMMIT";
    let freed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let refused = refusal(&mut sam, whole);
        drop(refusal(&mut sam, "ROLLBACK"));
        refused.is_none()
    });
    assert!(freed, "what was closed is still charged");
}

#[test]
fn cursors_that_nobody_reads_on() {
    let (_variant, server) = serve();
    for sql in
        ["SELECT repeat('x', 20000), id FROM events", "SELECT * FROM events", "SELECT id FROM accounts ORDER BY name"]
    {
        let mut sam = RawClient::login(server.postgres, "sam");
        let mut first = |cursor: usize| {
            let opened = refusal(&mut sam, &format!("DECLARE c{cursor} CURSOR WITH HOLD FOR {sql}"));
            opened.or_else(|| refusal(&mut sam, &format!("FETCH 1 FROM c{cursor}")))
        };
        let refused = attack(&server, || (0..30).find_map(&mut first));
        if let Some((code, hint)) = refused {
            assert!(code == "53200" && hint.contains("memory_per_user") || code == "53300", "{code} {hint}");
        }
    }
    assert_free(&server);
}

#[test]
fn results_that_nobody_reads() {
    let (_variant, server) = serve();
    let clients = attack(&server, || {
        let mut clients: Vec<RawClient> = (0..12).map(|_| RawClient::login(server.postgres, "sam")).collect();
        for client in &mut clients {
            client.query("SELECT repeat('z', 9000), id FROM events");
        }
        std::thread::sleep(Duration::from_secs(4));
        clients
    });
    drop(clients);
    assert_free(&server);
}

#[test]
fn rows_that_idle_cursors_could_go_back_to() {
    let (_variant, server) = serve();
    let (clients, refused) = attack(&server, || {
        let mut clients = Vec::new();
        let refused = (0..6).find_map(|_| {
            let mut client = RawClient::login(server.postgres, "sam");
            let opened = refusal(&mut client, "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT repeat('y', 500) FROM events");
            assert_eq!(opened, None);
            let moved = refusal(&mut client, "MOVE 100000 FROM c");
            clients.push(client);
            moved
        });
        (clients, refused)
    });
    assert_user_is_named(refused);
    drop(clients);
    assert_free(&server);
}

#[test]
fn sessions_that_all_sort_and_join_at_once() {
    let (_variant, server) = serve();
    attack(&server, || {
        let mut clients: Vec<RawClient> = (0..12).map(|_| RawClient::login(server.postgres, "sam")).collect();
        for (at, client) in clients.iter_mut().enumerate() {
            client.query(match at % 3 {
                0 => "SELECT count(*) FROM (SELECT a.id, repeat(b.kind, 30) k FROM events a JOIN events b ON a.id = b.id ORDER BY 2, 1 OFFSET 10) q",
                1 => "SELECT array_agg(id || kind) FROM events",
                _ => "SELECT count(*) FROM (SELECT DISTINCT id || 'x' FROM events) q",
            });
        }
        for client in &mut clients {
            let refused = of(&client.read_until(b'Z'));
            assert!(refused.as_ref().is_none_or(|(code, _)| code == "53200"), "{refused:?}");
        }
    });
    assert_free(&server);
}

#[test]
fn streams_that_nobody_reads() {
    let (_variant, server) = serve();
    let streams = attack(&server, || {
        let streams = runtime().block_on(async {
            let mut streams = Vec::new();
            for at in 0..16 {
                // A connection each: what one stream leaves unread holds up all others of its connection.
                let address = format!("http://{}", server.flight);
                let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
                let mut client = FlightSqlServiceClient::new(channel);
                client.handshake("sam", "demo-sam").await.unwrap();
                let sql =
                    if at % 4 == 0 { "SELECT id, kind FROM events" } else { "SELECT repeat('z', 9000), * FROM events" };
                // Refused is as good as held within the share.
                let Ok(info) = client.execute(sql.to_owned(), None).await else { continue };
                let ticket = info.endpoint[0].ticket.clone().unwrap();
                streams.extend(client.do_get(ticket).await.map(|stream| (client, stream)));
            }
            streams
        });
        std::thread::sleep(Duration::from_secs(4));
        assert!(streams.len() > 5, "{}", streams.len());
        streams
    });
    drop(streams);
    assert_free(&server);
}

/// Prepares a statement by the extended protocol.
fn prepare(client: &mut RawClient, name: &str, sql: &str) -> Option<(String, String)> {
    let mut parse = Vec::new();
    for text in [name, sql] {
        parse.extend(text.bytes().chain([0]));
    }
    parse.extend([0, 0]);
    client.send(b'P', &parse);
    client.send(b'S', b"");
    of(&client.read_until(b'Z'))
}

#[test]
fn texts_that_are_prepared_and_never_run() {
    let (_variant, server) = serve();
    let (clients, refused) = attack(&server, || {
        let mut clients: Vec<RawClient> = (0..4).map(|_| RawClient::login(server.postgres, "sam")).collect();
        let mut flood = |at: usize| {
            let list = |number: usize| (0..2_000).map(|n| (n + number).to_string()).collect::<Vec<_>>().join(",");
            let text = |number: usize| format!("SELECT {number} WHERE {at} IN ({})", list(number));
            (0..200).find_map(|number| prepare(&mut clients[at], &format!("s{number}"), &text(number)))
        };
        let refused: Vec<_> = (0..4).map(&mut flood).collect();
        (clients, refused)
    });
    let hint = |at: usize| {
        let (code, hint) = refused[at].clone().expect("there was room for all of it");
        assert_eq!(code, "53200");
        hint
    };
    assert!(hint(0).contains("Deallocate"), "{refused:?}");
    assert!(hint(3).contains("memory_per_user"), "{refused:?}");
    drop(clients);
    assert_free(&server);
}

#[test]
fn freed_memory_goes_back_to_the_system() {
    let (_variant, server) = serve();
    let start = server.resident_bytes();
    let mut clients: Vec<RawClient> = (0..3).map(|_| RawClient::login(server.postgres, "sam")).collect();
    for client in &mut clients {
        let held = "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT repeat('y', 500) FROM events; MOVE 60000 FROM c";
        assert_eq!(refusal(client, held), None);
    }
    let held = server.resident_bytes();
    assert!(held > start + (60 << 20), "{} MB more", held.saturating_sub(start) >> 20);
    drop(clients);
    let returned = (0..60).any(|_| {
        std::thread::sleep(Duration::from_secs(1));
        server.resident_bytes() < start + (held - start) / 3
    });
    assert!(returned, "{} MB, then {} MB, and still {} MB", start >> 20, held >> 20, server.resident_bytes() >> 20);
}

#[test]
fn rounds_of_long_rows_and_trees_of_long_values() {
    let (_variant, server) = serve();
    let mut sam = RawClient::login(server.postgres, "sam");
    let list = |item: &str, count: usize| format!("('[' || repeat('{item},', {count}) || '1]')");
    let rounds = "WITH RECURSIVE t(n, s) AS (SELECT 1, repeat('x', 100000) UNION ALL SELECT n + 1, s FROM t WHERE n < 2000) \
                  SELECT max(length(s)) FROM t";
    for (sql, refused) in [
        // 200 MB pass through, one row at a time.
        (rounds.to_owned(), None),
        (
            "SELECT max(length(s)) FROM (SELECT repeat('x', 100000) || id AS s FROM events LIMIT 2000) t".to_owned(),
            None,
        ),
        (format!("SELECT json_array_length({}::json)", list("1", 20_000_000)), Some("53200")),
        (format!("SELECT length({}::jsonb::text)", list("1e1000", 1_000_000)), Some("53200")),
        (format!("SELECT jsonb_array_length({}::jsonb)", list("1e1000", 100_000)), Some("53200")),
        (format!("SELECT jsonb_array_length({}::jsonb)", list("1", 100_000)), None),
        (format!("SELECT jsonb_path_exists({}::jsonb, '$ ? (@ == 1)')", list("1", 3_000_000)), Some("53200")),
    ] {
        let found = attack(&server, || refusal(&mut sam, &sql));
        assert_eq!(found.map(|(code, _)| code).as_deref(), refused, "{sql}");
    }
    assert_free(&server);
}

/// Statements that take as much again as they hold in one step, and whether they must be refused.
const DOUBLING: &[(&str, bool)] = &[
    // A text of 33 MB is joined with itself.
    (
        "WITH RECURSIVE r AS (SELECT repeat('x', 1000) t UNION ALL SELECT t || t FROM r) SELECT max(length(t)) FROM r",
        true,
    ),
    // What is gathered is copied when the array is made.
    ("SELECT cardinality(array_agg(repeat('x', 1000) || g)) FROM generate_series(1, 60000) g", true),
    ("SELECT ARRAY(SELECT array_fill(1, ARRAY[1000]) FROM generate_series(1, 100000))", true),
    // A row of a product is copied for each row of a batch.
    (
        "SELECT max(length(x) + g) FROM (SELECT repeat(chr(i::int + 64), 1000000) AS x FROM generate_series(1, 3) i) a \
         CROSS JOIN generate_series(1, 500) g",
        false,
    ),
    (
        "SELECT max(length(x) + g) FROM (SELECT repeat(chr(i::int + 64), 1000000) AS x FROM generate_series(1, 3) i) a \
         JOIN generate_series(1, 500) g ON length(x) > g",
        false,
    ),
    // So is one beside each element of its list.
    (
        "SELECT max(length(x) + u) FROM (SELECT repeat(chr(i::int + 64), 1000000) AS x, ARRAY(SELECT generate_series(1, 500)) y \
         FROM generate_series(1, 3) i OFFSET 0) a, unnest(y) u",
        true,
    ),
    // The value of a subquery is written into each row.
    (
        "SELECT sum(length(coalesce(nullif(w, ''), ''))) FROM (SELECT CASE WHEN i % 2 = 0 THEN \
         (SELECT repeat('z', 1000000) || max(h) FROM generate_series(1, 3) h) ELSE 'a' END w FROM generate_series(1, 2000) i) q",
        false,
    ),
    // Tables of groups double, and are spilled.
    ("SELECT count(DISTINCT repeat('y', 10000) || g) FROM generate_series(1, 20000) g", false),
    ("SELECT count(DISTINCT array_fill(g, ARRAY[10000])) FROM generate_series(1, 3000) g", false),
];

#[test]
fn steps_that_double_what_a_statement_holds() {
    let variant = Variant::new(|config| config.replace("memory_per_query = \"512MB\"", "memory_per_query = \"64MB\""));
    let server = variant.serve_by(&ALLOCATOR);
    let mut sam = RawClient::login(server.postgres, "sam");
    // What is made once is no statement's.
    assert_eq!(refusal(&mut sam, "SELECT count(DISTINCT g) FROM generate_series(1, 100000) g"), None);
    for (sql, is_refused) in DOUBLING {
        let before = server.resident_bytes();
        let (found, most) = watched(&server, || refusal(&mut sam, sql));
        let grown = most.saturating_sub(before);
        println!("{} MB: {sql}", grown >> 20);
        assert!(grown <= ALONE, "{} MB: {sql}", grown >> 20);
        assert!(found.as_ref().map_or(!is_refused, |(code, _)| code == "53200"), "{sql}: {found:?}");
    }
}

#[test]
fn long_work_on_one_value_hears_its_deadline() {
    let (_variant, server) = serve();
    let mut sam = RawClient::login(server.postgres, "sam");
    assert_eq!(refusal(&mut sam, "SET statement_timeout = '2s'"), None);
    let pairs = "strict $[*] ? (@ == $[*])";
    let sql = format!("SELECT jsonb_path_exists(('[' || repeat('1,', 100000) || '1]')::jsonb, '{pairs}')");
    let began = Instant::now();
    assert_eq!(refusal(&mut sam, &sql).map(|(code, _)| code).as_deref(), Some("57014"), "{sql}");
    assert!(began.elapsed() < Duration::from_secs(60), "{sql}: {:?}", began.elapsed());
}
