//! `[server]`: addresses, TLS, bounds. Binds nothing.

use super::resolve::{half, to_usize};
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::Environment;
use super::syntax::table::{At, Table};
use super::{Config, Flight, Rest, Server, TlsFiles};
use querygate_web::{Proxies, ProxyHeader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(super) fn address(table: &Table<'_>, key: &'static str, default_port: u16) -> Result<Option<SocketAddr>, ()> {
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), default_port);
    let Some(text) = table.text(key) else { return Ok(Some(loopback)) };
    if text.value == "off" {
        return Ok(None);
    }
    match text.value.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => {
            table.push(
                Diagnostic::error(
                    Some(text.span),
                    format!("`{key}` must be an address and port, such as \"127.0.0.1:{default_port}\""),
                )
                .help("use 0.0.0.0 for every interface, port 0 for any free port, or \"off\""),
            );
            Err(())
        }
    }
}

/// Two doors of one port: the second one could not be opened.
pub(super) fn one_door_a_port(
    root: &Table<'_>,
    server: Option<&Server>,
    flight: Option<&Flight>,
    rest: Option<&Option<Rest>>,
) {
    let doors = [
        ("server", "postgres", server.and_then(|server| server.postgres)),
        ("server", "http", server.and_then(|server| server.http)),
        ("flight", "address", flight.and_then(|flight| flight.address)),
        ("rest", "listen", rest.and_then(|rest| rest.as_ref()).and_then(|rest| rest.address)),
    ];
    let mut open: Vec<(&str, &str, SocketAddr)> = Vec::new();
    for (table, key, address) in doors {
        let Some(address) = address else { continue };
        if let Some((other, other_key, _)) = open.iter().find(|(_, _, taken)| is_one_port(*taken, address)) {
            let message = format!("[{other}] `{other_key}` and [{table}] `{key}` have one port, {}", address.port());
            let place = root.place(table, key).or_else(|| root.place(other, other_key));
            root.push(Diagnostic::error(place, message).help("give each door a port of its own, or \"off\""));
        }
        open.push((table, key, address));
    }
}

/// Whether only one of two sockets can listen.
pub(crate) fn is_one_port(one: SocketAddr, other: SocketAddr) -> bool {
    // On Linux, every address of version 6 is every one of version 4, too.
    let covers = |wide: IpAddr, ip: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || ip.is_ipv4());
    let (first, second) = (one.ip(), other.ip());
    let is_shared = first == second || covers(first, second) || covers(second, first);
    one.port() != 0 && one.port() == other.port() && is_shared
}

/// `trusted_proxies` and `proxy_header`.
fn proxies(table: &Table<'_>) -> Proxies {
    let mut networks = Vec::new();
    for text in table.texts("trusted_proxies") {
        match Proxies::network(&text.value) {
            Some(network) => networks.push(network),
            None => table.push(
                Diagnostic::error(Some(text.span), format!("`{}` is no address and no network", text.value))
                    .help("such as \"127.0.0.1\" or \"10.0.0.0/8\""),
            ),
        }
    }
    let words = [("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)];
    let header = table.choice("proxy_header", &words);
    if let Some(header) = header.as_ref().filter(|_| networks.is_empty()) {
        table.error(header.span.clone(), "`proxy_header` is of no use without `trusted_proxies`");
    }
    Proxies::new(networks, header.map(|header| header.value).unwrap_or_default())
}

pub(crate) const POSTGRES_PORT: u16 = 5433;
pub(crate) const HTTP_PORT: u16 = 8080;

/// Reads `[server]`. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> Option<Server> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let loopback = |port| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let mut server = Server {
        postgres: loopback(POSTGRES_PORT),
        http: loopback(HTTP_PORT),
        pages: None,
        database: "querygate".to_owned(),
        tls: None,
        require_tls: false,
        connection_max: 1_000,
        connections_per_user_max: 500,
        proxies: Proxies::default(),
        authentication_timeout: Duration::from_secs(10),
        // On few processors a second one takes more from sources and clients, and to be woken, than it gives.
        wire_workers: (threads / 2).clamp(1, 2),
        query_workers: threads.max(2),
        drain_timeout: Duration::from_secs(30),
        keys: None,
    };
    let Some(table) = table else { return Some(server) };
    let postgres = address(&table, "postgres", POSTGRES_PORT);
    let http = address(&table, "http", HTTP_PORT);
    server.pages = table.boolean("pages").map(|pages| pages.value);
    if let Some(database) = table.text("database") {
        server.database = database.value;
    }
    let certificate = table.text("tls_certificate");
    let key = table.text("tls_key");
    let path = |text: &At<String>| Config::resolve_path(environment.folder(), &text.value);
    server.tls = match (&certificate, &key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: path(certificate), key: path(key) }),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            table.error(one.span.clone(), "`tls_certificate` and `tls_key` belong together");
            None
        }
    };
    if let Some(require) = table.boolean("require_tls") {
        server.require_tls = require.value;
        if require.value && certificate.is_none() {
            table.error(require.span, "`require_tls` needs `tls_certificate` and `tls_key`");
        }
    }
    let count = |key, bounds, default| table.number(key, bounds).map_or(default, |n| to_usize(n.value));
    server.connection_max = count("connection_max", 1..=1_000_000, server.connection_max);
    let share = half(server.connection_max);
    server.connections_per_user_max = count("connections_per_user_max", 1..=1_000_000, share);
    server.wire_workers = count("wire_workers", 1..=256, server.wire_workers);
    server.query_workers = count("query_workers", 1..=1_024, server.query_workers);
    server.proxies = proxies(&table);
    if let Some(timeout) = table.duration("authentication_timeout") {
        if timeout.value.is_zero() {
            table.error(
                timeout.span,
                "`authentication_timeout` must be more than nothing: who never logs in would stay",
            );
        } else {
            server.authentication_timeout = timeout.value;
        }
    }
    if let Some(drain) = table.duration("drain_timeout") {
        server.drain_timeout = drain.value;
    }
    server.keys = table.text("keys").map(|file| path(&file));
    table.finish();
    server.postgres = postgres.ok()?;
    server.http = http.ok()?;
    Some(server)
}

#[cfg(test)]
mod tests {
    use super::is_one_port;

    #[test]
    fn a_port_is_taken_on_the_same_address_and_on_all() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(is_one_port(one.parse().unwrap(), other.parse().unwrap()), expected, "{one} {other}");
        }
    }
}
