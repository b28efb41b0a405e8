//! The port.

use crate::config::RestConfig;
use crate::routes::routes;
use crate::site::Site;
use querygate_query_api::requests::platform::Platform;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_web::{Bounds, serve};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

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
        let strangers = self.site.config.strangers.clone();
        let bounds = Bounds { connection_max, idle_timeout, drain_timeout, strangers };
        let proxies = self.site.config.proxies.clone();
        serve("rest", self.tcp, bounds, proxies, routes(self.site), shutdown).await;
    }
}
