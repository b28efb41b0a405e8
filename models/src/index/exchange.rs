//! Local improvement of what greedy steps found: exchanges, forced entries, pruning. Asks only through the search.

use super::candidates::reductions;
use super::oracle::{CostOracle, Set};
use super::search::{Search, SearchError, State, insert, without};

/// Passed-over indexes that are tried, at most.
const FORCED: usize = 24;

impl<O: CostOracle> Search<'_, O> {
    /// Leaves out or narrows one index at a time, fills the room again, and keeps what is cheaper.
    pub(crate) fn exchange(&mut self, mut state: State) -> Result<State, SearchError<O::Error>> {
        for _ in 0..self.settings.rounds {
            let mut improved = false;
            for number in state.set.clone() {
                if self.asked.is_exhausted() {
                    return Ok(state);
                }
                if !state.set.contains(&number) {
                    continue;
                }
                let rest = without(&state.set, number);
                let mut starts = vec![rest.clone()];
                for smaller in reductions(&self.asked.candidates[number].clone()) {
                    let smaller = self.asked.number(&smaller);
                    starts.push(insert(&rest, smaller));
                }
                for start in starts {
                    for by_size in [true, false] {
                        let start = self.state(start.clone())?;
                        let other = self.fill(start, by_size)?;
                        if other.cost < state.cost * (1.0 - 1e-6) && other.bytes <= self.settings.budget {
                            (state, improved) = (other, true);
                        }
                    }
                }
            }
            if !improved {
                break;
            }
        }
        Ok(state)
    }

    /// Puts in one index that greedy steps passed over, leaves out what gives least for its size until it fits, fills the
    /// room again, and keeps what is cheaper.
    pub(crate) fn force(&mut self, mut state: State) -> Result<State, SearchError<O::Error>> {
        let mut alone = Vec::new();
        for set in self.steps(&[]) {
            if self.asked.is_exhausted() {
                return Ok(state);
            }
            if set.iter().any(|number| self.asked.bytes(*number) > self.settings.budget) {
                continue;
            }
            let one = self.state(set)?;
            if one.cost < self.before {
                alone.push(one);
            }
        }
        alone.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        alone.truncate(FORCED);
        for one in alone {
            for number in one.set.iter().filter(|number| !state.set.contains(number)).copied().collect::<Vec<_>>() {
                let fitting = self.fitting(insert(&state.set, number), number)?;
                for by_size in [true, false] {
                    if self.asked.is_exhausted() {
                        return Ok(state);
                    }
                    let other = self.fill(fitting.clone(), by_size)?;
                    if other.cost < state.cost * (1.0 - 1e-6) {
                        state = other;
                    }
                }
            }
        }
        Ok(state)
    }

    /// The set without what adds least for its size, until it fits; `kept` stays.
    fn fitting(&mut self, set: Set, kept: usize) -> Result<State, SearchError<O::Error>> {
        let mut state = self.state(set)?;
        while state.bytes > self.settings.budget {
            let mut least: Option<(f64, State)> = None;
            for number in state.set.iter().filter(|number| **number != kept) {
                let other = self.state(without(&state.set, *number))?;
                let value = (other.cost - state.cost) / (state.bytes - other.bytes).max(1.0);
                if least.as_ref().is_none_or(|(known, _)| value < *known) {
                    least = Some((value, other));
                }
            }
            match least {
                Some((_, other)) => state = other,
                None => break,
            }
        }
        Ok(state)
    }

    /// Leaves out what no longer pays for itself.
    pub(crate) fn prune(&mut self, mut state: State) -> Result<State, SearchError<O::Error>> {
        let least = self.settings.least_benefit * self.before;
        for number in state.set.clone() {
            let other = self.state(without(&state.set, number))?;
            if other.cost - state.cost <= least {
                state = other;
            }
        }
        Ok(state)
    }

    /// The best state that was found.
    pub(crate) fn best(&mut self) -> Result<State, SearchError<O::Error>> {
        let empty = self.state(Set::new())?;
        let mut best = self.fill(empty.clone(), true)?;
        if self.settings.rounds > 0 {
            best = self.exchange(best)?;
            let other = self.fill(empty, false)?;
            let other = self.exchange(other)?;
            if other.cost < best.cost {
                best = other;
            }
            best = self.force(best)?;
        }
        self.prune(best)
    }
}
