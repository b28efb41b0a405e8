//! Grouped cross-validation of row estimates: what belongs together is never in training and test at once.

use super::subplans::Row;
use querygate_models::cardinality::{Corrector, Observation, Options};
use querygate_models::rng::Rng;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What models answered to rows that they had not seen.
#[derive(Default)]
pub struct Score {
    /// Logarithms of true ÷ corrected rows.
    pub errors: Vec<f64>,
    /// Truths within their interval.
    pub covered: usize,
    pub widths: Vec<f64>,
    /// Of the processor, for each training.
    pub seconds: Vec<f64>,
    /// Of the processor, for an answer, in each test.
    pub microseconds: Vec<f64>,
}

impl Score {
    pub fn judge(&mut self, train: &[Observation], test: &[&Row], options: &Options) -> Result<(), String> {
        let began = used();
        let model = Corrector::train(train, options).ok_or("too few rows")?;
        self.seconds.push((used() - began).as_secs_f64());
        let began = used();
        for row in test {
            let answer = model.correct(&row.observation.subplan);
            let truth = row.observation.rows.max(1.0);
            self.errors.push((truth / answer.rows).ln());
            self.covered += usize::from(answer.low * 0.999_999 <= truth && truth <= answer.high * 1.000_001);
            self.widths.push(answer.high / answer.low);
        }
        self.microseconds.push((used() - began).as_secs_f64() * 1e6 / test.len().max(1) as f64);
        Ok(())
    }
}

/// What this thread has had of a processor, which does not depend on what else runs; time where the system does not tell (only
/// Linux does here).
pub fn used() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The fold of each row: groups in random order, dealt out in turn.
fn folds(rows: &[Row], group: fn(&Row) -> u64, seed: u64) -> Vec<usize> {
    let mut groups: Vec<u64> = rows.iter().map(group).collect();
    groups.sort_unstable();
    groups.dedup();
    Rng::new(seed).shuffle(&mut groups);
    rows.iter().map(|row| groups.iter().position(|g| *g == group(row)).unwrap_or(0) % 5).collect()
}

/// Five folds for each seed, trained on `most` rows each at most.
pub fn cross_validate(
    rows: &[Row],
    group: fn(&Row) -> u64,
    seeds: u64,
    most: usize,
    options: &Options,
) -> Result<Score, String> {
    let mut score = Score::default();
    for seed in 0..seeds {
        let fold = folds(rows, group, seed);
        for out in 0..5 {
            let mut train: Vec<Observation> = (0..rows.len())
                .filter(|at| fold[*at] != out)
                .map(|at| Observation { group: group(&rows[at]), ..rows[at].observation.clone() })
                .collect();
            Rng::new(seed).shuffle(&mut train);
            train.truncate(most);
            let test: Vec<&Row> = (0..rows.len()).filter(|at| fold[*at] == out).map(|at| &rows[at]).collect();
            score.judge(&train, &test, options)?;
        }
    }
    Ok(score)
}
