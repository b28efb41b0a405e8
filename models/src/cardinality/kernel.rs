//! Kernel regression over sub-plans (ridge regression in the span of a sample of them: Nyström). Knows encoded sub-plans.

use super::encode::{Encoded, SHAPE};
use crate::matrix::{Matrix, dot, solve};
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
    graph: Matrix,
    ranks: Matrix,
    estimates: Vec<f64>,
    norms: Vec<[f64; 2]>,
    weights: Vec<f64>,
    mean: f64,
}

/// What the kernel reads of a sub-plan, with its squared lengths.
struct Point<'a> {
    graph: &'a [f64],
    ranks: &'a [f64],
    estimate: f64,
    norms: [f64; 2],
}

/// Product over tables and joins plus a part of that over the shape.
fn graph_product(a: &[f64], b: &[f64], share: f64) -> f64 {
    let tokens = a.len().saturating_sub(SHAPE);
    dot(&a[..tokens], &b[..tokens]) + share * dot(&a[tokens..], &b[tokens..])
}

impl<'a> Point<'a> {
    fn new(graph: &'a [f64], ranks: &'a [f64], estimate: f64) -> Self {
        Self { graph, ranks, estimate, norms: [graph_product(graph, graph, 0.5), dot(ranks, ranks)] }
    }
}

fn kernel(a: &Point<'_>, b: &Point<'_>) -> f64 {
    let tokens = a.graph.len().saturating_sub(SHAPE);
    let tables = dot(&a.graph[..tokens], &b.graph[..tokens]);
    let shape = dot(&a.graph[tokens..], &b.graph[tokens..]);
    let ranges = dot(a.ranks, b.ranks);
    let graph_distance = (a.norms[0] + b.norms[0] - 2.0 * (tables + 0.5 * shape)).max(0.0);
    let range_distance = (a.norms[1] + b.norms[1] - 2.0 * ranges).max(0.0);
    let linear = tables + 0.3 * shape;
    let like_graph = (-graph_distance / 16.0).exp();
    let like_ranges = (-range_distance / 4.0).exp();
    let like_estimate = (-(a.estimate - b.estimate).powi(2) / 20.0).exp();
    linear * (1.0 + 0.5 * like_ranges + 0.2 * ranges)
        + 3.0 * like_graph * (1.0 + like_ranges)
        + 0.5 * ranges
        + 0.5 * like_estimate
        + 0.05 * (a.estimate - 10.0) * (b.estimate - 10.0)
}

impl Kernel {
    /// `None` when there are no rows or no solution.
    pub(crate) fn train(rows: &[&Encoded], targets: &[f64], seed: u64) -> Option<Self> {
        let first = rows.first()?;
        let mut chosen: Vec<usize> = (0..rows.len()).collect();
        Rng::new(seed).shuffle(&mut chosen);
        chosen.truncate(CENTERS_MAX);
        chosen.sort_unstable();
        let mut model = Self {
            graph: Matrix::new(first.graph.len()),
            ranks: Matrix::new(first.ranks.len()),
            estimates: chosen.iter().map(|row| rows[*row].estimate).collect(),
            norms: Vec::new(),
            weights: Vec::new(),
            mean: numeric::mean(targets),
        };
        for row in &chosen {
            model.graph.push(&rows[*row].graph);
            model.ranks.push(&rows[*row].ranks);
            model.norms.push(Point::new(&rows[*row].graph, &rows[*row].ranks, 0.0).norms);
        }
        model.fit(rows, targets)
    }

    /// Solves (KᵀK + ridge · K_centers) weights = Kᵀ targets.
    fn fit(mut self, rows: &[&Encoded], targets: &[f64]) -> Option<Self> {
        let centers = self.estimates.len();
        let mut normal = Matrix::zeros(centers, centers);
        for i in 0..centers {
            let point = self.center(i);
            let row: Vec<f64> = (0..=i).map(|j| RIDGE * kernel(&point, &self.center(j))).collect();
            normal.row_mut(i)[..=i].copy_from_slice(&row);
        }
        // Columns of K, so that each entry of the normal matrix is one dot product.
        let mut columns = Matrix::zeros(centers, rows.len());
        for (at, row) in rows.iter().enumerate() {
            let values = self.against(row);
            values.iter().enumerate().for_each(|(center, value)| columns.row_mut(center)[at] = *value);
        }
        let centered: Vec<f64> = targets.iter().map(|y| y - self.mean).collect();
        let mut right = Vec::with_capacity(centers);
        for i in 0..centers {
            let column = columns.row(i);
            right.push(dot(column, &centered));
            for j in 0..=i {
                normal.row_mut(i)[j] += dot(column, columns.row(j));
            }
        }
        let lift = 1e-9 * (0..centers).map(|i| normal.row(i)[i]).sum::<f64>() / centers as f64;
        (0..centers).for_each(|i| normal.row_mut(i)[i] += lift);
        self.weights = solve(&normal, &right)?;
        Some(self)
    }

    fn center(&self, at: usize) -> Point<'_> {
        Point {
            graph: self.graph.row(at),
            ranks: if self.ranks.width() == 0 { &[] } else { self.ranks.row(at) },
            estimate: self.estimates[at],
            norms: self.norms[at],
        }
    }

    fn against(&self, row: &Encoded) -> Vec<f64> {
        let point = Point::new(&row.graph, &row.ranks, row.estimate);
        (0..self.estimates.len()).map(|center| kernel(&point, &self.center(center))).collect()
    }

    pub(crate) fn predict(&self, row: &Encoded) -> f64 {
        self.mean + dot(&self.against(row), &self.weights)
    }

    pub(crate) fn is_sound(&self, graph: usize, ranks: usize) -> bool {
        let centers = self.estimates.len();
        let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
        let widths = self.graph.width() == graph && self.ranks.width() == ranks;
        let rows = self.graph.rows() == centers && (ranks == 0 || self.ranks.rows() == centers);
        let lengths = self.weights.len() == centers && self.norms.len() == centers;
        let numbers = finite(&self.estimates) && finite(&self.weights) && self.norms.iter().all(|n| finite(n));
        widths
            && rows
            && lengths
            && numbers
            && self.mean.is_finite()
            && self.graph.is_finite()
            && self.ranks.is_finite()
    }
}
