//! Asking a planner what statements would cost with indexes that do not exist, and asking it seldom. Knows no planner.

use super::shape::{Index, Workload};
use super::size::size;
use std::collections::HashMap;

/// What a planner says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Cost of one execution, in the planner's unit, as careful as whoever asks can be. The search goes by it.
    pub cost: f64,
    /// What the planner itself says; `None`: the same.
    pub planned: Option<f64>,
    /// What it costs if what is uncertain turns out badly, by the same care; `None`: the same.
    pub worst: Option<f64>,
    /// Which of the offered indexes the plan uses (places in the list), where the planner tells: it saves questions.
    pub used: Option<Vec<usize>>,
}

/// What one execution costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// With the care of whoever asked the planner.
    pub cost: f64,
    /// As the planner says.
    pub planned: f64,
    /// If what is uncertain turns out badly.
    pub worst: f64,
}

/// A planner with hypothetical indexes: HypoPG, a schema-only copy with statistics, a synthetic one.
pub trait CostOracle {
    /// Why it could not answer.
    type Error;

    /// Cost of the statement (by its number in the workload) if exactly these indexes existed beside the real ones.
    ///
    /// # Errors
    /// What the planner says; the search ends with it.
    fn cost(&mut self, statement: usize, indexes: &[&Index]) -> Result<Answer, Self::Error>;

    /// Whether the index may be suggested. One that finds nothing which is not found without it may cost less to read than its table,
    /// and is none that anybody would make.
    fn admits(&self, _index: &Index) -> bool {
        true
    }

    /// Whether the time for questions is over: the search ends with what it has, and asks only what its result is made of.
    fn is_spent(&self) -> bool {
        false
    }

    /// Bytes of the index, where the source knows better than [`super::size`].
    fn size(&mut self, _index: &Index) -> Option<f64> {
        None
    }
}

/// A set of candidates, as ascending numbers.
pub(crate) type Set = Vec<usize>;

/// A plan seen: with these candidates offered, these were used.
struct Known {
    offered: Set,
    used: Set,
    price: Price,
}

/// Candidates by number, and the answers so far. Only what a statement may use is offered, and a plan is the same for every
/// set between what it used and what it was offered.
pub(crate) struct Asked<'a, O> {
    workload: &'a Workload,
    oracle: O,
    pub(crate) candidates: Vec<Index>,
    sizes: Vec<f64>,
    numbers: HashMap<Index, usize>,
    known: Vec<Vec<Known>>,
    pub(crate) calls: usize,
    most: usize,
}

fn within(part: &[usize], whole: &[usize]) -> bool {
    part.iter().all(|number| whole.binary_search(number).is_ok())
}

impl<'a, O: CostOracle> Asked<'a, O> {
    pub(crate) fn new(workload: &'a Workload, oracle: O, most: usize) -> Self {
        let known = workload.statements.iter().map(|_| Vec::new()).collect();
        Self {
            workload,
            oracle,
            candidates: Vec::new(),
            sizes: Vec::new(),
            numbers: HashMap::new(),
            known,
            calls: 0,
            most,
        }
    }

    /// Whether no further question may be asked.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.calls >= self.most || self.oracle.is_spent()
    }

    /// Whether it may be suggested.
    pub(crate) fn admits(&self, index: &Index) -> bool {
        self.oracle.admits(index)
    }

    pub(crate) fn number(&mut self, index: &Index) -> usize {
        if let Some(number) = self.numbers.get(index) {
            return *number;
        }
        let number = self.candidates.len();
        self.sizes.push(self.oracle.size(index).unwrap_or_else(|| size(self.workload, index)));
        self.candidates.push(index.clone());
        self.numbers.insert(index.clone(), number);
        number
    }

    /// Bytes of a candidate.
    pub(crate) fn bytes(&self, number: usize) -> f64 {
        self.sizes[number]
    }

    pub(crate) fn may_use(&self, statement: usize, number: usize) -> bool {
        self.workload.may_use(statement, &self.candidates[number])
    }

    /// Cost of one execution with this set.
    pub(crate) fn cost(&mut self, statement: usize, set: &[usize]) -> Result<f64, O::Error> {
        Ok(self.price(statement, set)?.cost)
    }

    /// The same, beside what the planner itself says.
    pub(crate) fn price(&mut self, statement: usize, set: &[usize]) -> Result<Price, O::Error> {
        let offered: Set = set.iter().copied().filter(|number| self.may_use(statement, *number)).collect();
        let fits = |known: &&Known| within(&known.used, &offered) && within(&offered, &known.offered);
        if let Some(known) = self.known[statement].iter().find(fits) {
            return Ok(known.price);
        }
        let indexes: Vec<&Index> = offered.iter().map(|number| &self.candidates[*number]).collect();
        let answer = self.oracle.cost(statement, &indexes)?;
        self.calls += 1;
        let used = match answer.used {
            Some(places) => {
                let mut used: Set = places.iter().filter_map(|place| offered.get(*place)).copied().collect();
                used.sort_unstable();
                used
            }
            None => offered.clone(),
        };
        let finite = |cost: f64| if cost.is_finite() { cost.max(0.0) } else { f64::MAX / 1e6 };
        let or_cost = |other: Option<f64>| finite(other.unwrap_or(answer.cost));
        let price = Price { cost: finite(answer.cost), planned: or_cost(answer.planned), worst: or_cost(answer.worst) };
        self.known[statement].push(Known { offered, used, price });
        Ok(price)
    }

    /// Weighted cost of the whole workload.
    pub(crate) fn total(&mut self, set: &[usize]) -> Result<f64, O::Error> {
        let mut total = 0.0;
        for (statement, one) in self.workload.statements.iter().enumerate() {
            total += one.weight * self.cost(statement, set)?;
        }
        Ok(total)
    }
}
