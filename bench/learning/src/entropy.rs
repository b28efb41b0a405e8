//! Whether the distribution of the last values is one that has been seen: relative entropy against remembered
//! distributions. Knows bins, not units.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const BINS: usize = 5;
const WINDOW: usize = 52;
/// Values before bins are trusted.
const WARM_UP: u32 = 100;
/// 99% point of chi-squared with four degrees of freedom: a distribution farther than this from all is a new one.
const NEW: f64 = 13.28;
const REMEMBERED: usize = 64;

/// Multinomial goodness of fit with several hypotheses (Wang and others, 2011), binned over the range seen so far, so that
/// nothing of the future is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entropy {
    low: f64,
    high: f64,
    seen: u32,
    window: VecDeque<u8>,
    counts: [u8; BINS],
    known: VecDeque<[f32; BINS]>,
}

impl Entropy {
    pub(crate) fn new() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            seen: 0,
            window: VecDeque::new(),
            counts: [0; BINS],
            known: VecDeque::new(),
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins before the cast")]
    fn bin(&self, value: f64) -> u8 {
        if self.seen < WARM_UP / 2 || self.high <= self.low {
            return 0;
        }
        ((value - self.low) / (self.high - self.low) * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as u8
    }

    /// Test statistic of the last 52 values against the nearest remembered distribution.
    pub(crate) fn distance(&mut self, value: f64) -> f64 {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        let bin = self.bin(value);
        self.seen = self.seen.saturating_add(1);
        self.window.push_back(bin);
        self.counts[usize::from(bin)] += 1;
        if self.window.len() > WINDOW {
            let gone = self.window.pop_front().unwrap_or(0);
            self.counts[usize::from(gone)] -= 1;
        }
        if self.window.len() < WINDOW || self.seen <= WARM_UP + 52 {
            return 0.0;
        }
        let now = self.counts.map(|count| f32::from(count) / WINDOW as f32);
        let nearest = self.known.iter().map(|known| divergence(&now, known)).fold(f64::INFINITY, f64::min);
        let statistic = if nearest.is_finite() { (2.0 * WINDOW as f64 * nearest).max(0.0) } else { 0.0 };
        if self.known.is_empty() || statistic > NEW {
            self.known.push_back(now);
            if self.known.len() > REMEMBERED {
                self.known.pop_front();
            }
        }
        statistic
    }

    pub(crate) fn is_sound(&self) -> bool {
        let counted = self.counts.iter().map(|count| usize::from(*count)).sum::<usize>();
        self.window.len() <= WINDOW
            && counted == self.window.len()
            && self.window.iter().all(|bin| usize::from(*bin) < BINS)
            && self.known.len() <= REMEMBERED
    }
}

/// Kullback–Leibler; an unseen bin counts as half an observation.
fn divergence(now: &[f32; BINS], known: &[f32; BINS]) -> f64 {
    let least = 0.5 / WINDOW as f32;
    now.iter().zip(known).filter(|(n, _)| **n > 0.0).map(|(n, k)| f64::from(n * (n / k.max(least)).ln())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_models::rng::Rng;

    #[test]
    fn a_new_distribution_within_the_known_range_stands_out_once() {
        let mut rng = Rng::new(5);
        let mut entropy = Entropy::new();
        let mut new =
            |count: u32, value: &mut dyn FnMut() -> f64| (0..count).filter(|_| entropy.distance(value()) > NEW).count();
        let mut usual = || rng.unit() * 100.0;
        new(3000, &mut usual);
        assert!(new(1000, &mut usual) <= 8);
        assert!(new(52, &mut || 55.0) >= 3);
        new(200, &mut usual);
        assert_eq!(new(52, &mut || 55.0), 0, "it is known by now");
        assert!(entropy.is_sound());
    }
}
