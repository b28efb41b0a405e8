//! The HTTP door through its port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

use querygate_http::{HttpConfig, HttpDoor, Probes, Readiness};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(readiness: Readiness, change: impl FnOnce(&mut HttpConfig)) -> Running {
    let probes =
        Probes { readiness: Arc::new(move || readiness.clone()), metrics: Arc::new(|| "querygate_up 1\n".to_owned()) };
    let mut config = HttpConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    change(&mut config);
    let door = HttpDoor::bind(config, probes).await.unwrap();
    let addr = door.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(door.serve(async move {
        let _ = stopped.await;
    }));
    Running { addr, stop, task }
}

fn ready() -> Readiness {
    Readiness {
        metadata_version: Some(3),
        objects: 2,
        reload_refused: false,
        reloads: 0,
        restart_needed: Vec::new(),
        sources_up: 1,
        sources_down: 1,
        stopping: false,
    }
}

async fn ask(addr: SocketAddr, request: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

#[tokio::test]
async fn the_probes_answer() {
    let running = start(ready(), |_| {}).await;
    let (status, body) = ask(running.addr, "GET /healthz").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"alive\""), "{body}");
    let (status, body) = ask(running.addr, "GET /readyz").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"degraded\"") && body.contains("\"version\":3"), "{body}");
    assert!(body.contains("\"sources\":{\"up\":1,\"down\":1}"), "how many, and not which: {body}");
    assert_eq!(ask(running.addr, "GET /metrics").await, (200, "querygate_up 1\n".to_owned()));
    let (status, body) = ask(running.addr, "GET /nothing").await;
    assert_eq!(status, 404);
    assert!(body.contains("ROUTE_NOT_FOUND"), "{body}");
    assert_eq!(ask(running.addr, "POST /healthz").await.0, 405);
}

#[tokio::test]
async fn a_refused_reload_is_told_and_the_gate_answers() {
    let refused = Readiness { reload_refused: true, sources_down: 0, ..ready() };
    let running = start(refused, |_| {}).await;
    let (status, body) = ask(running.addr, "GET /readyz").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"degraded\"") && body.contains("\"reload_refused\":true"), "{body}");
}

#[tokio::test]
async fn without_metadata_the_gate_is_not_ready() {
    let running = start(Readiness::default(), |_| {}).await;
    let (status, body) = ask(running.addr, "GET /readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"starting\""), "{body}");
    assert_eq!(ask(running.addr, "GET /healthz").await.0, 200);
}

#[tokio::test]
async fn a_gate_that_stops_lives_and_is_not_ready() {
    let running = start(Readiness { stopping: true, ..ready() }, |_| {}).await;
    let (status, body) = ask(running.addr, "GET /readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"stopping\"") && body.contains("\"version\":3"), "{body}");
    assert_eq!(ask(running.addr, "GET /healthz").await.0, 200);
}

#[tokio::test]
async fn silent_clients_are_closed_and_shutdown_does_not_wait_for_them() {
    let running = start(ready(), |config| {
        config.connection_max = 2;
        config.idle_timeout = Duration::from_millis(50);
        config.drain_timeout = Duration::from_millis(50);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut tcp = TcpStream::connect(running.addr).await.unwrap();
        tcp.write_all(b"GET /heal").await.unwrap();
        silent.push(tcp);
    }
    // Two hold all places; the answer comes once they are closed.
    assert_eq!(ask(running.addr, "GET /healthz").await.0, 200);
    running.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running.task).await.unwrap().unwrap();
}

/// A request that never ends, a little at a time, until the gate closes the connection.
async fn drip(mut tcp: TcpStream, head: &str) {
    tcp.write_all(head.as_bytes()).await.unwrap();
    let mut pause = tokio::time::interval(Duration::from_millis(10));
    while tcp.write_all(b"x-more: 1\r\n").await.is_ok() {
        pause.tick().await;
    }
}

#[tokio::test]
async fn requests_that_drip_in_do_not_keep_their_places() {
    let running = start(ready(), |config| {
        config.connection_max = 2;
        config.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let within = Duration::from_secs(10);
    for head in
        ["GET /healthz HTTP/1.1\r\nHost: x\r\n", "POST /ui HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"]
    {
        let mut slow = Vec::new();
        for _ in 0..2 {
            slow.push(tokio::spawn(drip(TcpStream::connect(running.addr).await.unwrap(), head)));
        }
        // They hold all places; the answer comes once they are closed.
        let asked = tokio::time::timeout(within, ask(running.addr, "GET /healthz")).await;
        assert_eq!(asked.unwrap().0, 200, "{head}");
        for one in slow {
            tokio::time::timeout(within, one).await.unwrap().unwrap();
        }
    }
}

/// With the usual limits: hundreds of requests that never end, and one that does.
#[tokio::test]
async fn half_sent_requests_give_way_to_whole_ones() {
    let running = start(ready(), |config| config.connection_max = 8).await;
    let body = "POST /ui/log-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nuser=";
    for head in ["GET /heal", "GET /healthz HTTP/1.1\r\nHost: x\r\n", body] {
        let mut half = Vec::new();
        for n in 0..32 {
            let mut tcp = TcpStream::connect(running.addr).await.unwrap();
            tcp.write_all(head.as_bytes()).await.unwrap();
            half.push(tcp);
            // Some of them drip on.
            if n % 4 == 0 {
                tokio::spawn(drip(TcpStream::connect(running.addr).await.unwrap(), head));
            }
        }
        let began = std::time::Instant::now();
        let asked = tokio::time::timeout(Duration::from_secs(60), ask(running.addr, "GET /healthz")).await;
        assert_eq!(asked.expect(head).0, 200, "{head}");
        let waited = began.elapsed();
        println!("{waited:?} behind {head:?}");
        assert!(waited < Duration::from_secs(12), "{waited:?} behind {head:?}");
        drop(half);
    }
}

/// Who has asked and is answered keeps its place, however long that takes, within the idle time.
#[tokio::test]
async fn a_slow_sender_is_served_while_there_are_places() {
    let running = start(ready(), |_| {}).await;
    let mut tcp = TcpStream::connect(running.addr).await.unwrap();
    for part in ["GET /heal", "thz HTTP/1.1\r\nHo", "st: x\r\nConnection: close\r\n\r\n"] {
        tcp.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_kept_connection_has_the_whole_time_for_each_request() {
    let running = start(ready(), |config| config.idle_timeout = Duration::from_millis(400)).await;
    let mut tcp = TcpStream::connect(running.addr).await.unwrap();
    let began = std::time::Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(40));
    let mut answers = 0;
    while began.elapsed() < Duration::from_millis(1_000) {
        pause.tick().await;
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 4_096];
        let count = tcp.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
        answers += 1;
    }
    assert!(answers > 1);
}

/// Asks again and again on one connection until it is closed; how many answers came.
async fn keep_asking(addr: SocketAddr, pause: Duration) -> usize {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let mut answers = 0;
    let mut answer = [0; 4_096];
    while tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {
        match tcp.read(&mut answer).await {
            Ok(count) if answer[..count].starts_with(b"HTTP/1.1 200") => answers += 1,
            Ok(_) | Err(_) => break,
        }
        tokio::time::sleep(pause).await;
    }
    answers
}

/// Whole requests in time, each within the idle timeout, hold a place only as long as nobody else wants it.
#[tokio::test]
async fn kept_connections_give_way_when_all_places_are_taken() {
    let running = start(ready(), |config| config.connection_max = 3).await;
    let within = Duration::from_secs(20);
    for pause in [Duration::from_millis(20), Duration::from_secs(25)] {
        let kept: Vec<_> = (0..3).map(|_| tokio::spawn(keep_asking(running.addr, pause))).collect();
        for _ in 0..3 {
            let asked = tokio::time::timeout(within, ask(running.addr, "GET /healthz")).await;
            assert_eq!(asked.unwrap().0, 200, "{pause:?}");
        }
        kept.into_iter().for_each(|one| one.abort());
    }
}

#[tokio::test]
async fn a_kept_connection_stays_while_there_are_places() {
    let running = start(ready(), |_| {}).await;
    let asking = keep_asking(running.addr, Duration::from_millis(1_500));
    // Longer than the time in which it would give way.
    assert!(tokio::time::timeout(Duration::from_secs(4), asking).await.is_err(), "it was closed");
}
