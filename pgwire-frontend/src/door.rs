//! The listener: accepts, bounds the number of clients, drains at shutdown. Knows no frame.

use crate::config::{DoorConfig, TlsSettings};
use crate::connection::Connection;
use crate::door_state::{ALPN, Certificate, DoorState, Ending, Tls};
use crate::observe::{self, Counts};
use crate::startup::auth::tls_server_end_point;
use crate::startup::{Opened, open};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use querygate_arrivals::Arrival;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_query_api::tokens::LOOK_EVERY;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// How long the last connections may take to say good-bye once statements were stopped.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Pause after an accept error such as "too many open files", which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound Postgres port.
pub struct PostgresDoor {
    listener: TcpListener,
    shared: Arc<DoorState>,
}

impl std::fmt::Debug for PostgresDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresDoor").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl PostgresDoor {
    /// Binds the port; port 0 takes a free one. Must run inside the tokio runtime that will serve the door, which may be
    /// another one than the engine's.
    pub async fn bind(
        config: DoorConfig,
        service: Arc<dyn QueryService>,
        auth: Arc<dyn Authenticator>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.addr).await?;
        let tls = Arc::<Certificate>::default();
        config.tls.iter().for_each(|settings| tls.renew(tls_of(settings)));
        let shared = DoorState {
            arrivals: config.strangers.door(config.arrival_max),
            places: Arc::new(Semaphore::new(config.connection_max.min(Semaphore::MAX_PERMITS))),
            config,
            service,
            auth,
            tls,
            keys: Arc::default(),
            counts: Counts::default(),
            ending: Ending::default(),
            shutdown: CancellationToken::new(),
            kill: CancellationToken::new(),
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// The address clients connect to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What replaces the certificate of a door with TLS while it serves, for connections from then on.
    pub fn renewal(&self) -> impl Fn(&TlsSettings) + Send + Sync + use<> {
        let tls = Arc::clone(&self.shared.tls);
        move |settings| tls.renew(tls_of(settings))
    }

    /// Serves until `shutdown` fires, then drains: idle sessions get 57P01 at once, running statements and open
    /// transactions have `drain_timeout`, after it they are cancelled.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { listener, shared } = self;
        let tasks = TaskTracker::new();
        let looking = tokio::spawn(look(Arc::clone(&shared)));
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => admit(&shared, &tasks, tcp, peer),
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        shared.shut_down();
        if tokio::time::timeout(shared.config.drain_timeout, tasks.wait()).await.is_err() {
            shared.stop();
            if tokio::time::timeout(KILL_PATIENCE, tasks.wait()).await.is_err() {
                tracing::warn!(connections = tasks.len(), "connections did not end in time");
            }
        }
        looking.abort();
    }
}

fn tls_of(settings: &TlsSettings) -> Tls {
    let mut server = (*settings.config).clone();
    server.alpn_protocols = vec![ALPN.to_vec()];
    Tls { acceptor: TlsAcceptor::from(Arc::new(server)), channel_binding: tls_server_end_point(&settings.certificate) }
}

/// Ends sessions of users, keys and tokens that no longer hold, also of clients that wait or run a long statement.
async fn look(shared: Arc<DoorState>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        shared.keys.look();
    }
}

fn admit(shared: &Arc<DoorState>, tasks: &TaskTracker, tcp: TcpStream, peer: SocketAddr) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let span = tracing::info_span!("pgwire.connection", %peer, user = tracing::field::Empty, process_id = tracing::field::Empty);
    let arrival = shared.arrivals.admit(peer.ip());
    tasks.spawn(client(Arc::clone(shared), tcp, peer, arrival).instrument(span));
}

/// One client from accept to end. A panic here ends this client only.
async fn client(shared: Arc<DoorState>, tcp: TcpStream, peer: SocketAddr, arrival: Arrival) {
    let _counted = observe::Connected::new();
    let opened = AssertUnwindSafe(opening(&shared, tcp, peer, arrival)).catch_unwind().await;
    match opened {
        Ok(Some(Opened { transport, session, registration, place })) => {
            tracing::Span::current().record("process_id", registration.process_id);
            Connection::new(Arc::clone(&shared), transport, session, registration).run().await;
            drop(place);
        }
        Ok(None) => {}
        Err(_panic) => tracing::error!("a connection panicked before its session was open"),
    }
}

/// Boxed here, so that the task of an idle session has no room reserved for its startup.
fn opening(shared: &DoorState, tcp: TcpStream, peer: SocketAddr, arrival: Arrival) -> BoxFuture<'_, Option<Opened>> {
    Box::pin(async move {
        let opened = tokio::time::timeout(shared.config.startup_timeout, open(shared, tcp, peer, arrival));
        tokio::select! {
            () = shared.shutdown.cancelled() => None,
            opened = opened => opened.ok().flatten(),
        }
    })
}
