//! One series of any metric, judged without a model of what it measures: five views of it, four of them at two scales, each
//! calibrated against its own past, summed. Knows seconds and values; what an incident is, is decided elsewhere.

use crate::entropy::Entropy;
use crate::novelty::ValueNovelty;
use crate::season::Season;
use querygate_models::anomaly::{Rule, Tail};
use querygate_models::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// When an incident of an [`Ensemble`] begins and ends: its parts have memory already, so each score stands for itself.
pub const ENSEMBLE: Rule = Rule { threshold: 1.0, at_once: 1.0, unusual: 1, of: 1, quiet: 24, cool_down: 100 };

/// Names of the views, in the order of [`Reading::parts`].
pub const PARTS: [&str; 5] = ["new value", "new level", "new spread", "new distribution", "unusual for the hour"];

/// The view that each detector belongs to, in the order of the detectors' tails.
const VIEWS: [usize; 9] = [0, 0, 1, 1, 2, 2, 3, 3, 4];
/// Values that a level, and that a spread, is of.
const LEVELS: [usize; 2] = [6, 24];
const SPREADS: [usize; 2] = [24, 96];
/// Surprise that a detector must pass before it counts: what happens one time in ten is nothing.
const FLOOR: f64 = 1.0;

/// What the ensemble says of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Sum of the parts; 0 is ordinary, 20 the most.
    pub score: f64,
    /// What each view adds, as named in [`PARTS`]: the mean of what its detectors' surprise (−log10 of probability) is above 1.
    pub parts: [f64; PARTS.len()],
    /// Usual value for this half hour, where there is one.
    pub usual: Option<f64>,
}

/// Streaming: each value is judged by what came before it, then learned. Deterministic, about 17 KB a series at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    /// Of values and of their logarithms.
    values: [ValueNovelty; 2],
    levels: [ValueNovelty; 2],
    spreads: [ValueNovelty; 2],
    /// Of values and of their logarithms.
    distributions: [Entropy; 2],
    recent: VecDeque<f64>,
    season: Season,
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
        let novelty = |gap| [ValueNovelty::new(gap, 64), ValueNovelty::new(gap, 64)];
        Self {
            values: novelty(0.02),
            levels: novelty(0.01),
            spreads: novelty(0.01),
            distributions: [Entropy::new(), Entropy::new()],
            recent: VecDeque::new(),
            season: Season::new(),
            tails: VIEWS.iter().map(|_| Tail::new(0)).collect(),
        }
    }

    /// Judges a value at `time` (UTC seconds), then learns it. A value that is not finite is ignored.
    pub fn observe(&mut self, time: i64, value: f64) -> Reading {
        let usual = self.season.usual(time);
        if !value.is_finite() || value.abs() > 1e100 {
            return Reading { score: 0.0, parts: [0.0; PARTS.len()], usual };
        }
        self.recent.push_back(value);
        if self.recent.len() > SPREADS[1] {
            self.recent.pop_front();
        }
        let distances = self.distances(time, value);
        let mut parts = [0.0; PARTS.len()];
        for ((view, tail), distance) in VIEWS.into_iter().zip(&mut self.tails).zip(distances) {
            let detectors = VIEWS.iter().filter(|other| **other == view).count() as f64;
            parts[view] += (tail.judge(distance) - FLOOR).max(0.0) / detectors;
        }
        Reading { score: parts.iter().sum(), parts, usual }
    }

    /// What each detector says of the value, which is the last of `recent`.
    fn distances(&mut self, time: i64, value: f64) -> [f64; VIEWS.len()] {
        // Of counts that burst, only the order of magnitude is alike from day to day.
        let logarithm = value.signum() * value.abs().ln_1p();
        let levels = LEVELS.map(|values| moments(&self.recent, values).0);
        let spreads = SPREADS.map(|values| (moments(&self.recent, values).1 + 1e-12).sqrt().ln());
        [
            self.values[0].distance(value),
            self.values[1].distance(logarithm),
            self.levels[0].distance(levels[0]),
            self.levels[1].distance(levels[1]),
            self.spreads[0].distance(spreads[0]),
            self.spreads[1].distance(spreads[1]),
            self.distributions[0].distance(value),
            self.distributions[1].distance(logarithm),
            self.season.distance(time, value),
        ]
    }
}

/// Mean and variance of the last values of a window, or of those there are.
fn moments(recent: &VecDeque<f64>, values: usize) -> (f64, f64) {
    let last = || recent.iter().rev().take(values);
    let count = last().count().max(1) as f64;
    let mean = last().sum::<f64>() / count;
    (mean, last().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

impl Saved for Ensemble {
    const KIND: &'static str = "anomaly-ensemble";
    const VERSION: u16 = 2;

    fn check(&self) -> Result<(), LoadError> {
        let novelties = [&self.values, &self.levels, &self.spreads];
        let sound = novelties.into_iter().flatten().all(ValueNovelty::is_sound)
            && self.distributions.iter().all(Entropy::is_sound)
            && self.season.is_sound()
            && self.recent.len() <= SPREADS[1]
            && self.tails.len() == VIEWS.len()
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
        let noisy = usual.iter().skip(2000).filter(|score| **score > ENSEMBLE.threshold).count();
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
