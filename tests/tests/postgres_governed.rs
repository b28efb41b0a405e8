//! Non-interference through a real PostgreSQL server: random metadata, policies, users, rows and queries; what a governed
//! user gets equals what an unrestricted one gets over a physically reduced copy.
//!
//! `NONINTERFERENCE_CASES=5000 SEED=7 cargo test -p querygate-tests --test postgres_governed` runs more.

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
fn governed_answers_of_a_server_equal_those_over_a_reduced_copy() {
    let Some(postgres) = Layout::postgres() else { return };
    let (cases, seed) = (number("NONINTERFERENCE_CASES").unwrap_or(300), number("SEED").unwrap_or(2));
    let mut totals = Totals::default();
    for n in 0..cases.div_ceil(QUERIES_PER_WORLD) {
        let mut rng = Rng::part(seed, 1_000_000 + n);
        // Memory beside it, so that the reduced copy is not always read through the driver under test.
        let world = World::over(&mut rng, seed, n, &[postgres, Layout::Memory]);
        totals.add(world.check(&mut rng, QUERIES_PER_WORLD));
        assert!(totals.real() < 20, "{totals}");
    }
    println!("{totals}");
    assert!(totals.real() == 0, "{} differences, seed {seed}; each is printed above", totals.real());
    assert!(totals.nonempty() * 3 > cases, "too few queries have rows: the generator is blunt\n{totals}");
}
