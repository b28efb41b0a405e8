//! Kernel regression over sub-plans (ridge regression in the span of a sample of them: Nyström). Knows encoded sub-plans.

use super::centers::Centers;
use super::encode::{Encoded, Encoder};
use super::folds::Folds;
use crate::matrix::{Factor, Matrix, dot, gram};
use crate::numeric;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// Sub-plans that predictions are combinations of.
const CENTERS_MAX: usize = 800;
/// Noise, in the kernel's unit.
const RIDGE: f64 = 0.1;

/// A combination of how like a sub-plan is to each center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    centers: Centers,
    weights: Vec<f64>,
    mean: f64,
}

/// Everything about a kernel's rows that does not depend on targets: several models are trained from one, and each fold's model
/// from what the others left.
pub(crate) struct Prepared {
    centers: Centers,
    /// Rows that are centers.
    chosen: Vec<usize>,
    /// The kernel between rows and centers.
    values: Matrix,
    /// Products of its columns over the rows of each fold; over all when there are no folds.
    products: Vec<Matrix>,
    members: Vec<Vec<u32>>,
}

/// What was fitted, and what each row would have got from a model that did not see its fold.
pub(crate) struct Fitted {
    pub(crate) kernel: Kernel,
    pub(crate) held_out: Vec<Option<f64>>,
}

impl Prepared {
    /// `None` when there are no rows.
    pub(crate) fn new(rows: &[&Encoded], encoder: &Encoder, folds: &Folds, seed: u64) -> Option<Self> {
        let mut chosen: Vec<usize> = (0..rows.len()).collect();
        Rng::new(seed).shuffle(&mut chosen);
        chosen.truncate(CENTERS_MAX);
        chosen.sort_unstable();
        let centers = Centers::new(rows, &chosen, encoder.columns_of_tables())?;
        let mut values = Matrix::new(chosen.len());
        rows.iter().for_each(|row| values.push(&centers.against(row)));
        let members = folds.members();
        let products = members.iter().map(|rows| gram(&values, rows)).collect();
        Some(Self { centers, chosen, values, products, members })
    }

    /// Trains on all rows, and with `folds`, which are those it was prepared with, once without each. `None` without a solution.
    pub(crate) fn fit(&self, targets: &[f64], folds: Option<&Folds>) -> Option<Fitted> {
        let (weights, mean) = self.solve(targets, None)?;
        let mut held_out = vec![None; targets.len()];
        for (fold, rows) in self.members.iter().enumerate() {
            let Some((weights, mean)) = folds.and_then(|folds| self.solve(targets, Some((fold, folds)))) else {
                continue;
            };
            for row in rows {
                held_out[*row as usize] = Some(mean + dot(self.values.row(*row as usize), &weights));
            }
        }
        Some(Fitted { kernel: Kernel { centers: self.centers.clone(), weights, mean }, held_out })
    }

    /// Solves (KᵀK + ridge · K_centers) weights = Kᵀ (targets − mean) over rows and centers outside a fold. The centers inside have
    /// weight 0.
    fn solve(&self, targets: &[f64], without: Option<(usize, &Folds)>) -> Option<(Vec<f64>, f64)> {
        let parts = || (0..self.members.len()).filter(|part| without.is_none_or(|(fold, _)| fold != *part));
        let rows = || parts().flat_map(|part| &self.members[part]).map(|row| *row as usize);
        let outside = |row: usize| without.is_none_or(|(fold, folds)| folds.of(row) != fold);
        let centers: Vec<usize> = (0..self.chosen.len()).filter(|at| outside(self.chosen[*at])).collect();
        let mean = numeric::mean_of(rows().map(|row| targets[row]));
        let mut normal = Matrix::zeros(centers.len(), centers.len());
        for (i, center) in centers.iter().enumerate() {
            let own = self.values.row(self.chosen[*center]);
            let products: Vec<&[f64]> = parts().map(|part| self.products[part].row(*center)).collect();
            for (j, other) in centers.iter().enumerate().take(i + 1) {
                normal.row_mut(i)[j] = RIDGE * own[*other] + products.iter().map(|row| row[*other]).sum::<f64>();
            }
        }
        let lift = 1e-9 * (0..centers.len()).map(|i| normal.row(i)[i]).sum::<f64>() / centers.len() as f64;
        (0..centers.len()).for_each(|i| normal.row_mut(i)[i] += lift);
        let mut right = vec![0.0; self.chosen.len()];
        for row in rows() {
            let centered = targets[row] - mean;
            right.iter_mut().zip(self.values.row(row)).for_each(|(sum, value)| *sum += value * centered);
        }
        let right: Vec<f64> = centers.iter().map(|center| right[*center]).collect();
        let solution = Factor::of(&normal)?.solve(&right)?;
        let mut weights = vec![0.0; self.chosen.len()];
        centers.iter().zip(solution).for_each(|(center, weight)| weights[*center] = weight);
        Some((weights, mean))
    }
}

impl Kernel {
    pub(crate) fn predict(&self, row: &Encoded) -> f64 {
        self.mean + dot(&self.centers.against(row), &self.weights)
    }

    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        self.centers.is_sound(encoder)
            && self.weights.len() == self.centers.len()
            && self.weights.iter().all(|v| v.is_finite())
            && self.mean.is_finite()
    }
}
