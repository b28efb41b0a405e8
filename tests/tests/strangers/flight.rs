//! Flight's door: calls that nobody may make, by the hundred.

use crate::http2::{
    CONTINUATION, END_HEADERS, HEADERS, Http2, PING, RESET, SETTINGS, call, frame, half_message, literal, preface,
};
use crate::world::{World, assert_closed, flood};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const METHODS: [&str; 9] =
    ["Handshake", "DoPut", "DoExchange", "DoAction", "DoGet", "GetFlightInfo", "GetSchema", "ListFlights", "Nothing"];

/// Streams that each say they send 16 MB, and send as much as is taken.
fn half_messages(address: SocketAddr, method: &str, connections: usize, streams: u32) -> Vec<Http2> {
    half_calls(address, &call(method), connections, streams)
}

/// Streams with these headers that each say they send 16 MB, and send as much as is taken.
pub(crate) fn half_calls(address: SocketAddr, block: &[u8], connections: usize, streams: u32) -> Vec<Http2> {
    let mut all: Vec<Http2> = (0..connections).map(|_| Http2::connect(address)).collect();
    for one in &mut all {
        for stream in 0..streams {
            one.begin(2 * stream + 1, block, &half_message(16 << 20));
        }
    }
    let (mut moved, began) = (Instant::now(), Instant::now());
    while moved.elapsed() < Duration::from_millis(500) && began.elapsed() < Duration::from_secs(20) {
        for one in all.iter_mut().filter(|one| one.is_open) {
            if one.turn() | (one.fill() > 0) {
                moved = Instant::now();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    all
}

#[test]
fn unfinished_calls_of_strangers_hold_little() {
    let world = World::new();
    let address = world.server.flight;
    for method in METHODS {
        for (connections, streams) in [(1, 64), (64, 1)] {
            world.attack(&format!("{connections} x {streams} half messages of {method}"), |held| {
                held.extend(half_messages(address, method, connections, streams).into_iter().map(|one| one.tcp));
            });
        }
    }
    world.attack("600 logins without their message", |held| {
        held.extend(half_messages(address, "Handshake", 600, 4).into_iter().map(|one| one.tcp));
    });
    // A message that says it is compressed is refused, whatever is in it.
    world.attack("compressed messages", |held| {
        let mut all: Vec<Http2> = (0..64).map(|_| Http2::connect(address)).collect();
        for one in &mut all {
            let block = [call("Handshake"), literal("grpc-encoding", "gzip")].concat();
            one.begin(1, &block, &[1, 0, 0, 64, 0]);
            for _ in 0..100 {
                one.turn();
                one.fill();
            }
        }
        held.extend(all.into_iter().map(|one| one.tcp));
    });
}

#[test]
fn frames_of_strangers_hold_little_and_end() {
    let world = World::new();
    let address = world.server.flight;
    let call = call("Handshake");
    let streams = |count: u32, block: &[u8], then: &dyn Fn(u32) -> Vec<u8>| {
        let one = |stream| [frame(HEADERS, END_HEADERS, stream, block), then(stream)].concat();
        [preface(), (0..count).flat_map(|n| one(2 * n + 1)).collect()].concat()
    };
    let nothing = |_| Vec::new();
    // One header of four kilobytes into the table, and then its number again and again.
    let large = [&[0x40, 1, b'x', 0x7f, 0xf1, 0x1e][..], &[b'y'; 4_080]].concat();
    let bomb = [&call[..], &large, &[0xbe; 4_000]].concat();
    // A short one of the protocol's own table.
    let many = [&call[..], &[0x80 | 19; 4_000]].concat();
    let endless = [preface(), frame(HEADERS, 0, 1, &call), frame(CONTINUATION, 0, 1, &[0x80 | 19; 8_000]).repeat(200)];
    let attacks = [
        ("streams", streams(1_000, &call, &nothing), 100),
        ("headers that are numbers of a large one", streams(100, &bomb, &nothing), 100),
        ("headers that are short", streams(100, &many, &nothing), 100),
        ("headers that never end", endless.concat(), 200),
        ("rapid resets", streams(20_000, &call, &|stream| frame(RESET, 0, stream, &[0, 0, 0, 8])), 20),
        ("pings", [preface(), frame(PING, 0, 0, &[0; 8]).repeat(100_000)].concat(), 20),
        ("settings", [preface(), frame(SETTINGS, 0, 0, &[]).repeat(100_000)].concat(), 20),
        ("half a preface", preface()[..10].to_vec(), 2_000),
        ("a preface", preface(), 2_000),
        ("nothing", Vec::new(), 2_000),
    ];
    for (name, bytes, connections) in attacks {
        world.attack(name, |held| flood(address, connections, &bytes, held));
    }
    let mut held = Vec::new();
    flood(address, 10, &streams(100, &call, &nothing), &mut held);
    assert_closed("streams, once they are too many", &held, Duration::from_secs(20));
}
