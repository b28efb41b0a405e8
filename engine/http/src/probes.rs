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

/// Whether the gate can answer, and which sources are up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Version of the metadata in force; `None` while none is loaded.
    pub metadata_version: Option<u64>,
    /// Objects in it.
    pub objects: usize,
    pub sources: Vec<SourceReadiness>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReadiness {
    pub name: String,
    /// `sqlite`, `files`, `memory`, …
    pub kind: String,
    pub up: bool,
}

impl Readiness {
    /// Metadata is loaded. A source that is down does not make the gate unready: tables of other sources answer.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.metadata_version.is_some()
    }

    pub(crate) fn to_json(&self) -> Value {
        let all_up = self.sources.iter().all(|source| source.up);
        let status = match (self.is_ready(), all_up) {
            (false, _) => "starting",
            (true, true) => "ready",
            (true, false) => "degraded",
        };
        let sources: Vec<Value> = self
            .sources
            .iter()
            .map(|source| json!({"name": source.name, "kind": source.kind, "up": source.up}))
            .collect();
        json!({
            "status": status,
            "metadata": {"version": self.metadata_version, "objects": self.objects},
            "sources": sources,
        })
    }
}
