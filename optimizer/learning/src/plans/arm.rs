//! What was measured of one plan. Knows logarithms of seconds; decides nothing.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Times that are remembered: old ones say little of now.
const WINDOW: usize = 24;
/// Shortest time that is told from another, in seconds.
const SECONDS_MIN: f64 = 1e-6;

/// The latest times of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Arm {
    /// Natural logarithms of seconds, oldest first.
    logs: VecDeque<f64>,
    /// Runs in all.
    pub(super) runs: u64,
    /// Seconds of all runs.
    pub(super) seconds: f64,
}

impl Arm {
    pub(super) fn add(&mut self, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        if self.logs.len() >= WINDOW {
            self.logs.pop_front();
        }
        self.logs.push_back(seconds.max(SECONDS_MIN).ln());
        self.runs = self.runs.saturating_add(1);
        self.seconds += seconds;
    }

    /// Times that are remembered.
    pub(super) fn len(&self) -> usize {
        self.logs.len()
    }

    /// Forgets the times, not the sums.
    pub(super) fn clear(&mut self) {
        self.logs.clear();
    }

    /// Median of the latest so many logarithms; `None` of nothing.
    pub(super) fn median(&self, latest: usize) -> Option<f64> {
        let mut sorted: Vec<f64> = self.logs.iter().rev().take(latest).copied().collect();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(f64::midpoint(lower, upper))
    }

    /// Standard error of that median, from how far the times lie apart; never below 1%.
    #[allow(clippy::cast_precision_loss, reason = "a few measurements")]
    pub(super) fn error(&self, latest: usize) -> f64 {
        let Some(center) = self.median(latest) else { return f64::INFINITY };
        let mut apart: Vec<f64> = self.logs.iter().rev().take(latest).map(|log| (log - center).abs()).collect();
        apart.sort_by(f64::total_cmp);
        // The median of absolute deviations, as a normal distribution's deviation; a median errs 1.25 times as much as a mean.
        let deviation = 1.4826 * apart.get(apart.len() / 2).copied().unwrap_or(0.0);
        (1.25 * deviation / (apart.len() as f64).sqrt()).max(0.01)
    }

    /// The logarithm below which this share of the times lies.
    pub(super) fn high(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.logs.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 3 / 4).or(sorted.last()).copied()
    }

    /// Mean seconds of all runs.
    #[allow(clippy::cast_precision_loss, reason = "nobody runs a statement 2^53 times")]
    pub(super) fn mean_seconds(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.seconds / self.runs as f64)
    }

    /// Whether what was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        self.logs.len() <= WINDOW && self.logs.iter().all(|log| log.is_finite()) && self.seconds.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_latest() {
        let mut arm = Arm::default();
        assert_eq!((arm.median(5), arm.mean_seconds()), (None, None));
        for seconds in [9.0, 9.0, 9.0, 1.0, 2.0, 3.0] {
            arm.add(seconds);
        }
        assert!((arm.median(3).unwrap().exp() - 2.0).abs() < 1e-9);
        assert!((arm.error(3) - 1.25 * 1.4826 * 1.5_f64.ln() / 3_f64.sqrt()).abs() < 1e-9);
        arm.add(f64::NAN);
        assert_eq!((arm.runs, arm.len()), (6, 6));
        (0..100).for_each(|_| arm.add(1.0));
        assert_eq!((arm.runs, arm.len()), (106, WINDOW));
        assert!(arm.is_sound() && arm.high().unwrap().abs() < 1e-9);
    }
}
