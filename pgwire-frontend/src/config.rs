//! What a Postgres door is told at start, with the shared bounds as defaults. Knows no file format.

use querygate_arrivals::Strangers;
use querygate_types::limits;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// TLS of a door.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The door sets the ALPN protocol `postgresql` on a copy of it.
    pub config: Arc<ServerConfig>,
    /// The end-entity certificate in `config`, for the channel binding of SCRAM-SHA-256-PLUS.
    pub certificate: CertificateDer<'static>,
}

/// Settings of a [`PostgresDoor`](crate::PostgresDoor).
#[derive(Debug, Clone)]
pub struct DoorConfig {
    pub addr: SocketAddr,
    pub tls: Option<TlsSettings>,
    /// Refuse connections without TLS (28000).
    pub require_tls: bool,
    /// Sessions served at once; further ones get 53300.
    pub connection_max: usize,
    /// Connections at once that have not logged in. One more is let in and the oldest gives way.
    pub arrival_max: usize,
    /// Who they are among, of all doors, with one bound on the memory that they hold together.
    pub strangers: Strangers,
    /// From accept to a proven password.
    pub authentication_timeout: Duration,
    /// From accept to ReadyForQuery.
    pub startup_timeout: Duration,
    /// How long a write may make no progress before the connection is closed.
    pub write_timeout: Duration,
    /// How long running statements may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Prepared statements per connection.
    pub statement_max: usize,
    /// Portals per connection.
    pub portal_max: usize,
    /// Bytes of statement texts and bound parameters kept per connection.
    pub held_bytes_max: usize,
    /// Largest frame accepted, in bytes.
    pub frame_bytes_max: usize,
}

impl DoorConfig {
    /// Defaults for an address, without TLS.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            tls: None,
            require_tls: false,
            connection_max: 1_000,
            arrival_max: 1_000,
            strangers: Strangers::default(),
            authentication_timeout: Duration::from_secs(10),
            startup_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(30),
            statement_max: limits::STATEMENTS_PER_CONNECTION_MAX,
            portal_max: limits::STATEMENTS_PER_CONNECTION_MAX,
            held_bytes_max: 2 * limits::FRAME_BYTES_MAX,
            frame_bytes_max: limits::FRAME_BYTES_MAX,
        }
    }
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 5432)))
    }
}
