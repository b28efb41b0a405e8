//! Where the counters of a table's autonumbers were last seen to end, so that not every new row costs a look at all rows. A guess: who
//! takes a number looks whether the row is still there and whether others follow it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counters that are kept of one table. A format with a field has one for each of its values.
const COUNTERS_MAX: usize = 1024;
/// Bytes of a prefix that is kept.
const PREFIX_MAX: usize = 256;
/// How many times as long as a look at all rows took is its result trusted: looks then take a hundredth of the time at most. A number
/// that others stored far beyond the end is found no later.
const TRUSTED_TIMES: u32 = 100;

/// The ends of a table's counters, by place of the field and by what comes before the counter in its texts.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<(usize, String), CounterEnd>>);

#[derive(Debug, Clone, Copy)]
struct CounterEnd {
    last: u64,
    trusted_until: Instant,
}

impl Counters {
    /// Where the counter of a field and a prefix was seen to end, if that was not too long ago.
    #[must_use]
    pub fn end(&self, place: usize, prefix: &str) -> Option<u64> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.get(&(place, prefix.to_owned()))?;
        (Instant::now() < end.trusted_until).then_some(end.last)
    }

    /// A look at all rows, which took this long, found the end of a counter.
    pub fn set(&self, place: usize, prefix: &str, last: u64, took: Duration) {
        if prefix.len() > PREFIX_MAX {
            return;
        }
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= COUNTERS_MAX {
            ends.clear();
        }
        let trusted_until = Instant::now() + took.saturating_mul(TRUSTED_TIMES);
        ends.insert((place, prefix.to_owned()), CounterEnd { last, trusted_until });
    }

    /// The source may have refused a number that follows the end of this counter.
    pub fn forget(&self, place: usize, prefix: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(place, prefix.to_owned()));
    }

    /// A row with a higher number was found.
    pub fn advance(&self, place: usize, prefix: &str, last: u64) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = ends.get_mut(&(place, prefix.to_owned())) {
            end.last = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_trusted_as_long_as_it_was_dear() {
        let counters = Counters::default();
        counters.set(1, "T-", 7, Duration::from_secs(3600));
        counters.set(1, "U-", 7, Duration::ZERO);
        assert_eq!((counters.end(1, "T-"), counters.end(1, "U-"), counters.end(2, "T-")), (Some(7), None, None));
        counters.advance(1, "T-", 9);
        counters.advance(2, "T-", 9);
        assert_eq!((counters.end(1, "T-"), counters.end(2, "T-")), (Some(9), None));
        counters.forget(2, "T-");
        assert_eq!(counters.end(1, "T-"), Some(9));
        counters.forget(1, "T-");
        assert_eq!(counters.end(1, "T-"), None);
    }

    #[test]
    fn few_counters_are_kept() {
        let counters = Counters::default();
        for number in 0..5_000 {
            counters.set(0, &format!("{number}-"), 1, Duration::from_secs(3600));
        }
        counters.set(0, &"x".repeat(1_000), 1, Duration::from_secs(3600));
        let kept = counters.0.lock().unwrap();
        assert!(kept.len() <= COUNTERS_MAX && kept.keys().all(|(_, prefix)| prefix.len() <= PREFIX_MAX));
    }
}
