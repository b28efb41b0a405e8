//! `[flight]`: the Flight SQL door. Binds nothing.

use super::resolve::to_usize;
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::Environment;
use super::syntax::table::Table;
use super::{Config, Flight, Server};
use querygate_flight::FlightConfig;
use std::time::Duration;

pub(crate) const FLIGHT_PORT: u16 = 8815;

/// Reads `[flight]`; without it the door is closed. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Option<Table<'_>>, server: Option<&Server>, environment: &Environment) -> Option<Flight> {
    let mut flight = Flight {
        address: None,
        client_ca: None,
        stream_max: 512,
        endpoint_max: FlightConfig::default_endpoint_max(),
        session_idle: Duration::from_secs(3_600),
        token_lifetime: Duration::from_secs(12 * 3_600),
        ticket_lifetime: Duration::from_secs(300),
    };
    let Some(table) = table else { return Some(flight) };
    let address = super::server::address(&table, "address", FLIGHT_PORT);
    if let Some(file) = table.text("client_ca") {
        flight.client_ca = Some(Config::resolve_path(environment.folder(), &file.value));
        if server.is_some_and(|server| server.tls.is_none()) {
            table.error(file.span, "`client_ca` needs `tls_certificate` and `tls_key` in [server]");
        }
    }
    if let Some(streams) = table.number("stream_max", 1..=100_000) {
        flight.stream_max = to_usize(streams.value);
    }
    if let Some(endpoints) = table.number("endpoint_max", 1..=64) {
        flight.endpoint_max = to_usize(endpoints.value);
    }
    let duration = |key: &'static str, default: Duration| match table.duration(key) {
        Some(given) if given.value.is_zero() => {
            table.push(Diagnostic::error(Some(given.span), format!("`{key}` must be longer than nothing")));
            default
        }
        Some(given) => given.value,
        None => default,
    };
    flight.session_idle = duration("session_idle_timeout", flight.session_idle);
    flight.token_lifetime = duration("token_lifetime", flight.token_lifetime);
    flight.ticket_lifetime = duration("ticket_lifetime", flight.ticket_lifetime);
    if let (Ok(Some(address)), Some(server)) = (&address, server)
        && server.tls.is_none()
        && !address.ip().is_loopback()
    {
        let help = "set tls_certificate and tls_key in [server]";
        table.push(
            Diagnostic::warning(Some(table.span.clone()), "the Flight door is open to other hosts without TLS")
                .help(help),
        );
    }
    table.finish();
    flight.address = address.ok()?;
    Some(flight)
}
