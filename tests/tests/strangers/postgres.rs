//! Postgres' door: connections in every state before a proven password.

use crate::world::{World, assert_closed, flood};
use std::time::Duration;

#[test]
fn half_logins_of_strangers_hold_little_and_end() {
    let world = World::new();
    let address = world.server.postgres;
    let parameters = b"\0\x03\0\0user\0sam\0database\0demo\0".to_vec();
    let packet = |length: usize, body: &[u8]| [&u32::try_from(length).unwrap().to_be_bytes()[..], body].concat();
    let startup = packet(parameters.len() + 5, &[&parameters[..], b"\0"].concat());
    let settings: Vec<u8> = [parameters, b"a\0b\0".repeat(2_400), vec![0]].concat();
    // SASLInitialResponse, in the length of the longest message, and of more than that.
    let long = |length: usize| [&startup[..], b"p", &packet(length, &vec![b'x'; length - 10])].concat();
    let attacks = [
        ("a startup packet without its end", packet(10_000, &vec![7; 9_000]), 2_000),
        ("a startup packet that is too long", packet(1 << 30, &vec![7; 1 << 20]), 500),
        ("2,400 settings", packet(settings.len() + 4, &settings), 2_000),
        ("SSLRequests", packet(8, &[4, 0xd2, 0x16, 0x2f]).repeat(1_000), 2_000),
        ("a user and no password", startup.clone(), 2_000),
        ("half a password", long(16_000), 2_000),
        ("half a long password", long(65_000), 2_000),
        ("a password that is too long", long(8 << 20), 500),
        ("nothing", Vec::new(), 2_000),
    ];
    for (name, bytes, connections) in attacks {
        world.attack(name, |held| flood(address, connections, &bytes, held));
    }
    let mut held = Vec::new();
    flood(address, 10, &startup, &mut held);
    // 10 seconds.
    assert_closed("a user and no password", &held, Duration::from_secs(40));
}
