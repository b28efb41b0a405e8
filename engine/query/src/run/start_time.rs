//! When a run began, by both clocks.

use std::time::SystemTime;
use tokio::time::Instant;

/// One moment: to be shown, and to be measured from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartTime {
    pub(crate) at: SystemTime,
    pub(crate) started: Instant,
}

impl StartTime {
    pub(crate) fn now() -> Self {
        Self { at: SystemTime::now(), started: Instant::now() }
    }
}
