//! The ladder: which step answers, and how runs are learnt from. Knows its steps.

use super::cache::Cache;
use super::trained::Trained;
use crate::rls::RecursiveLeastSquares;
use crate::saved::{LoadError, Saved};
use crate::sketch::DecayedMoments;
use serde::{Deserialize, Serialize};

/// What is known of a fragment before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// Hash of the fragment with its values: the same fragment again.
    pub exact: u64,
    /// Estimated rows (corrected, where there is a correction).
    pub rows: f64,
    /// Estimated bytes.
    pub bytes: f64,
    /// Further numbers, always the same ones in the same order; NaN where unknown.
    pub features: Vec<f64>,
}

/// A fragment that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What was known before.
    pub fragment: Fragment,
    /// When, in seconds of any clock that goes forward.
    pub at: f64,
    /// How long it took.
    pub seconds: f64,
}

/// Which step answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// This very fragment, seen before.
    Exact,
    /// Trees over fragments like it.
    Trees,
    /// The source's law.
    Linear,
}

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// A tenth of such fragments are faster.
    pub p10: f64,
    /// Half are.
    pub p50: f64,
    /// Nine tenths are.
    pub p90: f64,
    /// Where it comes from.
    pub layer: Layer,
}

/// Units of the law's inputs: its weights are then of like size.
const ROWS_UNIT: f64 = 10_000.0;
const BYTES_UNIT: f64 = 1_000_000.0;
/// Seconds of a call, of ten thousand rows, of a megabyte, before anything is known.
const PRIOR: [f64; 3] = [0.005, 0.01, 0.01];
/// The least that any prediction says.
const SECONDS_MIN: f64 = 1e-5;
/// Runs after which an error of the law counts half: it follows changes of the source within some hundred runs itself.
const SPREAD_RUNS: f64 = 300.0;
/// Normal quantile of 90%.
const TENTH: f64 = 1.2816;

/// All steps for one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    cache: Cache,
    law: RecursiveLeastSquares,
    /// Logarithm of seconds over what the law says.
    spread: DecayedMoments,
    trained: Option<Trained>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            cache: Cache::default(),
            law: RecursiveLeastSquares::new(PRIOR.to_vec(), 100.0, 0.999),
            spread: DecayedMoments::new(SPREAD_RUNS),
            trained: None,
        }
    }
}

fn amount(value: f64, unit: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1e15) / unit } else { 0.0 }
}

impl Ladder {
    /// What the source's law says, in seconds.
    pub(super) fn linear(&self, fragment: &Fragment) -> f64 {
        // Weights that a stream of odd runs made negative do not make anything faster.
        let inputs = [1.0, amount(fragment.rows, ROWS_UNIT), amount(fragment.bytes, BYTES_UNIT)];
        let seconds: f64 = self.law.weights().iter().zip(inputs).map(|(w, x)| w.max(0.0) * x).sum();
        seconds.max(SECONDS_MIN)
    }

    /// Learns from a run; one without a time is ignored. Errors count in proportion: inputs and time are divided by what the
    /// law says, or a single long run would drown all short ones.
    pub fn observe(&mut self, run: &Run) {
        if !run.seconds.is_finite() || run.seconds < 0.0 || !run.at.is_finite() {
            return;
        }
        let seconds = run.seconds.max(SECONDS_MIN);
        self.cache.add(run.fragment.exact, run.at, seconds.ln());
        let linear = self.linear(&run.fragment);
        self.spread.add(self.law.count() as f64, (seconds / linear).ln());
        let scale = linear.max(seconds).recip();
        let inputs = [1.0, amount(run.fragment.rows, ROWS_UNIT), amount(run.fragment.bytes, BYTES_UNIT)];
        // Only numbers that are finite come here, so that the law takes it.
        let _ = self.law.update(&inputs.map(|x| x * scale), seconds * scale);
    }

    /// Puts trees that were trained aside ([`Trained::train`]) in place.
    pub fn adopt(&mut self, trained: Trained) {
        self.trained = Some(trained);
    }

    /// The prediction at a time.
    #[must_use]
    pub fn predict(&self, fragment: &Fragment, now: f64) -> Prediction {
        let linear = self.linear(fragment);
        let around = |mean: f64, deviation: f64, layer| {
            let [p10, p50, p90] =
                [-TENTH, 0.0, TENTH].map(|z| (mean + z * deviation).clamp(-12.0, 30.0).exp().max(SECONDS_MIN));
            Prediction { p10, p50, p90, layer }
        };
        if let Some(known) = self.cache.known(fragment.exact, now) {
            // The mean is uncertain too.
            let deviation = known.deviation * (1.0 + 1.0 / known.runs).sqrt();
            return around(known.mean, deviation, Layer::Exact);
        }
        if let Some(trained) = &self.trained {
            let [p10, p50, p90] = trained.predict(fragment, linear).map(|seconds| seconds.max(SECONDS_MIN));
            return Prediction { p10, p50, p90, layer: Layer::Trees };
        }
        let mean = linear.ln() + self.spread.mean().unwrap_or(0.0);
        around(mean, self.spread.variance().unwrap_or(1.0).sqrt().max(0.2), Layer::Linear)
    }
}

impl Saved for Ladder {
    const KIND: &'static str = "latency";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let trained = self.trained.as_ref().is_none_or(|t| t.check().is_ok());
        if !self.cache.is_sound() || self.law.check().is_err() || self.law.weights().len() != PRIOR.len() || !trained {
            return Err(LoadError::Contents("a model of latencies"));
        }
        Ok(())
    }
}
