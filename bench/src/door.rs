//! Doors that admit one user. Knows no engine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use querygate_flight::{FlightConfig, FlightDoor};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor};
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::{Authenticator, QueryService};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The one user, password and database of a bench's door.
pub const USER: &str = "bench";
pub const PASSWORD: &str = "bench";
pub const DATABASE: &str = "bench";

/// The principal of [`USER`].
#[must_use]
pub fn principal() -> Principal {
    Principal::builder(USER).permission_set("reader").build()
}

/// Admits [`USER`].
struct OneUser(ScramVerifier);

impl Authenticator for OneUser {
    fn scram_verifier(&self, _user: &str) -> ScramVerifier {
        self.0.clone()
    }

    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        (user == USER).then(|| Arc::new(principal()))
    }

    fn has_database(&self, database: &str) -> bool {
        database == DATABASE
    }
}

/// Reads `SCRAM-SHA-256$iterations:salt$stored:server`.
fn verifier() -> Result<ScramVerifier> {
    let bad = || Error::internal("a password verifier of another form");
    let text = postgres_protocol::password::scram_sha_256(PASSWORD.as_bytes());
    let mut parts = text.split(['$', ':']).skip(1);
    let mut next = || parts.next().ok_or_else(bad);
    let iterations = next()?.parse().map_err(Error::internal)?;
    let mut bytes = || BASE64.decode(next()?).map_err(Error::internal);
    let (salt, stored, server) = (bytes()?, bytes()?, bytes()?);
    Ok(ScramVerifier {
        iterations,
        salt,
        stored_key: stored.try_into().map_err(|_| bad())?,
        server_key: server.try_into().map_err(|_| bad())?,
    })
}

/// A Postgres door over a service, on a free port.
///
/// # Errors
/// When no port can be had.
pub async fn bind(service: Arc<dyn QueryService>) -> Result<(PostgresDoor, SocketAddr)> {
    let config = DoorConfig { connection_max: 5_000, ..DoorConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) };
    let door = PostgresDoor::bind(config, service, Arc::new(OneUser(verifier()?))).await.map_err(Error::internal)?;
    let address = door.local_addr().map_err(Error::internal)?;
    Ok((door, address))
}

/// A Flight door over a service, on a free port.
///
/// # Errors
/// When no port can be had.
pub async fn bind_flight(service: Arc<dyn QueryService>) -> Result<(FlightDoor, SocketAddr)> {
    let config = FlightConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), DATABASE);
    let door = FlightDoor::bind(config, service, Arc::new(OneUser(verifier()?))).await.map_err(Error::internal)?;
    let address = door.local_addr().map_err(Error::internal)?;
    Ok((door, address))
}
