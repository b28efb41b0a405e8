//! Every function, operator, cast, aggregate, window and clause with extreme values, under small limits: each statement ends with its time
//! and within its memory, nothing of it goes on, and another user looks things up meanwhile.
//!
//! `QUERYGATE_EXTREMES`: how many statements, 600 if it is not set. `QUERYGATE_EXTREMES_SEED`: which ones. `QUERYGATE_EXTREMES_TABLE`: a
//! file for a line of each.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

#[path = "extremes/calls.rs"]
mod calls;
#[path = "extremes/numbers.rs"]
mod numbers;
#[path = "extremes/process.rs"]
mod process;
#[path = "extremes/uploads.rs"]
mod uploads;
#[path = "extremes/values.rs"]
mod values;

use calls::{Call, Catalog};
use numbers::Numbers;
use process::Process;
use querygate_tests::server::{Server, Variant, runtime};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Error};

/// The limit of a statement's time, and how long it may take until its end is heard while other tests keep the machine busy.
const TIME: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_secs(15);
/// The limit of a statement's memory, and what the process may have more than before it. Beyond the limit and a quarter of it a statement
/// is named; some take a step that is larger.
const MEMORY: u64 = 64 << 20;
const NAMED: u64 = MEMORY / 4 * 5;
const GROWN_MAX: u64 = 4 * MEMORY;
/// The same for statements of the kinds that were found.
const FOUND_MAX: u64 = 2 * MEMORY;
/// The allocator gives back at once, so that what the process has is what is held.
const ALLOCATOR: [&str; 2] = ["env", "_RJEM_MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0"];

/// What one statement came to.
struct Measured {
    took: Duration,
    /// How long the process computed after the answer.
    went_on: Duration,
    grown: u64,
    /// `None`: rows.
    code: Option<String>,
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

async fn texts(client: &Client, sql: &str) -> Vec<(String, Vec<String>)> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.into_iter().map(|row| (row.get(0), row.get::<_, Vec<String>>(1))).collect()
}

/// What may be called, as the gate says.
async fn catalog(client: &Client) -> Catalog {
    let functions = |kind: &str| {
        format!(
            "SELECT proname::text, ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) t)::text[] FROM pg_proc \
             WHERE prokind = '{kind}'"
        )
    };
    let operators = "SELECT oprname::text, CASE WHEN oprleft = 0 THEN ARRAY[format_type(oprright, NULL)] \
                     ELSE ARRAY[format_type(oprleft, NULL), format_type(oprright, NULL)] END::text[] FROM pg_operator";
    let internal = |(_, types): &(String, Vec<String>)| !types.iter().any(|t| t == "internal" || t == "cstring");
    Catalog {
        functions: texts(client, &functions("f")).await.into_iter().filter(internal).collect(),
        aggregates: texts(client, &functions("a")).await.into_iter().filter(internal).collect(),
        operators: texts(client, operators).await,
    }
}

async fn ended(client: &Client, call: &Call) -> Result<(), Error> {
    match &call.parameter {
        // The value of the expression, as a client would send it.
        Some(expression) => {
            let text: String = client.query_one(&format!("SELECT {expression}"), &[]).await?.get(0);
            client.query(&call.sql, &[&text]).await.map(drop)
        }
        None => client.simple_query(&call.sql).await.map(drop),
    }
}

async fn measured(client: &Client, process: &Process, call: &Call) -> Measured {
    process.begin();
    let began = Instant::now();
    let code = ended(client, call).await.err().map(|error| {
        error.code().map_or_else(|| format!("the connection ended: {error}"), |code| code.code().to_owned())
    });
    let took = began.elapsed();
    let went_on = if took + Duration::from_millis(50) > TIME { process.rests().await } else { Duration::ZERO };
    Measured { took, went_on, grown: process.grown(), code }
}

/// Look-ups of another user until told to stop: how long each took, sorted.
async fn look_ups(server: &Server, over: &AtomicBool) -> Vec<Duration> {
    let client = server.client("iris").await;
    let sql = client.prepare("SELECT name FROM accounts WHERE id = $1").await.unwrap();
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.query(&sql, &[&"acc_00010"]).await.expect("another user is served");
        all.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    all.sort();
    all
}

/// A line of what a statement came to, and whether it is beyond what is borne.
fn line(call: &Call, of: &Measured) -> (String, bool) {
    let lasted = of.took + of.went_on;
    let ended = of.code.as_deref().is_some_and(|code| code == "XX000" || code.len() != 5);
    let beyond = lasted > AT_MOST || of.grown > GROWN_MAX || ended;
    let text = format!(
        "{}\t{}\t{}\t{}\t{}",
        of.took.as_millis(),
        of.went_on.as_millis(),
        of.grown >> 20,
        of.code.as_deref().unwrap_or("rows"),
        call.sql
    );
    (text, beyond)
}

/// Each took several times its memory, or went on, before its kind was bounded.
const FOUND: &[&str] = &[
    "SELECT array_replace(array_fill('a'::text, ARRAY[1000000]), 'a', repeat('b', 1000))",
    "SELECT count(x) FROM (SELECT first_value(array_fill(1, ARRAY[1000])) OVER () AS x FROM generate_series(1, 1000000) g) q",
    "SELECT count(x) FROM (SELECT last_value(repeat('x', 10000)) OVER () AS x FROM generate_series(1, 1000000) g) q",
    "SELECT lag(repeat('x', 10000)) OVER () FROM generate_series(1, 100000)",
    "SELECT count(*) FROM events e WHERE e.kind = ANY (ARRAY(SELECT repeat('y', 10000) FROM generate_series(1, 1000) g))",
    "SELECT quote_literal(repeat('''', 30000000))",
    "SELECT reverse(repeat('é', 15000000))",
    "SELECT 'a' !~ repeat('ab', 1000000)",
    "SELECT count(*) FROM (SELECT repeat('y', 10000) AS x FROM generate_series(1, 1000) g) a \
     LEFT JOIN (SELECT repeat('y', 10000) AS x FROM generate_series(1, 1000) g) b ON a.x < b.x",
    "SELECT count(x) FROM (SELECT avg(('1' || repeat('0', 100000))::numeric) AS x FROM generate_series(1, 1000000) g) q",
    "SELECT count(*) FROM events a, events b, events c WHERE a.id <> b.id AND b.id <> c.id",
    "SELECT count(x) FROM (SELECT (c)::text::\"char\" AS x FROM \
     (SELECT repeat('9', 130000)::numeric AS c, g FROM generate_series(1, 1000) g OFFSET 0) s) q",
    "SELECT count(x) FROM (SELECT string_agg(convert_to(repeat('ab', 1000000), 'utf8'), ''::bytea \
     ORDER BY convert_to(repeat('ab', 1000000), 'utf8')) FILTER (WHERE g % 2 = 0) AS x FROM generate_series(1, 1000) g GROUP BY g % 10) q",
];

/// Others that were found, which have an answer or an error of their own, and what that is where there is time for it.
const ANSWERED: &[(&str, Option<&str>)] = &[
    (
        "SELECT count(*) FROM generate_series(1, 1000000) g \
         WHERE repeat('y', 10000) IN (SELECT repeat('y', 10000) FROM generate_series(1, 1000000) g)",
        None,
    ),
    (
        "SELECT count(*) FROM generate_series(1, 100000) g WHERE g % 3 IN (SELECT h % 3 FROM generate_series(1, 100000) h)",
        None,
    ),
    ("SELECT date_part('hour', repeat('a,', 5000000))", Some("22007")),
];

#[test]
fn what_was_found_stays_within_its_bounds() {
    let variant = Variant::new(|config| {
        config.replace("memory_per_query = \"512MB\"", &format!("memory_per_query = \"{}MB\"", MEMORY >> 20))
    });
    let server = variant.serve_by(&ALLOCATOR);
    let process = Process::of(server.pid);
    runtime().block_on(async {
        let client = server.client("ada").await;
        client.batch_execute(&format!("SET statement_timeout = {}", TIME.as_millis())).await.unwrap();
        for sql in FOUND {
            let call = Call { sql: (*sql).to_owned(), parameter: None };
            let came_to = measured(&client, &process, &call).await;
            let (text, beyond) = line(&call, &came_to);
            eprintln!("{text}");
            assert!(!beyond && came_to.grown <= FOUND_MAX, "{text}");
            assert!(matches!(came_to.code.as_deref(), Some("53200" | "54000" | "57014")), "{text}");
        }
        for (sql, code) in ANSWERED {
            let call = Call { sql: (*sql).to_owned(), parameter: None };
            let came_to = measured(&client, &process, &call).await;
            let (text, beyond) = line(&call, &came_to);
            eprintln!("{text}");
            assert!(!beyond && came_to.grown <= FOUND_MAX, "{text}");
            assert!(came_to.code.as_deref() == *code || came_to.code.as_deref() == Some("57014"), "{text}");
        }
    });
}

#[test]
fn statements_with_extreme_values_end_within_their_bounds() {
    let variant = Variant::new(|config| {
        config.replace("memory_per_query = \"512MB\"", &format!("memory_per_query = \"{}MB\"", MEMORY >> 20))
    });
    let server = variant.serve_by(&ALLOCATOR);
    let process = Process::of(server.pid);
    let (over, faults) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (count, seed) = (number("QUERYGATE_EXTREMES", 600), number("QUERYGATE_EXTREMES_SEED", 0x9E37_79B9_7F4A_7C15));
    let mut table = String::from("ms\tms after\tMB\tcode\tstatement\n");
    let (mut late, mut large) = (0, 0);
    let run = async {
        let catalog = catalog(&server.client("ada").await).await;
        let calls = calls::calls(usize::try_from(count).unwrap(), &catalog, &mut Numbers(seed));
        let mut client = server.client("ada").await;
        let limited = format!("SET statement_timeout = {}", TIME.as_millis());
        client.batch_execute(&limited).await.unwrap();
        for call in &calls {
            let came_to = measured(&client, &process, call).await;
            let (text, beyond) = line(call, &came_to);
            let lasted = came_to.took + came_to.went_on;
            late += usize::from(lasted > TIME + Duration::from_secs(1));
            large += usize::from(came_to.grown > NAMED);
            if beyond || came_to.grown > NAMED || lasted > TIME + Duration::from_secs(1) {
                eprintln!("{text}");
            }
            if beyond {
                faults.lock().unwrap().push(text.clone());
            }
            writeln!(table, "{text}").unwrap();
            if client.is_closed() {
                client = server.client("ada").await;
                client.batch_execute(&limited).await.unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    let (looked, ()) = runtime().block_on(async { tokio::join!(look_ups(&server, &over), run) });
    let at = |part: usize| looked[(looked.len() - 1) * part / 1000].as_millis();
    eprintln!("{count} statements, {late} late by a second, {large} over {} MB", NAMED >> 20);
    eprintln!(
        "{} look-ups of another user: median {} ms, p99 {} ms, longest {} ms",
        looked.len(),
        at(500),
        at(990),
        at(1000)
    );
    if let Some(path) = std::env::var_os("QUERYGATE_EXTREMES_TABLE") {
        std::fs::write(path, table).unwrap();
    }
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(looked.last().is_some_and(|longest| *longest < AT_MOST), "{looked:?}");
}
