//! `[rest]`: the REST door. Binds nothing.

use super::resolve::to_usize;
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::Environment;
use super::syntax::table::Table;
use super::{Config, Rest, Server};
use std::time::Duration;

pub(crate) const REST_PORT: u16 = 8090;

impl Default for Rest {
    fn default() -> Self {
        Self {
            address: None,
            extensions: false,
            body_max: 4 << 20,
            session_lifetime: Duration::from_secs(12 * 3_600),
            requests_per_address: 500,
            requests_per_user: 2_000,
            requests_per_key: 1_000,
            keys: None,
        }
    }
}

/// Reads `[rest]`; without it the door is closed. `None` after a mistake, which has been reported.
pub(super) fn resolve(
    table: Option<Table<'_>>,
    server: Option<&Server>,
    environment: &Environment,
) -> Option<Option<Rest>> {
    let Some(table) = table else { return Some(None) };
    let mut rest = Rest::default();
    let address = super::server::address(&table, "listen", REST_PORT);
    if let Some(extensions) = table.boolean("extensions") {
        rest.extensions = extensions.value;
    }
    if let Some(bytes) = table.bytes("body_max") {
        if (1_024..=256 << 20).contains(&bytes.value) {
            rest.body_max = to_usize(bytes.value);
        } else {
            table.error(bytes.span, "`body_max` must be between 1 KiB and 256 MiB");
        }
    }
    if let Some(given) = table.duration("session_lifetime") {
        if given.value.is_zero() || given.value > Duration::from_secs(365 * 86_400) {
            table.error(given.span, "`session_lifetime` must be longer than nothing, and a year at most");
        } else {
            rest.session_lifetime = given.value;
        }
    }
    let rates = [
        ("requests_per_address", &mut rest.requests_per_address),
        ("requests_per_user", &mut rest.requests_per_user),
        ("requests_per_key", &mut rest.requests_per_key),
    ];
    for (key, rate) in rates {
        if let Some(given) = table.number(key, 0..=1_000_000) {
            *rate = u32::try_from(given.value).unwrap_or(u32::MAX);
        }
    }
    rest.keys = table.text("keys").map(|file| Config::resolve_path(environment.folder(), &file.value));
    if let (Ok(Some(address)), Some(_)) = (&address, server)
        && !address.ip().is_loopback()
    {
        let help = "put a proxy with TLS in front of it";
        let message = "the REST door is open to other hosts, and takes passwords and keys without TLS";
        table.push(Diagnostic::warning(Some(table.span.clone()), message).help(help));
    }
    table.finish();
    rest.address = address.ok()?;
    Some(Some(rest))
}
