//! A door over a fake engine, and a small client that speaks frames.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod client;
pub(crate) mod fake;

use fake::{FakeAuth, FakeService};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A served door; ends with `stop`.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) service: Arc<FakeService>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Served {
    /// Stops the door and checks that every session was closed.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
        assert_eq!(self.service.open_sessions(), 0, "sessions left open");
    }
}

pub(crate) fn config() -> DoorConfig {
    let mut config = DoorConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.drain_timeout = Duration::from_secs(5);
    config
}

pub(crate) async fn serve() -> Served {
    serve_with(config()).await
}

pub(crate) async fn serve_with(config: DoorConfig) -> Served {
    let service = Arc::new(FakeService::default());
    let door = PostgresDoor::bind(config, Arc::<FakeService>::clone(&service), Arc::new(FakeAuth)).await.unwrap();
    let addr = door.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(door.serve(shutdown.clone()));
    Served { addr, service, shutdown, task }
}
