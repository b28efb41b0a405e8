//! What is usual at this half hour of a working day or a weekend, and whether the last residuals are larger than residuals
//! have been. Knows UTC seconds, no calendar of holidays.

use querygate_models::anomaly::Moments;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const SLOTS: usize = 48;
const SLOT_SECONDS: i64 = 1800;
/// Residuals averaged before they are compared.
const SHORT: usize = 10;
/// Averages remembered, fading.
const LONG: f64 = 8000.0;
/// A slot speaks after so many values.
const SLOT_SEEN: f64 = 6.0;

/// Half-hourly profile for working days and weekends, with the likelihood of the residuals (the idea of Numenta's anomaly
/// likelihood: the short mean against the distribution of short means).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Season {
    /// Usual value and count, working days before weekends.
    slots: Vec<(f64, f64)>,
    variance: f64,
    residuals: f64,
    recent: VecDeque<f64>,
    averages: Moments,
}

/// Slot of a time: 48 for working days, 48 for weekends (the epoch's first day was a Thursday).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both remainders are small and not negative"
)]
fn slot(time: i64) -> usize {
    let day = (time.div_euclid(86_400) + 4).rem_euclid(7);
    let weekend = day == 0 || day == 6;
    time.div_euclid(SLOT_SECONDS).rem_euclid(86_400 / SLOT_SECONDS) as usize + if weekend { SLOTS } else { 0 }
}

impl Season {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![(0.0, 0.0); 2 * SLOTS],
            variance: 0.0,
            residuals: 0.0,
            recent: VecDeque::new(),
            averages: Moments::default(),
        }
    }

    /// Usual value at this time, once the slot has been seen often enough.
    pub(crate) fn usual(&self, time: i64) -> Option<f64> {
        let (usual, seen) = self.slots[slot(time)];
        (seen > SLOT_SEEN).then_some(usual)
    }

    /// Deviation of the last residuals' mean from its own past, in standard deviations (0 when below).
    pub(crate) fn distance(&mut self, time: i64, value: f64) -> f64 {
        let (usual, seen) = &mut self.slots[slot(time)];
        if *seen == 0.0 {
            *usual = value;
        }
        let residual = value - *usual;
        let scaled = if *seen > SLOT_SEEN { residual.abs() / self.variance.sqrt().max(1e-9) } else { 0.0 };
        *usual += (1.0 / (*seen + 1.0)).max(0.03) * residual;
        *seen += 1.0;
        self.spread(residual);
        self.recent.push_back(scaled);
        if self.recent.len() > SHORT {
            self.recent.pop_front();
        }
        let average = self.recent.iter().sum::<f64>() / self.recent.len() as f64;
        let distance = if self.averages.count() > 30.0 {
            (average - self.averages.mean()) / self.averages.spread().max(self.averages.mean().abs() * 1e-3 + 1e-9)
        } else {
            0.0
        };
        self.averages.add_fading(average, LONG);
        distance.max(0.0)
    }

    /// Variance of the residuals: a mean at first, then fading and with outliers bounded at five standard deviations.
    fn spread(&mut self, residual: f64) {
        let square = residual * residual;
        if self.residuals < 100.0 {
            self.residuals += 1.0;
            self.variance += (square - self.variance) / self.residuals;
        } else {
            self.variance += 0.005 * (square.min(25.0 * self.variance.max(1e-9)) - self.variance);
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.slots.len() == 2 * SLOTS && self.recent.len() <= SHORT && self.variance.is_finite()
    }
}
