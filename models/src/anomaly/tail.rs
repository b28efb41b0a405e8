//! How improbable a score is against the series' own past: a log histogram, and beyond its 98th percentile a generalized
//! Pareto tail. Knows no threshold and no meaning of the score.

use serde::{Deserialize, Serialize};

const BINS: usize = 256;
const LOW: f64 = 1e-4;
/// Ratio of neighbouring bin edges: 256 bins reach from 1e-4 to 1e6, each 9.4% wide.
const LOG_STEP: f64 = 23.025_850_929_940_457 / 255.0;
/// Scores below this share of the past are judged by rank, scores above by the tail.
const QUANTILE: f64 = 0.98;
/// No judgement before so many scores.
const WARM_UP: u32 = 50;
/// Scores between two fits of the tail.
const REFIT: u8 = 8;
/// Largest surprise: more digits than a few thousand observations can carry.
const SURPRISE_MAX: f64 = 5.0;

/// Peaks over threshold (as SPOT does it: Siffer and others, 2017) over a bounded summary of all past scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    bins: Vec<f32>,
    seen: u32,
    since_fit: u8,
    threshold: f64,
    shape: f64,
    scale: f64,
    /// Scores at which the histogram is halved, so that the past fades; 0 never.
    memory: u32,
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins before the cast")]
fn bin(score: f64) -> usize {
    if score.is_nan() || score <= LOW {
        return 0;
    }
    ((score / LOW).ln() / LOG_STEP).clamp(0.0, (BINS - 2) as f64) as usize + 1
}

/// Geometric middle of a bin, 0 for the lowest.
fn middle(bin: usize) -> f64 {
    if bin == 0 { 0.0 } else { LOW * ((bin as f64 - 0.5) * LOG_STEP).exp() }
}

impl Tail {
    /// `memory`: scores at which the past begins to fade; 0: never.
    #[must_use]
    pub fn new(memory: u32) -> Self {
        Self { bins: vec![0.0; BINS], seen: 0, since_fit: 0, threshold: 0.0, shape: 0.0, scale: 1e-9, memory }
    }

    fn total(&self) -> f64 {
        self.bins.iter().map(|n| f64::from(*n)).sum()
    }

    /// −log10 of the share of scores expected at or above `score`, 0 to [`SURPRISE_MAX`]; then remembers the score.
    pub fn judge(&mut self, score: f64) -> f64 {
        let score = if score.is_finite() { score.max(0.0) } else { 0.0 };
        let surprise = self.surprise(score);
        self.remember(score);
        surprise
    }

    /// As [`Tail::judge`], remembering nothing.
    fn surprise(&self, score: f64) -> f64 {
        if self.seen < WARM_UP {
            return 0.0;
        }
        let probability = if score <= self.threshold {
            let above: f64 = self.bins.iter().skip(bin(score)).map(|n| f64::from(*n)).sum();
            (above / self.total()).max(1.0 - QUANTILE)
        } else {
            (1.0 - QUANTILE) * self.survival(score - self.threshold)
        };
        -probability.max(10f64.powf(-SURPRISE_MAX)).log10()
    }

    fn survival(&self, excess: f64) -> f64 {
        if self.shape.abs() < 1e-6 {
            return (-excess / self.scale).exp();
        }
        let base = 1.0 + self.shape * excess / self.scale;
        if base <= 0.0 { 0.0 } else { base.powf(-1.0 / self.shape) }
    }

    fn remember(&mut self, score: f64) {
        self.bins[bin(score)] += 1.0;
        self.seen = self.seen.saturating_add(1);
        if self.memory > 0 && self.seen.is_multiple_of(self.memory) {
            self.bins.iter_mut().for_each(|n| *n *= 0.5);
        }
        self.since_fit += 1;
        if self.since_fit >= REFIT || self.seen <= WARM_UP {
            self.since_fit = 0;
            self.fit();
        }
    }

    /// Threshold by rank, then shape and scale by the method of moments, bounded to tails that metrics have.
    fn fit(&mut self) {
        let wanted = ((1.0 - QUANTILE) * self.total()).max(1.0);
        let (mut above, mut at) = (0.0, BINS - 1);
        while at > 0 && above + f64::from(self.bins[at]) < wanted {
            above += f64::from(self.bins[at]);
            at -= 1;
        }
        self.threshold = middle(at);
        // Of the bin that the rank falls into only the share above the rank belongs to the tail: for counts it holds
        // almost all of the past.
        let share = |bin: usize| if bin == at { wanted - above } else { f64::from(self.bins[bin]) };
        let excesses = || (at..BINS).map(|bin| (share(bin), middle(bin) - middle(at)));
        let mean = excesses().map(|(n, excess)| n * excess).sum::<f64>() / wanted;
        let variance = excesses().map(|(n, excess)| n * (excess - mean).powi(2)).sum::<f64>() / wanted;
        (self.shape, self.scale) = if mean > 0.0 && variance > 0.0 {
            let ratio = mean * mean / variance;
            ((0.5 * (1.0 - ratio)).clamp(-0.2, 0.45), 0.5 * mean * (ratio + 1.0))
        } else {
            (0.0, (self.threshold * LOG_STEP).max(LOW))
        };
    }

    /// Whether a state that was read back holds together.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.bins.len() == BINS
            && self.bins.iter().all(|n| n.is_finite() && *n >= 0.0)
            && [self.threshold, self.shape, self.scale].iter().all(|v| v.is_finite())
            && self.scale > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_promised_share_of_ordinary_scores_is_surprising() {
        let mut rng = Rng::new(1);
        let mut tail = Tail::new(0);
        let surprises: Vec<f64> = (0..40_000).map(|_| tail.judge(rng.normal().abs())).collect();
        for (digits, low, high) in [(1.0, 0.07, 0.13), (2.0, 0.006, 0.015), (3.0, 0.0004, 0.003)] {
            let share = surprises.iter().filter(|s| **s >= digits).count() as f64 / surprises.len() as f64;
            assert!((low..high).contains(&share), "{digits} digits: {share}");
        }
        assert!(tail.surprise(100.0) > 4.9);
        assert!(tail.is_sound());
    }

    #[test]
    fn nothing_is_surprising_before_there_is_a_past_and_odd_numbers_do_no_harm() {
        let mut tail = Tail::new(100);
        assert!((0..50).all(|_| tail.judge(1.0) == 0.0));
        for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, f64::MIN_POSITIVE] {
            assert!(tail.judge(odd).is_finite());
        }
        assert!(tail.is_sound());
    }
}
