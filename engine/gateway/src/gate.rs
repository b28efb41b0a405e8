//! What wiring hands to the commands: one built gate. The seam between the composition root and everything that
//! serves or asks.

use futures::future::BoxFuture;
use querygate_http::Readiness;
use querygate_query_api::requests::platform::Platform;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_types::Result;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Reports what is up. Cheap: it is called on every `/readyz`.
pub(crate) type ReadinessProbe = Arc<dyn Fn() -> Readiness + Send + Sync>;
/// Brings the metrics of what is counted elsewhere up to date. Cheap: it is called on every `/metrics`.
pub(crate) type Measure = Arc<dyn Fn() + Send + Sync>;
/// Loads the metadata anew and swaps the snapshot. A bad reload keeps the old one and is an error that says why; a good
/// one gives a line for the log.
pub(crate) type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<String>> + Send + Sync>;

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
