//! One series of any metric, judged without a model of what it measures: four detectors, each calibrated against its own
//! past, summed. Knows seconds and values; what an incident is, is decided elsewhere.

use crate::entropy::Entropy;
use crate::novelty::ValueNovelty;
use crate::season::Season;
use querygate_models::anomaly::{Rule, Tail};
use querygate_models::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// When an incident of an [`Ensemble`] begins and ends: its parts have memory already, so each score stands for itself.
pub const ENSEMBLE: Rule = Rule { threshold: 1.45, at_once: 1.45, unusual: 1, of: 1, quiet: 24, cool_down: 100 };

/// Names of the detectors, in the order of [`Reading::parts`].
pub const PARTS: [&str; 4] = ["new value", "new level", "unusual for the hour", "new distribution"];

const LEVEL: usize = 24;
/// Surprise that a detector must pass before it counts: what happens one time in twenty is nothing.
const FLOOR: f64 = 1.3;

/// What the ensemble says of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Sum of what each detector's surprise (−log10 of probability) is above 1.3; 0 is ordinary, 15 the most.
    pub score: f64,
    /// Surprise of each detector, 0 to 5, as named in [`PARTS`].
    pub parts: [f64; 4],
    /// Usual value for this half hour, where there is one.
    pub usual: Option<f64>,
}

/// Streaming: each value is judged by what came before it, then learned. Deterministic, about 20 KB a series at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    value: ValueNovelty,
    level: ValueNovelty,
    recent: VecDeque<f64>,
    season: Season,
    entropy: Entropy,
    tails: Vec<Tail>,
}

impl Default for Ensemble {
    fn default() -> Self {
        Self::new()
    }
}

impl Ensemble {
    /// The one fixed default.
    #[must_use]
    pub fn new() -> Self {
        Self {
            value: ValueNovelty::new(0.02, 512),
            level: ValueNovelty::new(0.01, 512),
            recent: VecDeque::new(),
            season: Season::new(),
            entropy: Entropy::new(),
            tails: PARTS.iter().map(|_| Tail::new(0)).collect(),
        }
    }

    /// Judges a value at `time` (UTC seconds), then learns it. A value that is not finite is ignored.
    pub fn observe(&mut self, time: i64, value: f64) -> Reading {
        let usual = self.season.usual(time);
        if !value.is_finite() || value.abs() > 1e100 {
            return Reading { score: 0.0, parts: [0.0; 4], usual };
        }
        self.recent.push_back(value);
        if self.recent.len() > LEVEL {
            self.recent.pop_front();
        }
        let level = self.recent.iter().sum::<f64>() / self.recent.len() as f64;
        let distances = [
            self.value.distance(value),
            self.level.distance(level),
            self.season.distance(time, value),
            self.entropy.distance(value),
        ];
        let mut parts = [0.0; 4];
        for ((part, tail), distance) in parts.iter_mut().zip(&mut self.tails).zip(distances) {
            *part = tail.judge(distance);
        }
        Reading { score: parts.iter().map(|part| (part - FLOOR).max(0.0)).sum(), parts, usual }
    }
}

impl Saved for Ensemble {
    const KIND: &'static str = "anomaly-ensemble";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let sound = self.value.is_sound()
            && self.level.is_sound()
            && self.season.is_sound()
            && self.entropy.is_sound()
            && self.recent.len() <= LEVEL
            && self.tails.len() == PARTS.len()
            && self.tails.iter().all(Tail::is_sound);
        if sound { Ok(()) } else { Err(LoadError::Contents("a detector's state")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_models::rng::Rng;
    use querygate_models::saved::{load, save};

    fn wave(step: i64, rng: &mut Rng) -> f64 {
        let hour = (step % 288) as f64 / 288.0;
        100.0 + 40.0 * (std::f64::consts::TAU * hour).sin() + 3.0 * rng.normal()
    }

    #[test]
    fn a_step_stands_out_of_a_daily_wave() {
        let (mut rng, mut ensemble) = (Rng::new(11), Ensemble::new());
        let usual: Vec<f64> = (0..4000).map(|i| ensemble.observe(i * 300, wave(i, &mut rng)).score).collect();
        let noisy = usual.iter().skip(2000).filter(|score| **score > 1.45).count();
        let step = (4000..4024).map(|i| ensemble.observe(i * 300, wave(i, &mut rng) + 150.0).score).fold(0.0, f64::max);
        assert!(noisy < 10 && step > 2.9, "{noisy} {step}");
    }

    #[test]
    fn saved_in_the_middle_it_goes_on_as_if_nothing_had_happened() {
        let (mut rng, mut one) = (Rng::new(3), Ensemble::new());
        for i in 0..500 {
            one.observe(i * 300, wave(i, &mut rng));
        }
        let mut other: Ensemble = load(&save(&one).unwrap()).unwrap();
        for i in 500..600 {
            let value = wave(i, &mut rng);
            assert_eq!(one.observe(i * 300, value), other.observe(i * 300, value));
        }
        assert_eq!(one, other);
    }

    #[test]
    fn odd_numbers_are_passed_over() {
        let mut ensemble = Ensemble::new();
        for (step, value) in
            [f64::NAN, f64::INFINITY, 1e200, -0.0, 1e99, 5.0].into_iter().cycle().take(2000).enumerate()
        {
            let reading = ensemble.observe(i64::try_from(step).unwrap() * 60 - 50_000, value);
            assert!(reading.score.is_finite());
        }
        assert!(ensemble.check().is_ok());
    }
}
