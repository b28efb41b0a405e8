//! What all connections of a door share, and how far its end is.

use crate::cancel::CancelKeys;
use crate::config::DoorConfig;
use crate::observe::Counts;
use querygate_arrivals::Arrivals;
use querygate_query_api::service::{Authenticator, QueryService};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The state of a door.
pub(crate) struct DoorState {
    pub(crate) config: DoorConfig,
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) auth: Arc<dyn Authenticator>,
    pub(crate) tls: Arc<Certificate>,
    pub(crate) keys: Arc<CancelKeys>,
    pub(crate) counts: Counts,
    /// Who has not logged in.
    pub(crate) arrivals: Arrivals,
    /// Of sessions.
    pub(crate) places: Arc<Semaphore>,
    /// What the two tokens below say, for those who look often.
    pub(crate) ending: Ending,
    /// Idle sessions end.
    pub(crate) shutdown: CancellationToken,
    /// Running statements end too.
    pub(crate) kill: CancellationToken,
}

/// What new connections are encrypted with: replaced as a whole. `None`: with nothing.
#[derive(Default)]
pub(crate) struct Certificate(RwLock<Option<Arc<Tls>>>);

impl Certificate {
    pub(crate) fn now(&self) -> Option<Arc<Tls>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn renew(&self, tls: Tls) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tls));
    }
}

pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// `tls-server-end-point` data; `None` when the certificate has none.
    pub(crate) channel_binding: Option<Vec<u8>>,
}

/// How far the end of a door is.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicU8);

const SHUTDOWN: u8 = 1;
const KILL: u8 = 2;

impl Ending {
    pub(crate) fn is_shutdown(&self) -> bool {
        self.0.load(Ordering::Acquire) >= SHUTDOWN
    }

    pub(crate) fn is_kill(&self) -> bool {
        self.0.load(Ordering::Acquire) >= KILL
    }
}

impl DoorState {
    pub(crate) fn shut_down(&self) {
        self.end(SHUTDOWN, &self.shutdown);
    }

    pub(crate) fn stop(&self) {
        self.end(KILL, &self.kill);
    }

    fn end(&self, how: u8, token: &CancellationToken) {
        self.ending.0.store(how, Ordering::Release);
        token.cancel();
        self.keys.wake();
    }
}

/// ALPN protocol of PostgreSQL (direct TLS requires it).
pub(crate) const ALPN: &[u8] = b"postgresql";
