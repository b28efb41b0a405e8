//! What one user cannot take from all others: connections to sources, turns to run statements, sessions, memory by short texts that
//! make long ones.

use querygate_tests::server::{Frame, RawClient, Server, Variant, runtime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

/// More rows than fit between a source and a reader who does not read.
const ENDLESS: &str = "SELECT a.id FROM accounts a, accounts b";

fn with_limits(limits: &str) -> Variant {
    Variant::new(|config| config.replace("[limits]\n", &format!("[limits]\n{limits}\n")))
}

fn error_of(frames: &[Frame]) -> Option<String> {
    frames.iter().find(|frame| frame.tag == b'E').and_then(|frame| frame.field(b'C'))
}

fn run(client: &mut RawClient, sql: &str) -> Option<String> {
    client.query(sql);
    error_of(&client.read_until(b'Z'))
}

/// Opens a cursor, and reads its first row.
fn open(client: &mut RawClient, cursor: &str) -> Option<String> {
    assert_eq!(run(client, &format!("DECLARE {cursor} CURSOR WITH HOLD FOR {ENDLESS}")), None);
    run(client, &format!("FETCH 1 FROM {cursor}"))
}

fn counts_accounts(server: &Server, user: &str) -> Duration {
    let began = Instant::now();
    assert_eq!(run(&mut RawClient::login(server.postgres, user), "SELECT count(*) FROM accounts"), None, "{user}");
    began.elapsed()
}

#[test]
fn idle_cursors_leave_connections_to_others() {
    // Of four connections a session may hold two, and a user three.
    let variant = with_limits("source_rest_max = \"300ms\"");
    let server = variant.serve();
    let mut one = RawClient::login(server.postgres, "sam");
    let mut other = RawClient::login(server.postgres, "sam");
    assert_eq!([open(&mut one, "a"), open(&mut one, "b"), open(&mut other, "c")], [None, None, None]);
    assert_eq!(open(&mut one, "d").as_deref(), Some("53300"));
    assert_eq!(open(&mut other, "d").as_deref(), Some("53300"));
    counts_accounts(&server, "iris");
    let mut holder = RawClient::login(server.postgres, "iris");
    assert_eq!(open(&mut holder, "a"), None);
    // Now there is none left: somebody who waits is worth more than a result that nobody reads.
    let waited = counts_accounts(&server, "ada");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    let is_lost = |client: &mut RawClient, cursor: &str| {
        let read = run(client, &format!("FETCH 60000 FROM {cursor}"));
        assert!(matches!(read.as_deref(), None | Some("53300")), "{read:?}");
        run(client, &format!("CLOSE {cursor}"));
        read.is_some()
    };
    let lost = [is_lost(&mut one, "a"), is_lost(&mut one, "b"), is_lost(&mut other, "c")];
    assert_eq!(lost.into_iter().filter(|lost| *lost).count(), 1, "one of who holds the most was taken back");
    assert_eq!(run(&mut holder, "FETCH 60000 FROM a"), None);
    assert_eq!(open(&mut one, "again"), None);
}

#[test]
fn statements_that_sleep_leave_turns_to_others() {
    let variant = with_limits("queries_max = 4");
    let server = variant.serve();
    let mut asleep: Vec<RawClient> = (0..8).map(|_| RawClient::login(server.postgres, "sam")).collect();
    for client in &mut asleep {
        client.query("SELECT pg_sleep(600)");
    }
    std::thread::sleep(Duration::from_millis(500));
    for user in ["iris", "ada"] {
        let took = counts_accounts(&server, user);
        assert!(took < Duration::from_secs(10), "{user} waited {took:?}");
    }
}

#[test]
fn sessions_of_one_user_leave_places_to_others() {
    let variant = Variant::new(|config| config.replace("[server]\n", "[server]\nconnection_max = 12\n"));
    let server = variant.serve();
    let mut held: Vec<RawClient> = (0..6).map(|_| RawClient::login(server.postgres, "sam")).collect();
    let refused = |user: &str| {
        let config = server.config(user);
        runtime().block_on(async { config.connect(tokio_postgres::NoTls).await.err() })
    };
    let error = refused("sam").expect("a seventh session of one user");
    assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS), "{error}");
    let _ada = RawClient::login(server.postgres, "ada");
    held.pop();
    let came_in = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        refused("sam").is_none()
    });
    assert!(came_in, "a place is free when a session ends");
}

/// Runs statements; gives their codes, and by how many bytes the process grew meanwhile at most.
fn codes(server: &Server, texts: &[String]) -> (Vec<Option<String>>, u64) {
    let done = AtomicBool::new(false);
    let before = server.resident_bytes();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(server.resident_bytes());
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let mut client = RawClient::login(server.postgres, "ada");
        let codes = texts.iter().map(|sql| run(&mut client, sql)).collect();
        done.store(true, Ordering::Relaxed);
        (codes, watch.join().unwrap().saturating_sub(before))
    })
}

#[test]
fn texts_that_expressions_make_are_of_the_statements_memory() {
    let variant = Variant::new(|config| config.replace("memory_per_query = \"512MB\"", "memory_per_query = \"192MB\""));
    let server = variant.serve();
    counts_accounts(&server, "ada");
    let long = |count: usize, separator: &str| vec!["repeat('a', 60000000)"; count].join(separator);
    let refused = [
        format!("SELECT length(concat({}))", long(30, ", ")),
        format!("SELECT length({})", long(30, " || ")),
        format!("SELECT {}", (10..40).map(|n| format!("repeat('{n}', 30000000)")).collect::<Vec<_>>().join(", ")),
        format!("SELECT cardinality(ARRAY[{}])", long(30, ", ")),
        format!("SELECT length(json_build_array({})::text) FROM (SELECT repeat('x', 6000000) a) q", vec!["a"; 80].join(", ")),
        format!("SELECT length(concat_ws(a, {})) FROM (SELECT repeat('x', 6000000) a) q", vec!["1"; 80].join(", ")),
        "SELECT cardinality(regexp_matches(repeat('a', 60000000), 'a', 'g'))".to_owned(),
        "SELECT sum(length(repeat(name, 100000) || repeat(name, 100000))) FROM accounts".to_owned(),
        "SELECT length(string_agg(repeat(name, 100000), ',')) FROM accounts".to_owned(),
        "SELECT cardinality(array_agg(repeat(name, 100000))) FROM accounts".to_owned(),
        "WITH a AS (SELECT repeat(max(name), 1000000) AS t FROM accounts), b AS (SELECT t || t || t || t AS t FROM a), \
         c AS (SELECT t || t || t || t AS t FROM b) SELECT length(t || t || t || t) FROM c"
            .to_owned(),
    ];
    let (found, grown) = codes(&server, &refused);
    for (sql, code) in refused.iter().zip(&found) {
        assert!(matches!(code.as_deref(), Some("53200" | "54000")), "{}…: {code:?}", &sql[..40]);
    }
    assert!(grown < 768 << 20, "{} MB more", grown >> 20);
    // What is made of a batch is charged while it is made, and no longer.
    let answered = [
        "SELECT count(*) FROM events WHERE id || kind || id = 'x'".to_owned(),
        "SELECT max(length(concat(id, kind, repeat(kind, 20)))) FROM events".to_owned(),
        "SELECT length(repeat('a', 60000000))".to_owned(),
        "SELECT string_agg(name || '-' || id, ',') FROM accounts".to_owned(),
    ];
    let (found, _) = codes(&server, &answered);
    assert_eq!(found, [None, None, None, None]);
}

#[test]
fn constants_end_with_the_statement_that_waits_for_them() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let mut client = RawClient::login(server.postgres, "sam");
    assert_eq!(run(&mut client, "SET statement_timeout = '300ms'"), None);
    let columns: Vec<String> = (0..1_000).map(|n| format!("md5(repeat('abcdefgh{n}', 3000000))")).collect();
    let began = Instant::now();
    let ended = run(&mut client, &format!("SELECT {}", columns.join(", ")));
    assert!(matches!(ended.as_deref(), Some("57014" | "53200")), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    counts_accounts(&server, "iris");
}

#[test]
fn what_computes_long_ends_with_its_statement() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    counts_accounts(&server, "iris");
    let lasting = [
        r"SELECT count(*) FROM generate_series(1, 8192) g WHERE regexp_count('x', '\w{80}' || g) > 0",
        r"SELECT count(*) FROM generate_series(1, 8192) g WHERE 'x' ~ ('\w{80}' || g)",
        r"SELECT count(*) FROM generate_series(1, 8192) g WHERE regexp_like('x', '\w{80}' || g)",
        "SELECT ('[' || repeat('1,', 200000) || '2]')::jsonb @> ('[' || repeat('2,', 200000) || '2]')::jsonb",
        "SELECT repeat('a', 1000000) LIKE ANY (ARRAY['%' || repeat('a_', 50000) || 'b%'])",
    ];
    for sql in lasting {
        // As many as there are threads for queries, or more.
        let mut clients: Vec<RawClient> = (0..2).map(|_| RawClient::login(server.postgres, "sam")).collect();
        for client in &mut clients {
            assert_eq!(run(client, "SET statement_timeout = '500ms'"), None);
            client.query(sql);
        }
        for client in &mut clients {
            let ended = error_of(&client.read_until(b'Z'));
            assert_eq!(ended.as_deref(), Some("57014"), "{sql}");
        }
        let took = counts_accounts(&server, "iris");
        assert!(took < Duration::from_secs(5), "{sql}: others waited {took:?}");
    }
    // The product of two lengths, which are taken one after the other now.
    let quick = [
        "SELECT string_to_array(repeat('a,', 300000), ',') && string_to_array(repeat('b,', 300000) || 'b', ',')",
        "SELECT string_to_array(repeat('b,', 300000) || 'a', ',') @> string_to_array(repeat('a,', 300000) || 'a', ',')",
        "SELECT repeat('a', 1000000) LIKE ANY (ARRAY['%' || repeat('a', 100000) || 'b'])",
    ];
    let mut client = RawClient::login(server.postgres, "sam");
    assert_eq!(run(&mut client, "SET statement_timeout = '30s'"), None);
    for sql in quick {
        assert_eq!(run(&mut client, sql), None, "{sql}");
    }
}

#[test]
fn frames_that_grow_are_of_the_statements_memory_and_end_with_it() {
    let variant = Variant::new(|config| config.replace("memory_per_query = \"512MB\"", "memory_per_query = \"192MB\""));
    let server = variant.serve();
    counts_accounts(&server, "ada");
    let growing = [
        "SELECT sum(length(s)) FROM (SELECT string_agg(g::text, ',') OVER (ORDER BY g) s FROM generate_series(1, 60000) g) q",
        "SELECT sum(cardinality(s)) FROM (SELECT array_agg(g) OVER (ORDER BY g) s FROM generate_series(1, 60000) g) q",
        "SELECT count(s) FROM (SELECT string_agg(g::text, ',') OVER () s FROM generate_series(1, 60000) g) q",
        "SELECT count(s) FROM (SELECT array_agg(g) OVER (PARTITION BY g % 2) s FROM generate_series(1, 60000) g) q",
        // One long value for each of many rows.
        "SELECT count(s) FROM (SELECT max(CASE g WHEN 1 THEN repeat('x', 20000) END) OVER () s FROM generate_series(1, 60000) g) q",
        "SELECT count(s) FROM (SELECT min(CASE g WHEN 1 THEN repeat('x', 20000) END) OVER (ORDER BY g) s FROM generate_series(1, 60000) g) q",
        "SELECT count(s) FROM (SELECT first_value(CASE g WHEN 1 THEN repeat('x', 20000) END) OVER (ORDER BY g) s FROM generate_series(1, 60000) g) q",
        // Rows that a window over a whole partition waits for.
        "SELECT sum(length(y)), sum(c) FROM (SELECT y, count(*) OVER () c FROM (SELECT repeat('x', 10000) || g y FROM generate_series(1, 60000) g) p) q",
        "SELECT count(s) FROM (SELECT nth_value(CASE g WHEN 2 THEN repeat('x', 20000) END, 2) OVER (ORDER BY g) s FROM generate_series(1, 60000) g) q",
    ];
    let (found, grown) = codes(&server, &growing.map(str::to_owned));
    assert!(found.iter().all(|code| code.as_deref() == Some("53200")), "{found:?}");
    assert!(grown < 768 << 20, "{} MB more", grown >> 20);
    let answered = [
        "SELECT max(length(s)) FROM (SELECT string_agg(g::text, ',') OVER (ORDER BY g) s FROM generate_series(1, 2000) g) q",
        "SELECT count(s) FROM (SELECT array_agg(g) OVER (PARTITION BY g / 10) s FROM generate_series(1, 60000) g) q",
        "SELECT max(s) FROM (SELECT median(g) OVER (ORDER BY g ROWS 100 PRECEDING) s FROM generate_series(1, 2000) g) q",
        "SELECT array_agg(g) OVER (ORDER BY g ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM generate_series(1, 60000) g",
        "SELECT sum(length(y)), sum(c) FROM (SELECT y, count(*) OVER () c FROM (SELECT repeat('x', 100) || g y FROM generate_series(1, 60000) g) p) q",
        "SELECT count(s), max(f) FROM (SELECT max(g::text) OVER () s, first_value(g::text) OVER (ORDER BY g) f FROM generate_series(1, 60000) g) q",
    ];
    let (found, _) = codes(&server, &answered.map(str::to_owned));
    assert!(found.iter().all(Option::is_none), "{found:?}");
    let mut client = RawClient::login(server.postgres, "sam");
    assert_eq!(run(&mut client, "SET statement_timeout = '500ms'"), None);
    let sorted = "SELECT max(s) FROM (SELECT median(g) OVER (ORDER BY g ROWS BETWEEN 50000 PRECEDING AND CURRENT ROW) s \
                  FROM generate_series(1, 200000) g) q";
    assert_eq!(run(&mut client, sorted).as_deref(), Some("57014"));
    let took = counts_accounts(&server, "iris");
    assert!(took < Duration::from_secs(5), "others waited {took:?}");
}

#[test]
fn long_rows_of_joins_get_their_turns() {
    let server = Variant::new(|config| config.to_owned()).serve();
    let mut client = RawClient::login(server.postgres, "sam");
    assert_eq!(run(&mut client, "SET statement_timeout = '60s'"), None);
    let one_by_one = |count: usize, of: &dyn Fn(usize) -> String, between: &str| {
        (0..count).map(of).collect::<Vec<_>>().join(between)
    };
    let excepts = one_by_one(200, &|n| format!("SELECT {n}"), " EXCEPT ");
    let values = one_by_one(150, &|n| format!("(VALUES (1), ({n})) t{n}(a)"), ", ");
    for sql in [
        excepts,
        format!("SELECT count(*) FROM {values} WHERE {}", one_by_one(150, &|n| format!("t{n}.a = 1"), " AND ")),
    ] {
        assert_eq!(run(&mut client, &sql), None, "{sql:.60}");
    }
}
