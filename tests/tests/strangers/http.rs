//! The doors of HTTP/1.1: REST, and the pages with health and metrics.

use crate::world::{World, assert_closed, flood};
use std::time::Duration;

/// A request that is never whole, or asks for more than it reads.
fn attacks(rest: bool) -> Vec<(&'static str, Vec<u8>, usize)> {
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: gate\r\n");
    let login = if rest { "POST /api/v1/auth/sign-in/email" } else { "POST /ui/login" };
    let other = if rest { "POST /api/v1/data/accounts" } else { "POST /ui/plans/pin" };
    let large = if rest { "GET /api/v1/docs/swagger-ui.js" } else { "GET /metrics" };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let body = vec![b'x'; 8 << 20];
    let chunk = [b"1000\r\n", &[b' '; 4_096][..], b"\r\n"].concat();
    let with = |head: String, more: &str, body: &[u8]| [head.as_bytes(), more.as_bytes(), b"\r\n", body].concat();
    vec![
        ("a header without end", [head("GET /").as_bytes(), b"x: ", &body].concat(), 600),
        (
            "90 headers of 4 KB",
            [head("GET /"), format!("x: {}\r\n", "y".repeat(4_096)).repeat(90)].concat().into(),
            600,
        ),
        ("10,000 headers", [head("GET /"), "x: y\r\n".repeat(10_000)].concat().into(), 600),
        ("a path without end", [b"GET /", &body[..]].concat(), 600),
        ("half a login", with(head(login), &format!("{form}Content-Length: 999999999\r\n"), &body), 600),
        ("half a body", with(head(other), &format!("{form}Content-Length: 4000000\r\n"), &body[..3_900_000]), 600),
        ("chunks without end", with(head(login), "Transfer-Encoding: chunked\r\n", &chunk.repeat(2_000)), 600),
        ("other chunks without end", with(head(other), "Transfer-Encoding: chunked\r\n", &chunk.repeat(2_000)), 600),
        ("answers that are not read", with(head(large), "", &[]).repeat(1_000), 600),
        ("small answers that are not read", with(head("GET /healthz"), "", &[]).repeat(5_000), 200),
        ("half a line", b"GET /heal".to_vec(), 1_500),
        ("nothing", Vec::new(), 1_500),
    ]
}

#[test]
fn requests_of_strangers_hold_little() {
    let world = World::new();
    for (door, address, rest) in [("rest", world.rest(), true), ("pages", world.server.http, false)] {
        for (name, bytes, connections) in attacks(rest) {
            world.attack(&format!("{door}: {name}"), |held| flood(address, connections, &bytes, held));
        }
        let mut held = Vec::new();
        flood(address, 5, b"GET / HTTP/1.1\r\nx: y\r\n", &mut held);
        // 30 seconds.
        assert_closed(&format!("{door}: half a request"), &held, Duration::from_secs(60));
    }
}
