//! What the probes show. Knows no socket.

use serde_json::{Value, json};
use std::sync::Arc;

/// The closures behind the probes. Both are called per request and must not block.
#[derive(Clone)]
pub struct Probes {
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Text in the Prometheus exposition format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probes").finish_non_exhaustive()
    }
}

/// Whether the gate can answer, with what version, and how many sources are up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Version of the metadata in force; `None` while none is loaded.
    pub metadata_version: Option<u64>,
    /// Objects in it.
    pub objects: usize,
    /// The last reload was refused: a version before it is in force. Why is in the log.
    pub reload_refused: bool,
    /// Reloads since the start, refused ones among them.
    pub reloads: u64,
    /// Keys of the configuration's file that were changed and wait for the next start. No value of theirs.
    pub restart_needed: Vec<String>,
    /// Sources that answer. Only how many: nobody has to log in to ask.
    pub sources_up: usize,
    pub sources_down: usize,
    /// An orderly stop has begun: what runs may end, and no one new is let in.
    pub stopping: bool,
}

impl Readiness {
    /// Metadata is loaded, and the gate is not about to end. A source that is down does not make it unready: tables of other
    /// sources answer.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stopping && self.metadata_version.is_some()
    }

    pub(crate) fn to_json(&self) -> Value {
        let status = match (self.is_ready(), self.sources_down == 0 && !self.reload_refused) {
            (false, _) if self.stopping => "stopping",
            (false, _) => "starting",
            (true, true) => "ready",
            (true, false) => "degraded",
        };
        json!({
            "status": status,
            "metadata": {
                "version": self.metadata_version,
                "objects": self.objects,
                "reload_refused": self.reload_refused,
            },
            "reloads": self.reloads,
            "restart_needed": self.restart_needed,
            "sources": {"up": self.sources_up, "down": self.sources_down},
        })
    }
}
