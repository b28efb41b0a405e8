//! What one user holds by messages that are not whole: no more than a user's share of memory, by whichever door, and others go on.

use crate::flight::half_calls;
use crate::http2::{call, literal};
use crate::world::{GROWTH_MAX, World, flood};
use base64::Engine as _;
use querygate_tests::server::{RawClient, Request};
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;

/// Users who come in beside share the total with the one who holds his part of it.
const LIMITS: &str = "memory_total = \"256MB\"\nmemory_per_user = \"96MB\"\nmemory_per_query = \"64MB\"";

const SHARE: u64 = 96 << 20;

/// Sends half of a message of 60 MB by each of these connections.
fn half_frames(address: std::net::SocketAddr, tag: u8) -> Vec<std::net::TcpStream> {
    let body = vec![b'x'; 30 << 20];
    let sent = |_| {
        let mut client = RawClient::login(address, "sam");
        client.tcp.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let head = [&[tag][..], &(60_u32 << 20).to_be_bytes()].concat();
        // A gate that has no room for more ends the connection.
        let _ = client.tcp.write_all(&head).and_then(|()| client.tcp.write_all(&body));
        client.tcp
    };
    (0..40).map(sent).collect()
}

#[test]
fn half_messages_of_a_user_hold_no_more_than_a_users_share() {
    let world = World::with(LIMITS, SHARE + GROWTH_MAX);
    for (name, tag) in [("half queries", b'Q'), ("half parses", b'P'), ("half binds", b'B')] {
        world.attack(&format!("postgres: {name} of a user"), |held| {
            held.extend(half_frames(world.server.postgres, tag))
        });
    }
    let login = json!({"email": "ada@crm.example", "password": "demo-ada"});
    let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(world.rest());
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let head = format!(
        "POST /api/v1/data/accounts HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 4000000\r\n\r\n"
    );
    let body = [head.into_bytes(), vec![b' '; 3_900_000]].concat();
    world.attack("rest: half bodies of a user", |held| flood(world.rest(), 200, &body, held));
    let basic = base64::engine::general_purpose::STANDARD.encode("sam:demo-sam");
    for method in ["DoPut", "DoAction", "GetFlightInfo"] {
        let block = [call(method), literal("authorization", &format!("Basic {basic}"))].concat();
        for (connections, streams) in [(1, 64), (32, 2)] {
            world.attack(&format!("flight: {connections} x {streams} half messages of {method} of a user"), |held| {
                held.extend(
                    half_calls(world.server.flight, &block, connections, streams).into_iter().map(|one| one.tcp),
                );
            });
        }
    }
}
