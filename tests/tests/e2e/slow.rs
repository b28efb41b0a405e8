//! One client that reads a huge result slowly while ten others work: the server must neither hold the result nor let
//! anyone wait for the slow one.

use querygate_tests::server::{RawClient, Variant};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Observed {
    rows: u64,
    highest: u64,
    answered: u64,
    slowest: Duration,
}

/// Reads `rows` rows of a cross join, resting between reads, while ten sessions ask small questions.
fn read_slowly(rows: u64, rest: Duration) -> Observed {
    let variant = Variant::new(|config| config.replace("statement_timeout = \"5min\"", "statement_timeout = \"0s\""));
    let server = variant.serve();
    let done = AtomicBool::new(false);
    let (answered, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut slow = RawClient::login(server.postgres, "ada");
    let mut others: Vec<RawClient> = (0..10).map(|_| RawClient::login(server.postgres, "iris")).collect();
    for other in &mut others {
        other.query("SELECT count(*) FROM accounts");
        other.read_until(b'Z');
    }
    let before = server.resident_bytes();
    let (mut read, mut highest) = (0, before);
    std::thread::scope(|scope| {
        for mut other in others {
            let (done, answered, slowest) = (&done, &answered, &slowest);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    other.query("SELECT count(*), max(name) FROM accounts WHERE rating = 3");
                    let frames = other.read_until(b'Z');
                    assert!(frames.iter().any(|frame| frame.tag == b'D'), "{frames:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    let took = u64::try_from(started.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
        slow.query(&format!(
            "SELECT e.id, e.account_id, e.occurred_at, r.id AS again FROM events e CROSS JOIN accounts r LIMIT {rows}"
        ));
        read = count_rows(&mut slow, rest, || highest = highest.max(server.resident_bytes()));
        done.store(true, Ordering::Relaxed);
    });
    assert!(server.is_alive());
    eprintln!(
        "{read} rows, resident before {} MB, highest {} MB, {} answers to ten others, slowest {} ms",
        before >> 20,
        highest >> 20,
        answered.load(Ordering::Relaxed),
        slowest.load(Ordering::Relaxed)
    );
    Observed {
        rows: read,
        highest: highest - before,
        answered: answered.into_inner(),
        slowest: Duration::from_millis(slowest.into_inner()),
    }
}

/// Counts DataRows without keeping them; rests after each 4 MB.
fn count_rows(client: &mut RawClient, rest: Duration, mut sample: impl FnMut()) -> u64 {
    let mut buffer = vec![0; 1 << 16];
    let (mut held, mut rows, mut since) = (Vec::new(), 0, 0);
    loop {
        let count = client.tcp.read(&mut buffer).unwrap();
        assert!(count > 0, "the server closed after {rows} rows");
        held.extend_from_slice(&buffer[..count]);
        let mut from = 0;
        while let Some(head) = held.get(from..from + 5) {
            let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).unwrap();
            if held.len() < from + 1 + length {
                break;
            }
            match head[0] {
                b'D' => rows += 1,
                b'E' => panic!("after {rows} rows: {}", String::from_utf8_lossy(&held[from..=from + length])),
                b'Z' => return rows,
                _ => {}
            }
            from += 1 + length;
        }
        held.drain(..from);
        since += count;
        if since > 4 << 20 {
            since = 0;
            sample();
            std::thread::sleep(rest);
        }
    }
}

fn check(observed: &Observed, rows: u64) {
    assert_eq!(observed.rows, rows);
    // A result that is held would need 60 bytes a row; this is about what the queries themselves use.
    assert!(observed.highest < 300 << 20, "{} MB grown", observed.highest >> 20);
    // Ten clients, each answered several times meanwhile; how often is the machine's affair.
    assert!(observed.answered >= 20, "{} answers", observed.answered);
    assert!(observed.slowest < Duration::from_secs(20), "{:?}", observed.slowest);
}

#[test]
fn five_million_rows_read_slowly_are_not_held() {
    check(&read_slowly(5_000_000, Duration::from_millis(20)), 5_000_000);
}

/// `cargo test -p querygate-tests --test e2e fifty_million -- --ignored --nocapture`
#[test]
#[ignore = "takes many minutes"]
fn fifty_million_rows_read_slowly_are_not_held() {
    check(&read_slowly(50_000_000, Duration::from_millis(20)), 50_000_000);
}
