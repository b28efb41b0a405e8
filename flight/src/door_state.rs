//! What all calls of a door share.

use crate::config::FlightConfig;
use crate::sessions::registry::Sessions;
use crate::tickets::running::Running;
use crate::tickets::seal::Seal;
use querygate_query_api::service::{Authenticator, QueryService};
use rustls::ServerConfig;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// ALPN protocol of HTTP/2, which gRPC clients insist on.
const ALPN: &[u8] = b"h2";

/// What new connections are encrypted with: replaced as a whole. `None`: with nothing.
#[derive(Default)]
pub(crate) struct Certificate(RwLock<Option<TlsAcceptor>>);

impl Certificate {
    pub(crate) fn now(&self) -> Option<TlsAcceptor> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn renew(&self, settings: &ServerConfig) {
        let mut server = settings.clone();
        server.alpn_protocols = vec![ALPN.to_vec()];
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(TlsAcceptor::from(Arc::new(server)));
    }
}

/// The state of a door.
pub(crate) struct DoorState {
    pub(crate) config: FlightConfig,
    /// What new connections are encrypted with.
    pub(crate) tls: Arc<Certificate>,
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
