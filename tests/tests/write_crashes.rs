//! Writers behind the real binary while the gate, or the server of its source, is killed and started again. Afterwards no transaction is stored
//! by half, nothing is lost that a writer was told is stored, nothing is stored that he was told is not, and nobody holds a lock. What is
//! stored is asked of the sources themselves, which have on disk what they acknowledge.
//!
//! `QUERYGATE_CRASH_ROUNDS` says how often each is killed, `QUERYGATE_CRASH_WRITERS` how many write at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests panic, and print what they saw"
)]

#[path = "write_crashes/load.rs"]
mod load;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "write_crashes/world.rs"]
mod world;

use load::{Load, check};
use world::{Kind, World};

/// What is to be stored between two events.
const STORED: usize = 12;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Kills, in turns, what `kill` does, under load.
fn killed(kind: Kind, what: &str, kill: impl Fn(&mut World)) {
    let (rounds, writers) = (number("QUERYGATE_CRASH_ROUNDS", 2), number("QUERYGATE_CRASH_WRITERS", 3));
    let Some(mut world) = World::new(kind, writers) else { return };
    let load = Load::start(&world, writers);
    for round in 0..rounds {
        load.until_stored(STORED, &world);
        // Not always at the same moment of a transaction.
        std::thread::sleep(std::time::Duration::from_millis(7 * (round as u64 % 13)));
        kill(&mut world);
        load.goes_to(&world);
    }
    load.until_stored(STORED, &world);
    let attempts = load.stop();
    world.until_at_rest(writers);
    let seen = check(&world.stored(), &attempts);
    println!("{kind:?}, {what} killed {rounds} times: {seen}");
}

fn killed_gate(kind: Kind) {
    killed(kind, "gate", World::kill_gate);
}

fn killed_server(kind: Kind) {
    killed(kind, "server", |world| {
        world.kill_server();
        world.resume_server();
    });
}

#[test]
fn a_killed_gate_over_a_file_leaves_all_or_nothing() {
    killed_gate(Kind::Sqlite);
}

#[test]
fn a_killed_gate_over_postgres_leaves_all_or_nothing() {
    killed_gate(Kind::Postgres);
}

#[test]
fn a_killed_gate_over_mariadb_leaves_all_or_nothing() {
    killed_gate(Kind::MariaDb);
}

#[test]
fn a_killed_gate_over_mongodb_leaves_all_or_nothing() {
    killed_gate(Kind::MongoDb);
}

#[test]
fn a_killed_postgres_loses_nothing_that_was_acknowledged() {
    killed_server(Kind::Postgres);
}

#[test]
fn a_killed_mariadb_loses_nothing_that_was_acknowledged() {
    killed_server(Kind::MariaDb);
}

#[test]
fn a_killed_mongodb_loses_nothing_that_was_acknowledged() {
    killed_server(Kind::MongoDb);
}
