//! Plan advice against the must column of the bars, and what bad input gets.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "hints/mod.rs"]
mod hints;
#[path = "../../../models/tests/support/mod.rs"]
mod support;

use hints::Hints;
use querygate_bench_learning::{Explorer, Outcome, Trial};
use querygate_models::rng::Rng;
use querygate_models::saved;

fn mean_of_seeds(hints: &Hints, seeds: u64) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for seed in 0..seeds {
        let (shares, slower) = hints::explore(hints, seed).unwrap();
        assert_eq!(slower, 0, "a statement ended slower than its default");
        sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share / seeds as f64);
    }
    sums
}

#[test]
fn exploration_pays_for_itself_on_ceb() {
    let Some(folder) = support::data_set("hint_matrix") else { return };
    let found = mean_of_seeds(&hints::read(&folder.join("ceb_matrix.csv")).unwrap(), 2);
    assert!(found.iter().zip([0.78, 0.57, 0.45, 0.41]).all(|(found, most)| *found <= most), "{found:?}");
}

#[test]
fn guarded_choices_by_band_keep_most_of_the_gain_on_dsb() {
    let Some(folder) = support::data_set("hint_matrix") else { return };
    let hints = hints::read(&folder.join("dsb_matrix.csv")).unwrap();
    let runs: Vec<_> = (0..20)
        .map(|seed| hints::parametric(&hints, hints::dsb_template, hints::dsb_variant, (5, true, true), seed))
        .collect();
    let mean = |f: fn(&hints::Guarded) -> f64| runs.iter().map(f).sum::<f64>() / 20.0;
    let (log, total, slower) = (mean(|r| r.log_gain), mean(|r| r.total_gain), mean(|r| r.slower));
    assert!(log >= 0.75 && total >= 0.35 && slower <= 0.02, "{log} {total} {slower}");
}

/// Statements whose times under twelve alternatives follow two hidden properties.
fn workload(rows: usize) -> Hints {
    let mut rng = Rng::new(4);
    let effects: Vec<[f64; 2]> = (0..12).map(|_| [rng.normal(), rng.normal()]).collect();
    let row = |rng: &mut Rng| {
        let (size, kind) = (rng.normal().exp(), [rng.normal(), rng.normal()]);
        let mut times: Vec<f64> =
            effects.iter().map(|e| size * (0.3 + e[0] * kind[0] + e[1] * kind[1] + 0.2 * rng.normal()).exp()).collect();
        times[0] = size;
        times
    };
    Hints { names: (0..rows).map(|at| at.to_string()).collect(), seconds: (0..rows).map(|_| row(&mut rng)).collect() }
}

#[test]
fn a_workload_with_structure_is_explored_better_than_at_random() {
    let hints = workload(200);
    let found = mean_of_seeds(&hints, 3);
    let total: f64 = hints.seconds.iter().map(|row| row[0]).sum();
    // At random: the longest statement first, any alternative.
    let random = (0..5).map(|seed| at_random(&hints, total, seed)).sum::<f64>() / 5.0;
    assert!(found[2] < 0.95 * random && found.is_sorted_by(|a, b| a >= b), "{found:?}, at random {random}");
}

/// Total over default total after a whole default total of trials.
fn at_random(hints: &Hints, total: f64, seed: u64) -> f64 {
    let mut rng = Rng::new(seed);
    let mut best: Vec<f64> = hints.seconds.iter().map(|row| row[0]).collect();
    let mut untried: Vec<Vec<usize>> = (0..200).map(|_| (1..12).collect()).collect();
    let mut spent = 0.0;
    while spent < total {
        let open = (0..200).filter(|row| !untried[*row].is_empty());
        let row = open.max_by(|a, b| best[*a].total_cmp(&best[*b])).unwrap();
        let at = rng.below(untried[row].len());
        let seconds = hints.seconds[row][untried[row].swap_remove(at)];
        spent += seconds.min(best[row]);
        best[row] = best[row].min(seconds);
    }
    best.iter().sum::<f64>() / total
}

#[test]
fn equal_seeds_propose_equal_trials_and_odd_outcomes_do_no_harm() {
    let defaults = [3.0, 0.0, 5.0];
    let mut one = Explorer::new(&defaults, 4, 1).unwrap();
    let mut two = one.clone();
    assert_eq!(one.propose(1.0), two.propose(1.0));
    for outcome in [Outcome::Ended(f64::NAN), Outcome::Ended(-1.0), Outcome::Ended(f64::INFINITY), Outcome::Stopped] {
        one.record(Trial { row: 2, action: 1, limit: 5.0 }, outcome);
        one.record(Trial { row: 99, action: 1, limit: 5.0 }, outcome);
        one.record(Trial { row: 0, action: 99, limit: 5.0 }, outcome);
    }
    for _ in 0..20 {
        for trial in one.propose(1.0) {
            assert!(trial.limit <= 5.0 && trial.action > 0);
            one.record(trial, Outcome::Stopped);
        }
    }
    assert!(one.propose(1.0).is_empty(), "everything was tried");
    assert_eq!(saved::load::<Explorer>(&saved::save(&one).unwrap()), Ok(one.clone()));
    assert_eq!(one.plans()[0].action, 0);
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(Explorer::new(&[bad], 3, 0).is_none());
    }
    assert!(Explorer::new(&[], 3, 0).is_none() && Explorer::new(&[1.0], 0, 0).is_none());
}
