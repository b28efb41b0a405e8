//! One worker as the gate knows it: its connection, whether it answers, what it did.

use super::address::WorkerAddress;
use super::pool::TlsIdentity;
use super::reads::Reading;
use crate::START_ACTION;
use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use metrics::Counter;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Bytes of one part that may be under way or wait to be read.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes of all parts of a connection together, as many as can be: parts of resting readers would use fewer up, and then no
/// row of another part could come.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a silent connection is asked for a sign of life, and how long it may take to give one.
const ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a worker that failed is asked last.
const REST: Duration = Duration::from_secs(5);
/// Bytes of one message of a worker.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A worker.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) address: WorkerAddress,
    client: FlightServiceClient<Channel>,
    /// For which process at the address parts are sealed; `None`: it was not asked yet.
    start: Mutex<Option<[u8; 16]>>,
    resting_until: Mutex<Option<Instant>>,
    running: AtomicUsize,
    parts: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    exported: Exported,
}

/// These counts as metrics, by what the configuration calls the worker: names of DNS have ever new addresses.
struct Exported {
    parts: Counter,
    rows: Counter,
    bytes: Counter,
    failures: Counter,
}

impl Exported {
    fn of(name: &str) -> Self {
        let worker = || name.to_owned();
        Self {
            parts: metrics::counter!("querygate_worker_parts_total", "worker" => worker()),
            rows: metrics::counter!("querygate_worker_rows_total", "worker" => worker()),
            bytes: metrics::counter!("querygate_worker_bytes_total", "worker" => worker()),
            failures: metrics::counter!("querygate_worker_failures_total", "worker" => worker()),
        }
    }
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").finish_non_exhaustive()
    }
}

/// A worker as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// As the configuration calls it.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// Whether it answered when it was asked last.
    pub answers: bool,
    pub running: usize,
    pub parts: u64,
    pub rows: u64,
    pub bytes: u64,
    pub failures: u64,
}

impl Member {
    /// A worker to which nothing is connected yet.
    pub(super) fn new(address: &WorkerAddress, tls: &TlsIdentity) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorCode::ConfigInvalid, format!("worker {} cannot be used", address.name)).with_detail(why)
        };
        let (host, _) = address.name.rsplit_once(':').ok_or_else(|| invalid("it is no host:port".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let config = ClientTlsConfig::new()
            .domain_name(host)
            .ca_certificate(Certificate::from_pem(&tls.authorities))
            .identity(Identity::from_pem(&tls.certificate, &tls.key));
        let endpoint =
            Endpoint::from_shared(format!("https://{}", address.reached())).map_err(|e| invalid(e.to_string()))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .keep_alive_timeout(ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true)
            .tls_config(config)
            .map_err(|e| invalid(e.to_string()))?;
        let client = FlightServiceClient::new(endpoint.connect_lazy()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            address: address.clone(),
            client,
            start: Mutex::default(),
            resting_until: Mutex::default(),
            running: AtomicUsize::new(0),
            parts: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            exported: Exported::of(&address.name),
        })
    }

    pub(super) fn client(&self) -> FlightServiceClient<Channel> {
        self.client.clone()
    }

    /// For which process parts are to be sealed.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn start(&self) -> std::result::Result<[u8; 16], Status> {
        if let Some(start) = *self.start.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(start);
        }
        let asked = Action::new(START_ACTION, Vec::new());
        let told: Vec<_> = self.client().do_action(asked).await?.into_inner().try_collect().await?;
        let start = match told.as_slice() {
            [told] => <[u8; 16]>::try_from(told.body.as_ref()).ok(),
            _ => None,
        };
        let start = start.ok_or_else(|| Status::unavailable("it does not say which process it is"))?;
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
        Ok(start)
    }

    /// Another process has taken its place.
    pub(super) fn restarted(&self) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether it failed a moment ago.
    pub(super) fn rests(&self) -> bool {
        let until = self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    /// It did not answer, or takes no parts.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.exported.failures.increment(1);
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    /// It answered.
    pub(super) fn answered(&self) {
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn received(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.exported.rows.increment(rows);
        self.exported.bytes.increment(bytes);
    }

    pub(super) fn state(&self) -> MemberState {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemberState {
            name: self.address.name.clone(),
            address: self.address.reached(),
            answers: !self.rests(),
            running: self.running(),
            parts: count(&self.parts),
            rows: count(&self.rows),
            bytes: count(&self.bytes),
            failures: count(&self.failures),
        }
    }
}

/// A part that a worker runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) member: Arc<Member>,
    /// Bytes that came since the last rows.
    moved: AtomicU64,
    reading: Option<Reading>,
}

impl Running {
    pub(super) fn on(member: Arc<Member>, reading: Option<Reading>) -> Self {
        member.running.fetch_add(1, Ordering::Relaxed);
        member.parts.fetch_add(1, Ordering::Relaxed);
        member.exported.parts.increment(1);
        Self { member, moved: AtomicU64::new(0), reading }
    }

    /// It gives rows, or has none.
    pub(super) fn answered(&self) {
        self.member.answered();
        if let Some(reading) = &self.reading {
            reading.answered();
        }
    }

    /// Bytes came over the wire.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The next rows are there.
    pub(super) fn received(&self, rows: usize) {
        let bytes = self.moved.swap(0, Ordering::Relaxed);
        self.member.received(rows as u64, bytes);
        if let Some(reading) = &self.reading {
            reading.gave(rows as u64, bytes);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.member.running.fetch_sub(1, Ordering::Relaxed);
    }
}
