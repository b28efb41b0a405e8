//! When a source that could not be reached is tried again. Knows time, no connection.

use querygate_types::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whether a source that could not be reached is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// It is: the last attempt succeeded, or there was none.
    Closed,
    /// It is not, until a pause is over.
    Open,
    /// The pause is over: the next attempt decides.
    HalfOpen,
}

impl BreakerState {
    /// As tables and metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// How long an answer over a connection that was there says that the source is not away.
const HEARD: Duration = Duration::from_secs(10);
/// Doublings after which a pause is the longest in any case.
const DOUBLINGS_MAX: u32 = 10;

/// Closed while attempts succeed. After a failure it is open for a pause that doubles: callers get that failure at
/// once. At the pause's end one may try; the others wait for what comes of it.
#[derive(Debug)]
pub struct Breaker {
    attempt: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<(Instant, Error)>,
    /// When it answered over a connection that was there, since new ones fail.
    heard: Option<Instant>,
}

impl Breaker {
    /// `attempt`: longest time that one attempt takes. One that is given up without a word counts as running until then.
    #[must_use]
    pub fn new(attempt: Duration) -> Self {
        Self { attempt, state: Mutex::default() }
    }

    /// Whether an attempt may begin now.
    ///
    /// # Errors
    /// The last failure, while its pause lasts or another attempt runs.
    pub fn admit(&self, now: Instant) -> Result<(), Error> {
        match &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).open {
            Some((until, error)) if now < *until => Err(error.clone()),
            Some((until, _)) => {
                *until = now + self.attempt;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// An attempt failed. `error` is what other callers get until the next attempt; it names no connection's own fate (08001, not
    /// 08006).
    pub fn failed(&self, now: Instant, error: &Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = PAUSE_LEAST.saturating_mul(1 << state.failures.min(DOUBLINGS_MAX)).min(PAUSE_MOST);
        state.failures = state.failures.saturating_add(1);
        state.open = Some((now + pause, error.clone()));
    }

    /// The source answered.
    pub fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The source answered over a connection that was there before. It is not away, though new connections may go on to fail, as they do
    /// where it has no more of them.
    pub fn answered(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open.is_some() {
            state.heard = Some(now);
        }
    }

    /// Why the source is away: what the last attempt failed with. `None`: it is not.
    pub fn away(&self, now: Instant) -> Option<Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_heard = state.heard.is_some_and(|heard| now.saturating_duration_since(heard) < HEARD);
        state.open.as_ref().filter(|_| !is_heard).map(|(_, error)| error.clone())
    }

    /// For metrics.
    pub fn state(&self, now: Instant) -> BreakerState {
        match &self.state.lock().unwrap_or_else(PoisonError::into_inner).open {
            None => BreakerState::Closed,
            Some((until, _)) if now < *until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;

    #[test]
    fn pauses_grow_and_let_one_attempt_through_when_they_end() {
        let attempt = Duration::from_secs(5);
        let breaker = Breaker::new(attempt);
        let error = Error::new(ErrorCode::SourceUnavailable, "down");
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(breaker.admit(at(0)).is_ok());
        breaker.failed(at(0), &error);
        assert_eq!(breaker.admit(at(99)).unwrap_err().message(), "down");
        assert_eq!((breaker.state(at(99)), breaker.state(at(100))), (BreakerState::Open, BreakerState::HalfOpen));
        assert!(breaker.admit(at(100)).is_ok());
        assert!(breaker.admit(at(101)).is_err(), "two at once");
        // An attempt whose outcome is never reported blocks the others for a bounded time only.
        assert!(breaker.admit(at(100) + attempt).is_ok());
        breaker.failed(at(101), &error);
        assert!(breaker.admit(at(300)).is_err());
        assert!(breaker.admit(at(301)).is_ok());
        breaker.succeeded();
        assert_eq!(breaker.state(at(302)), BreakerState::Closed);
        assert!(breaker.admit(at(302)).is_ok() && breaker.admit(at(302)).is_ok());
        assert!(breaker.away(at(302)).is_none());
        for _ in 0..100 {
            breaker.failed(start, &error);
        }
        assert!(breaker.admit(start + PAUSE_MOST).is_ok());
    }

    #[test]
    fn a_source_is_away_from_a_failure_to_an_answer() {
        let breaker = Breaker::new(Duration::from_secs(5));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let away = |seconds| breaker.away(at(seconds)).map(|error| error.message().to_owned());
        breaker.answered(at(0));
        breaker.failed(at(0), &Error::new(ErrorCode::SourceUnavailable, "down"));
        // Also when the pause of its attempts is over.
        assert_eq!((away(0).as_deref(), away(60).as_deref()), (Some("down"), Some("down")));
        breaker.answered(at(60));
        breaker.failed(at(61), &Error::new(ErrorCode::SourceUnavailable, "too many"));
        assert_eq!((away(69), away(70).as_deref()), (None, Some("too many")), "it has no more connections");
        breaker.succeeded();
        assert_eq!(away(70), None);
    }
}
