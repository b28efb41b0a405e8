//! When the tables of sources are looked at for changes.

use std::time::{Duration, Instant};

/// How often tables are looked at of which no statement complains.
const LOOK_REGULAR: Duration = Duration::from_secs(600);
/// The pause after a look that found nothing new.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// A look that took long is followed by a longer pause: its own time by this.
const LOOK_PAUSE_FACTOR: u32 = 20;

/// When a source's tables are looked at: regularly, and when statements fail as if the tables had changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    pub(super) regular: Instant,
    pub(super) asked: Instant,
}

impl Looks {
    /// Before the first look.
    pub(super) fn fresh(now: Instant) -> Self {
        Self { regular: now + LOOK_REGULAR, asked: now }
    }

    /// After a look that took this time and found nothing new.
    pub(super) fn after(now: Instant, took: Duration) -> Self {
        let pause = LOOK_PAUSE.max(took.saturating_mul(LOOK_PAUSE_FACTOR));
        Self { regular: now + LOOK_REGULAR.max(pause), asked: now + pause }
    }
}
