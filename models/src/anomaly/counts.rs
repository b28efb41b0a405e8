//! Detectors of counts: the share of statements that fail, and templates never seen before. Knows counts, no statement.

use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Sums the log-likelihood ratio of "ten times the usual, at least 1.5% more" against "as usual" (CUSUM). A score of 1 is
/// odds of a million to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorRate {
    failed: f64,
    statements: f64,
    evidence: f64,
    recent: VecDeque<(f64, f64)>,
}

/// What there is to say of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountReading {
    /// From 1 on unusual.
    pub score: f64,
    /// Usual share of failures, or new templates an hour.
    pub usual: f64,
    /// The same in the last intervals (an hour of five-minute ones).
    pub now: f64,
}

const ERROR_ODDS: f64 = 13.8;
/// Statements after which the past fades by half, and before which nothing is said.
const STATEMENTS_MEMORY: f64 = 200_000.0;
const STATEMENTS_LEAST: f64 = 500.0;
/// Statements that the first expectation counts for.
const PRIOR: f64 = 1000.0;
const RECENT: usize = 12;

impl Default for ErrorRate {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorRate {
    /// Expects one failure in two thousand until it knows better.
    #[must_use]
    pub const fn new() -> Self {
        Self { failed: 0.0005 * PRIOR, statements: PRIOR, evidence: 0.0, recent: VecDeque::new() }
    }

    /// Expects nothing in particular: for shares that are whatever they are (of NULLs).
    pub(crate) const fn without_expectation() -> Self {
        Self { failed: 0.05, statements: 1.0, evidence: 0.0, recent: VecDeque::new() }
    }

    /// Judges an interval with `failed` of `statements`, then learns it (not while the evidence is high: an outage is not
    /// to become usual within the hour).
    pub fn observe(&mut self, failed: u64, statements: u64) -> CountReading {
        let (statements, failed) = (statements as f64, failed.min(statements) as f64);
        let usual = (self.failed / self.statements).clamp(1e-5, 0.9);
        let odd = (10.0 * usual).max(usual + 0.015).min(usual + 0.5 * (1.0 - usual));
        let ratio = failed * (odd / usual).ln() + (statements - failed) * ((1.0 - odd) / (1.0 - usual)).ln();
        self.evidence = (self.evidence + ratio).clamp(0.0, 4.0 * ERROR_ODDS);
        self.recent.push_back((failed, statements));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let (lately, of) = self.recent.iter().fold((0.0, 0.0), |sum, (f, s)| (sum.0 + f, sum.1 + s));
        let known = self.statements >= STATEMENTS_LEAST + PRIOR;
        if !known {
            self.evidence = 0.0;
        }
        // Three failures are a coincidence, whatever the odds.
        let score = if known && lately >= 4.0 { self.evidence / ERROR_ODDS } else { 0.0 };
        let weight = if self.evidence > 0.5 * ERROR_ODDS { 0.05 } else { 1.0 };
        self.failed += weight * failed;
        self.statements += weight * statements;
        if self.statements > STATEMENTS_MEMORY {
            self.failed *= 0.5;
            self.statements *= 0.5;
        }
        CountReading { score, usual, now: if of > 0.0 { lately / of } else { 0.0 } }
    }
}

impl Saved for ErrorRate {
    const KIND: &'static str = "anomaly-errors";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let numbers = [self.failed, self.statements, self.evidence];
        let sound = numbers.iter().all(|v| v.is_finite() && *v >= 0.0) && self.statements > 0.0;
        if sound && self.recent.len() <= RECENT { Ok(()) } else { Err(LoadError::Contents("an error rate's state")) }
    }
}

/// New templates of a principal in the last hour against its usual rate: the Poisson tail with a gamma-distributed rate, so
/// that bursty principals are given more room. A score of 1 is
/// one hour in three thousand by a law with heavier tails than real hours have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTemplates {
    recent: VecDeque<(i64, f64)>,
    since: Option<i64>,
    /// Mean and mean square of hourly counts, fading over two weeks.
    mean: f64,
    square: f64,
    hour: (i64, f64),
}

const TEMPLATE_DIGITS: f64 = 3.5;
const TEMPLATE_LEAST: f64 = 8.0;
const TEMPLATE_LEARN: i64 = 3 * 86_400;

impl Default for NewTemplates {
    fn default() -> Self {
        Self::new()
    }
}

impl NewTemplates {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { recent: VecDeque::new(), since: None, mean: 0.0, square: 0.0, hour: (0, 0.0) }
    }

    /// Judges the `new` templates of an interval ending at `time` (UTC seconds). `everywhere` is how many times the usual
    /// number of new templates appears among all other principals now: after a release everybody brings new ones, and
    /// that is not this principal's doing.
    pub fn observe(&mut self, time: i64, new: u64, everywhere: f64) -> CountReading {
        let since = *self.since.get_or_insert(time);
        self.recent.push_back((time, new as f64));
        while self.recent.len() > 720 || self.recent.front().is_some_and(|(then, _)| time - then >= 3600) {
            self.recent.pop_front();
        }
        let now: f64 = self.recent.iter().map(|(_, new)| new).sum();
        let usual = self.mean.max(0.05);
        let expected = usual * everywhere.clamp(1.0, 1000.0);
        let spread = (self.square - self.mean * self.mean).max(usual);
        let score = if time - since < TEMPLATE_LEARN || now < TEMPLATE_LEAST {
            0.0
        } else {
            tail_digits(now, expected, spread * (expected / usual).powi(2)) / TEMPLATE_DIGITS
        };
        self.learn(time, new as f64);
        CountReading { score, usual: self.mean, now }
    }

    fn learn(&mut self, time: i64, new: f64) {
        let hour = time.div_euclid(3600);
        if hour != self.hour.0 {
            let count = self.hour.1.min(3.0 * self.mean + 4.0);
            self.mean += (count - self.mean) / 336.0;
            self.square += (count * count - self.square) / 336.0;
            self.hour = (hour, 0.0);
        }
        self.hour.1 += new;
    }
}

/// −log10 of the probability of at least `count` by the negative binomial with this mean and variance (Poisson when the
/// variance is no larger), bounded from above by its first terms.
fn tail_digits(count: f64, mean: f64, variance: f64) -> f64 {
    let log_term = |k: f64| {
        if variance <= mean * 1.01 {
            return k * mean.ln() - mean - ln_gamma(k + 1.0);
        }
        let size = mean * mean / (variance - mean);
        let success = mean / variance;
        ln_gamma(k + size) - ln_gamma(size) - ln_gamma(k + 1.0) + size * success.ln() + k * (1.0 - success).ln()
    };
    if count <= mean {
        return 0.0;
    }
    let first = log_term(count);
    let sum: f64 = (0..200).map(|more| (log_term(count + f64::from(more)) - first).exp()).sum();
    (-(first + sum.ln()) / std::f64::consts::LN_10).max(0.0)
}

/// Stirling's series; ten digits from 8 on, shifted up to there.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 8.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let series = inverse * (1.0 / 12.0 - inverse * inverse * (1.0 / 360.0 - inverse * inverse / 1260.0));
    (x - 0.5) * x.ln() - x + 0.918_938_533_204_672_7 + series - shift
}

impl Saved for NewTemplates {
    const KIND: &'static str = "anomaly-templates";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let numbers = [self.mean, self.square, self.hour.1];
        let sound = numbers.iter().all(|v| v.is_finite() && *v >= 0.0) && self.recent.len() <= 720;
        if sound { Ok(()) } else { Err(LoadError::Contents("the state of new templates")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_distributions() {
        for (x, expected) in [(1.0, 0.0), (5.0, 24f64.ln()), (0.5, std::f64::consts::PI.sqrt().ln())] {
            assert!((ln_gamma(x) - expected).abs() < 1e-8, "{x}");
        }
        // P(Poisson(1) >= 5) = 0.003660, P(Poisson(2) >= 10) = 4.65e-5.
        for (count, mean, probability) in [(5.0, 1.0, 0.003_660), (10.0, 2.0, 4.65e-5f64)] {
            let found = 10f64.powf(-tail_digits(count, mean, mean));
            assert!((found / probability - 1.0).abs() < 0.01, "{found}");
        }
        assert!(tail_digits(20.0, 2.0, 20.0) < tail_digits(20.0, 2.0, 2.0));
    }

    #[test]
    fn five_percent_failures_are_noticed_soon_and_single_ones_are_not() {
        let mut rate = ErrorRate::new();
        for interval in 0..2000u64 {
            let reading = rate.observe(u64::from(interval % 10 == 0), 100);
            assert!(reading.score < 1.0, "{interval}");
        }
        let after = (0..100).position(|_| rate.observe(5, 100).score >= 1.0).unwrap();
        assert!(after < 3, "{after}");
        let calm = (0..200).position(|_| rate.observe(0, 100).score < 1.0).unwrap();
        assert!(calm < 60, "{calm}");
        assert!(rate.check().is_ok());
    }

    #[test]
    fn a_burst_of_templates_is_unusual_unless_everybody_brings_them() {
        let fill = || {
            let mut templates = NewTemplates::new();
            (0..288 * 10).for_each(|step| {
                templates.observe(step * 300, u64::from(step % 100 == 0), 1.0);
            });
            templates
        };
        let burst = |everywhere| {
            let mut templates = fill();
            (0..12).map(|step| templates.observe((2880 + step) * 300, 2, everywhere).score).fold(0.0, f64::max)
        };
        assert!(burst(1.0) > 1.0 && burst(60.0) < 1.0);
    }
}
