//! How often one may guess. Bounded; counts failures per key within a window; knows no password.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that are counted at once. Beyond, those whose window began first are forgotten.
const KEYS_MAX: usize = 4_096;

/// Counts failures of one kind of key.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Failures that a window has room for.
    most: u32,
    window: Duration,
    failures: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Throttle {
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self { most, window, failures: Mutex::default() }
    }

    /// How long this key must wait before it may try again; `None`: it may.
    pub(crate) fn wait(&self, key: &str, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = failures.get(key)?;
        let left = self.window.saturating_sub(now.saturating_duration_since(*since));
        (*count >= self.most && !left.is_zero()).then_some(left)
    }

    /// Counts an attempt, before its outcome is known, so that attempts at the same time count too.
    pub(crate) fn attempt(&self, key: &str, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant| now.saturating_duration_since(since) >= self.window;
        if failures.len() >= KEYS_MAX && !failures.contains_key(key) {
            failures.retain(|_, (_, since)| !is_over(*since));
            if failures.len() >= KEYS_MAX {
                let first = failures.iter().min_by_key(|(_, (_, since))| *since).map(|(key, _)| key.clone());
                first.map(|key| failures.remove(&key));
            }
        }
        let entry = failures.entry(key.to_owned()).or_insert((0, now));
        if is_over(entry.1) {
            *entry = (0, now);
        }
        entry.0 = entry.0.saturating_add(1);
    }

    /// Forgets an attempt that was none: the password was right.
    pub(crate) fn succeeded(&self, key: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = failures.get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_so_many_failures_one_waits_for_the_window_to_end() {
        let (throttle, start) = (Throttle::new(3, Duration::from_secs(60)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..3 {
            assert_eq!(throttle.wait("a", at(second)), None);
            throttle.attempt("a", at(second));
        }
        assert_eq!(throttle.wait("a", at(10)), Some(Duration::from_secs(50)));
        assert_eq!(throttle.wait("b", at(10)), None, "others are not held up");
        assert_eq!(throttle.wait("a", at(60)), None);
        throttle.attempt("a", at(60));
        assert_eq!(throttle.wait("a", at(61)), None, "a new window begins at one");
    }

    #[test]
    fn successes_do_not_count_and_keys_are_bounded() {
        let (throttle, start) = (Throttle::new(1, Duration::from_secs(60)), Instant::now());
        throttle.attempt("a", start);
        throttle.succeeded("a");
        assert_eq!(throttle.wait("a", start), None);
        for n in 0..KEYS_MAX as u64 + 100 {
            throttle.attempt(&n.to_string(), start + Duration::from_millis(n));
        }
        assert!(throttle.failures.lock().unwrap().len() <= KEYS_MAX);
    }
}
