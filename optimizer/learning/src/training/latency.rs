//! One source's latencies: the ladder in use, its successor, and which of the two is better on the latest runs.

use super::ran::Ran;
use querygate_models::latency::{Ladder, Run, Trained};
use querygate_models::numeric::{mean_of, q_errors};

/// Share of the runs, the latest, that a new model is judged by.
const HELD_OUT: usize = 5;
/// How much worse in the mean a new model may be that knows more of the present.
const TOLERATED: f64 = 1.02;

/// How far off predictions were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Errors {
    /// p50, p95, p99 of predicted ÷ observed or the other way round.
    pub(super) q: [f64; 3],
    /// Percent.
    pub(super) mape: f64,
    /// Mean of the logarithms' absolute values.
    pub(super) mean: f64,
    pub(super) runs: usize,
}

/// What training made.
#[derive(Debug, Clone)]
pub(super) struct Challenge {
    /// `None`: the old one stays.
    pub(super) ladder: Option<Ladder>,
    pub(super) errors: Errors,
    /// Of the model in use, on the same runs.
    pub(super) champion: Option<Errors>,
}

/// Logarithms of observed over predicted.
fn misses(ladder: &Ladder, runs: &[Run]) -> Vec<f64> {
    let one = |run: &Run| (run.seconds.max(1e-5) / ladder.predict(&run.fragment, run.at).p50).ln();
    runs.iter().map(one).filter(|miss| miss.is_finite()).collect()
}

fn errors(misses: &[f64]) -> Errors {
    let mape = 100.0 * mean_of(misses.iter().map(|miss| (1.0 - (-miss).exp()).abs()));
    Errors { q: q_errors(misses), mape, mean: mean_of(misses.iter().map(|miss| miss.abs())), runs: misses.len() }
}

/// Trains on the older runs and judges on the latest; `None` with too few. `champion` is the model in use as it was when it was
/// adopted: it has not seen the latest runs either.
pub(super) fn challenge(runs: &[Ran], champion: Option<&Ladder>, seed: u64) -> Option<Challenge> {
    let runs: Vec<Run> = runs.iter().map(Ran::latency).collect();
    let (older, latest) = runs.split_at(runs.len() - runs.len() / HELD_OUT);
    let mut ladder = Ladder::default();
    older.iter().for_each(|run| ladder.observe(run));
    ladder.adopt(Trained::train(older, &ladder, seed)?);
    let found = errors(&misses(&ladder, latest));
    let champion = champion.map(|old| errors(&misses(old, latest)));
    let better = champion.is_none_or(|old| found.mean <= old.mean * TOLERATED);
    latest.iter().for_each(|run| ladder.observe(run));
    Some(Challenge { ladder: better.then_some(ladder), errors: found, champion })
}

#[cfg(test)]
mod tests {
    use super::super::ran::sample;
    use super::*;
    use querygate_models::rng::Rng;

    /// Runs whose time is so much a call and so much a row, more where two tables are joined.
    fn runs(n: u64, factor: f64, seed: u64) -> Vec<Ran> {
        let mut rng = Rng::new(seed);
        let one = |at: u64| {
            let tables = 1 + usize::from(at.is_multiple_of(3));
            let rows = (8.0 * rng.unit()).exp();
            let seconds = factor * (0.002 + rows * 2e-5 * tables as f64) * (0.1 * rng.normal()).exp();
            sample(at % 7, tables, rows, rows, seconds, at as f64)
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn a_first_model_is_taken_and_a_worse_one_is_not() {
        let first = challenge(&runs(1_000, 1.0, 1), None, 0).unwrap();
        assert!(first.errors.q[0] < 1.3, "{:?}", first.errors);
        let champion = first.ladder.unwrap();
        let mut mixed = runs(800, 20.0, 2);
        mixed.extend(runs(200, 1.0, 3));
        let second = challenge(&mixed, Some(&champion), 0).unwrap();
        assert!(second.ladder.is_none(), "what ran slowly for a while says nothing of now: {second:?}");
        let third = challenge(&runs(1_000, 20.0, 4), Some(&champion), 0).unwrap();
        assert!(third.ladder.is_some() && third.errors.mean < third.champion.unwrap().mean);
        assert!(challenge(&runs(40, 1.0, 5), None, 0).is_none(), "too few");
    }
    #[test]
    fn runs_that_are_made_to_poison_a_model_leave_the_honest_ones_predicted() {
        let honest = |n: u64| sample(n % 9, 1, 100.0, 100.0, 0.02, n as f64);
        let absurd = |n: u64| {
            let most = u64::MAX as f64;
            let (rows, seconds) = match n % 4 {
                0 => (0.0, 0.0),
                1 => (most, 1e-9),
                2 => (1.0, 1e9),
                _ => (most, 3e7),
            };
            sample(1_000 + n, 1 + usize::from(n.is_multiple_of(3)), rows, most - rows, seconds, n as f64)
        };
        // Nine of ten runs are of one who means harm, each of another template.
        let runs: Vec<Ran> = (0..5_000).map(|n| if n % 10 == 0 { honest(n) } else { absurd(n) }).collect();
        let found = challenge(&runs, None, 7).unwrap();
        assert!(found.errors.q.iter().all(|q| q.is_finite()), "{:?}", found.errors);
        let ladder = found.ladder.unwrap();
        for n in 5_000..5_009 {
            let run = honest(n).latency();
            let told = ladder.predict(&run.fragment, run.at);
            assert!(told.p50 > 0.01 && told.p50 < 0.04, "{told:?}");
            let run = absurd(n).latency();
            let told = ladder.predict(&run.fragment, run.at);
            assert!([told.p10, told.p50, told.p90].iter().all(|p| p.is_finite() && *p > 0.0), "{told:?}");
        }
    }
}
