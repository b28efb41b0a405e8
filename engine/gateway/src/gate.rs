//! What wiring hands to the commands: one built gate. The seam between the composition root and everything that
//! serves or asks.

use crate::tls::Certificates;
use futures::future::BoxFuture;
use querygate_http::Readiness;
use querygate_query_api::requests::platform::Platform;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_types::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Reports what is up. Cheap: it is called on every `/readyz`.
pub(crate) type ReadinessProbe = Arc<dyn Fn() -> Readiness + Send + Sync>;
/// Brings the metrics of what is counted elsewhere up to date. Cheap: it is called on every `/metrics`.
pub(crate) type Measure = Arc<dyn Fn() + Send + Sync>;
/// What is loaded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    /// The configuration's file, and all that it names.
    Everything,
    /// What the configuration in force names.
    Named,
}

/// What a reload brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// A line for the log.
    pub(crate) summary: String,
    /// Users whose sessions ended.
    pub(crate) ended: Vec<String>,
    /// Keys of the file that wait for the next start.
    pub(crate) waiting: Vec<String>,
}

impl Reloaded {
    /// Tells the log.
    pub(crate) fn tell(&self) {
        let Self { summary, ended, waiting } = self;
        for user in ended {
            tracing::info!(user, "a user was changed or removed: what was opened before ends");
        }
        for key in waiting {
            tracing::warn!(key, "changed in the configuration, and taken at the next start only");
        }
        tracing::info!(summary, "metadata reloaded");
    }

    /// The same, for who asked.
    pub(crate) fn in_words(&self) -> String {
        let Self { summary, ended, waiting } = self;
        let mut words = summary.clone();
        for (what, names) in [("sessions ended of", ended), ("restart needed for", waiting)] {
            if !names.is_empty() {
                words.push_str(&format!("; {what} {}", names.join(", ")));
            }
        }
        words
    }
}

/// Loads configuration and metadata anew and puts both in force. A bad reload keeps the old ones and is an error that says why.
pub(crate) type Reload = Arc<dyn Fn(Anew) -> BoxFuture<'static, Result<Reloaded>> + Send + Sync>;

/// The files and folders whose change asks for a reload, and how often they are looked at; zero: never.
pub(crate) type Watched = Arc<dyn Fn() -> (Vec<PathBuf>, Duration) + Send + Sync>;

/// Whether a source that was away when the current version was made answers now, or has other tables than then, so that a
/// reload would find them.
pub(crate) type Returned = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Writes down what is still to be written, within a bound. For the end, when nothing runs any more.
pub(crate) type Close = Arc<dyn Fn() + Send + Sync>;

/// A built gate: sources connected or known to be down, metadata loaded, nothing listening yet.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) readiness: ReadinessProbe,
    pub(crate) measure: Measure,
    pub(crate) reload: Reload,
    pub(crate) returned: Returned,
    pub(crate) watched: Watched,
    /// Doors that have a certificate hand in how it is replaced.
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) close: Close,
    /// Begins what runs beside the doors, for as long as the gate serves.
    pub(crate) begin: Close,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// Where a gate's work runs.
#[derive(Debug, Clone)]
pub(crate) struct Runtimes {
    /// Plans and executes queries; sockets are served elsewhere, so that CPU-bound queries cannot starve them.
    pub(crate) query: Handle,
}
