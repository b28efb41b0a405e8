//! What the same fragment took before. Bounded; the least recently used goes first. Knows hashes and logarithms of seconds.

use crate::sketch::DecayedMoments;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fragments remembered.
const ENTRIES_MAX: usize = 10_000;
/// Seconds after which a run counts half: three days.
const HALF_LIFE: f64 = 3.0 * 86_400.0;
/// Runs (decayed) before the cache answers.
const RUNS_MIN: f64 = 2.5;
/// Least deviation of logarithms that is believed, and the runs that this belief is worth.
const DEVIATION: f64 = 0.25;
const PRIOR: f64 = 3.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    logs: DecayedMoments,
    used: u64,
}

/// Runs by fragment hash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cache {
    entries: BTreeMap<u64, Entry>,
    /// Hashes by last use.
    order: BTreeMap<u64, u64>,
    clock: u64,
}

/// Mean and deviation of the logarithm, and the runs behind them.
pub(super) struct Known {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) runs: f64,
}

impl Cache {
    pub(super) fn add(&mut self, hash: u64, now: f64, log: f64) {
        self.clock += 1;
        let fresh = || Entry { logs: DecayedMoments::new(HALF_LIFE), used: 0 };
        let entry = self.entries.entry(hash).or_insert_with(fresh);
        self.order.remove(&entry.used);
        entry.used = self.clock;
        entry.logs.add(now, log);
        self.order.insert(self.clock, hash);
        if self.entries.len() > ENTRIES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn known(&self, hash: u64, now: f64) -> Option<Known> {
        let logs = &self.entries.get(&hash)?.logs;
        let runs = logs.weight(now);
        let (mean, variance) = (logs.mean()?, logs.variance()?);
        let pooled = (variance * runs + DEVIATION * DEVIATION * PRIOR) / (runs + PRIOR);
        (runs >= RUNS_MIN).then(|| Known { mean, deviation: pooled.sqrt(), runs })
    }

    pub(super) fn is_sound(&self) -> bool {
        let orders = self.order.iter().all(|(used, hash)| self.entries.get(hash).is_some_and(|e| e.used == *used));
        self.entries.len() <= ENTRIES_MAX && self.order.len() == self.entries.len() && orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_from_three_runs_on_forgets_and_stays_bounded() {
        let mut cache = Cache::default();
        cache.add(1, 0.0, 2.0);
        cache.add(1, 0.0, 2.0);
        assert!(cache.known(1, 0.0).is_none());
        cache.add(1, 0.0, 2.3);
        let known = cache.known(1, 0.0).unwrap();
        assert!((known.mean - 2.1).abs() < 1e-9 && known.deviation > 0.1);
        assert!(cache.known(1, 10.0 * HALF_LIFE).is_none());
        for hash in 0..20_000 {
            cache.add(hash, 0.0, 1.0);
            cache.add(1, 0.0, 1.0);
        }
        assert!(cache.is_sound() && cache.entries.len() == ENTRIES_MAX && cache.known(1, 0.0).is_some());
    }
}
