//! Doors that take passwords or keys from other machines in the clear. The Postgres door is judged by `querygate check`.

use super::finding::Finding;
use crate::config::Config;
use crate::serve::doors;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let abroad = doors(config).into_iter().filter(|(_, address)| address.is_some_and(|at| !at.ip().is_loopback()));
    abroad.filter_map(|(door, _)| finding(door, config)).collect()
}

fn finding(door: &str, config: &Config) -> Option<Finding> {
    let (what, advice) = match door {
        "flight" if config.server.tls.is_none() => {
            ("it takes passwords from other machines without TLS", "set tls_certificate and tls_key in [server]")
        }
        "rest" => (
            "it takes passwords and keys from other machines, and has no TLS of its own",
            "put a proxy with TLS in front of it, and let nothing else reach it",
        ),
        "http" if config.server.pages == Some(true) => (
            "its pages take passwords from other machines without TLS",
            "put a proxy with TLS in front of it, or set pages = false",
        ),
        _ => return None,
    };
    Some(Finding::warning("door.encryption", door, what).advise(advice))
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn doors_to_other_machines_are_encrypted_or_warned_of() {
        let found = |text: &str| -> Vec<String> { findings(&config(text)).into_iter().map(|f| f.subject).collect() };
        assert!(found("[flight]\naddress = \"127.0.0.1:1\"\n[rest]\nlisten = \"127.0.0.1:2\"\n").is_empty());
        assert_eq!(found("[flight]\naddress = \"0.0.0.0:1\"\n[rest]\nlisten = \"0.0.0.0:2\"\n"), ["flight", "rest"]);
        assert!(found("[server]\nhttp = \"0.0.0.0:1\"\n").is_empty());
        assert_eq!(found("[server]\nhttp = \"0.0.0.0:1\"\npages = true\n"), ["http"]);
    }
}
