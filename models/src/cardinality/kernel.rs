//! Kernel regression over sub-plans (ridge regression in the span of a sample of them: Nyström). Knows encoded sub-plans.

use super::encode::{Encoded, SHAPE};
use super::folds::Folds;
use crate::matrix::{Factor, Matrix, dot, gram};
use crate::numeric;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// Sub-plans that predictions are combinations of.
const CENTERS_MAX: usize = 640;
/// Noise, in the kernel's unit.
const RIDGE: f64 = 0.1;

/// `k(a, b)` as a sum of what tables and joins have in common (linear, so that effects of tables add up on graphs never seen),
/// how like the graphs are, how like the ranges are, and products of these. The weights are round numbers on purpose: results
/// hardly depend on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    centers: Centers,
    weights: Vec<f64>,
    mean: f64,
}

/// The sample, with squared lengths. Many of its sub-plans have the same graph, which is compared once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Centers {
    graphs: Matrix,
    graph_lengths: Vec<f64>,
    /// The graph of each.
    graph_of: Vec<u32>,
    ranks: Matrix,
    rank_lengths: Vec<f64>,
    estimates: Vec<f64>,
}

/// What tables and joins have in common, and what the shape.
fn graph_products(a: &[f64], b: &[f64]) -> [f64; 2] {
    let tokens = a.len().saturating_sub(SHAPE);
    [dot(&a[..tokens], &b[..tokens]), dot(&a[tokens..], &b[tokens..])]
}

fn graph_length(graph: &[f64]) -> f64 {
    let [tokens, shape] = graph_products(graph, graph);
    tokens + 0.5 * shape
}

impl Centers {
    fn new(rows: &[&Encoded], chosen: &[usize]) -> Option<Self> {
        let first = rows.first()?;
        let mut centers = Self {
            graphs: Matrix::new(first.graph.len()),
            graph_lengths: Vec::new(),
            graph_of: Vec::new(),
            ranks: Matrix::new(first.ranks.len()),
            rank_lengths: Vec::new(),
            estimates: Vec::new(),
        };
        for row in chosen.iter().map(|row| rows[*row]) {
            let known = (0..centers.graphs.rows()).find(|at| centers.graphs.row(*at) == row.graph);
            let graph = known.unwrap_or_else(|| {
                centers.graphs.push(&row.graph);
                centers.graph_lengths.push(graph_length(&row.graph));
                centers.graph_lengths.len() - 1
            });
            centers.graph_of.push(u32::try_from(graph).unwrap_or(u32::MAX));
            centers.ranks.push(&row.ranks);
            centers.rank_lengths.push(dot(&row.ranks, &row.ranks));
            centers.estimates.push(row.estimate);
        }
        Some(centers)
    }

    fn ranks(&self, at: usize) -> &[f64] {
        if self.ranks.width() == 0 { &[] } else { self.ranks.row(at) }
    }

    /// The kernel between a sub-plan and each center.
    fn against(&self, row: &Encoded) -> Vec<f64> {
        let length = graph_length(&row.graph);
        let (mut linear, mut like_graph) = (Vec::new(), Vec::new());
        for (at, other) in self.graph_lengths.iter().enumerate() {
            let [tokens, shape] = graph_products(&row.graph, self.graphs.row(at));
            linear.push(tokens + 0.3 * shape);
            like_graph.push((length + other - 2.0 * (tokens + 0.5 * shape)).max(0.0) / -16.0);
        }
        numeric::exp_all(&mut like_graph);
        let length = dot(&row.ranks, &row.ranks);
        let ranges: Vec<f64> = (0..self.estimates.len()).map(|at| dot(&row.ranks, self.ranks(at))).collect();
        let distance = |(range, other): (&f64, &f64)| (length + other - 2.0 * range).max(0.0) / -4.0;
        let mut like_ranges: Vec<f64> = ranges.iter().zip(&self.rank_lengths).map(distance).collect();
        numeric::exp_all(&mut like_ranges);
        let mut like_estimate: Vec<f64> =
            self.estimates.iter().map(|other| (row.estimate - other).powi(2) / -20.0).collect();
        numeric::exp_all(&mut like_estimate);
        let value = |at: usize| {
            let (graph, ranges, like_ranges) = (self.graph_of[at] as usize, ranges[at], like_ranges[at]);
            linear[graph] * (1.0 + 0.5 * like_ranges + 0.2 * ranges)
                + 3.0 * like_graph[graph] * (1.0 + like_ranges)
                + 0.5 * ranges
                + 0.5 * like_estimate[at]
                + 0.05 * (row.estimate - 10.0) * (self.estimates[at] - 10.0)
        };
        (0..self.estimates.len()).map(value).collect()
    }

    fn is_sound(&self, graph: usize, ranks: usize) -> bool {
        let (centers, graphs) = (self.estimates.len(), self.graph_lengths.len());
        let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
        let widths = self.graphs.width() == graph && self.ranks.width() == ranks;
        let rows = self.graphs.rows() == graphs && (ranks == 0 || self.ranks.rows() == centers);
        let lengths = self.graph_of.len() == centers && self.rank_lengths.len() == centers;
        let numbers = [&self.graph_lengths, &self.rank_lengths, &self.estimates].iter().all(|values| finite(values));
        widths
            && rows
            && lengths
            && numbers
            && self.graph_of.iter().all(|at| (*at as usize) < graphs)
            && self.graphs.is_finite()
            && self.ranks.is_finite()
    }
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
    pub(crate) fn new(rows: &[&Encoded], folds: &Folds, seed: u64) -> Option<Self> {
        let mut chosen: Vec<usize> = (0..rows.len()).collect();
        Rng::new(seed).shuffle(&mut chosen);
        chosen.truncate(CENTERS_MAX);
        chosen.sort_unstable();
        let centers = Centers::new(rows, &chosen)?;
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

    pub(crate) fn is_sound(&self, graph: usize, ranks: usize) -> bool {
        self.centers.is_sound(graph, ranks)
            && self.weights.len() == self.centers.estimates.len()
            && self.weights.iter().all(|v| v.is_finite())
            && self.mean.is_finite()
    }
}
