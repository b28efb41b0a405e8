//! What an administrator decides of index advice, and the sources it is about.

use querygate_driver_api::driver::Driver;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of index advice.
#[derive(Debug, Clone, Copy)]
pub struct IndexOptions {
    /// How often indexes are searched while statements come; zero: only on demand.
    pub every: Duration,
    /// Bytes that all suggested indexes of a source may take together.
    pub budget: u64,
    /// Share of one CPU that a search in the background may take.
    pub cpu_share: f64,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { every: Duration::from_secs(120), budget: 1 << 30, cpu_share: 0.25 }
    }
}

/// A source to advise.
#[derive(Clone)]
pub struct AdvisedSource {
    /// Its name in the configuration.
    pub name: String,
    pub driver: Arc<dyn Driver>,
    /// Whether an operator may make indexes there through the gate.
    pub apply: bool,
}

/// The sources as they are now.
pub type AdvisedSources = Arc<dyn Fn() -> Vec<AdvisedSource> + Send + Sync>;

impl fmt::Debug for AdvisedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvisedSource").field("name", &self.name).field("apply", &self.apply).finish_non_exhaustive()
    }
}
