//! Runs a gate: two runtimes, the doors, reloads, an orderly stop. Knows no query.

use crate::config::Config;
use crate::gate::{Gate, Reload, Returned, Runtimes};
use crate::process::{Room, Signals, Wish, keep_up, raise_file_limit, start_metrics};
use crate::{process, tls, wiring};
use futures::future::BoxFuture;
use querygate_flight::{FlightConfig, FlightDoor};
use querygate_http::{HttpConfig, HttpDoor, Pages, Probes};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor, TlsSettings};
use querygate_rest::{RestConfig, RestDoor};
use querygate_types::{Error, ErrorCode, Result};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Ports that were bound; with port 0 in the configuration the system chose them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) postgres: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) flight: Option<SocketAddr>,
    pub(crate) rest: Option<SocketAddr>,
}

/// Stack of a thread that serves sockets, in bytes: a statement's tree is parsed, copied and dropped there. Reserved, not used.
const WIRE_STACK: usize = 128 << 20;
/// Stack of a thread that plans and runs statements: binding recurses as deep as a statement nests. Reserved, not used.
const QUERY_STACK: usize = 256 << 20;

/// Both runtimes of a server.
pub(crate) struct Threads {
    wire: Runtime,
    query: Runtime,
}

impl Threads {
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let build = |name: &str, workers: usize, stack: usize| {
            Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_name(name)
                .thread_stack_size(stack)
                .enable_all()
                .build()
                .map_err(Error::internal)
        };
        Ok(Self {
            wire: build("wire", config.server.wire_workers, WIRE_STACK)?,
            query: build("query", config.server.query_workers, QUERY_STACK)?,
        })
    }

    pub(crate) fn runtimes(&self) -> Runtimes {
        Runtimes { query: self.query.handle().clone() }
    }

    /// Builds the gate on the query runtime.
    pub(crate) fn build(&self, config: &Config) -> Result<Gate> {
        self.query.block_on(wiring::build(config, &self.runtimes()))
    }

    /// Runs a future where queries run.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.query.block_on(future)
    }

    /// Ends both without waiting for what does not end.
    fn stop(self) {
        self.query.shutdown_timeout(Duration::from_secs(5));
        self.wire.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Whether the doors can be opened where the configuration says: asked before anything that takes long, for the doors themselves
/// are opened last, when there is something behind them.
pub(crate) fn ports_are_free(config: &Config) -> Result<()> {
    doors(config).into_iter().try_for_each(|(door, address)| address.map_or(Ok(()), |address| is_free(door, address)))
}

/// Doors and where the configuration opens them.
pub(crate) fn doors(config: &Config) -> [(&'static str, Option<SocketAddr>); 4] {
    [
        ("postgres", config.server.postgres),
        ("http", config.server.http),
        ("flight", config.flight.address),
        ("rest", rest_address(config)),
    ]
}

/// Doors whose clients each keep a connection, which share the descriptors.
pub(crate) fn session_doors(config: &Config) -> usize {
    [config.server.postgres, config.flight.address, rest_address(config)].into_iter().flatten().count()
}

fn rest_address(config: &Config) -> Option<SocketAddr> {
    config.rest.as_ref().and_then(|rest| rest.address)
}

/// The same of one door.
pub(crate) fn is_free(door: &str, address: SocketAddr) -> Result<()> {
    std::net::TcpListener::bind(address).map(drop).map_err(|e| cannot_bind(door, address, &e))
}

/// Something that runs where queries run, as long as the server serves.
pub(crate) type Companion = Box<dyn FnOnce(Gate) -> BoxFuture<'static, ()> + Send>;

/// Serves until SIGTERM or SIGINT, or until `stop` fires. `ready` is called once with the bound ports.
pub(crate) fn serve(config: &Config, stop: CancellationToken, ready: impl FnOnce(Bound)) -> Result<()> {
    serve_with(config, stop, None, ready)
}

/// The same, with a companion.
pub(crate) fn serve_with(
    config: &Config,
    stop: CancellationToken,
    companion: Option<Companion>,
    ready: impl FnOnce(Bound),
) -> Result<()> {
    ports_are_free(config)?;
    let room = raise_file_limit(config.server.connection_max, session_doors(config));
    let metrics = start_metrics();
    let threads = Threads::start(config)?;
    let gate = threads.build(config)?;
    let upkeep = threads.wire.spawn(keep_up(metrics.clone()));
    let result = threads.wire.block_on(async {
        let doors = Doors::bind(config, &gate, room, metrics).await?;
        let bound = doors.bound;
        tracing::info!(postgres = ?bound.postgres, http = ?bound.http, flight = ?bound.flight, rest = ?bound.rest, "ready");
        ready(bound);
        (gate.begin)();
        let beside = companion.map(|companion| threads.query.spawn(companion(gate.clone())));
        let served = doors.run(config, &gate, &threads.runtimes(), stop).await;
        beside.inspect(|task| task.abort());
        served
    });
    upkeep.abort();
    threads.stop();
    // Both runtimes are gone, so the last statement has been recorded.
    (gate.close)();
    result
}

struct Doors {
    postgres: Option<PostgresDoor>,
    http: Option<HttpDoor>,
    flight: Option<FlightDoor>,
    rest: Option<RestDoor>,
    bound: Bound,
}

impl Doors {
    async fn bind(
        config: &Config,
        gate: &Gate,
        room: Room,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
    ) -> Result<Self> {
        let postgres = match config.server.postgres {
            None => None,
            Some(address) => {
                let files = config.server.tls.as_ref();
                let tls = files
                    .map(|files| tls::load(files, None))
                    .transpose()?
                    .map(|loaded| TlsSettings { config: loaded.config, certificate: loaded.certificate });
                let settings = DoorConfig {
                    tls,
                    require_tls: config.server.require_tls,
                    connection_max: room.connections,
                    arrival_max: room.arrivals,
                    authentication_timeout: config.server.authentication_timeout,
                    drain_timeout: config.server.drain_timeout,
                    ..DoorConfig::new(address)
                };
                let door = PostgresDoor::bind(settings, Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
                Some(door.await.map_err(|e| cannot_bind("postgres", address, &e))?)
            }
        };
        let http = match config.server.http {
            None => None,
            Some(address) => {
                let door = HttpDoor::bind(HttpConfig::new(address), probes(gate, metrics)).await;
                Some(with_pages(door.map_err(|e| cannot_bind("http", address, &e))?, config, gate, address))
            }
        };
        let flight = flight_door(config, gate, room).await?;
        let rest = rest_door(config, gate, room).await?;
        let bound = Bound {
            postgres: postgres.as_ref().map(PostgresDoor::local_addr).transpose().map_err(Error::internal)?,
            http: http.as_ref().map(HttpDoor::local_addr).transpose().map_err(Error::internal)?,
            flight: flight.as_ref().map(FlightDoor::local_addr).transpose().map_err(Error::internal)?,
            rest: rest.as_ref().map(RestDoor::local_addr).transpose().map_err(Error::internal)?,
        };
        Ok(Self { postgres, http, flight, rest, bound })
    }

    async fn run(self, config: &Config, gate: &Gate, runtimes: &Runtimes, stop: CancellationToken) -> Result<()> {
        let mut signals = Signals::listen()?;
        // Health and metrics answer while the other doors drain, so they stop after them.
        let (doors_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut doors = Serving([
            ("postgres", self.postgres.map(|door| tokio::spawn(door.serve(doors_stop.clone())))),
            ("flight", self.flight.map(|door| tokio::spawn(door.serve(doors_stop.clone())))),
            ("rest", self.rest.map(|door| tokio::spawn(door.serve(doors_stop.clone().cancelled_owned())))),
            ("http", self.http.map(|door| tokio::spawn(door.serve(http_stop.clone().cancelled_owned())))),
        ]);
        let watch = tokio::spawn(watch(
            config.metadata.path.clone(),
            config.metadata.watch_interval,
            Arc::clone(&gate.reload),
            runtimes.clone(),
        ));
        let heal = tokio::spawn(heal(Arc::clone(&gate.returned), Arc::clone(&gate.reload), runtimes.clone()));
        let ended = loop {
            let wish = tokio::select! {
                wish = signals.next() => wish,
                () = stop.cancelled() => Wish::Stop,
                ended = doors.ended() => break Err(ended),
            };
            match wish {
                Wish::Stop => break Ok(()),
                Wish::Reload => reload(&gate.reload, runtimes).await,
            }
        };
        tracing::info!(drain_timeout = ?config.server.drain_timeout, "draining");
        watch.abort();
        heal.abort();
        doors_stop.cancel();
        let [postgres, flight, rest, http] = doors.0.map(|(_, task)| task);
        for task in [postgres, flight, rest].into_iter().flatten() {
            task.await.map_err(Error::internal)?;
        }
        http_stop.cancel();
        if let Some(task) = http {
            task.await.map_err(Error::internal)?;
        }
        tracing::info!("stopped");
        ended
    }
}

/// Doors that serve, by name.
struct Serving<const N: usize>([(&'static str, Option<JoinHandle<()>>); N]);

impl<const N: usize> Serving<N> {
    /// Waits for a door that ends though nobody told it to. A process without one of its doors must not call itself ready:
    /// whoever watches over it starts it anew.
    async fn ended(&mut self) -> Error {
        poll_fn(|context| {
            for (name, door) in &mut self.0 {
                if let Some(task) = door
                    && let Poll::Ready(ended) = Pin::new(task).poll(context)
                {
                    *door = None;
                    tracing::error!(door = name, "a door ended by itself");
                    return Poll::Ready(match ended {
                        Ok(()) => Error::internal(format_args!("the {name} door ended by itself")),
                        Err(error) => Error::internal(error),
                    });
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn probes(gate: &Gate, metrics: metrics_exporter_prometheus::PrometheusHandle) -> Probes {
    let measure = Arc::clone(&gate.measure);
    let render = move || {
        measure();
        process::measure();
        metrics.render()
    };
    Probes { readiness: Arc::clone(&gate.readiness), metrics: Arc::new(render) }
}

/// Passwords of the pages go in the clear: unless the configuration says otherwise, only within this machine.
fn with_pages(door: HttpDoor, config: &Config, gate: &Gate, address: SocketAddr) -> HttpDoor {
    let (door, within) = (door.behind(config.server.proxies.clone()), address.ip().is_loopback());
    if !config.server.pages.unwrap_or(within) {
        return door;
    }
    if !within {
        tracing::warn!(%address, "the pages ask for passwords without TLS: put a proxy with TLS in front of them");
    }
    door.with_pages(Pages {
        service: Arc::clone(&gate.service),
        authenticator: Arc::clone(&gate.authenticator),
        database: config.server.database.clone(),
    })
}

async fn flight_door(config: &Config, gate: &Gate, room: Room) -> Result<Option<FlightDoor>> {
    let Some(address) = config.flight.address else { return Ok(None) };
    let client_ca = config.flight.client_ca.as_deref();
    let loaded = config.server.tls.as_ref().map(|files| tls::load(files, client_ca)).transpose()?;
    let settings = FlightConfig {
        tls: loaded.map(|loaded| loaded.config),
        connection_max: room.connections,
        arrival_max: room.arrivals,
        authentication_timeout: config.server.authentication_timeout,
        stream_max: config.flight.stream_max,
        endpoint_max: config.flight.endpoint_max,
        session_idle: config.flight.session_idle,
        token_lifetime: config.flight.token_lifetime,
        ticket_lifetime: config.flight.ticket_lifetime,
        drain_timeout: config.server.drain_timeout,
        ..FlightConfig::new(address, &config.server.database)
    };
    let door = FlightDoor::bind(settings, Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
    door.await.map(Some).map_err(|e| cannot_bind("flight", address, &e))
}

async fn rest_door(config: &Config, gate: &Gate, room: Room) -> Result<Option<RestDoor>> {
    let (Some(rest), Some(address)) = (&config.rest, rest_address(config)) else { return Ok(None) };
    let mut settings = RestConfig {
        body_max: rest.body_max,
        rows_max: config.limits.rows_max,
        session_lifetime: rest.session_lifetime,
        extensions: rest.extensions,
        events: config.events.is_some(),
        strict_text_operators: rest.strict_text_operators,
        proxies: config.server.proxies.clone(),
        requests_per_address: rest.requests_per_address,
        requests_per_user: rest.requests_per_user,
        requests_per_key: rest.requests_per_key,
        drain_timeout: config.server.drain_timeout,
        ..RestConfig::new(address, &config.server.database)
    };
    // Each follower keeps a connection. Requests of a gate for few sessions keep the places that they had.
    settings.connection_max = settings.connection_max.max(room.connections);
    let readiness = Arc::clone(&gate.readiness);
    let ready = Arc::new(move || readiness().is_ready());
    let (service, authenticator) = (Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
    let door = RestDoor::bind(settings, service, authenticator, Arc::clone(&gate.platform), ready);
    door.await.map(Some).map_err(|e| cannot_bind("rest", address, &e))
}

fn cannot_bind(door: &str, address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot listen on {address} for the {door} door"))
        .with_detail(error.to_string())
        .with_hint("Choose another address in [server] or on the command line; port 0 takes any free one.")
}

async fn reload(reload: &Reload, runtimes: &Runtimes) {
    let reload = Arc::clone(reload);
    match runtimes.query.spawn(async move { reload().await }).await {
        Ok(Ok(summary)) => tracing::info!(summary, "metadata reloaded"),
        Ok(Err(error)) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
        Err(error) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
    }
}

/// How often sources that are away, or seem to have changed, are asked for.
const HEAL_INTERVAL: Duration = Duration::from_secs(2);

/// Reloads when a source that was away at the last load is there, or has other tables than then, so that they are found.
async fn heal(returned: Returned, reload_: Reload, runtimes: Runtimes) {
    loop {
        tokio::time::sleep(HEAL_INTERVAL).await;
        let returned = Arc::clone(&returned);
        let asked = runtimes.query.spawn(async move { returned().await });
        if asked.await.unwrap_or(false) {
            tracing::info!("a source is back, or has changed");
            reload(&reload_, &runtimes).await;
        }
    }
}

/// Reloads when a file below `path` changed. Polling, because it works on every file system and costs a `stat` a file.
async fn watch(path: PathBuf, interval: Duration, reload_: Reload, runtimes: Runtimes) {
    if interval.is_zero() {
        return;
    }
    let mut seen = looked(&path).await;
    loop {
        tokio::time::sleep(interval).await;
        let now = looked(&path).await;
        if now != seen {
            // Editors write a file in steps: wait until it rests.
            seen = now;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if looked(&path).await == seen {
                reload(&reload_, &runtimes).await;
            } else {
                seen.clear();
            }
        }
    }
}

/// Files that a metadata folder may hold; more are not watched.
const WATCHED_FILES_MAX: usize = 10_000;

/// Away from the threads that serve sockets: a file system may be slow, or hang.
async fn looked(path: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || fingerprint(&path)).await.unwrap_or_default()
}

/// Path, time and size of each metadata file.
fn fingerprint(path: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        if found.len() >= WATCHED_FILES_MAX {
            break;
        }
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else {
            found.push((path, meta.modified().ok(), meta.len()));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Scale, seed};
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut tcp = TcpStream::connect(address).unwrap();
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_server_is_ready_and_stops_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let seeded = runtime.block_on(seed(folder.path(), Scale::divided_by(1_000), &mut |_| {})).unwrap();
        let mut config = crate::config::load(&seeded.layout.config()).0.unwrap();
        let any = "127.0.0.1:0".parse().ok();
        (config.server.postgres, config.server.http) = (any, any);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (send, receive) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || serve(&config, stopped, move |bound| send.send(bound).unwrap()));
        let bound = receive.recv_timeout(Duration::from_secs(60)).unwrap();
        let (http, postgres) = (bound.http.unwrap(), bound.postgres.unwrap());
        let ready = get(http, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"objects\":21"), "{ready}");
        assert!(get(http, "/metrics").starts_with("HTTP/1.1 200"));
        // SSLRequest: a server without TLS answers N.
        let mut client = TcpStream::connect(postgres).unwrap();
        client.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"N");
        drop(client);
        stop.cancel();
        server.join().unwrap().unwrap();
        assert!(TcpStream::connect(postgres).is_err() && TcpStream::connect(http).is_err());
    }

    #[tokio::test]
    async fn a_door_that_ends_by_itself_is_told_once() {
        let mut doors = Serving([
            ("postgres", Some(tokio::spawn(std::future::pending()))),
            ("flight", Some(tokio::spawn(async {}))),
            ("http", None),
        ]);
        let ended = doors.ended().await;
        assert!(format!("{:?}", ended.cause()).contains("the flight door ended by itself"), "{:?}", ended.cause());
        let again = tokio::time::timeout(Duration::from_millis(20), doors.ended()).await;
        assert!(again.is_err() && doors.0[1].1.is_none());
    }

    #[test]
    fn a_fingerprint_sees_new_changed_and_removed_files() {
        let folder = tempfile::tempdir().unwrap();
        let empty = fingerprint(folder.path());
        let file = folder.path().join("a.json");
        std::fs::write(&file, "{}").unwrap();
        let one = fingerprint(folder.path());
        std::fs::write(&file, "{ }").unwrap();
        let changed = fingerprint(folder.path());
        std::fs::remove_file(&file).unwrap();
        assert!(empty != one && one != changed);
        assert_eq!(fingerprint(folder.path()), empty);
    }
}
