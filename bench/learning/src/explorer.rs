//! Which alternative of which statement to try next, so that little time is spent for much gained. Knows measured seconds.

use crate::factors::{Factors, Seen};
use crate::normal::below;
use querygate_models::numeric;
use querygate_models::rng::Rng;
use querygate_models::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};

/// A run worth making.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Statement.
    pub row: usize,
    /// Alternative.
    pub action: usize,
    /// Seconds after which to stop it: the statement's best time so far.
    pub limit: f64,
}

/// How a trial went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It ended after these seconds.
    Ended(f64),
    /// It was stopped at its limit.
    Stopped,
}

/// What a statement runs with now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Alternative; 0 is the default.
    pub action: usize,
    /// Its measured seconds.
    pub seconds: f64,
}

/// Explores a workload of repeating statements. All time spent on trials is bounded by the limits it sets: a trial never takes
/// longer than the statement itself would.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explorer {
    defaults: Vec<f64>,
    plans: Vec<Plan>,
    tried: Vec<bool>,
    actions: usize,
    seen: Vec<Seen>,
    law: Factors,
    rng: Rng,
}

/// Statements times alternatives, at most: one round looks at all of them.
const CELLS_MAX: usize = 4_000_000;
/// Part of an action's uncertainty that is drawn at random. Less than all of it: found on the CEB matrix, as the next.
const DRAWN: f64 = 0.7;
/// Power of the cost that a gain is divided by: above 1, short trials come first, and what they teach about actions saves long
/// ones.
const THRIFT: f64 = 1.2;
/// Shortest time that is told from another.
const SECONDS_MIN: f64 = 1e-6;

impl Explorer {
    /// Statements by their seconds with the default, each with `actions` alternatives, the default included. `None` for an
    /// empty workload, times that are not positive numbers, or more than four million pairs.
    #[must_use]
    pub fn new(defaults: &[f64], actions: usize, seed: u64) -> Option<Self> {
        let cells = defaults.len().checked_mul(actions).filter(|cells| (1..=CELLS_MAX).contains(cells))?;
        if defaults.iter().any(|d| !d.is_finite() || *d < 0.0) {
            return None;
        }
        let defaults: Vec<f64> = defaults.iter().map(|d| d.max(SECONDS_MIN)).collect();
        let logs: Vec<f64> = defaults.iter().map(|d| d.ln()).collect();
        let center = numeric::mean(&logs);
        let deviation = numeric::mean_of(logs.iter().map(|l| (l - center).powi(2))).sqrt().max(1e-9);
        let mut rng = Rng::new(seed);
        let law = Factors::new(logs.iter().map(|l| (l - center) / deviation).collect(), actions, &mut rng);
        let mut tried = vec![false; cells];
        (0..defaults.len()).for_each(|row| tried[row * actions] = true);
        let plans = defaults.iter().map(|seconds| Plan { action: 0, seconds: *seconds }).collect();
        Some(Self { defaults, plans, tried, actions, seen: Vec::new(), law, rng })
    }

    /// The best measured plan of each statement.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The next trials, most promising first, expected to take `budget` seconds together (one trial at least); none when
    /// everything was tried or nothing promises anything.
    ///
    /// A trial's worth is its expected gain over its expected cost, short trials somewhat preferred. What is not known of an action is drawn at random for each
    /// statement, so that statements try different ones while little is known (Thompson's way).
    pub fn propose(&mut self, budget: f64) -> Vec<Trial> {
        self.law.fit(&self.seen);
        let mut worth: Vec<(f64, f64, Trial)> = Vec::new();
        for row in 0..self.defaults.len() {
            let limit = self.plans[row].seconds;
            let (mut best, mut most) = (None, 0.0);
            for action in 0..self.actions {
                if self.tried[row * self.actions + action] {
                    continue;
                }
                let (gain, cost) = self.expect(row, action, limit);
                let worth = gain / cost.powf(THRIFT);
                if worth > most {
                    most = worth;
                    best = Some((most, cost, Trial { row, action, limit }));
                }
            }
            worth.extend(best);
        }
        worth.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut spent = 0.0;
        let within = worth.iter().take_while(|(_, cost, _)| {
            let begins = spent < budget;
            spent += cost;
            begins
        });
        within.map(|(_, _, trial)| *trial).collect()
    }

    /// Seconds gained and seconds spent that are to be expected of a trial, times being log-normal.
    fn expect(&mut self, row: usize, action: usize, limit: f64) -> (f64, f64) {
        let (of_action, variance) = self.law.variances(row, action);
        let drawn = self.law.mean(row, action) + DRAWN * of_action.sqrt() * self.rng.normal();
        let (mean, deviation) = (self.defaults[row].ln() + drawn, variance.sqrt().max(1e-6));
        let z = (limit.ln() - mean) / deviation;
        let likely = below(z);
        let when_better = (mean + 0.5 * variance).min(700.0).exp() * below(z - deviation);
        (limit * likely - when_better, (when_better + limit * (1.0 - likely)).max(SECONDS_MIN))
    }

    /// Takes the outcome of a trial in. One that names no statement or alternative changes nothing.
    pub fn record(&mut self, trial: Trial, outcome: Outcome) {
        let Trial { row, action, limit } = trial;
        if row >= self.defaults.len() || action >= self.actions || !limit.is_finite() {
            return;
        }
        self.tried[row * self.actions + action] = true;
        let (seconds, stopped) = match outcome {
            Outcome::Ended(seconds) if seconds.is_finite() => (seconds.max(SECONDS_MIN), false),
            Outcome::Ended(_) | Outcome::Stopped => (limit.max(SECONDS_MIN), true),
        };
        let log = (seconds / self.defaults[row]).ln();
        self.seen.push(Seen { row, action, log, stopped });
        if !stopped && seconds < self.plans[row].seconds {
            self.plans[row] = Plan { action, seconds };
        }
    }
}

impl Saved for Explorer {
    const KIND: &'static str = "explorer";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let rows = self.defaults.len();
        let positive = |seconds: f64| seconds.is_finite() && seconds > 0.0;
        let plans = self.plans.iter().all(|plan| plan.action < self.actions && positive(plan.seconds));
        let seen = self.seen.iter().all(|one| one.row < rows && one.action < self.actions && one.log.is_finite());
        let sizes = self.plans.len() == rows && rows.checked_mul(self.actions) == Some(self.tried.len());
        if !sizes
            || !plans
            || !seen
            || !self.defaults.iter().all(|d| positive(*d))
            || !self.law.is_sound(rows, self.actions)
        {
            return Err(LoadError::Contents("an exploration"));
        }
        Ok(())
    }
}
