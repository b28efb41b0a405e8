//! Mean and variance that forget. Knows values and the time that is told to it.

use serde::{Deserialize, Serialize};

/// Exponentially decayed weight, mean and variance: a value counts half after each half-life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecayedMoments {
    half_life: f64,
    at: f64,
    weight: f64,
    mean: f64,
    squares: f64,
}

impl DecayedMoments {
    /// `half_life` in the unit of the times given later; infinite for plain moments.
    #[must_use]
    pub fn new(half_life: f64) -> Self {
        let half_life = if half_life > 0.0 { half_life } else { f64::INFINITY };
        Self { half_life, at: f64::NEG_INFINITY, weight: 0.0, mean: 0.0, squares: 0.0 }
    }

    fn decay(&self, now: f64) -> f64 {
        // A clock that goes back forgets nothing.
        let age = (now - self.at).max(0.0);
        if age.is_finite() { (-age / self.half_life * std::f64::consts::LN_2).exp() } else { 1.0 }
    }

    /// Takes a value in; what is not finite is ignored.
    pub fn add(&mut self, now: f64, value: f64) {
        if !value.is_finite() || !now.is_finite() {
            return;
        }
        let kept = self.decay(now);
        self.weight = self.weight * kept + 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.weight;
        self.squares = self.squares * kept + delta * (value - self.mean);
        self.at = self.at.max(now);
    }

    /// How many values the memory is worth at `now`.
    #[must_use]
    pub fn weight(&self, now: f64) -> f64 {
        self.weight * self.decay(now)
    }

    /// The decayed mean; `None` before the first value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.mean)
    }

    /// The decayed (population) variance; `None` before the first value.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| (self.squares / self.weight).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_decay_they_are_the_plain_moments() {
        let mut moments = DecayedMoments::new(f64::INFINITY);
        assert_eq!((moments.mean(), moments.variance()), (None, None));
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].iter().enumerate().for_each(|(t, v)| moments.add(t as f64, *v));
        assert!((moments.mean().unwrap() - 5.0).abs() < 1e-12);
        assert!((moments.variance().unwrap() - 4.0).abs() < 1e-12);
        assert!((moments.weight(99.0) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn old_values_fade_by_half_lives() {
        let mut moments = DecayedMoments::new(10.0);
        (0..100).for_each(|_| moments.add(0.0, 1.0));
        assert!((moments.weight(10.0) - 50.0).abs() < 1e-9);
        (0..100).for_each(|_| moments.add(100.0, 3.0));
        assert!(moments.mean().unwrap() > 2.99);
        // Back in time and not a number: no harm.
        moments.add(50.0, 3.0);
        moments.add(f64::NAN, 3.0);
        moments.add(100.0, f64::NAN);
        assert!(moments.mean().unwrap() > 2.99 && moments.variance().unwrap() < 0.1);
    }
}
