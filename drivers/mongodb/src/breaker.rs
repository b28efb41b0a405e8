//! When to try a source again that could not be reached. Knows time, no connection.

use querygate_driver_api::pool::BreakerState;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(15);

/// Closed while attempts succeed; after a failure open for a pause that doubles, with one attempt at its end.
#[derive(Debug)]
pub(crate) struct Breaker {
    attempt: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// `attempt`: longest time that one attempt takes.
    pub(crate) fn new(attempt: Duration) -> Self {
        Self { attempt, state: Mutex::default() }
    }

    /// Whether an attempt may begin now. While the one after a pause runs, others may not.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures == 0 {
            return true;
        }
        if state.open_until.is_some_and(|until| now < until) {
            return false;
        }
        state.open_until = now.checked_add(self.attempt);
        true
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            _ if state.failures == 0 => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) | None => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = PAUSE_LEAST.saturating_mul(1 << state.failures.min(10)).min(PAUSE_MOST);
        state.failures = state.failures.saturating_add(1);
        state.open_until = now.checked_add(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_attempt_is_made_at_the_end_of_each_longer_pause() {
        let breaker = Breaker::new(Duration::from_secs(1));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(breaker.admits(at(0)));
        breaker.failed(at(0));
        assert!(!breaker.admits(at(99)));
        assert_eq!((breaker.state(at(99)), breaker.state(at(101))), (BreakerState::Open, BreakerState::HalfOpen));
        assert!(breaker.admits(at(101)));
        assert!(!breaker.admits(at(102)), "only one at a time");
        breaker.failed(at(103));
        assert!(!breaker.admits(at(302)));
        assert!(breaker.admits(at(304)));
        breaker.succeeded();
        assert_eq!(breaker.state(at(305)), BreakerState::Closed);
        assert!(breaker.admits(at(305)) && breaker.admits(at(305)));
    }
}
