//! Who the workers of a gate are while it runs: the addresses of its configuration, those of a file that is read again, and those that
//! names of DNS stand for, which are looked up again.

use super::read;
use crate::config::Workers;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::{WorkerAddress, WorkerPool};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::timeout;

/// How often the file is read and the names are looked up again.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long names may take to be looked up.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses that one name may stand for.
const ADDRESSES_MAX: usize = 1_000;

/// Bytes of the file.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// The workers that the configuration and its file name one by one.
pub(super) fn named(workers: &Workers) -> Result<Vec<WorkerAddress>> {
    Ok(names(workers)?.iter().map(|name| WorkerAddress::fixed(name)).collect())
}

/// Addresses of workers, as configuration and file write them.
pub(crate) fn names(workers: &Workers) -> Result<Vec<String>> {
    let mut all = workers.addresses.clone();
    if let Some(list) = &workers.list {
        all.extend(listed(list)?);
    }
    Ok(all)
}

/// An address in each line; `#` begins a comment.
fn listed(path: &Path) -> Result<Vec<String>> {
    let bad = |what: String| Error::new(ErrorCode::ConfigInvalid, format!("{}: {what}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| crate::cli::file_error("read", path, &error))?.len();
    if length > LIST_BYTES_MAX {
        return Err(bad("a list of workers is not that long".to_owned()));
    }
    let text = String::from_utf8(read(path)?).map_err(|_| bad("it is no text".to_owned()))?;
    let lines =
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
    let address = |line: &str| {
        if crate::config::is_worker_address(line) {
            Ok(line.to_owned())
        } else {
            Err(bad(format!("`{line}` is no address")))
        }
    };
    lines.map(address).collect()
}

/// Takes workers as they come and go, as long as there is a gate.
pub(super) async fn follow(pool: Weak<WorkerPool>, workers: Workers) {
    let (mut resolved, mut known) = (Resolved::default(), None);
    loop {
        resolved.look_up(&workers.names).await;
        let named = {
            let workers = workers.clone();
            tokio::task::spawn_blocking(move || named(&workers)).await.map_err(Error::internal).flatten()
        };
        let Some(pool) = pool.upgrade() else { return };
        let replaced = named.and_then(|mut found| {
            found.extend(resolved.addresses());
            if known.as_ref() != Some(&found) {
                pool.replace(&found)?;
                known = Some(found);
            }
            Ok(())
        });
        if let Err(error) = replaced {
            tracing::warn!(%error, detail = error.detail(), "the list of workers was not taken, the one before stays");
        }
        drop(pool);
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What names stand for. One that cannot be looked up stands for what it stood for before.
#[derive(Debug, Default)]
struct Resolved {
    found: BTreeMap<String, BTreeSet<SocketAddr>>,
    failing: BTreeSet<String>,
}

impl Resolved {
    async fn look_up(&mut self, names: &[String]) {
        for name in names {
            let answer = match timeout(LOOK_UP_TIMEOUT, tokio::net::lookup_host(name.as_str())).await {
                Ok(Ok(found)) => Ok(found.collect()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("it took longer than {LOOK_UP_TIMEOUT:?}")),
            };
            self.take(name, answer);
        }
    }

    fn take(&mut self, name: &str, answer: std::result::Result<BTreeSet<SocketAddr>, String>) {
        let answer = answer.and_then(|found| match found.len() {
            0 => Err("it stands for no address".to_owned()),
            1..=ADDRESSES_MAX => Ok(found),
            many => Err(format!("it stands for {many} addresses, more than {ADDRESSES_MAX}")),
        });
        match answer {
            Ok(found) => {
                self.failing.remove(name);
                self.found.insert(name.to_owned(), found);
            }
            Err(why) => {
                // Said once, and not every few seconds.
                if self.failing.insert(name.to_owned()) {
                    tracing::warn!(name, why, "workers cannot be looked up, those of before stay");
                }
            }
        }
    }

    fn addresses(&self) -> impl Iterator<Item = WorkerAddress> {
        self.found.iter().flat_map(|(name, found)| {
            found.iter().map(|address| WorkerAddress { name: name.clone(), resolved: Some(*address) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ports: std::ops::Range<u16>) -> BTreeSet<SocketAddr> {
        ports.map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect()
    }

    fn reached(resolved: &Resolved) -> Vec<String> {
        resolved.addresses().map(|address| format!("{}={}", address.name, address.reached())).collect()
    }

    #[test]
    fn a_name_stands_for_what_it_was_last_found_to_stand_for() {
        let mut resolved = Resolved::default();
        resolved.take("lake:7001", Err("no answer".to_owned()));
        assert!(reached(&resolved).is_empty() && resolved.failing.contains("lake:7001"));
        resolved.take("lake:7001", Ok(addresses(1..3)));
        resolved.take("pond:7001", Ok(addresses(7..8)));
        let all = ["lake:7001=10.0.0.1:1", "lake:7001=10.0.0.1:2", "pond:7001=10.0.0.1:7"];
        assert_eq!(reached(&resolved), all);
        assert!(resolved.failing.is_empty());
        for failed in [Err("no answer".to_owned()), Ok(BTreeSet::new()), Ok(addresses(0..1_001))] {
            resolved.take("lake:7001", failed);
            assert_eq!(reached(&resolved), all);
        }
        resolved.take("lake:7001", Ok(addresses(2..3)));
        assert_eq!(reached(&resolved), all[1..]);
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let mut resolved = Resolved::default();
        resolved.look_up(&["localhost:7001".to_owned(), "no-such-name.invalid:7001".to_owned()]).await;
        assert!(reached(&resolved).iter().any(|address| address == "localhost:7001=127.0.0.1:7001"));
        assert!(resolved.found.len() == 1 && resolved.failing.len() == 1);
    }
}
