//! The listener: accepts, bounds the number of clients, drains at shutdown. Knows no message.

use crate::config::FlightConfig;
use crate::door_state::{Certificate, DoorState};
use crate::entrance::Entrance;
use crate::observe;
use crate::service::Service;
use crate::sessions::registry::Sessions;
use crate::sessions::session::SessionLimits;
use crate::tickets::running::Running;
use crate::tickets::seal::Seal;
use crate::transport::{Admitted, CONNECTION_BYTES, Places, TLS_BYTES, Transport};
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_query_api::tokens::LOOK_EVERY;
use querygate_types::limits;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

/// Pause after an accept error such as "too many open files", which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the last connections may take to end once streams were stopped.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often idle sessions are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// Calls at once on one connection; the bound on streams is the door's own.
const CALLS_PER_CONNECTION: u32 = 1_024;
/// Headers of one call: a token and a few settings.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// A silent client is asked after so long whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A bound Flight SQL port.
pub struct FlightDoor {
    listener: TcpListener,
    shared: Arc<DoorState>,
    /// Ends streams and connections.
    kill: CancellationToken,
}

impl std::fmt::Debug for FlightDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlightDoor").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl FlightDoor {
    /// Binds the port; port 0 takes a free one. Must run inside the tokio runtime that will serve the door, which may be
    /// another one than the engine's.
    ///
    /// # Errors
    /// The address cannot be bound, or the system gives no random bytes.
    pub async fn bind(
        config: FlightConfig,
        service: Arc<dyn QueryService>,
        auth: Arc<dyn Authenticator>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.addr).await?;
        let kill = CancellationToken::new();
        let limits = SessionLimits {
            statements: config.statement_max,
            statement_bytes: 2 * limits::FRAME_BYTES_MAX,
            transactions: config.transaction_max,
        };
        let tls = Arc::<Certificate>::default();
        config.tls.iter().for_each(|settings| tls.renew(settings));
        let shared = DoorState {
            tls,
            seal: Seal::new().map_err(io::Error::other)?,
            sessions: Sessions::new(limits, config.session_idle, config.token_lifetime, kill.clone()),
            running: Arc::new(Running::default()),
            streams: Arc::new(Semaphore::new(config.stream_max.min(Semaphore::MAX_PERMITS))),
            logins: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            first_calls: Mutex::new(()),
            shutdown: CancellationToken::new(),
            config,
            service,
            auth,
        };
        Ok(Self { listener, shared: Arc::new(shared), kill })
    }

    /// The address clients connect to.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What replaces the certificate of a door with TLS while it serves, for connections from then on.
    pub fn renewal(&self) -> impl Fn(&ServerConfig) + Send + Sync + use<> {
        let tls = Arc::clone(&self.shared.tls);
        move |settings| tls.renew(settings)
    }

    /// Serves until `shutdown` fires, then drains: new calls get 57P01, running streams have `drain_timeout`, after it
    /// they are cancelled. Every session is closed when this returns.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { listener, shared, kill } = self;
        let config = &shared.config;
        let (sender, incoming) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), kill.clone(), sender));
        let sweeping = tokio::spawn(sweep(Arc::clone(&shared)));
        let looking = tokio::spawn(look(Arc::clone(&shared)));
        let service = Entrance::new(Service(Arc::clone(&shared)), config.message_bytes_max);
        let server = Server::builder()
            .max_concurrent_streams(CALLS_PER_CONNECTION)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .add_service(service);
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, io::Error>);
        let stopping = shutdown.clone().cancelled_owned();
        let serving = server.serve_with_incoming_shutdown(incoming, stopping);
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = shutdown.cancelled() => None,
        };
        accepting.abort();
        shared.shutdown.cancel();
        let ended = match ended {
            Some(ended) => Some(ended),
            None => match tokio::time::timeout(config.drain_timeout, &mut serving).await {
                Ok(ended) => Some(ended),
                Err(_) => {
                    kill.cancel();
                    tokio::time::timeout(KILL_PATIENCE, &mut serving).await.ok()
                }
            },
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "the Flight door ended with an error"),
            None => tracing::warn!("Flight connections did not end in time"),
        }
        kill.cancel();
        sweeping.abort();
        looking.abort();
        shared.sessions.close_all().await;
    }
}

async fn sweep(shared: Arc<DoorState>) {
    let interval = SWEEP_INTERVAL.min(shared.config.session_idle.max(Duration::from_millis(100)));
    loop {
        tokio::time::sleep(interval).await;
        shared.sessions.sweep().await;
        shared.running.sweep();
    }
}

async fn look(shared: Arc<DoorState>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        shared.sessions.look().await;
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<DoorState>,
    kill: CancellationToken,
    sender: mpsc::Sender<Transport>,
) {
    let places = Places::new(&shared.config);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY refused");
                }
                let admitted = places.admit(peer);
                tokio::spawn(greet(shared.tls.now(), tcp, admitted, kill.clone(), sender.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the first byte, and does the handshake, apart from the listener, so that others do not wait for a slow client. Before it has
/// said anything it takes its socket and this; what it takes from then on is charged first.
async fn greet(
    tls: Option<TlsAcceptor>,
    tcp: TcpStream,
    mut admitted: Admitted,
    kill: CancellationToken,
    sender: mpsc::Sender<Transport>,
) {
    let (purse, silent_until) = (admitted.arrival.purse(), admitted.silent_until);
    let encrypts = tls.is_some();
    let opening = async {
        tcp.readable().await?;
        purse.charge(CONNECTION_BYTES + if encrypts { TLS_BYTES } else { 0 }).await;
        match tls {
            Some(acceptor) => acceptor.accept(tcp).await.map(|stream| Opened::Tls(Box::new(stream))),
            None => Ok(Opened::Plain(tcp)),
        }
    };
    let opened = tokio::select! {
        () = kill.cancelled() => return,
        () = admitted.arrival.gives_way() => return observe::refused("gives_way"),
        opened = tokio::time::timeout_at(silent_until, opening) => opened,
    };
    let transport = match opened {
        Ok(Ok(Opened::Plain(tcp))) => Transport::plain(tcp, admitted, &kill),
        Ok(Ok(Opened::Tls(stream))) => Transport::tls(stream, admitted, &kill),
        Ok(Err(error)) => {
            observe::refused("tls");
            return tracing::info!(%error, peer = %admitted.peer, "TLS handshake failed");
        }
        Err(_) => return observe::refused(if encrypts { "tls_timeout" } else { "authentication_timeout" }),
    };
    // The door is closing when nobody takes it.
    let _closing = sender.send(transport).await;
}

/// A connection that may speak HTTP/2.
enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}
