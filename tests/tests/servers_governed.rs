//! Random queries of governed users through every kind of source: random metadata, policies, users, rows and queries, over the
//! same rows in PostgreSQL, MariaDB, MongoDB, SQLite and Parquet and over mixtures of them. What a governed user gets equals what
//! an unrestricted one gets over a physically reduced copy; what a source answered is what the gate computes from its plain rows;
//! all sources answer alike; and what the gate answers over the reduced copy, PostgreSQL answers when it is asked directly.
//!
//! A case is one query, compared on every source. Each run is a piece of a few hundred; the whole is
//! `NONINTERFERENCE_SERVERS=5000 cargo test --release -p querygate-tests --test servers_governed -- --nocapture`,
//! `SEED=n` draws others, and `NONINTERFERENCE_WORLD=n` runs one world alone.

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
#[path = "noninterference/oracle.rs"]
mod oracle;
#[path = "noninterference/query/mod.rs"]
mod query;
#[path = "noninterference/rule.rs"]
mod rule;
#[path = "noninterference/totals.rs"]
mod totals;
#[path = "noninterference/world/mod.rs"]
mod world;

use check::World;
use querygate_tests::harness::{Layout, Rng};
use totals::Totals;

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
    let (cases, seed) = (number("NONINTERFERENCE_SERVERS").unwrap_or(300), number("SEED").unwrap_or(2));
    let only = number("NONINTERFERENCE_WORLD");
    let layouts: Vec<Layout> = servers.iter().copied().chain([Layout::Sqlite, Layout::Parquet]).collect();
    let mut totals = Totals::default();
    for n in (0..cases.div_ceil(QUERIES_PER_WORLD)).filter(|n| only.is_none_or(|only| only == *n)) {
        let mut rng = Rng::part(seed, 1_000_000 + n);
        let world = World::over(&mut rng, seed, n, &layouts);
        totals.add(world.check(&mut rng, QUERIES_PER_WORLD));
        assert!(totals.real() < 20, "{totals}");
    }
    println!("{servers:?}: {totals}");
    assert!(totals.real() == 0, "{} differences, seed {seed}; each is printed above", totals.real());
    assert!(totals.otherwise() == 0, "PostgreSQL answers otherwise\n{totals}");
    assert!(only.is_some() || layouts.iter().all(|layout| totals.over(*layout) >= cases), "{totals}");
    assert!(only.is_some() || !servers.contains(&Layout::Postgres) || totals.judged() >= cases, "{totals}");
    assert!(
        only.is_some() || totals.nonempty() * 3 > cases,
        "too few queries have rows: the generator is blunt\n{totals}"
    );
}
