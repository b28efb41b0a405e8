//! Times of statements under actions as a low-rank law with uncertainty, fitted to what was measured and to what was stopped.
//! Knows logarithms of time over default time.

use crate::normal::mean_above;
use querygate_models::matrix::{Matrix, dot, solve};
use querygate_models::rng::Rng;
use serde::{Deserialize, Serialize};

/// Hidden properties of a statement.
const RANK: usize = 3;
/// A constant and the statement's (standardized, logarithmic) default time: what takes long has more to gain.
const KNOWN: usize = 2;
const WIDTH: usize = KNOWN + RANK;
/// Prior deviation of an action's constant and slope.
const SPREAD: f64 = 0.7;
/// Deviation assumed until there is evidence.
const NOISE: f64 = 0.6;
/// Measurements before actions are drawn to their mean, and before the noise is estimated.
const POOLED_FROM: usize = 30;
const NOISE_FROM: usize = 50;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) row: usize,
    pub(super) action: usize,
    /// Logarithm of time over default time; when stopped, of the time at which it was.
    pub(super) log: f64,
    pub(super) stopped: bool,
}

/// The fitted law: `log ≈ action · (1, x, hidden)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Factors {
    x: Vec<f64>,
    hidden: Matrix,
    actions: Matrix,
    noise: f64,
    /// Per action the covariance of constant and slope: (a, b, c) of a + 2bx + cx².
    doubt: Vec<[f64; 3]>,
    /// Per row with measurements, the covariance of its hidden properties; empty for others, whose covariance is the identity.
    row_doubt: Vec<Vec<f64>>,
}

impl Factors {
    pub(super) fn new(x: Vec<f64>, actions: usize, rng: &mut Rng) -> Self {
        let rows = x.len();
        let mut law = Self {
            x,
            hidden: Matrix::zeros(rows, RANK),
            actions: Matrix::zeros(actions, WIDTH),
            noise: NOISE,
            doubt: vec![[SPREAD * SPREAD, 0.0, SPREAD * SPREAD]; actions],
            row_doubt: vec![Vec::new(); rows],
        };
        // Zeros would stay zeros: rows and actions explain each other.
        (0..rows).for_each(|row| law.hidden.row_mut(row).iter_mut().for_each(|u| *u = 0.1 * rng.normal()));
        (0..actions).for_each(|a| law.actions.row_mut(a)[KNOWN..].iter_mut().for_each(|v| *v = 0.3 * rng.normal()));
        law
    }

    pub(super) fn is_sound(&self, rows: usize, actions: usize) -> bool {
        let sizes = [self.x.len(), self.hidden.rows(), self.row_doubt.len()].iter().all(|len| *len == rows)
            && [self.actions.rows(), self.doubt.len()].iter().all(|len| *len == actions)
            && (self.hidden.width(), self.actions.width()) == (RANK, WIDTH);
        let doubts = self.row_doubt.iter().all(|c| c.is_empty() || c.len() == RANK * RANK);
        let numbers = self.x.iter().chain(self.row_doubt.iter().flatten()).chain(self.doubt.iter().flatten());
        let noise = self.noise.is_finite() && self.noise > 0.0;
        let finite = numbers.into_iter().all(|v| v.is_finite()) && self.hidden.is_finite() && self.actions.is_finite();
        sizes && doubts && noise && finite
    }

    fn coordinates(&self, row: usize) -> [f64; WIDTH] {
        let mut all = [1.0, self.x[row], 0.0, 0.0, 0.0];
        all[KNOWN..].copy_from_slice(self.hidden.row(row));
        all
    }

    /// The expected logarithm.
    pub(super) fn mean(&self, row: usize, action: usize) -> f64 {
        dot(self.actions.row(action), &self.coordinates(row))
    }

    /// Variance of what is not known of the action, and of everything.
    pub(super) fn variances(&self, row: usize, action: usize) -> (f64, f64) {
        let ([a, b, c], x) = (self.doubt[action], self.x[row]);
        let of_action = (a + 2.0 * b * x + c * x * x).max(0.0);
        let v = &self.actions.row(action)[KNOWN..];
        let covariance = &self.row_doubt[row];
        let of_row = if covariance.is_empty() {
            dot(v, v)
        } else {
            (0..RANK).map(|i| v[i] * dot(&covariance[i * RANK..(i + 1) * RANK], v)).sum::<f64>().max(0.0)
        };
        (of_action, of_action + of_row + 0.5 * self.noise * self.noise)
    }

    /// Three rounds of: guess where stopped runs would have ended, fit actions, fit rows.
    pub(super) fn fit(&mut self, seen: &[Seen]) {
        let mut by_action: Vec<Vec<Seen>> = vec![Vec::new(); self.actions.rows()];
        let mut by_row: Vec<Vec<Seen>> = vec![Vec::new(); self.x.len()];
        for one in seen {
            by_action[one.action].push(*one);
            by_row[one.row].push(*one);
        }
        for round in 0..3 {
            let guess = |law: &Self, one: &Seen| {
                let mean = law.mean(one.row, one.action);
                let excess = mean_above((one.log - mean) / law.noise).min(20.0);
                if one.stopped { mean + law.noise * excess } else { one.log }
            };
            // The guesses of one round come from the law at its start, for actions and rows alike.
            let start = self.clone();
            self.fit_actions(&by_action, seen.len() > POOLED_FROM, |one| guess(&start, one));
            self.fit_rows(&by_row, round == 2, |one| guess(&start, one));
            if seen.len() > NOISE_FROM {
                let square = |one: &Seen| (guess(&start, one) - self.mean(one.row, one.action)).powi(2);
                let sum: f64 = seen.iter().map(square).sum();
                let prior = 10.0;
                let variance = (sum + prior * NOISE * NOISE) / (seen.len() as f64 + prior);
                self.noise = variance.sqrt().clamp(0.2, 2.0);
            }
        }
    }

    fn fit_actions(&mut self, by_action: &[Vec<Seen>], pooled: bool, guess: impl Fn(&Seen) -> f64) {
        let weight = self.noise.powi(-2);
        let precision = |i: usize| if i < KNOWN { SPREAD.powi(-2) } else { 1.0 };
        let count = self.actions.rows() as f64;
        let pool = |i: usize| {
            let sum: f64 = (0..self.actions.rows()).map(|action| self.actions.row(action)[i]).sum();
            if pooled && i < KNOWN { sum / count } else { 0.0 }
        };
        let center: Vec<f64> = (0..WIDTH).map(pool).collect();
        for (action, seen) in by_action.iter().enumerate() {
            let (mut a, mut b) = (Matrix::zeros(WIDTH, WIDTH), vec![0.0; WIDTH]);
            for i in 0..WIDTH {
                a.row_mut(i)[i] = precision(i);
                b[i] = precision(i) * center[i];
            }
            for one in seen {
                accumulate(&mut a, &mut b, &self.coordinates(one.row), guess(one), weight);
            }
            let unit = |at: usize| solve(&a, &(0..WIDTH).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>());
            if let (Some(fitted), Some(first), Some(second)) = (solve(&a, &b), unit(0), unit(1)) {
                self.actions.row_mut(action).copy_from_slice(&fitted);
                self.doubt[action] = [first[0], first[1], second[1]];
            }
        }
    }

    fn fit_rows(&mut self, by_row: &[Vec<Seen>], doubts: bool, guess: impl Fn(&Seen) -> f64) {
        let weight = self.noise.powi(-2);
        for (row, seen) in by_row.iter().enumerate() {
            if seen.is_empty() {
                self.hidden.row_mut(row).fill(0.0);
                continue;
            }
            let (mut a, mut b) = (Matrix::zeros(RANK, RANK), vec![0.0; RANK]);
            (0..RANK).for_each(|i| a.row_mut(i)[i] = 1.0);
            for one in seen {
                let law = self.actions.row(one.action);
                let rest = guess(one) - law[0] - law[1] * self.x[row];
                accumulate(&mut a, &mut b, &law[KNOWN..], rest, weight);
            }
            if let Some(fitted) = solve(&a, &b) {
                self.hidden.row_mut(row).copy_from_slice(&fitted);
            }
            if doubts {
                let unit = |at: usize| (0..RANK).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
                self.row_doubt[row] = (0..RANK).filter_map(|at| solve(&a, &unit(at))).flatten().collect();
                if self.row_doubt[row].len() != RANK * RANK {
                    self.row_doubt[row].clear();
                }
            }
        }
    }
}

fn accumulate(a: &mut Matrix, b: &mut [f64], x: &[f64], y: f64, weight: f64) {
    for i in 0..x.len() {
        b[i] += weight * x[i] * y;
        let row = a.row_mut(i);
        (0..x.len()).for_each(|j| row[j] += weight * x[i] * x[j]);
    }
}
