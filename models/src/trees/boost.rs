//! The ensemble: training by gradient boosting, prediction, saving. Knows losses and trees.

use super::bins::Binned;
use super::grow::{Gradients, Limits, ROWS_MAX, grow};
use super::tree::{Node, Nodes};
use crate::matrix::Matrix;
use crate::numeric;
use crate::rng::Rng;
use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};

/// What a prediction is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// The mean.
    Squared,
    /// The quantile of this level (0 to 1).
    Quantile(f64),
}

/// How to train. The defaults suit a few hundred to some ten thousand rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Loss that is made small.
    pub loss: Loss,
    /// Number of trees.
    pub trees: usize,
    /// Share of each tree that is added.
    pub rate: f64,
    /// Leaves of a tree, at most.
    pub leaves: usize,
    /// Rows of a leaf, at least.
    pub min_leaf: usize,
    /// Pull of leaf values towards zero, in rows.
    pub l2: f64,
    /// Share of rows that each tree sees.
    pub row_share: f64,
    /// Share of features that each tree may use.
    pub feature_share: f64,
    /// Per feature: +1 the prediction never falls when it rises, -1 never rises, 0 free. May be shorter than the rows.
    pub monotone: Vec<i8>,
    /// Seed of the samples.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            loss: Loss::Squared,
            trees: 400,
            rate: 0.05,
            leaves: 15,
            min_leaf: 5,
            l2: 0.5,
            row_share: 0.7,
            feature_share: 0.5,
            monotone: Vec::new(),
            seed: 0,
        }
    }
}

/// A trained ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    width: usize,
    base: f64,
    roots: Vec<u32>,
    nodes: Nodes,
}

/// Rows in codes: several ensembles can be trained on parts of them.
pub struct Rows<'a> {
    x: &'a Matrix,
    binned: Binned,
}

impl<'a> Rows<'a> {
    /// All rows of `x`; of more than sixteen million, the first.
    #[must_use]
    pub fn new(x: &'a Matrix) -> Self {
        Self { x, binned: Binned::new(x) }
    }
}

impl Ensemble {
    /// Trains on the rows of `x` with finite targets. `None` when there is no such row or no column.
    #[must_use]
    pub fn train(x: &Matrix, targets: &[f64], options: &Options) -> Option<Self> {
        let usable: Vec<u32> = (0..u32::try_from(x.rows()).unwrap_or(u32::MAX)).collect();
        Self::train_on(&Rows::new(x), &usable, targets, options)
    }

    /// Trains on those of `rows` that `used` names, in ascending order, and that have finite targets. `targets` has one for each
    /// of `rows`. `None` when none is left or there is no column.
    #[must_use]
    pub fn train_on(rows: &Rows<'_>, used: &[u32], targets: &[f64], options: &Options) -> Option<Self> {
        let usable =
            |row: &u32| (*row as usize) < rows.x.rows() && targets.get(*row as usize).is_some_and(|y| y.is_finite());
        let used: Vec<u32> = used.iter().copied().filter(usable).take(ROWS_MAX).collect();
        if used.is_empty() || rows.x.width() == 0 {
            return None;
        }
        let trained = used.iter().map(|row| targets[*row as usize]);
        let base = match options.loss {
            Loss::Squared => numeric::mean_of(trained),
            Loss::Quantile(level) => level_of(trained, level),
        };
        let mut ensemble = Self { width: rows.x.width(), base, roots: Vec::new(), nodes: Nodes::default() };
        ensemble.boost(rows, &used, targets, options);
        Some(ensemble)
    }

    fn boost(&mut self, rows: &Rows<'_>, used: &[u32], targets: &[f64], options: &Options) {
        let mut fitted = vec![self.base; rows.x.rows()];
        let mut gradients = vec![0.0; rows.x.rows()];
        let mut rng = Rng::new(options.seed);
        let features: Vec<usize> = (0..rows.x.width()).filter(|f| rows.binned.bins(*f) > 2).collect();
        let share = |len: usize, share: f64| numeric::index((len as f64 * share).ceil(), len + 1).max(1).min(len);
        let (rows_used, features_used) =
            (share(used.len(), options.row_share), share(features.len(), options.feature_share));
        for _ in 0..options.trees {
            for row in used {
                let row = *row as usize;
                gradients[row] = options.loss.gradient(targets[row] - fitted[row]);
            }
            let (sample, others) = rng.sample(used, rows_used);
            let (chosen, _) = rng.sample(&features, features_used);
            let limits = Limits {
                leaves: options.leaves.max(1),
                min_leaf: options.min_leaf.max(1),
                l2: options.l2.max(0.0),
                features: &chosen,
                monotone: &options.monotone,
            };
            let mut grown = grow(&rows.binned, &Gradients::new(&gradients, rows_used), sample, &limits);
            // A quantile's gradients say a direction; how far, the residuals say.
            let step = match options.loss {
                Loss::Squared => 1.0,
                Loss::Quantile(_) => {
                    2.0 * numeric::mean_of(
                        used.iter().map(|row| (targets[*row as usize] - fitted[*row as usize]).abs()),
                    )
                }
            };
            for (node, rows, (low, high)) in &grown.leaves {
                let value = match options.loss {
                    Loss::Quantile(level) if options.monotone.is_empty() => {
                        level_of(rows.iter().map(|r| targets[*r as usize] - fitted[*r as usize]), level)
                    }
                    // Bounds of monotone ancestors hold for means of gradients, not for quantiles of residuals.
                    Loss::Squared | Loss::Quantile(_) => {
                        let sum: f64 = rows.iter().map(|r| gradients[*r as usize]).sum();
                        step * (sum / (rows.len() as f64 + limits.l2)).clamp(*low, *high)
                    }
                };
                grown.nodes[*node] = Node::Leaf(options.rate * value);
                rows.iter().for_each(|row| fitted[*row as usize] += options.rate * value);
            }
            let root = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            self.roots.push(root);
            self.nodes.add(&grown.nodes);
            self.nodes.add_to(&mut fitted, rows.x, &others, root);
        }
    }

    /// The prediction for one row; NaN and absent values are missing.
    #[must_use]
    pub fn predict(&self, row: &[f64]) -> f64 {
        self.base + self.nodes.sum(&self.roots, row)
    }

    /// Number of trees.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    /// Features of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }
}

impl Loss {
    fn gradient(self, residual: f64) -> f64 {
        match self {
            Self::Squared => residual,
            Self::Quantile(level) => {
                if residual > 0.0 {
                    level
                } else {
                    level - 1.0
                }
            }
        }
    }
}

fn level_of(values: impl Iterator<Item = f64>, level: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    numeric::sort(&mut values);
    numeric::quantile(&values, level)
}

impl Saved for Ensemble {
    const KIND: &'static str = "trees";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let roots = self.roots.iter().all(|root| (*root as usize) < self.nodes.len());
        if !roots || !self.base.is_finite() || !self.nodes.sound(self.width) {
            return Err(LoadError::Contents("an ensemble of trees"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
