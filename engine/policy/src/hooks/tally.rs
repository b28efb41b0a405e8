//! How a hook has run: counts, and how long its runs took, in classes. Shared by all statements.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Classes of run times: each is a quarter longer than the one before, the first is up to 16 microseconds, the last beyond a minute.
const CLASSES: usize = 72;
const FIRST_MICROS: f64 = 16.0;
const STEP: f64 = 1.25;
/// Changes whose runs after their commit have not ended, at most.
const WAITING_MAX: usize = 1_000;
/// Bytes of their rows.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Runs of one hook.
#[derive(Debug)]
pub struct HookTally {
    runs: AtomicU64,
    faults: AtomicU64,
    took: [AtomicU64; CLASSES],
    /// Questions and changes that runs asked for, and the microseconds that they waited for them.
    calls: AtomicU64,
    waited_micros: AtomicU64,
    /// Runs that were given up, and that have not ended.
    lost: AtomicUsize,
    /// Changes whose runs after their commit have not ended.
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

impl Default for HookTally {
    fn default() -> Self {
        Self {
            runs: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            took: [const { AtomicU64::new(0) }; CLASSES],
            calls: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
            lost: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
        }
    }
}

impl HookTally {
    /// Counts a run that has ended.
    pub fn count(&self, took: Duration, is_fault: bool) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.faults.fetch_add(u64::from(is_fault), Ordering::Relaxed);
        let is_within = |class: &usize| took.as_secs_f64() * 1e6 <= bound(*class);
        let class = (0..CLASSES).find(is_within).unwrap_or(CLASSES - 1);
        if let Some(count) = self.took.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what a run asked for, and how long it waited for that.
    pub fn count_calls(&self, calls: u32, waited: Duration) {
        self.calls.fetch_add(u64::from(calls), Ordering::Relaxed);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Questions and changes that runs asked for.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The time that runs waited for their answers, all together.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_micros.load(Ordering::Relaxed))
    }

    /// Runs that have ended.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Runs that left nothing behind but an error.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// The time within which this part of the runs ended, a quarter too long at most. `None`: there was none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.took.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let mut seen = 0;
        for (class, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen as f64 >= all as f64 * part {
                return Some(Duration::from_secs_f64(bound(class) / 1e6));
            }
        }
        None
    }

    /// A place for runs after a commit, unless too many wait, or more bytes of their rows than may. `bytes`: of its rows.
    #[must_use]
    pub fn wait(&self, bytes: usize) -> Option<WaitingRuns<'_>> {
        let is_first = self.waiting.fetch_add(1, Ordering::AcqRel) < WAITING_MAX;
        let held = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        let place = WaitingRuns { tally: self, bytes };
        (is_first && held.saturating_add(bytes) <= WAITING_BYTES_MAX).then_some(place)
    }

    /// A run is given up, which does not end.
    pub fn lose(&self) {
        self.lost.fetch_add(1, Ordering::AcqRel);
    }

    /// A run that was given up has ended.
    pub fn find(&self) {
        self.lost.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether a run that was given up has not ended: then no other begins.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) > 0
    }
}

/// The place of runs after a commit, until they have ended, however they do.
#[derive(Debug)]
pub struct WaitingRuns<'a> {
    tally: &'a HookTally,
    bytes: usize,
}

impl Drop for WaitingRuns<'_> {
    fn drop(&mut self) {
        self.tally.waiting.fetch_sub(1, Ordering::AcqRel);
        self.tally.waiting_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The longest time of a class, in microseconds.
fn bound(class: usize) -> f64 {
    let class = i32::try_from(class).unwrap_or(i32::MAX);
    FIRST_MICROS * STEP.powi(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near() {
        let tally = HookTally::default();
        assert_eq!(tally.quantile(0.5), None);
        (1..=100).for_each(|ms| tally.count(Duration::from_millis(ms), ms > 90));
        assert_eq!((tally.runs(), tally.faults()), (100, 10));
        let ms = |part| tally.quantile(part).unwrap().as_millis();
        assert!((50..=63).contains(&ms(0.5)), "{}", ms(0.5));
        assert!((95..=119).contains(&ms(0.95)), "{}", ms(0.95));
        tally.count(Duration::from_secs(100_000), true);
        assert!(tally.quantile(1.0).unwrap() > Duration::from_secs(60));
    }

    #[test]
    fn rows_that_wait_for_their_runs_are_bounded() {
        let tally = HookTally::default();
        let _first = tally.wait(WAITING_BYTES_MAX - 10).unwrap();
        assert!(tally.wait(11).is_none(), "what is refused takes no room");
        let second = tally.wait(10).unwrap();
        assert!(tally.wait(1).is_none());
        drop(second);
        let all: Option<Vec<_>> = (0..WAITING_MAX - 1).map(|_| tally.wait(0)).collect();
        assert!(all.is_some() && tally.wait(0).is_none());
        drop(all);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _place = tally.wait(10).unwrap();
            panic!("a run that does not end well");
        }));
        assert!(ended.is_err() && tally.wait(10).is_some());
    }

    #[test]
    fn a_lost_run_is_found_again() {
        let tally = HookTally::default();
        tally.lose();
        assert!(tally.is_lost());
        tally.find();
        assert!(!tally.is_lost());
    }
}
