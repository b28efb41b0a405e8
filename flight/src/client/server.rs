//! Addresses of Flight servers as people and drivers write them. Connects to nothing.

use querygate_types::{Error, ErrorCode, Result};
use std::net::IpAddr;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Server {
    /// Reads `grpc://HOST:PORT` or `grpc+tls://HOST:PORT`, as ADBC writes them.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorCode::InvalidParameterValue, format!("\"{text}\" is not the address of a Flight server"))
                .with_hint("Write grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS.")
        };
        let (scheme, place) = text.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "grpc" | "grpc+tcp" => false,
            "grpc+tls" => true,
            _ => return Err(wrong()),
        };
        let (host, port) = place.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let sound = match bare {
            Some(address) => address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
        };
        if sound { Ok(Self { host: host.to_owned(), port, tls }) } else { Err(wrong()) }
    }

    /// As tonic wants it.
    pub(super) fn uri(&self) -> String {
        format!("{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }

    /// Whether nobody on a network can listen.
    pub(super) fn is_private(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        self.tls || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, bool)>) {
        let read = Server::read(text).ok().map(|server| (server.uri(), server.is_private()));
        assert_eq!(read, expected.map(|(uri, private)| (uri.to_owned(), private)), "{text}");
    }

    #[test]
    fn addresses_are_read_as_drivers_write_them() {
        check("grpc://127.0.0.1:8815", Some(("http://127.0.0.1:8815", true)));
        check("grpc+tcp://localhost:1/", Some(("http://localhost:1", true)));
        check("grpc+tls://db.example:8815", Some(("https://db.example:8815", true)));
        check("grpc://db.example:8815", Some(("http://db.example:8815", false)));
        check("grpc://[::1]:8815", Some(("http://[::1]:8815", true)));
        check("grpc://[fe80::1]:8815", Some(("http://[fe80::1]:8815", false)));
        for wrong in
            ["", "localhost:8815", "http://a:1", "grpc://a", "grpc://:1", "grpc://a:x", "grpc://a b:1", "grpc://u@a:1"]
        {
            check(wrong, None);
        }
    }
}
