//! Non-interference through real servers: random metadata, policies, users, rows and queries, over the same rows in
//! PostgreSQL, MariaDB and MongoDB and over mixtures of them. What a governed user gets equals what an unrestricted one gets
//! over a physically reduced copy; what a server answered is what the gate computes from its plain rows; and all servers
//! answer alike.
//!
//! `NONINTERFERENCE_CASES=5000 SEED=7 cargo test -p querygate-tests --test servers_governed` runs more, and
//! `NONINTERFERENCE_WORLD=n` one world alone. A case is one query, compared on every server that is installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "tests panic"
)]

#[path = "noninterference/check.rs"]
mod check;
#[path = "noninterference/query.rs"]
mod query;
#[path = "noninterference/rule.rs"]
mod rule;
#[path = "noninterference/world.rs"]
mod world;

use check::{Totals, World};
use querygate_tests::harness::{Layout, Rng};

const QUERIES_PER_WORLD: u64 = 25;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn governed_answers_of_servers_equal_those_over_a_reduced_copy() {
    let servers = Layout::servers();
    if servers.is_empty() {
        return;
    }
    let (cases, seed) = (number("NONINTERFERENCE_CASES").unwrap_or(300), number("SEED").unwrap_or(2));
    let only = number("NONINTERFERENCE_WORLD");
    // Memory beside them, so that the reduced copy is not always read through a driver under test.
    let layouts: Vec<Layout> = servers.iter().copied().chain([Layout::Memory]).collect();
    let mut totals = Totals::default();
    for n in (0..cases.div_ceil(QUERIES_PER_WORLD)).filter(|n| only.is_none_or(|only| only == *n)) {
        let mut rng = Rng::part(seed, 1_000_000 + n);
        let world = World::over(&mut rng, seed, n, &layouts);
        totals.add(world.check(&mut rng, QUERIES_PER_WORLD));
        assert!(totals.real() < 20, "{totals}");
    }
    println!("{servers:?}: {totals}");
    assert!(totals.real() == 0, "{} differences, seed {seed}; each is printed above", totals.real());
    assert!(
        only.is_some() || totals.nonempty() * 3 > cases,
        "too few queries have rows: the generator is blunt\n{totals}"
    );
}
