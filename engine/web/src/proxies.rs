//! Whose request a proxy passes on. A proxy is believed only where the operator named it, in the one header that it is known to write.
//! Reads no body.

use crate::listener::Peer;
use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Proxies that one request is followed through.
const HOPS_MAX: usize = 16;

/// The header in which a proxy names who asked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For: CLIENT, PROXY`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=CLIENT;proto=https, for=PROXY` (RFC 7239).
    Forwarded,
}

/// The proxies in front of a door. By default there are none: then the client that connects is the one that asks, whatever a header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    /// Proxies of these networks, which write this header.
    #[must_use]
    pub fn new(trusted: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    /// A network by its text: `10.0.0.0/8`, or one address. `None`: it is neither.
    #[must_use]
    pub fn network(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether it is one of the proxies that connected.
    #[must_use]
    pub fn has_sent(&self, peer: Peer) -> bool {
        self.trusts(peer.0.ip())
    }

    /// Who asked: the last one on the way of a request that is no proxy of ours. What stands before that, anybody may have written.
    #[must_use]
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if !self.has_sent(peer) {
            return peer;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        let mut client = peer;
        // The last value is of the nearest proxy.
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(HOPS_MAX) {
            let named = match self.header {
                ProxyHeader::XForwardedFor => address_of(hop.trim()),
                ProxyHeader::Forwarded => forwarded_for(hop),
            };
            // A proxy that does not say whom it asks for stands for all of them.
            let Some(named) = named else { break };
            client = Peer(named);
            if !self.has_sent(client) {
                break;
            }
        }
        client
    }
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address_of(node.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0)).ok();
    address.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn peer(text: &str) -> Peer {
        Peer(address_of(text).unwrap())
    }

    fn client(proxies: &Proxies, from: &str, headers: &HeaderMap) -> String {
        proxies.client(peer(from), headers).0.ip().to_string()
    }

    fn proxies(header: ProxyHeader) -> Proxies {
        let networks = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"];
        Proxies::new(networks.iter().map(|text| Proxies::network(text).unwrap()).collect(), header)
    }

    #[test]
    fn nobody_is_believed_by_default_nor_from_elsewhere() {
        let said = headers("x-forwarded-for", &["9.9.9.9"]);
        assert_eq!(client(&Proxies::default(), "127.0.0.1:4", &said), "127.0.0.1");
        assert_eq!(client(&proxies(ProxyHeader::XForwardedFor), "8.8.8.8:4", &said), "8.8.8.8");
    }

    #[test]
    fn the_last_one_that_is_no_proxy_of_ours_is_who_asks() {
        let proxies = proxies(ProxyHeader::XForwardedFor);
        for (lines, expected) in [
            (vec!["1.2.3.4"], "1.2.3.4"),
            (vec!["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (vec!["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),
            (vec!["6.6.6.6", "1.2.3.4,10.0.0.9"], "1.2.3.4"),
            (vec!["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
            (vec!["[2001:db8::1]:443"], "2001:db8::1"),
            (vec!["::ffff:10.1.1.1"], "::ffff:10.1.1.1"),
            (vec!["1.2.3.4:5555"], "1.2.3.4"),
            // What cannot be read ends the way there.
            (vec!["1.2.3.4, nonsense"], "127.0.0.1"),
            (vec!["1.2.3.4, nonsense, 10.2.2.2"], "10.2.2.2"),
            (vec![""], "127.0.0.1"),
            (vec![], "127.0.0.1"),
        ] {
            assert_eq!(client(&proxies, "127.0.0.1:4", &headers("x-forwarded-for", &lines)), expected, "{lines:?}");
        }
        let other = headers("forwarded", &["for=6.6.6.6"]);
        assert_eq!(client(&proxies, "127.0.0.1:4", &other), "127.0.0.1", "a header that the proxy does not write");
    }

    #[test]
    fn elements_of_forwarded_are_read_as_the_standard_writes_them() {
        let proxies = proxies(ProxyHeader::Forwarded);
        for (line, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=6.6.6.6;by=x, proto=https; for=\"1.2.3.4:80\" ;host=a, for=10.0.0.1", "1.2.3.4"),
            ("for=unknown", "10.0.0.3"),
            ("for=_hidden, for=10.0.0.1", "10.0.0.1"),
            ("for=\"x, for=1.2.3.4", "1.2.3.4"),
            ("proto=https", "10.0.0.3"),
        ] {
            assert_eq!(client(&proxies, "10.0.0.3:4", &headers("forwarded", &[line])), expected, "{line}");
        }
    }

    #[test]
    fn a_way_of_many_proxies_ends_somewhere() {
        let line = "10.0.0.1,".repeat(100_000) + "10.0.0.2";
        let found = client(&proxies(ProxyHeader::XForwardedFor), "127.0.0.1:4", &headers("x-forwarded-for", &[&line]));
        assert_eq!(found, "10.0.0.1");
        assert!(Proxies::network("10.0.0.0/33").is_none() && Proxies::network("a").is_none());
    }
}
