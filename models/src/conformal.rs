//! Intervals that hold what they promise on new data of the same kind (split conformal prediction, normalized). Knows residuals
//! of predictions that were made without their truths; no model.

use crate::numeric;
use serde::{Deserialize, Serialize};

/// One held-out prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Truth minus prediction.
    pub error: f64,
    /// How hard the prediction looked beforehand, in the unit of the error; positive.
    pub scale: f64,
}

/// Offsets, in scales, below and above a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    low: f64,
    high: f64,
}

impl Conformal {
    /// Offsets so that `coverage` of new errors fall between them, the two tails alike, with the finite-sample
    /// correction of split conformal prediction. `None` without a usable residual.
    #[must_use]
    pub fn calibrate(residuals: &[Residual], coverage: f64) -> Option<Self> {
        let usable = residuals.iter().filter(|r| r.error.is_finite() && r.scale.is_finite() && r.scale > 0.0);
        let mut scores: Vec<f64> = usable.map(|r| r.error / r.scale).collect();
        if scores.is_empty() {
            return None;
        }
        numeric::sort(&mut scores);
        let correction = 1.0 + 1.0 / scores.len() as f64;
        let tail = ((1.0 - coverage.clamp(0.0, 1.0) * correction) / 2.0).max(0.0);
        let [low, high] = [tail, 1.0 - tail].map(|level| numeric::quantile(&scores, level));
        Some(Self { low, high })
    }

    /// The interval around a prediction; it contains the prediction.
    #[must_use]
    pub fn interval(&self, prediction: f64, scale: f64) -> (f64, f64) {
        let scale = if scale.is_finite() { scale.max(0.0) } else { 0.0 };
        (prediction + (self.low * scale).min(0.0), prediction + (self.high * scale).max(0.0))
    }

    /// Both offsets are numbers.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn coverage_is_kept_though_errors_differ_in_scale_and_are_skewed() {
        let mut rng = Rng::new(11);
        let mut draw = || {
            let scale = 0.1 + rng.unit();
            Residual { error: scale * (rng.normal().exp() - 1.0), scale }
        };
        let seen: Vec<Residual> = (0..2_000).map(|_| draw()).collect();
        let conformal = Conformal::calibrate(&seen, 0.9).unwrap();
        let inside = (0..5_000).filter(|_| {
            let new = draw();
            let (low, high) = conformal.interval(0.0, new.scale);
            (low..=high).contains(&new.error)
        });
        let share = inside.count() as f64 / 5_000.0;
        assert!((0.88..0.93).contains(&share), "{share}");
    }

    #[test]
    fn few_residuals_widen_and_none_give_nothing() {
        let width = |count: i32| {
            let seen: Vec<Residual> =
                (0..count).map(|i| Residual { error: f64::from(i) / f64::from(count - 1), scale: 1.0 }).collect();
            let (low, high) = Conformal::calibrate(&seen, 0.8).unwrap().interval(0.5, 1.0);
            high - low
        };
        assert!(width(5) > width(1_000) && width(1_000) > 0.79);
        assert_eq!(Conformal::calibrate(&[Residual { error: f64::NAN, scale: 1.0 }], 0.9), None);
    }
}
