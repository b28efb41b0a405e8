//! A linear law that follows a stream: recursive least squares with forgetting. Knows inputs and outputs, no clock.

use crate::matrix::{Matrix, dot};
use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};

/// `y ≈ weights · x`, updated in O(width²) for each pair. Inputs should be of like scale (logarithms, or divided by a typical
/// value).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecursiveLeastSquares {
    weights: Vec<f64>,
    covariance: Matrix,
    forgetting: f64,
    count: u64,
}

/// What bounds the covariance when an input does not vary for long (otherwise it winds up and the next change is a jump).
const COVARIANCE_MAX: f64 = 1e6;

impl RecursiveLeastSquares {
    /// Starts at `weights` with prior variance `uncertainty`; `forgetting` in (0.5, 1] keeps about 1 / (1 − forgetting) pairs
    /// in memory.
    #[must_use]
    pub fn new(weights: Vec<f64>, uncertainty: f64, forgetting: f64) -> Self {
        let width = weights.len();
        let mut covariance = Matrix::zeros(width, width);
        (0..width).for_each(|i| covariance.row_mut(i)[i] = uncertainty.clamp(1e-6, COVARIANCE_MAX));
        Self { weights, covariance, forgetting: forgetting.clamp(0.5, 1.0), count: 0 }
    }

    /// The prediction; missing inputs count as zero.
    #[must_use]
    pub fn predict(&self, x: &[f64]) -> f64 {
        self.weights.iter().zip(x).map(|(w, x)| w * x).sum()
    }

    /// The weights now.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Pairs learnt from.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Learns from a pair. One of the wrong width or with a number that is not finite is refused (`false`).
    pub fn update(&mut self, x: &[f64], y: f64) -> bool {
        let width = self.weights.len();
        if x.len() != width || !y.is_finite() || x.iter().any(|v| !v.is_finite()) {
            return false;
        }
        let spread: Vec<f64> = (0..width).map(|i| dot(self.covariance.row(i), x)).collect();
        let denominator = self.forgetting + dot(x, &spread);
        let error = y - self.predict(x);
        let weights: Vec<f64> = self.weights.iter().zip(&spread).map(|(w, s)| w + s / denominator * error).collect();
        if !denominator.is_finite() || denominator <= 0.0 || weights.iter().any(|w| !w.is_finite()) {
            return false;
        }
        self.weights = weights;
        self.count = self.count.saturating_add(1);
        for i in 0..width {
            let row = self.covariance.row_mut(i);
            for j in 0..width {
                row[j] = (row[j] - spread[i] * spread[j] / denominator) / self.forgetting;
            }
        }
        let widest = (0..width).map(|i| self.covariance.row(i)[i]).fold(0.0, f64::max);
        if widest > COVARIANCE_MAX {
            (0..width).for_each(|i| self.covariance.row_mut(i).iter_mut().for_each(|v| *v *= COVARIANCE_MAX / widest));
        }
        true
    }
}

impl Saved for RecursiveLeastSquares {
    const KIND: &'static str = "rls";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let width = self.weights.len();
        let whole = self.covariance.width() == width && self.covariance.rows() == width && self.covariance.is_finite();
        if !whole || self.weights.iter().any(|w| !w.is_finite()) || !(0.5..=1.0).contains(&self.forgetting) {
            return Err(LoadError::Contents("recursive least squares"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::saved;

    fn feed(law: &mut RecursiveLeastSquares, truth: [f64; 3], pairs: u32, rng: &mut Rng) {
        for _ in 0..pairs {
            let x = [1.0, rng.normal(), rng.normal()];
            assert!(law.update(&x, dot(&truth, &x) + 0.01 * rng.normal()));
        }
    }

    #[test]
    fn it_finds_a_law_and_follows_it_when_it_changes() {
        let (mut law, mut rng) = (RecursiveLeastSquares::new(vec![0.0; 3], 100.0, 0.98), Rng::new(2));
        for truth in [[1.0, -2.0, 0.5], [0.3, 4.0, 0.0]] {
            feed(&mut law, truth, 400, &mut rng);
            assert!(law.weights().iter().zip(truth).all(|(w, t)| (w - t).abs() < 0.02), "{:?}", law.weights());
        }
        assert_eq!(saved::load::<RecursiveLeastSquares>(&saved::save(&law).unwrap()), Ok(law));
    }

    #[test]
    fn inputs_that_do_not_vary_do_not_wind_it_up() {
        let mut law = RecursiveLeastSquares::new(vec![0.0; 2], 1.0, 0.9);
        (0..10_000).for_each(|_| assert!(law.update(&[1.0, 0.0], 3.0)));
        assert!(law.covariance.is_finite() && (law.predict(&[1.0, 0.0]) - 3.0).abs() < 1e-6);
        assert!(
            !law.update(&[1.0], 1.0) && !law.update(&[1.0, f64::NAN], 1.0) && !law.update(&[1.0, 0.0], f64::INFINITY)
        );
        assert_eq!(law.count(), 10_000);
    }
}
