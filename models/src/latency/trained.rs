//! Trees over the residuals of a source's law: the middle, the spread, and ends that are calibrated. Knows runs.

use super::ladder::{Fragment, Ladder, Run};
use crate::conformal::{Conformal, Residual};
use crate::matrix::Matrix;
use crate::numeric;
use crate::saved::{LoadError, Saved};
use crate::trees::{Ensemble, Loss, Options};
use serde::{Deserialize, Serialize};

/// Runs that are trained on, at most: the latest.
const RUNS_MAX: usize = 20_000;
/// Fewer are not worth trees.
const RUNS_MIN: usize = 50;
/// Every fifth run, in time order from the end, calibrates.
const CALIBRATION: usize = 5;

/// Quantiles of log seconds over what the law says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    middle: Ensemble,
    spread: Ensemble,
    ends: Conformal,
}

fn row(fragment: &Fragment, linear: f64) -> Vec<f64> {
    let mut row = vec![numeric::log_of(fragment.rows, 1.0), numeric::log_of(fragment.bytes, 1.0), linear.ln()];
    row.extend(&fragment.features);
    row
}

impl Trained {
    /// Trains from runs, oldest first, on top of a ladder's law. The middle and the spread are learnt from the older four
    /// fifths, the ends are calibrated on the latest: what was promised is promised for what comes next. `None` with fewer than
    /// 50 runs.
    #[must_use]
    pub fn train(runs: &[Run], ladder: &Ladder, seed: u64) -> Option<Self> {
        let usable: Vec<&Run> = runs[runs.len().saturating_sub(RUNS_MAX)..]
            .iter()
            .filter(|run| run.seconds.is_finite() && run.seconds >= 0.0)
            .collect();
        if usable.len() < RUNS_MIN {
            return None;
        }
        let (older, latest) = usable.split_at(usable.len() - usable.len() / CALIBRATION);
        let log = |run: &Run, linear: f64| (run.seconds.max(1e-5) / linear).ln();
        let width = 3 + usable.iter().map(|run| run.fragment.features.len()).max().unwrap_or(0);
        let (mut x, mut y) = (Matrix::new(width), Vec::with_capacity(older.len()));
        for run in older {
            let linear = ladder.linear(&run.fragment);
            x.push(&row(&run.fragment, linear));
            y.push(log(run, linear));
        }
        let options =
            Options { loss: Loss::Quantile(0.5), trees: 200, rate: 0.08, min_leaf: 8, seed, ..Options::default() };
        let middle = Ensemble::train(&x, &y, &options)?;
        let misses: Vec<f64> =
            (0..x.rows()).map(|at| (y[at] - middle.predict(x.row(at))).abs().max(0.02).ln()).collect();
        let options = Options { loss: Loss::Quantile(0.8), trees: 60, leaves: 8, min_leaf: 20, rate: 0.1, ..options };
        let spread = Ensemble::train(&x, &misses, &options)?;
        let residuals: Vec<Residual> = latest
            .iter()
            .map(|run| {
                let linear = ladder.linear(&run.fragment);
                let row = row(&run.fragment, linear);
                Residual {
                    error: log(run, linear) - middle.predict(&row),
                    scale: spread.predict(&row).exp(),
                    room: [f64::INFINITY; 2],
                }
            })
            .collect();
        Some(Self { ends: Conformal::calibrate(&residuals, 0.8)?, middle, spread })
    }

    /// Seconds: p10, p50, p90.
    pub(super) fn predict(&self, fragment: &Fragment, linear: f64) -> [f64; 3] {
        let row = row(fragment, linear);
        let middle = self.middle.predict(&row);
        let (low, high) = self.ends.interval(middle, self.spread.predict(&row).exp());
        [low, middle, high].map(|log| linear * log.clamp(-30.0, 30.0).exp())
    }
}

impl Saved for Trained {
    const KIND: &'static str = "latency-trees";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        self.middle.check()?;
        self.spread.check()?;
        if self.ends.is_finite() { Ok(()) } else { Err(LoadError::Contents("ends of latencies")) }
    }
}
