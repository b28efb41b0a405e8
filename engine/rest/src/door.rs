//! The port and its settings.

use crate::routes::routes;
use crate::site::Site;
use querygate_query_api::platform::Platform;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_web::{Bounds, serve};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Settings of a [`RestDoor`].
#[derive(Debug, Clone)]
pub struct RestConfig {
    pub addr: SocketAddr,
    /// Name of the database, for the sessions' own record.
    pub database: String,
    /// Connections served at once; further ones wait in the system's queue, and silent ones make room for them.
    pub connection_max: usize,
    /// Silence after which a connection is closed, and time for a request to arrive whole.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Bytes of a request's body.
    pub body_max: usize,
    /// How long a login is good for.
    pub session_lifetime: Duration,
    /// Whether answers say what this gate adds to ObjectStack's interface.
    pub extensions: bool,
}

impl RestConfig {
    /// Defaults for an address.
    #[must_use]
    pub fn new(addr: SocketAddr, database: &str) -> Self {
        Self {
            addr,
            database: database.to_owned(),
            connection_max: 256,
            idle_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            body_max: 4 << 20,
            session_lifetime: Duration::from_secs(12 * 3_600),
            extensions: false,
        }
    }
}

/// A bound REST port.
pub struct RestDoor {
    tcp: TcpListener,
    site: Arc<Site>,
}

impl std::fmt::Debug for RestDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestDoor").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl RestDoor {
    /// Binds the port; port 0 takes a free one. Must run inside the tokio runtime that will serve the door.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(
        config: RestConfig,
        service: Arc<dyn QueryService>,
        authenticator: Arc<dyn Authenticator>,
        platform: Arc<dyn Platform>,
        ready: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind(config.addr).await?;
        let site = Arc::new(Site::new(config, service, authenticator, platform, ready));
        Ok(Self { tcp, site })
    }

    /// The address clients connect to.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `shutdown` ends, then lets open requests finish within the drain timeout.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let RestConfig { connection_max, idle_timeout, drain_timeout, .. } = self.site.config;
        let bounds = Bounds { connection_max, idle_timeout, drain_timeout };
        serve("rest", self.tcp, bounds, routes(self.site), shutdown).await;
    }
}
