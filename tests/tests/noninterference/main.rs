//! Non-interference: what a principal gets over governed data equals what an unrestricted one gets over a physically
//! reduced copy: same rows or same error code. Random metadata, policies, principals, data and queries, over three
//! physical layouts and over mixtures of them.
//!
//! `NONINTERFERENCE_CASES=100000 SEED=7 cargo test -p querygate-tests --test noninterference` runs more, and
//! `NONINTERFERENCE_WORLD=n` one world alone. A case is one query, compared on every layout.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod check;
#[path = "../flight/client.rs"]
#[expect(dead_code, reason = "tests of Flight SQL use all of it")]
mod client;
mod doors;
mod oracle;
#[path = "../own_types/printed.rs"]
#[allow(dead_code, reason = "tests of types use all of it")]
mod printed;
mod query;
mod questions;
mod rule;
#[path = "../flight/text.rs"]
mod text;
mod totals;
mod world;
mod writes;

use check::{Sabotage, World as Checked};
use querygate_tests::harness::{Layout, Rng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use totals::Totals;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

const QUERIES_PER_WORLD: u64 = 25;

#[test]
fn governed_answers_equal_those_over_a_reduced_copy() {
    run(number("NONINTERFERENCE_CASES").unwrap_or(2_000), &Layout::ALL);
}

#[test]
#[ignore = "the long run: half an hour in a release build"]
fn governed_answers_equal_those_over_a_reduced_copy_in_a_long_run() {
    run(number("NONINTERFERENCE_CASES").unwrap_or(100_000), &Layout::ALL);
}

/// Every leaf that can be is read by a worker. `NONINTERFERENCE_WORKERS=10000` asks more.
#[test]
fn governed_answers_over_workers_equal_those_over_a_reduced_copy() {
    run(number("NONINTERFERENCE_WORKERS").unwrap_or(300), &[Layout::Workers]);
}

fn run(cases: u64, layouts: &[Layout]) {
    let seed = number("SEED").unwrap_or(1);
    let only = number("NONINTERFERENCE_WORLD");
    let worlds = cases.div_ceil(QUERIES_PER_WORLD);
    let next = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= worlds || totals.lock().unwrap().real() >= 20 {
                        break;
                    }
                    if only.is_some_and(|only| only != n) {
                        continue;
                    }
                    let mut rng = Rng::part(seed, n);
                    let found = Checked::over(&mut rng, seed, n, layouts).check(&mut rng, QUERIES_PER_WORLD);
                    totals.lock().unwrap().add(found);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("{totals}");
    assert!(totals.real() == 0, "{} differences, seed {seed}; each is printed above", totals.real());
    if only.is_none() && cases >= 1_000 {
        assert!(totals.nonempty() * 3 > cases, "too few queries have rows: the generator is blunt\n{totals}");
    }
}

/// `NONINTERFERENCE_QUESTIONS=20000` asks more.
#[test]
fn questions_over_rest_answer_as_over_a_reduced_copy() {
    let seed = number("SEED").unwrap_or(1);
    let asked = number("NONINTERFERENCE_QUESTIONS").unwrap_or(800);
    let worlds = asked.div_ceil(2 * questions::QUESTIONS);
    let only = number("NONINTERFERENCE_WORLD");
    let (next, all) = (AtomicU64::new(0), Mutex::new(questions::Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < worlds) {
                    if only.is_none_or(|only| only == n) && all.lock().unwrap().differences.len() < 20 {
                        let found = questions::check(&mut Rng::part(seed ^ 0x51, n), &format!("seed {seed} world {n}"));
                        all.lock().unwrap().add(found);
                    }
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!("{all}");
    assert!(all.differences.is_empty(), "{} differences, seed {seed}; each is printed above", all.differences.len());
    if only.is_none() && worlds >= 10 {
        assert!(
            all.with_records * 3 > all.questions && all.denied() * 50 > all.questions,
            "the generator is blunt\n{all}"
        );
    }
}

#[test]
fn a_gate_that_forgets_a_rule_is_noticed_by_questions() {
    for sabotage in [Sabotage::RowPolicies, Sabotage::Owners, Sabotage::Masks, Sabotage::Fields] {
        let found: usize = (0..6).map(|n| questions::noticed(&mut Rng::part(99, n), sabotage)).sum();
        assert!(found >= 5, "{sabotage:?}: only {found} of 240 questions notice");
    }
}

#[test]
fn changes_leave_hidden_rows_alone_and_answer_as_over_a_reduced_copy() {
    let seed = number("SEED").unwrap_or(1);
    let worlds = number("NONINTERFERENCE_HISTORIES").unwrap_or(200).div_ceil(writes::HISTORIES as u64);
    let only = number("NONINTERFERENCE_WORLD");
    let (next, all) = (AtomicU64::new(0), Mutex::new(writes::Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < worlds) {
                    if only.is_none_or(|only| only == n) {
                        let found = writes::histories(&mut Rng::part(seed ^ 0x77, n), n, false);
                        all.lock().unwrap().add(found);
                    }
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!("{all}");
    assert!(all.differences.is_empty(), "seed {seed}:\n{}", all.differences.join("\n"));
    if only.is_none() && worlds >= 10 {
        assert!(all.changed * 6 > all.statements, "too few statements change anything: the generator is blunt\n{all}");
    }
}

#[test]
fn a_writer_that_is_let_at_hidden_rows_is_noticed() {
    let noticed = (0..12).filter(|n| !writes::histories(&mut Rng::part(99, *n), *n, true).differences.is_empty());
    let noticed = noticed.count();
    assert!(noticed >= 4, "only {noticed} of 12 worlds notice");
}

/// `NONINTERFERENCE_DOORS=100` makes more worlds.
#[test]
fn records_of_random_worlds_are_the_same_at_every_door() {
    let (seed, worlds) = (number("SEED").unwrap_or(1), number("NONINTERFERENCE_DOORS").unwrap_or(6));
    let only = number("NONINTERFERENCE_WORLD");
    let mut all = doors::Found::default();
    for n in (0..worlds).filter(|n| only.is_none_or(|only| only == *n)) {
        all.add(doors::check(&mut Rng::part(seed ^ 0x33, n), n));
    }
    println!("{worlds} worlds at three doors: {all}");
    assert!(all.different.is_empty(), "seed {seed}:\n{}", all.different.join("\n"));
    assert!(only.is_some() || (all.rows > 20 * worlds && all.refused > worlds), "the generator is blunt: {all}");
}

/// Governance that is not applied must show, or the run above proves nothing.
#[test]
fn a_gate_that_forgets_a_rule_is_noticed() {
    for sabotage in [Sabotage::RowPolicies, Sabotage::Owners, Sabotage::Masks, Sabotage::Fields] {
        let found: usize = (0..12)
            .map(|n| {
                let mut rng = Rng::part(99, n);
                Checked::random(&mut rng, 99, n).noticed(&mut rng, sabotage, 12)
            })
            .sum();
        assert!(found >= 5, "{sabotage:?}: only {found} of 144 queries notice");
    }
}
