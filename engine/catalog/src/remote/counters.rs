//! Where the counters of a table's autonumbers were last seen to end, so that not every new row costs a look at all rows. A guess: who
//! takes a number looks whether the row is still there and whether others follow it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

/// Counters that are kept of one table. A format with a field has one for each of its values.
const COUNTERS_MAX: usize = 1024;
/// Bytes of a prefix that is kept.
const PREFIX_MAX: usize = 256;
/// How many times as long as a look at all rows took is its result trusted: looks then take a hundredth of the time at most. A number
/// that others stored far beyond the end is found no later.
const TRUSTED_TIMES: u32 = 100;

/// A counter of a table, by place of the field and by what comes before the counter in its texts.
type Counter = (usize, String);

/// The ends of a table's counters, and who looks for them.
#[derive(Debug, Default)]
pub struct Counters {
    ends: Mutex<BTreeMap<Counter, CounterEnd>>,
    queues: Mutex<BTreeMap<Counter, Arc<Queue<()>>>>,
}

/// The turn of one writer to look for the end of a counter. Dropped, it is the next one's.
pub type CounterTurn = OwnedMutexGuard<()>;

#[derive(Debug, Clone, Copy)]
struct CounterEnd {
    last: u64,
    trusted_until: Instant,
}

impl Counters {
    /// Where the counter of a field and a prefix was seen to end, if that was not too long ago.
    #[must_use]
    pub fn end(&self, place: usize, prefix: &str) -> Option<u64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.get(&(place, prefix.to_owned()))?;
        (Instant::now() < end.trusted_until).then_some(end.last)
    }

    /// A look at all rows, which took this long, found the end of a counter.
    pub fn set(&self, place: usize, prefix: &str, last: u64, took: Duration) {
        if prefix.len() > PREFIX_MAX {
            return;
        }
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= COUNTERS_MAX {
            ends.clear();
        }
        let trusted_until = Instant::now() + took.saturating_mul(TRUSTED_TIMES);
        ends.insert((place, prefix.to_owned()), CounterEnd { last, trusted_until });
    }

    /// The source may have refused a number that follows the end of this counter.
    pub fn forget(&self, place: usize, prefix: &str) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&(place, prefix.to_owned()));
    }

    /// Waits until all who came before have found the end of a counter and locked its row, or given up. Who waits for a row that another
    /// transaction holds would otherwise find each time that somebody who came later has gone past. `None`: there is no queue of it.
    pub async fn turn(&self, place: usize, prefix: &str) -> Option<CounterTurn> {
        if prefix.len() > PREFIX_MAX {
            return None;
        }
        let queue = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            if queues.len() >= COUNTERS_MAX {
                // One that somebody stands in is held by them, too.
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }
            if queues.len() >= COUNTERS_MAX {
                return None;
            }
            Arc::clone(queues.entry((place, prefix.to_owned())).or_default())
        };
        Some(queue.lock_owned().await)
    }

    /// A row with a higher number was found.
    pub fn advance(&self, place: usize, prefix: &str, last: u64) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
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

    #[tokio::test]
    async fn a_counter_is_looked_at_in_the_order_in_which_writers_come() {
        let counters = Arc::new(Counters::default());
        let first = counters.turn(0, "T-").await;
        let other = counters.turn(0, "U-").await;
        assert!(first.is_some() && other.is_some(), "each counter has a queue of its own");
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..4 {
            let (counters, order) = (Arc::clone(&counters), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let turn = counters.turn(0, "T-").await;
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        assert!(order.lock().unwrap().is_empty());
        drop(first);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn few_queues_are_kept() {
        let counters = Counters::default();
        let held = counters.turn(0, "held").await;
        for number in 0..2 * COUNTERS_MAX {
            assert!(counters.turn(0, &format!("{number}-")).await.is_some());
        }
        assert!(counters.queues.lock().unwrap().len() <= COUNTERS_MAX);
        assert!(counters.queues.lock().unwrap().contains_key(&(0, "held".to_owned())));
        drop(held);
        assert!(counters.turn(0, &"x".repeat(1_000)).await.is_none());
    }

    #[test]
    fn few_counters_are_kept() {
        let counters = Counters::default();
        for number in 0..5_000 {
            counters.set(0, &format!("{number}-"), 1, Duration::from_secs(3600));
        }
        counters.set(0, &"x".repeat(1_000), 1, Duration::from_secs(3600));
        let kept = counters.ends.lock().unwrap();
        assert!(kept.len() <= COUNTERS_MAX && kept.keys().all(|(_, prefix)| prefix.len() <= PREFIX_MAX));
    }
}
