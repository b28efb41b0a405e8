//! Mean and spread of a series, with or without a memory. Knows no time and no threshold.

use serde::{Deserialize, Serialize};

/// Mean and spread of all values so far (Welford).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes a value in.
    pub fn add(&mut self, value: f64) {
        self.n += 1.0;
        let difference = value - self.mean;
        self.mean += difference / self.n;
        self.squares += difference * (value - self.mean);
    }

    /// As [`Moments::add`], with a memory of about `window` values.
    pub fn add_fading(&mut self, value: f64, window: f64) {
        if self.n >= window {
            let kept = (window - 1.0) / self.n;
            self.n *= kept;
            self.squares *= kept;
        }
        self.add(value);
    }

    /// Values, those that faded counted less.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.n
    }

    /// Mean of the values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Standard deviation, never below a millionth of a millionth.
    #[must_use]
    pub fn spread(&self) -> f64 {
        (self.squares / self.n.max(1.0)).max(1e-24).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fading_moments_follow_a_new_level() {
        let mut moments = Moments::default();
        (0..1000).for_each(|_| moments.add_fading(10.0, 50.0));
        (0..500).for_each(|_| moments.add_fading(20.0, 50.0));
        assert!((moments.mean() - 20.0).abs() < 0.1 && moments.spread() < 1.0);
    }
}
