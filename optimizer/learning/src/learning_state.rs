//! What the learning thread, the statements and the system tables share.

use crate::telemetry::{Counts, Queue, Store};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The state of learning.
#[derive(Debug)]
pub(crate) struct LearningState {
    pub(crate) queue: Queue,
    pub(crate) counts: Arc<Counts>,
    pub(crate) store: OnceLock<Store>,
    pub(crate) errors: AtomicU64,
    pub(crate) started: Instant,
}
