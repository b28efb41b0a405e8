//! Every scalar function of the table with extreme arguments, under small limits: each call ends with its time and within its memory,
//! and another user looks things up meanwhile.
//!
//! `QUERYGATE_EXTREMES`: calls of each function, 6 if it is not set.

use querygate_tests::server::{Frame, RawClient, Server, Variant};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TABLE: &str = include_str!("../../../engine/semantics/src/bounds/functions.tsv");

/// Long, many, deep, huge, small, none.
const EXTREMES: [&str; 20] = [
    "repeat('ab', 1000000)",
    "repeat('a', 1000000) || 'b'",
    "repeat('a,', 500000)",
    "repeat('%a', 30000)",
    "repeat('(a*)', 2000) || 'b'",
    "repeat('%s', 100000)",
    "'x'",
    "','",
    "7",
    "2147483647",
    "-5",
    "1e-7::numeric",
    "('1' || repeat('0', 100000))::numeric",
    "1.5e300::float8",
    "convert_to(repeat('a', 1000000) || 'b', 'utf8')",
    "string_to_array(repeat('a,', 100000), ',')",
    "array_fill(1, ARRAY[200000])",
    "('[' || repeat('1,', 100000) || '1]')::jsonb",
    "timestamp '2000-01-01'",
    "interval '100000 years'",
];

/// The limit of a statement's time, and how long it may take until its end is heard while other tests keep the machine busy.
const TIME: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_secs(15);
/// The limit of a statement's memory, and what the process may have more than at rest: pages that were given back stay with it for
/// some seconds.
const MEMORY: &str = "64MB";
const GROWN_MAX: u64 = 400 << 20;

fn run(client: &mut RawClient, sql: &str) -> Option<String> {
    client.query(sql);
    let frames: Vec<Frame> = client.read_until(b'Z');
    frames.iter().find(|frame| frame.tag == b'E').and_then(|frame| frame.field(b'C'))
}

/// Numbers that look like chance, the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Calls of each function, with one, two and three arguments in turns.
fn calls() -> Vec<String> {
    let each = std::env::var("QUERYGATE_EXTREMES").ok().and_then(|count| count.parse().ok()).unwrap_or(6);
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut calls = Vec::new();
    for line in TABLE.lines() {
        let (kind, rest) = line.split_once('\t').unwrap();
        if !matches!(kind, "scalar" | "own") {
            continue;
        }
        let name = rest.split('\t').next().unwrap();
        for number in 0..each {
            let arguments: Vec<&str> = (0..=number % 3).map(|_| EXTREMES[numbers.below(EXTREMES.len())]).collect();
            calls.push(format!("SELECT count({name}({}))", arguments.join(", ")));
        }
    }
    calls
}

/// The longest look-up of another user until told to stop.
fn look_up(server: &Server, over: &AtomicBool) -> Duration {
    let mut client = RawClient::login(server.postgres, "iris");
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        assert_eq!(run(&mut client, "SELECT count(*) FROM accounts"), None);
        longest = longest.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

#[test]
fn calls_with_extreme_arguments_end_within_their_bounds() {
    let variant = Variant::new(|config| {
        config.replace("memory_per_query = \"512MB\"", &format!("memory_per_query = \"{MEMORY}\""))
    });
    let server = variant.serve();
    let calls = calls();
    let (over, grown, late) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::new()));
    let before = server.resident_bytes();
    let looked = std::thread::scope(|scope| {
        let others = scope.spawn(|| look_up(&server, &over));
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                grown.fetch_max(server.resident_bytes().saturating_sub(before), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut client = RawClient::login(server.postgres, "ada");
        assert_eq!(run(&mut client, &format!("SET statement_timeout = {}", TIME.as_millis())), None);
        let mut longest = (Duration::ZERO, "");
        for call in &calls {
            let (began, most) = (Instant::now(), grown.load(Ordering::Relaxed));
            let code = run(&mut client, call);
            let took = began.elapsed();
            longest = longest.max((took, call));
            if took > AT_MOST
                || code.as_deref() == Some("XX000")
                || code.as_deref().is_some_and(|c| c.starts_with("08"))
            {
                late.lock().unwrap().push(format!("{call}: {took:?}, {code:?}"));
            }
            let now = grown.load(Ordering::Relaxed);
            if now > GROWN_MAX && now > most {
                late.lock().unwrap().push(format!("{call}: {} MB more, {code:?}", now >> 20));
            }
        }
        eprintln!("{} calls, the longest took {:?}: {}", calls.len(), longest.0, longest.1);
        over.store(true, Ordering::Relaxed);
        others.join().unwrap()
    });
    eprintln!("{} MB more, and looked up within {looked:?}", grown.load(Ordering::Relaxed) >> 20);
    let late = late.into_inner().unwrap();
    assert!(late.is_empty(), "{}", late.join("\n"));
    assert!(looked < AT_MOST, "{looked:?}");
}
