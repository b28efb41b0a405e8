//! Intervals that hold what they promise on new data of the same kind (split conformal prediction, normalized). Knows residuals
//! of predictions that were made without their truths; no model.

use crate::numeric;
use serde::{Deserialize, Serialize};

/// Residuals from which on tails are divided: fewer do not tell where an interval is shortest.
const DIVIDED_FROM: usize = 500;
/// Shares of what is left out that the lower tail may get.
const SHARES: [f64; 10] = [0.25, 0.3, 0.35, 0.4, 0.45, 0.55, 0.6, 0.65, 0.7, 0.75];

/// One held-out prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Truth minus prediction.
    pub error: f64,
    /// How hard the prediction looked beforehand, in the unit of the error; positive.
    pub scale: f64,
    /// How far below and above the prediction the truth can be; infinite where nobody can tell.
    pub room: [f64; 2],
}

impl Residual {
    fn is_usable(&self) -> bool {
        self.error.is_finite() && self.scale.is_finite() && self.scale > 0.0
    }
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
        Some(Self::divided(&scores(residuals)?, coverage, 0.5))
    }

    /// The same with the tails divided so that the median interval, cut to its room, is shortest, as long as none gets more than
    /// three quarters of what is left out: errors are skewed, and what ends at a bound needs no wide tail there. With few residuals
    /// the tails are alike.
    #[must_use]
    pub fn shortest(residuals: &[Residual], coverage: f64) -> Option<Self> {
        let scores = scores(residuals)?;
        let alike = Self::divided(&scores, coverage, 0.5);
        if scores.len() < DIVIDED_FROM {
            return Some(alike);
        }
        let length = |one: Self| {
            let of = |r: &Residual| {
                let (low, high) = one.interval(0.0, r.scale);
                high.min(r.room[1].max(0.0)) - low.max(-r.room[0].max(0.0))
            };
            let lengths: Vec<f64> = residuals.iter().filter(|r| r.is_usable()).map(of).collect();
            (numeric::median(&lengths), one)
        };
        let others = SHARES.into_iter().map(|share| Self::divided(&scores, coverage, share));
        let lengths = std::iter::once(alike).chain(others).map(length);
        lengths.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, shortest)| shortest)
    }

    /// `below`: share of what is left out that the lower tail gets.
    fn divided(scores: &[f64], coverage: f64, below: f64) -> Self {
        let correction = 1.0 + 1.0 / scores.len() as f64;
        let left_out = (1.0 - coverage.clamp(0.0, 1.0) * correction).max(0.0);
        let [low, high] = [below * left_out, 1.0 - (1.0 - below) * left_out].map(|at| numeric::quantile(scores, at));
        Self { low, high }
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

/// Errors in scales, ascending.
fn scores(residuals: &[Residual]) -> Option<Vec<f64>> {
    let mut scores: Vec<f64> = residuals.iter().filter(|r| r.is_usable()).map(|r| r.error / r.scale).collect();
    numeric::sort(&mut scores);
    (!scores.is_empty()).then_some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const ENDLESS: [f64; 2] = [f64::INFINITY; 2];

    #[test]
    fn coverage_is_kept_though_errors_differ_in_scale_and_are_skewed() {
        let mut rng = Rng::new(11);
        let mut draw = || {
            let scale = 0.1 + rng.unit();
            Residual { error: scale * (rng.normal().exp() - 1.0), scale, room: ENDLESS }
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
    fn of_skewed_errors_the_shortest_interval_is_taken_on_either_side() {
        let mut rng = Rng::new(12);
        let skewed: Vec<f64> = (0..4_000).map(|_| (1.2 * rng.normal()).exp() - 1.0).collect();
        for side in [1.0, -1.0] {
            let seen: Vec<Residual> =
                skewed.iter().map(|e| Residual { error: side * e, scale: 1.0, room: ENDLESS }).collect();
            let (low, high) = Conformal::shortest(&seen, 0.8).unwrap().interval(0.0, 1.0);
            let mut errors: Vec<f64> = seen.iter().map(|r| r.error).collect();
            numeric::sort(&mut errors);
            let alike = numeric::quantile(&errors, 0.9) - numeric::quantile(&errors, 0.1);
            assert!(high - low < 0.9 * alike, "{} instead of {alike}", high - low);
            let inside = errors.iter().filter(|error| (low..=high).contains(*error)).count();
            assert!((3_190..3_250).contains(&inside), "{inside}");
        }
        // Where both tails are alike nothing is won by another division, and little is lost.
        let even: Vec<Residual> =
            (0..4_000).map(|_| Residual { error: rng.normal(), scale: 1.0, room: ENDLESS }).collect();
        let (low, high) = Conformal::shortest(&even, 0.9).unwrap().interval(0.0, 1.0);
        assert!((low + 1.645).abs() < 0.25 && (high - 1.645).abs() < 0.25, "{low} {high}");
        assert_eq!(Conformal::shortest(&even[..100], 0.9), Conformal::calibrate(&even[..100], 0.9));
        assert_eq!(Conformal::shortest(&[], 0.9), None);
    }

    #[test]
    fn a_tail_that_ends_at_a_bound_is_left_to_it() {
        let mut rng = Rng::new(13);
        let mut draw = |room| {
            let error: f64 = rng.normal();
            Residual { error: error.min(room), scale: 1.0, room: [f64::INFINITY, room] }
        };
        let seen: Vec<Residual> = (0..4_000).map(|_| draw(0.5)).collect();
        let conformal = Conformal::shortest(&seen, 0.9).unwrap();
        let (low, high) = conformal.interval(0.0, 1.0);
        // Nothing is above the bound, so that all that is left out may be below.
        assert!(high >= 0.5 && (-1.5..-1.38).contains(&low), "{low} {high}");
        let inside = seen.iter().filter(|r| (low..=high).contains(&r.error)).count();
        assert!((3_600..3_760).contains(&inside), "{inside}");
    }

    #[test]
    fn few_residuals_widen_and_none_give_nothing() {
        let width = |count: i32| {
            let seen: Vec<Residual> = (0..count)
                .map(|i| Residual { error: f64::from(i) / f64::from(count - 1), scale: 1.0, room: ENDLESS })
                .collect();
            let (low, high) = Conformal::calibrate(&seen, 0.8).unwrap().interval(0.5, 1.0);
            high - low
        };
        assert!(width(5) > width(1_000) && width(1_000) > 0.79);
        assert_eq!(Conformal::calibrate(&[Residual { error: f64::NAN, scale: 1.0, room: ENDLESS }], 0.9), None);
    }
}
