//! The model that is asked: trains from observations, answers with a value and an interval. Knows its parts.

use super::encode::{Encoded, Encoder};
use super::folds::Folds;
use super::interval::{DIFFICULTY, HeldOut, Intervals, Judgement};
use super::kernel::{Fitted, Kernel, Prepared};
use super::subplan::{Observation, ROWS_MAX, Subplan};
use crate::matrix::Matrix;
use crate::numeric;
use crate::saved::{LoadError, Saved};
use crate::trees::{self, Ensemble};
use serde::{Deserialize, Serialize};

/// What upper bounds are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundUse {
    /// To cap the result.
    Cap,
    /// To start from as well: the model learns how far below its bound a sub-plan ends. Much better where bounds are good.
    Start,
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What bounds are used for.
    pub bounds: BoundUse,
    /// Share of new sub-plans that intervals shall contain.
    pub coverage: f64,
    /// Folds for judging the model on itself; fewer than two leave intervals out.
    pub folds: usize,
    /// Seed of all samples.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { bounds: BoundUse::Start, coverage: 0.9, folds: 4, seed: 0 }
    }
}

/// Most observations that are trained on; of more, the latest.
pub const OBSERVATIONS_MAX: usize = 20_000;
/// Fewer are not worth a model.
pub const OBSERVATIONS_MIN: usize = 30;

/// Share of the sub-plans in training that ended below [`Start::Estimate::least`].
const BELOW_LEAST: f64 = 0.25;

/// Share of the variance that a source's estimates must explain to be started from.
const FOLLOWED_FROM: f64 = 0.75;

/// An answer, in rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    /// The corrected estimate, at least 1.
    pub rows: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval: the bound, or infinity, where training never saw a table, a join or a condition and no bound is started
    /// from.
    pub high: f64,
    /// Tables and joins that training never saw: with any, do not act on the answer.
    pub unseen: usize,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrector {
    encoder: Encoder,
    /// For sub-plans without a bound, and for all when bounds only cap.
    plain: Layer,
    /// For sub-plans with one.
    bounded: Option<Layer>,
}

/// One pair of models with its intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Layer {
    start: Start,
    pair: Pair,
    intervals: Option<Intervals>,
    judgement: Option<Judgement>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair {
    kernel: Kernel,
    trees: Ensemble,
    /// How much of the answer is the kernel's.
    share: f64,
}

/// What a prediction is relative to, in logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Start {
    Estimate {
        /// How much of the source's estimate.
        share: f64,
        /// Rows ÷ the source's estimate that few sub-plans in training fell below.
        least: f64,
    },
    Bound,
}

/// A row ready for training.
struct Row<'a> {
    encoded: Encoded,
    observed: &'a Observation,
    truth: f64,
}

fn bound_of(subplan: &Subplan) -> Option<f64> {
    subplan.bound.filter(|b| b.is_finite()).map(|b| numeric::log_of(b.min(ROWS_MAX), 1.0))
}

impl Start {
    fn estimate(rows: &[Row<'_>]) -> Self {
        let mut ratios: Vec<f64> = rows.iter().map(|row| row.truth - row.encoded.estimate).collect();
        numeric::sort(&mut ratios);
        Self::Estimate { share: worth(rows), least: numeric::quantile(&ratios, BELOW_LEAST) }
    }

    fn of(self, subplan: &Subplan, estimate: f64) -> f64 {
        match self {
            Self::Estimate { share, .. } => share * estimate,
            Self::Bound => bound_of(subplan).unwrap_or(estimate),
        }
    }

    fn features(self, encoded: &Encoded, subplan: &Subplan) -> Vec<f64> {
        let mut features = encoded.features.clone();
        if self == Self::Bound {
            let bound = bound_of(subplan).unwrap_or(f64::NAN);
            features.extend([bound, bound - encoded.estimate]);
        }
        features
    }

    fn extra_features(self) -> usize {
        match self {
            Self::Estimate { .. } => 0,
            Self::Bound => 2,
        }
    }
}

/// How far to follow the source's estimates: their slope against truths when they explain most of the variance, else not at
/// all. (On STATS-CEB, Postgres' published estimates explain nearly nothing, and starting from them costs a third.)
fn worth(rows: &[Row<'_>]) -> f64 {
    let x = numeric::mean_of(rows.iter().map(|r| r.encoded.estimate));
    let y = numeric::mean_of(rows.iter().map(|r| r.truth));
    let sum = |f: fn(f64, f64) -> f64| -> f64 { rows.iter().map(|r| f(r.encoded.estimate - x, r.truth - y)).sum() };
    let (together, estimates, truths) = (sum(|a, b| a * b), sum(|a, _| a * a), sum(|_, b| b * b));
    let explained = together * together / (estimates * truths);
    if explained >= FOLLOWED_FROM { (together / estimates).clamp(0.0, 1.0) } else { 0.0 }
}

impl Pair {
    /// Logarithm of rows, capped, with what tells how hard this one is.
    fn predict(&self, encoded: &Encoded, subplan: &Subplan, start: Start) -> (f64, [f64; DIFFICULTY]) {
        let trees = self.trees.predict(&start.features(encoded, subplan));
        combine([self.kernel.predict(encoded), trees], self.share, encoded, subplan, start)
    }
}

/// Before and after capping.
fn mixed([kernel, trees]: [f64; 2], share: f64, start: Start, encoded: &Encoded, subplan: &Subplan) -> [f64; 2] {
    let mean = share * kernel + (1.0 - share) * trees + start.of(subplan, encoded.estimate);
    [mean, bound_of(subplan).map_or(mean, |bound| mean.min(bound)).max(0.0)]
}

fn combine(
    parts: [f64; 2],
    share: f64,
    encoded: &Encoded,
    subplan: &Subplan,
    start: Start,
) -> (f64, [f64; DIFFICULTY]) {
    let [mean, value] = mixed(parts, share, start, encoded, subplan);
    let [kernel, trees] = parts;
    let bound = bound_of(subplan);
    let difficulty = [
        (kernel - trees).abs(),
        bound.map_or(f64::NAN, |b| b - mean),
        mean,
        subplan.tables.len() as f64,
        subplan.ranges.len() as f64,
        encoded.estimate - mean,
        encoded.features[4],
        encoded.graph[encoded.graph.len() - 3],
        bound.unwrap_or(f64::NAN),
        subplan.joins.len() as f64,
    ];
    (value, difficulty)
}

/// Rows that layers are trained on, with what does not depend on where they start.
struct Ready<'a> {
    rows: Vec<&'a Row<'a>>,
    folds: Folds,
    kernel: Prepared,
}

impl<'a> Ready<'a> {
    fn new(rows: Vec<&'a Row<'a>>, encoder: &Encoder, options: &Options) -> Option<Self> {
        let groups: Vec<u64> = rows.iter().map(|r| r.observed.group).collect();
        let folds = Folds::deal(&groups, options.folds, options.seed);
        let encoded: Vec<&Encoded> = rows.iter().map(|r| &r.encoded).collect();
        let kernel = Prepared::new(&encoded, encoder, &folds, options.seed)?;
        Some(Self { rows, folds, kernel })
    }
}

/// How much of the answer should be the kernel's, by what both models said of rows that they had not seen; half without any. It
/// carries further, and trees follow more closely: which of it counts depends on the workload.
fn best_share(rows: &[&Row<'_>], start: Start, held_out: &[(usize, [f64; 2])]) -> f64 {
    let missed = |share: f64| -> f64 {
        let square = |(at, parts): &(usize, [f64; 2])| {
            let row = rows[*at];
            let [_, value] = mixed(*parts, share, start, &row.encoded, &row.observed.subplan);
            (row.truth - value).powi(2)
        };
        held_out.iter().map(square).sum()
    };
    let shares = [0.5, 0.375, 0.625].map(|share| (missed(share), share));
    shares.into_iter().min_by(|one, other| one.0.total_cmp(&other.0)).map_or(0.5, |(_, share)| share)
}

impl Layer {
    /// What the answer is not to be below, for a sub-plan with tables, joins or conditions that training never saw. These add
    /// nothing to what the models say, joins that make many rows too, so that models say too little; the source has seen them
    /// all. `None` where nothing is new, or a bound is started from, which says it better.
    fn least_of(&self, encoded: &Encoded) -> Option<f64> {
        match self.start {
            Start::Estimate { least, .. } => {
                encoded.is_new.then(|| (encoded.estimate + least).clamp(0.0, ROWS_MAX.ln()))
            }
            Start::Bound => None,
        }
    }

    /// With `judged`, the models of the folds judge this one and make its intervals.
    fn train(ready: &Ready<'_>, start: Start, judged: bool, options: &Options) -> Option<Self> {
        let Ready { rows, folds, kernel } = ready;
        let targets: Vec<f64> =
            rows.iter().map(|r| r.truth - start.of(&r.observed.subplan, r.encoded.estimate)).collect();
        let mut x = Matrix::new(rows.first()?.encoded.features.len() + start.extra_features());
        rows.iter().for_each(|r| x.push(&start.features(&r.encoded, &r.observed.subplan)));
        let binned = trees::Rows::new(&x);
        let tree_options = trees::Options { seed: options.seed, ..trees::Options::default() };
        let grow = |rows: &[u32]| Ensemble::train_on(&binned, rows, &targets, &tree_options);
        let all: Vec<u32> = (0_u32..).take(rows.len()).collect();
        let judged = judged && folds.count() > 1;
        let Fitted { kernel, held_out: from_kernel } = kernel.fit(&targets, judged.then_some(folds))?;
        let mut parts: Vec<(usize, [f64; 2])> = Vec::new();
        for (fold, members) in folds.members().iter().enumerate().filter(|_| judged) {
            let kept: Vec<u32> = all.iter().copied().filter(|row| folds.of(*row as usize) != fold).collect();
            let Some(trees) = grow(&kept) else { continue };
            let both = |at: usize| Some((at, [from_kernel[at]?, trees.predict(x.row(at))]));
            parts.extend(members.iter().filter_map(|at| both(*at as usize)));
        }
        let share = best_share(rows, start, &parts);
        let held_out = |(at, parts): &(usize, [f64; 2])| {
            let (row, fold) = (rows[*at], folds.of(*at));
            let subplan = &row.observed.subplan;
            let (value, difficulty) = combine(*parts, share, &row.encoded, subplan, start);
            let room = [value, bound_of(subplan).map_or(f64::INFINITY, |bound| bound - value)];
            HeldOut { difficulty, error: row.truth - value, room, fold }
        };
        let held_out: Vec<HeldOut> = parts.iter().map(held_out).collect();
        let pair = Pair { kernel, trees: grow(&all)?, share };
        let corrected: Vec<f64> = held_out.iter().map(|h| h.error).collect();
        let source: Vec<f64> = rows.iter().map(|r| r.truth - r.encoded.estimate).collect();
        let judgement = (!corrected.is_empty())
            .then(|| Judgement { source: numeric::q_errors(&source), corrected: numeric::q_errors(&corrected) });
        Some(Self {
            start,
            pair,
            intervals: Intervals::calibrate(&held_out, folds.groups(), options.coverage),
            judgement,
        })
    }
}

impl Corrector {
    /// Trains from what was observed, oldest first. `None` with fewer than [`OBSERVATIONS_MIN`] usable observations.
    #[must_use]
    pub fn train(observations: &[Observation], options: &Options) -> Option<Self> {
        let latest = &observations[observations.len().saturating_sub(OBSERVATIONS_MAX)..];
        let usable: Vec<&Observation> = latest.iter().filter(|o| o.rows.is_finite() && o.rows >= 0.0).collect();
        if usable.len() < OBSERVATIONS_MIN {
            return None;
        }
        let encoder = Encoder::learn(usable.iter().map(|o| &o.subplan));
        let rows: Vec<Row<'_>> = usable
            .iter()
            .map(|o| Row {
                encoded: encoder.encode(&o.subplan),
                observed: o,
                truth: numeric::log_of(o.rows.min(ROWS_MAX), 1.0),
            })
            .collect();
        let has_bound = |row: &&Row<'_>| bound_of(&row.observed.subplan).is_some();
        let bounds = rows.iter().filter(has_bound).count();
        let starts = options.bounds == BoundUse::Start && bounds >= OBSERVATIONS_MIN;
        let all = Ready::new(rows.iter().collect(), &encoder, options)?;
        let train_plain = |judged| Layer::train(&all, Start::estimate(&rows), judged, options);
        let (plain, bounded) = if !starts {
            (train_plain(true)?, None)
        } else if bounds == rows.len() {
            // The plain layer needs no intervals of its own when every sub-plan has a bound.
            (train_plain(false)?, Some(Layer::train(&all, Start::Bound, true, options)?))
        } else {
            let some = Ready::new(rows.iter().filter(has_bound).collect(), &encoder, options)?;
            (train_plain(true)?, Some(Layer::train(&some, Start::Bound, true, options)?))
        };
        Some(Self { encoder, plain, bounded })
    }

    /// How the model did on groups that it had not seen; `None` when it was trained without folds.
    #[must_use]
    pub fn judgement(&self) -> Option<Judgement> {
        self.bounded.as_ref().and_then(|layer| layer.judgement).or(self.plain.judgement)
    }

    /// How the model does on observations that it was not trained on: to choose between an old and a new model, and to notice
    /// that the data have changed. `None` without a usable one.
    #[must_use]
    pub fn judge(&self, observations: &[Observation]) -> Option<Judgement> {
        let usable = || observations.iter().filter(|o| o.rows.is_finite() && o.rows >= 0.0);
        let log = |rows: f64| numeric::log_of(rows.min(ROWS_MAX), 1.0);
        let source: Vec<f64> = usable().map(|o| log(o.rows) - log(o.subplan.estimate)).collect();
        let corrected: Vec<f64> = usable().map(|o| log(o.rows) - self.correct(&o.subplan).rows.ln()).collect();
        (!source.is_empty())
            .then(|| Judgement { source: numeric::q_errors(&source), corrected: numeric::q_errors(&corrected) })
    }

    /// The answer for a sub-plan.
    #[must_use]
    pub fn correct(&self, subplan: &Subplan) -> Correction {
        let encoded = self.encoder.encode(subplan);
        let layer = self.bounded.as_ref().filter(|_| bound_of(subplan).is_some()).unwrap_or(&self.plain);
        let (value, difficulty) = layer.pair.predict(&encoded, subplan, layer.start);
        let ceiling = bound_of(subplan).unwrap_or(f64::INFINITY);
        let (low, high) = match &layer.intervals {
            Some(intervals) => intervals.around(value, &difficulty),
            None => (0.0, ceiling),
        };
        let (value, high) = match layer.least_of(&encoded) {
            // How far from the truth such answers end was not seen in training either.
            Some(least) => (value.max(least.min(ceiling)), ceiling),
            None => (value, high),
        };
        Correction {
            rows: value.exp(),
            low: low.clamp(0.0, value).exp(),
            high: high.min(ceiling).max(value).exp(),
            unseen: encoded.unseen,
        }
    }
}

impl Saved for Corrector {
    const KIND: &'static str = "cardinality";
    const VERSION: u16 = 5;

    fn check(&self) -> Result<(), LoadError> {
        let sound = |layer: &Layer| {
            let start = match layer.start {
                Start::Estimate { share, least } => share.is_finite() && least.abs() <= ROWS_MAX.ln(),
                Start::Bound => true,
            };
            let trees = layer.pair.trees.check().is_ok()
                && layer.pair.trees.width() == self.encoder.features_width() + layer.start.extra_features();
            start
                && (0.0..=1.0).contains(&layer.pair.share)
                && trees
                && layer.pair.kernel.is_sound(&self.encoder)
                && layer.intervals.as_ref().is_none_or(Intervals::is_sound)
        };
        if !self.encoder.is_sound() || !sound(&self.plain) || !self.bounded.as_ref().is_none_or(sound) {
            return Err(LoadError::Contents("a model of cardinalities"));
        }
        Ok(())
    }
}
