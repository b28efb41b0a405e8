//! Runs a gate: two runtimes, its doors on one of them, an orderly stop. Knows no query.

mod bound_doors;
mod door_kinds;
mod reloads;

use crate::config::Config;
use crate::gate::{Gate, Runtimes};
use crate::process::{Signals, begin_at_zero, keep_up, raise_file_limit, start_metrics};
use crate::wiring;
use bound_doors::Doors;
use door_kinds::DOORS;
use futures::future::BoxFuture;
use querygate_query_api::service::Door;
use querygate_types::{Error, ErrorCode, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Ports that were bound; with port 0 in the configuration the system chose them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bound([Option<SocketAddr>; DOORS.len()]);

impl Bound {
    /// The ports, with another one of this door.
    #[must_use]
    pub(crate) fn with(mut self, door: Door, address: Option<SocketAddr>) -> Self {
        if let Some(at) = DOORS.iter().position(|kind| kind.door == door) {
            self.0[at] = address;
        }
        self
    }

    /// The port of a door; `None`: it is closed.
    pub(crate) fn of(&self, door: Door) -> Option<SocketAddr> {
        self.open().find(|(open, _)| *open == door).map(|(_, address)| address)
    }

    /// All that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Door, SocketAddr)> {
        DOORS.iter().zip(self.0).filter_map(|(kind, address)| Some((kind.door, address?)))
    }
}

/// Stack of a thread that serves sockets, in bytes: a statement's tree is parsed, copied and dropped there. Reserved, not used.
const WIRE_STACK: usize = 128 << 20;
/// Stack of a thread that plans and runs statements: binding recurses as deep as a statement nests. Reserved, not used.
const QUERY_STACK: usize = 256 << 20;

/// A little less of the processors than the threads that serve sockets.
fn after_doors() {
    const NICE: i32 = 1;
    // The system may not let it: then all threads are equal.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// Both runtimes of a server.
pub(crate) struct Threads {
    wire: Runtime,
    query: Runtime,
}

impl Threads {
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let build = |name: &str, workers: usize, stack: usize, begins: fn()| {
            Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_name(name)
                .thread_stack_size(stack)
                .on_thread_start(begins)
                .enable_all()
                .build()
                .map_err(Error::internal)
        };
        Ok(Self {
            wire: build("wire", config.server.wire_workers, WIRE_STACK, || {})?,
            query: build("query", config.server.query_workers, QUERY_STACK, after_doors)?,
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
pub(crate) fn doors(config: &Config) -> [(&'static str, Option<SocketAddr>); DOORS.len()] {
    DOORS.map(|kind| (kind.name(), (kind.address)(config)))
}

/// Doors whose clients each keep a connection, which share the descriptors.
pub(crate) fn session_doors(config: &Config) -> usize {
    DOORS.iter().filter(|kind| kind.keeps_connections && (kind.address)(config).is_some()).count()
}

fn rest_address(config: &Config) -> Option<SocketAddr> {
    config.rest.as_ref().and_then(|rest| rest.address)
}

/// Whether one door can be opened there.
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
    begin_at_zero();
    let threads = Threads::start(config)?;
    let gate = threads.build(config)?;
    let upkeep = threads.wire.spawn(keep_up(metrics.clone()));
    let result = threads.wire.block_on(async {
        // A signal may come as soon as a client reads that the gate is ready, and one that nothing takes would end it.
        let signals = Signals::listen()?;
        let doors = Doors::bind(config, &gate, room, metrics).await?;
        let bound = doors.bound;
        let open: Vec<String> = bound.open().map(|(door, at)| format!("{} on {at}", door.name())).collect();
        tracing::info!(doors = open.join(", "), "ready");
        ready(bound);
        (gate.begin)();
        let beside = companion.map(|companion| threads.query.spawn(companion(gate.clone())));
        let served = doors.run(config, &gate, &threads.runtimes(), (signals, stop)).await;
        beside.inspect(|task| task.abort());
        served
    });
    upkeep.abort();
    threads.stop();
    // Both runtimes are gone, so the last statement has been recorded.
    (gate.close)();
    result
}

fn cannot_bind(door: &str, address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot listen on {address} for the {door} door"))
        .with_detail(error.to_string())
        .with_hint("Choose another address in the configuration, or with --pg, --http, --flight or --rest; port 0 takes any free one.")
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
        let (http, postgres) = (bound.of(Door::Http).unwrap(), bound.of(Door::Postgres).unwrap());
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
}
