//! Where workers are, and for which address parts are sealed.

use std::net::SocketAddr;

/// A worker as the configuration calls it, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerAddress {
    /// `host:port`: what the worker calls itself, and whose host its certificate names.
    pub name: String,
    /// One of the addresses that the name stands for at present. `None`: the name stands for one worker, and is looked up with each
    /// connection.
    pub resolved: Option<SocketAddr>,
}

impl WorkerAddress {
    /// A name that stands for one worker.
    #[must_use]
    pub fn fixed(name: &str) -> Self {
        Self { name: name.to_owned(), resolved: None }
    }

    /// Where connections go.
    #[must_use]
    pub fn reached(&self) -> String {
        self.resolved.map_or_else(|| self.name.clone(), |address| address.to_string())
    }
}
