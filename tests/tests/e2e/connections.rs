//! Many connections at once in a process that starts with a low limit of open files: idle ones cost little and stay, busy ones
//! are all answered, and the one too many is told so. A thousand idle ones, and what was measured:
//! `QUERYGATE_CONNECTIONS=1000 cargo test -p querygate-tests --test e2e connections -- --nocapture`.

use querygate_tests::server::{RawClient, Variant};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Idle connections, unless `QUERYGATE_CONNECTIONS` says another number; a tenth as many are busy.
const IDLE: usize = 300;
/// Connections that are there before memory is looked at.
const FIRST: usize = 50;
/// Questions of each busy connection.
const ROUNDS: usize = 10;
/// An idle connection after one statement, in a build without optimization.
const IDLE_BYTES_MAX: u64 = 48 << 10;
/// What all of them may add to the server's memory.
const GROWTH_MAX: u64 = 256 << 20;
/// Fewer files than connections and what else a server opens, so that it has to raise its own limit.
const FEW_FILES: &[&str] = &["/bin/sh", "-c", r#"ulimit -Sn 256 && exec "$0" "$@""#];

fn answers(client: &mut RawClient) {
    client.query("SELECT id FROM regions WHERE id = 'emea'");
    let frames = client.read_until(b'Z');
    assert!(frames.iter().any(|frame| frame.tag == b'D' && frame.body.ends_with(b"emea")), "{frames:?}");
}

/// Logs in `count` clients, four at a time; each asks once.
fn come_in(address: SocketAddr, count: usize) -> Vec<RawClient> {
    let one = move || {
        let mut client = RawClient::login(address, "sam");
        answers(&mut client);
        client
    };
    std::thread::scope(|scope| {
        let share = move |n: usize| (n..count).step_by(4).map(move |_| one()).collect::<Vec<_>>();
        let parts: Vec<_> = (0..4).map(|n| scope.spawn(move || share(n))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// All ask at the same time, each its rounds; gives the longest that one answer took.
fn work(clients: &mut [RawClient]) -> Duration {
    std::thread::scope(|scope| {
        let rounds = |client: &mut RawClient| {
            let took = |_| {
                let asked = Instant::now();
                answers(client);
                asked.elapsed()
            };
            (0..ROUNDS).map(took).max().unwrap()
        };
        let busy: Vec<_> = clients.iter_mut().map(|client| scope.spawn(move || rounds(client))).collect();
        busy.into_iter().map(|client| client.join().unwrap()).max().unwrap()
    })
}

#[test]
fn many_idle_and_busy_connections_fit_and_one_more_is_told_so() {
    let idle_count = std::env::var("QUERYGATE_CONNECTIONS").map_or(IDLE, |count| count.parse().unwrap());
    let busy_count = idle_count / 10;
    let mine = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &mine, "--nofile=4096:"]).status().unwrap();
    assert!(raised.success(), "this test needs 4,096 open files");
    let count = idle_count + busy_count;
    let limit = format!("[server]\nconnection_max = {count}\nconnections_per_user_max = {count}\n");
    let variant = Variant::new(|config| config.replace("[server]\n", &limit));
    let server = variant.serve_by(FEW_FILES);
    let mut clients = come_in(server.postgres, FIRST);
    let (before, began) = (server.resident_bytes(), Instant::now());
    clients.extend(come_in(server.postgres, idle_count - FIRST));
    let each = began.elapsed() / u32::try_from(idle_count - FIRST).unwrap();
    let idle = server.resident_bytes().saturating_sub(before) / (idle_count - FIRST) as u64;
    let mut busy = come_in(server.postgres, busy_count);
    let began = Instant::now();
    let slowest = work(&mut busy);
    let seconds = began.elapsed().as_secs_f64();
    let grown = server.resident_bytes().saturating_sub(before);
    eprintln!(
        "{idle_count} idle connections of {idle} bytes each, {each:?} to log in and ask; {busy_count} busy ones asked {:.0} times a second, \
         {slowest:?} at most; {} MiB more in all",
        (busy_count * ROUNDS) as f64 / seconds,
        grown >> 20
    );
    assert!(idle < IDLE_BYTES_MAX, "{idle} bytes for an idle connection");
    assert!(grown < GROWTH_MAX, "{} MiB more", grown >> 20);
    let mut late = RawClient::connect(server.postgres);
    late.startup(&[("user", "sam"), ("database", "demo")]);
    let refusal = late.read().unwrap();
    assert_eq!((refusal.tag, refusal.field(b'C').as_deref()), (b'E', Some("53300")), "{refusal:?}");
    clients.iter_mut().for_each(answers);
}
