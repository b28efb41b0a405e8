//! When a source that could not be reached is tried again. Knows no connection.

use querygate_driver_api::pool::BreakerState;
use querygate_types::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Open after a failure: whoever asks hears of it at once, until the pause is over. Then one may try; the others wait
/// for what comes of it.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<(Instant, Error)>,
}

impl Breaker {
    /// Whether a connection may be tried now.
    ///
    /// # Errors
    /// The last failure, while the pause lasts.
    pub(crate) fn admit(&self, now: Instant, attempt: Duration) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.open {
            Some((until, error)) if now < *until => Err(error.clone()),
            Some((until, _)) => {
                *until = now + attempt;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn failed(&self, now: Instant, error: &Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
        state.failures = state.failures.saturating_add(1);
        state.open = Some((now + pause, error.clone()));
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.open {
            None => BreakerState::Closed,
            Some((until, _)) if now < *until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;

    #[test]
    fn pauses_grow_and_let_one_attempt_through_when_they_end() {
        let breaker = Breaker::default();
        let error = Error::new(ErrorCode::SourceUnavailable, "down");
        let (start, attempt) = (Instant::now(), Duration::from_secs(5));
        assert!(breaker.admit(start, attempt).is_ok());
        breaker.failed(start, &error);
        assert_eq!(breaker.admit(start, attempt).unwrap_err().message(), "down");
        assert_eq!(breaker.state(start), BreakerState::Open);
        let later = start + FIRST_PAUSE;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        assert!(breaker.admit(later, attempt).is_ok());
        assert!(breaker.admit(later, attempt).is_err(), "two at once");
        breaker.failed(later, &error);
        assert!(breaker.admit(later + FIRST_PAUSE, attempt).is_err());
        assert!(breaker.admit(later + 2 * FIRST_PAUSE, attempt).is_ok());
        breaker.succeeded();
        assert_eq!(breaker.state(later), BreakerState::Closed);
        assert!(breaker.admit(later, attempt).is_ok());
        for _ in 0..100 {
            breaker.failed(start, &error);
        }
        assert!(breaker.admit(start + LONGEST_PAUSE, attempt).is_ok());
    }
}
