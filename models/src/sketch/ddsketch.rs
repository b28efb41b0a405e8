//! Quantiles with a relative error that is promised (DDSketch, Masson, Rim and Lee, VLDB 2019). Knows non-negative numbers.

use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Buckets before the lowest are merged: with 1% error, 2,048 of them span 17 decimal orders of magnitude.
const BUCKETS_MAX: usize = 2_048;

/// Counts of values in buckets that grow geometrically. Every quantile is within the relative error of a value that has this
/// rank, except in the lowest buckets once they had to be merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DdSketch {
    gamma: f64,
    zeros: u64,
    buckets: BTreeMap<i32, u64>,
    count: u64,
}

/// Smallest value that is told from zero.
const TINY: f64 = 1e-9;

impl DdSketch {
    /// `error` is relative and clamped to 0.1%–50%.
    #[must_use]
    pub fn new(error: f64) -> Self {
        let error = if error.is_nan() { 0.01 } else { error.clamp(0.001, 0.5) };
        Self { gamma: (1.0 + error) / (1.0 - error), zeros: 0, buckets: BTreeMap::new(), count: 0 }
    }

    /// Number of values seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes a value in. Negative values count as zero; what is not finite is ignored.
    pub fn add(&mut self, value: f64) {
        self.add_times(value, 1);
    }

    /// The same for a value that was seen so many times.
    pub fn add_times(&mut self, value: f64, times: u64) {
        if !value.is_finite() || times == 0 {
            return;
        }
        self.count = self.count.saturating_add(times);
        if value < TINY {
            self.zeros = self.zeros.saturating_add(times);
            return;
        }
        // Finite, and within ±355,000 for the smallest gamma: `as` does not saturate.
        let key = (value.ln() / self.gamma.ln()).ceil() as i32;
        let bucket = self.buckets.entry(key).or_insert(0);
        *bucket = bucket.saturating_add(times);
        self.collapse();
    }

    fn collapse(&mut self) {
        while self.buckets.len() > BUCKETS_MAX {
            let Some((_, lowest)) = self.buckets.pop_first() else { return };
            if let Some(mut next) = self.buckets.first_entry() {
                *next.get_mut() = next.get().saturating_add(lowest);
            }
        }
    }

    /// The `level` quantile (0 to 1); `None` before the first value.
    #[must_use]
    pub fn quantile(&self, level: f64) -> Option<f64> {
        if self.count == 0 || level.is_nan() {
            return None;
        }
        let rank = level.clamp(0.0, 1.0) * (self.count - 1) as f64;
        let mut below = self.zeros as f64;
        if below > rank {
            return Some(0.0);
        }
        let mut last = 0.0;
        for (key, count) in &self.buckets {
            last = 2.0 * self.gamma.powi(*key) / (self.gamma + 1.0);
            below += *count as f64;
            if below > rank {
                break;
            }
        }
        Some(last)
    }

    /// Adds what another sketch saw. Returns whether both have the same error; otherwise nothing is changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.gamma.to_bits() != other.gamma.to_bits() {
            return false;
        }
        self.count = self.count.saturating_add(other.count);
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (key, count) in &other.buckets {
            let bucket = self.buckets.entry(*key).or_insert(0);
            *bucket = bucket.saturating_add(*count);
        }
        self.collapse();
        true
    }
}

impl Saved for DdSketch {
    const KIND: &'static str = "ddsketch";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let sum = self.buckets.values().try_fold(self.zeros, |sum, count| sum.checked_add(*count));
        if !(self.gamma > 1.0 && self.gamma <= 3.0) || self.buckets.len() > BUCKETS_MAX || sum != Some(self.count) {
            return Err(LoadError::Contents("a sketch of quantiles"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::{numeric, saved};

    #[test]
    fn every_quantile_is_within_the_promised_error() {
        let mut rng = Rng::new(5);
        let mut values: Vec<f64> = (0..20_000).map(|_| (rng.normal() * 3.0).exp()).collect();
        let mut halves = [DdSketch::new(0.01), DdSketch::new(0.01)];
        values.iter().enumerate().for_each(|(i, v)| halves[i % 2].add(*v));
        let [mut sketch, other] = halves;
        assert!(sketch.merge(&other));
        numeric::sort(&mut values);
        for level in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[numeric::index(level * 19_999.0, values.len())];
            let found = sketch.quantile(level).unwrap();
            assert!((found - exact).abs() <= 0.0101 * exact, "{level}: {found} for {exact}");
        }
        assert!(!sketch.merge(&DdSketch::new(0.02)));
        assert_eq!(saved::load::<DdSketch>(&saved::save(&sketch).unwrap()), Ok(sketch));
    }

    #[test]
    fn a_value_that_was_seen_often_counts_as_often() {
        let (mut one, mut often) = (DdSketch::new(0.02), DdSketch::new(0.02));
        for (value, times) in [(0.0, 3), (1.5, 40), (7.0, 1), (9.0, 0), (f64::NAN, 5)] {
            (0..times).for_each(|_| one.add(value));
            often.add_times(value, times);
        }
        assert_eq!((often.count(), &often), (44, &one));
        assert!(often.check().is_ok());
    }

    #[test]
    fn memory_is_bounded_and_odd_values_do_no_harm() {
        let mut sketch = DdSketch::new(0.001);
        for v in [f64::NAN, f64::INFINITY, -3.0, 0.0] {
            sketch.add(v);
        }
        assert_eq!((sketch.count(), sketch.quantile(1.0)), (2, Some(0.0)));
        (0..100_000).for_each(|i| sketch.add((f64::from(i) * 0.005 - 200.0).exp()));
        sketch.add(f64::MAX);
        assert!(sketch.buckets.len() <= BUCKETS_MAX);
        assert!(sketch.quantile(1.0).unwrap() > 1e300);
        assert_eq!(DdSketch::new(f64::NAN).quantile(0.5), None);
    }
}
