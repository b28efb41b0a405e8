//! One worker as the gate knows it: its connection, whether it answers, what it did.

use super::pool::TlsIdentity;
use arrow_flight::flight_service_client::FlightServiceClient;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

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
    pub(super) address: String,
    client: FlightServiceClient<Channel>,
    resting_until: Mutex<Option<Instant>>,
    running: AtomicUsize,
    parts: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

/// A worker as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
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
    /// A worker at `host:port`, to which nothing is connected yet.
    pub(super) fn new(address: &str, tls: &TlsIdentity) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorCode::ConfigInvalid, format!("worker {address} cannot be used")).with_detail(why)
        };
        let (host, _) = address.rsplit_once(':').ok_or_else(|| invalid("it is no host:port".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let config = ClientTlsConfig::new()
            .domain_name(host)
            .ca_certificate(Certificate::from_pem(&tls.authorities))
            .identity(Identity::from_pem(&tls.certificate, &tls.key));
        let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(|e| invalid(e.to_string()))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .keep_alive_timeout(ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .tls_config(config)
            .map_err(|e| invalid(e.to_string()))?;
        let client = FlightServiceClient::new(endpoint.connect_lazy()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            address: address.to_owned(),
            client,
            resting_until: Mutex::default(),
            running: AtomicUsize::new(0),
            parts: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    pub(super) fn client(&self) -> FlightServiceClient<Channel> {
        self.client.clone()
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
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    /// It answered.
    pub(super) fn answered(&self) {
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn received(&self, rows: usize, bytes: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> MemberState {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemberState {
            address: self.address.clone(),
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
pub(super) struct Running(pub(super) std::sync::Arc<Member>);

impl Running {
    pub(super) fn on(member: std::sync::Arc<Member>) -> Self {
        member.running.fetch_add(1, Ordering::Relaxed);
        member.parts.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
