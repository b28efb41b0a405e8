//! What a Flight door is told at start. Knows no file format.

use querygate_arrivals::Strangers;
use querygate_types::limits;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`FlightDoor`](crate::FlightDoor).
#[derive(Debug, Clone)]
pub struct FlightConfig {
    pub addr: SocketAddr,
    /// The door sets the ALPN protocol `h2` on a copy of it. A client verifier in it makes TLS mutual.
    pub tls: Option<Arc<ServerConfig>>,
    /// Name of the one database, which Flight SQL calls a catalog.
    pub database: String,
    /// Connections of users at once; calls on further ones get 53300.
    pub connection_max: usize,
    /// Connections at once that nobody has logged in on. One more is let in and the oldest gives way.
    pub arrival_max: usize,
    /// Who they are among, of all doors, with one bound on the memory that they hold together.
    pub strangers: Strangers,
    /// Result streams at once, over all connections; further ones get 53300.
    pub stream_max: usize,
    /// Endpoints of a large result when the client names no number; 1: a client that wants several has to say so.
    pub endpoint_max: usize,
    /// A session that nobody uses for so long ends.
    pub session_idle: Duration,
    /// How long a session's token is good at most.
    pub token_lifetime: Duration,
    /// How long a ticket can be fetched.
    pub ticket_lifetime: Duration,
    /// From accept to the first byte of a call, TLS handshake included.
    pub authentication_timeout: Duration,
    /// From accept to a login or a call with a session's token.
    pub startup_timeout: Duration,
    /// How long a client may take no message of a stream before the stream is ended.
    pub stall_timeout: Duration,
    /// How long running streams may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Largest message accepted, in bytes.
    pub message_bytes_max: usize,
    /// Largest batch of parameters accepted, in bytes, over all its messages.
    pub parameter_bytes_max: usize,
    /// Prepared statements of one session.
    pub statement_max: usize,
    /// Transactions of one session at a time.
    pub transaction_max: usize,
}

impl FlightConfig {
    /// As many as there are processors, within reason.
    #[must_use]
    pub fn default_endpoint_max() -> usize {
        std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8)
    }

    /// Defaults for an address, without TLS.
    #[must_use]
    pub fn new(addr: SocketAddr, database: &str) -> Self {
        Self {
            addr,
            tls: None,
            database: database.to_owned(),
            connection_max: 1_000,
            arrival_max: 1_000,
            strangers: Strangers::default(),
            stream_max: 512,
            endpoint_max: Self::default_endpoint_max(),
            session_idle: Duration::from_secs(3_600),
            token_lifetime: Duration::from_secs(12 * 3_600),
            ticket_lifetime: Duration::from_secs(300),
            authentication_timeout: Duration::from_secs(10),
            startup_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(30),
            message_bytes_max: limits::SQL_BYTES_MAX + (1 << 20),
            parameter_bytes_max: limits::FRAME_BYTES_MAX,
            statement_max: limits::STATEMENTS_PER_CONNECTION_MAX,
            transaction_max: 16,
        }
    }
}
