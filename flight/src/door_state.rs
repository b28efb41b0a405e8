//! What all calls of a door share.

use crate::config::FlightConfig;
use crate::sessions::registry::Sessions;
use crate::tickets::running::Running;
use crate::tickets::seal::Seal;
use querygate_query_api::service::{Authenticator, QueryService};
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

/// The state of a door.
pub(crate) struct DoorState {
    pub(crate) config: FlightConfig,
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) auth: Arc<dyn Authenticator>,
    pub(crate) seal: Seal,
    pub(crate) sessions: Sessions,
    pub(crate) running: Arc<Running>,
    /// Places for result streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Passwords checked at the same time: each costs milliseconds of a processor.
    pub(crate) logins: Semaphore,
    /// A call that shows a token without a handshake opens a session: one at a time.
    pub(crate) first_calls: Mutex<()>,
    /// No new sessions and streams.
    pub(crate) shutdown: CancellationToken,
}
