//! Settings of the door. Reads no file.

use querygate_web::{Proxies, Strangers};
use std::net::SocketAddr;
use std::time::Duration;

/// Settings of a [`RestDoor`](crate::RestDoor).
#[derive(Debug, Clone)]
pub struct RestConfig {
    pub addr: SocketAddr,
    /// Name of the database, for the sessions' own record.
    pub database: String,
    /// Connections served at once; further ones wait in the system's queue, and silent ones make room for them.
    pub connection_max: usize,
    /// Who those are among that no user has sent a request by, of all doors.
    pub strangers: Strangers,
    /// Silence after which a connection is closed, and time for a request to arrive whole.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Bytes of a request's body.
    pub body_max: usize,
    /// Rows that the engine gives in one answer, where it has a limit.
    pub rows_max: Option<u64>,
    /// How long a login is good for.
    pub session_lifetime: Duration,
    /// Whether answers say what this gate adds to ObjectStack's interface.
    pub extensions: bool,
    /// Whether changes can be followed.
    pub events: bool,
    /// Whom to believe in whose requests they pass on.
    pub proxies: Proxies,
    /// Requests a second from one address outside of this machine; 0: any number. So the next two.
    pub requests_per_address: u32,
    /// Those of one user.
    pub requests_per_user: u32,
    /// Those by one API key, or by the tokens of one user of an issuer.
    pub requests_per_key: u32,
}

impl RestConfig {
    /// Defaults for an address.
    #[must_use]
    pub fn new(addr: SocketAddr, database: &str) -> Self {
        Self {
            addr,
            database: database.to_owned(),
            connection_max: 256,
            strangers: Strangers::default(),
            idle_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            body_max: 4 << 20,
            rows_max: None,
            session_lifetime: Duration::from_secs(12 * 3_600),
            extensions: false,
            events: false,
            proxies: Proxies::default(),
            requests_per_address: 500,
            requests_per_user: 2_000,
            requests_per_key: 1_000,
        }
    }
}
