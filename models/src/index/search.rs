//! Finding indexes for a whole workload under a storage budget: Extend's greedy steps (Schlosser, Kossmann, Boissier 2019:
//! a new column or a wider index, by benefit for its size), then local exchanges. Knows no source.

use super::candidates::{Allowed, extensions, obvious, singles};
use super::oracle::{Asked, CostOracle, Set};
use super::shape::{Index, Workload};
use super::size::writes;
use std::collections::{BTreeSet, HashMap};

/// How much more than ever before a step may give.
const HOPE: f64 = 1.5;

/// Bounds of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Bytes that all new indexes together may take.
    pub budget: f64,
    /// Key columns an index, 1 to 4.
    pub width: usize,
    /// Whether columns may be carried along (`INCLUDE`).
    pub include: bool,
    /// Cost of writing one index entry, in the planner's unit.
    pub write_cost: f64,
    /// An index must save this share of the workload's cost.
    pub least_benefit: f64,
    /// Questions to the planner, at most.
    pub questions: usize,
    /// Rounds of local exchanges; 0 is plain Extend.
    pub rounds: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            budget: 512.0 * 1024.0 * 1024.0,
            width: 4,
            include: true,
            write_cost: 1.0,
            least_benefit: 0.001,
            questions: 5_000,
            rounds: 3,
        }
    }
}

/// Why a search gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError<E> {
    /// A number in the workload refers to nothing.
    #[error("the workload refers to a table, column or predicate that it does not have")]
    Workload,
    /// The width is not 1 to 4, or a bound is no number.
    #[error("the bounds of the search are not valid")]
    Settings,
    /// The planner could not answer.
    #[error("the planner did not answer")]
    Oracle(E),
}

/// The state of a search: candidates by number, with the workload's cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) set: Set,
    pub(crate) cost: f64,
    pub(crate) bytes: f64,
}

pub(crate) struct Search<'a, O> {
    pub(crate) workload: &'a Workload,
    pub(crate) settings: Settings,
    pub(crate) asked: Asked<'a, O>,
    starts: Vec<usize>,
    pub(crate) before: f64,
    /// The most that a step gave, in whatever company.
    seen: HashMap<(Option<usize>, Option<usize>), f64>,
}

/// What a step puts in, and what it takes out for it.
fn difference(from: &[usize], to: &[usize]) -> (Option<usize>, Option<usize>) {
    let missing = |set: &[usize], other: &[usize]| other.iter().find(|number| !set.contains(number)).copied();
    (missing(from, to), missing(to, from))
}

pub(crate) fn insert(set: &[usize], number: usize) -> Set {
    let mut set = set.to_vec();
    if let Err(place) = set.binary_search(&number) {
        set.insert(place, number);
    }
    set
}

pub(crate) fn without(set: &[usize], number: usize) -> Set {
    set.iter().copied().filter(|other| *other != number).collect()
}

impl<'a, O: CostOracle> Search<'a, O> {
    pub(crate) fn new(workload: &'a Workload, oracle: O, settings: Settings) -> Result<Self, SearchError<O::Error>> {
        if !workload.is_sound() {
            return Err(SearchError::Workload);
        }
        let numbers = [settings.budget, settings.write_cost, settings.least_benefit];
        if !(1..=4).contains(&settings.width) || numbers.iter().any(|number| !number.is_finite() || *number < 0.0) {
            return Err(SearchError::Settings);
        }
        let mut asked = Asked::new(workload, oracle, settings.questions);
        let singles: Vec<Index> = singles(workload).into_iter().filter(|index| asked.admits(index)).collect();
        let starts: BTreeSet<usize> = singles.iter().map(|index| asked.number(index)).collect();
        let before = asked.total(&[]).map_err(SearchError::Oracle)?;
        Ok(Self { workload, settings, asked, starts: starts.into_iter().collect(), before, seen: HashMap::new() })
    }

    pub(crate) fn allowed(&self) -> Allowed {
        Allowed { width: self.settings.width, include: self.settings.include }
    }

    pub(crate) fn write_cost(&self, number: usize) -> f64 {
        self.settings.write_cost * writes(self.workload, &self.asked.candidates[number])
    }

    /// Cost of the workload and of writing, with this set.
    pub(crate) fn state(&mut self, set: Set) -> Result<State, SearchError<O::Error>> {
        let reads = self.asked.total(&set).map_err(SearchError::Oracle)?;
        let writing: f64 = set.iter().map(|number| self.write_cost(*number)).sum();
        let bytes = set.iter().map(|number| self.asked.bytes(*number)).sum();
        Ok(State { set, cost: reads + writing, bytes })
    }

    /// Sets one step away: a new index, or one made wider or covering.
    pub(crate) fn steps(&mut self, set: &[usize]) -> Vec<Set> {
        let mut found: Vec<Set> = Vec::new();
        let mut news = self.starts.clone();
        if self.settings.rounds > 0 {
            let obvious = obvious(self.workload, self.allowed()).into_iter();
            let obvious: Vec<Index> = obvious.filter(|index| self.asked.admits(index)).collect();
            news.extend(obvious.iter().map(|index| self.asked.number(index)));
        }
        for number in news {
            let (index, candidates) = (&self.asked.candidates[number], &self.asked.candidates);
            // A prefix of what is there gives nothing new.
            let known = set.iter().any(|other| serves(&candidates[*other], index));
            if !known {
                found.push(insert(set, number));
            }
        }
        for number in set {
            let index = self.asked.candidates[*number].clone();
            for wider in extensions(self.workload, &index, self.allowed()) {
                if !self.asked.admits(&wider) {
                    continue;
                }
                let wider = self.asked.number(&wider);
                if !set.contains(&wider) {
                    found.push(insert(&without(set, *number), wider));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Steps that fit, with the value that can be hoped for: what they gave in other company and half as much again, or
    /// without bound. The best first, so that most need no question.
    fn hopeful(&mut self, state: &State, by_size: bool) -> Vec<(Set, f64)> {
        let least = self.settings.least_benefit * self.before;
        let mut found = Vec::new();
        for set in self.steps(&state.set) {
            let bytes: f64 = set.iter().map(|number| self.asked.bytes(*number)).sum();
            if bytes > self.settings.budget {
                continue;
            }
            let seen = self.seen.get(&difference(&state.set, &set)).copied().unwrap_or(f64::INFINITY);
            let benefit = HOPE * seen;
            if benefit > least {
                let value = if by_size { benefit / (bytes - state.bytes).max(8192.0) } else { benefit };
                found.push((set, value));
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    /// Greedy steps from a state until nothing fits or pays.
    pub(crate) fn fill(&mut self, mut state: State, by_size: bool) -> Result<State, SearchError<O::Error>> {
        let least = self.settings.least_benefit * self.before;
        loop {
            let mut best: Option<(f64, State)> = None;
            for (set, hope) in self.hopeful(&state, by_size) {
                if self.asked.is_exhausted() {
                    break;
                }
                if hope <= best.as_ref().map_or(0.0, |(value, _)| *value) {
                    continue;
                }
                let next = self.state(set)?;
                let benefit = state.cost - next.cost;
                let seen = self.seen.entry(difference(&state.set, &next.set)).or_insert(f64::NEG_INFINITY);
                *seen = seen.max(benefit);
                let value = if by_size { benefit / (next.bytes - state.bytes).max(8192.0) } else { benefit };
                if benefit > least && best.as_ref().is_none_or(|(other, _)| value > *other) {
                    best = Some((value, next));
                }
            }
            match best {
                Some((_, next)) => state = next,
                None => return Ok(state),
            }
        }
    }
}

/// Whether everything that `index` gives, `wider` gives as well: its keys begin alike and it covers no less.
pub(crate) fn serves(wider: &Index, index: &Index) -> bool {
    wider.table == index.table
        && wider.predicate == index.predicate
        && wider.keys.starts_with(&index.keys)
        && wider.covers(&index.include)
}
