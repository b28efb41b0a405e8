//! Points in time by two clocks: the wall's, which people read and which may jump, and one that only goes forward.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, as the learning thread sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// UTC, whole seconds since 1970.
    pub seconds: i64,
    /// Since the process began to learn; never jumps.
    pub running: Duration,
}

impl Moment {
    /// `start`: when the process began to learn.
    pub(crate) fn now(start: Instant) -> Self {
        Self { seconds: seconds_of(SystemTime::now()), running: start.elapsed() }
    }

    /// The wall's clock.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        time_of(self.seconds)
    }
}

/// Whole seconds since 1970; times before are 0.
pub(crate) fn seconds_of(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The other way round.
pub(crate) fn time_of(seconds: i64) -> SystemTime {
    // More than a SystemTime can hold does not come out of one.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40))
}
