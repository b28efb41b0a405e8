//! Connections that have not logged in, at every door: how many there are, how much memory they hold together, and which of them
//! gives way to who comes. Knows no socket and no protocol.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod crowd;
mod network;

use crowd::{Crowd, Place};
use futures::FutureExt as _;
use futures::channel::oneshot;
use network::Network;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes that all connections of all doors may hold together before their users are known.
pub const BYTES_MAX: usize = 32 << 20;

/// All that have not logged in, of all doors of a process: they share one bound on memory.
#[derive(Debug, Clone)]
pub struct Strangers(Arc<Mutex<Crowd>>);

impl Default for Strangers {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Strangers {
    /// Strangers who may hold this many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Crowd::new(bytes_max))))
    }

    /// The connections of one door, of which as many may have no user at a time; one at least.
    #[must_use]
    pub fn door(&self, most: usize) -> Arrivals {
        Arrivals { door: self.lock().add_door(most.max(1)), among: self.clone() }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(waker: Option<Waker>) {
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The connections of a door that have not logged in. A newcomer is always taken in: where the share is full, the network with the
/// most of them loses its oldest. So silent connections keep no one out, and a flood from one network takes that network's own places first.
#[derive(Debug, Clone)]
pub struct Arrivals {
    door: usize,
    among: Strangers,
}

impl Arrivals {
    /// Takes a connection in, until what this gives is dropped.
    #[must_use]
    pub fn admit(&self, peer: IpAddr) -> Arrival {
        let (sender, told) = oneshot::channel();
        let place = self.among.lock().admit(self.door, Network::of(peer), sender);
        Arrival { purse: Purse { among: self.among.clone(), place }, told }
    }
}

/// A connection that has not logged in, for as long as it lives.
#[derive(Debug)]
pub struct Arrival {
    purse: Purse,
    told: oneshot::Receiver<()>,
}

impl Arrival {
    /// Ends when the connection must go, so that another one can come. Can be asked again.
    pub async fn gives_way(&mut self) {
        poll_fn(|context| self.poll_gives_way(context)).await;
    }

    /// As the future above, for callers that poll.
    pub fn poll_gives_way(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Nothing is ever sent: the end of the other end is the word.
        self.told.poll_unpin(context).map(|_gone| ())
    }

    /// What the connection's memory is charged to.
    #[must_use]
    pub fn purse(&self) -> Purse {
        self.purse.clone()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let waker = self.purse.among.lock().remove(self.purse.place);
        Strangers::wake(waker);
    }
}

/// What the memory of a connection that has not logged in is charged to: before it is taken. All is given back when the arrival ends.
#[derive(Debug, Clone)]
pub struct Purse {
    among: Strangers,
    place: Place,
}

impl Purse {
    /// Waits until there is room for this number of bytes more; those who hold the most give way for it. Never ends for a connection that must
    /// go itself, and at once for one that is no stranger any more.
    pub async fn charge(&self, bytes: usize) {
        poll_fn(|context| self.poll_charge(context, bytes)).await;
    }

    /// As the future above, for callers that poll: charged once it is ready.
    pub fn poll_charge(&self, context: &mut Context<'_>, bytes: usize) -> Poll<()> {
        let (polled, waker) = self.among.lock().charge(self.place, bytes, context.waker());
        Strangers::wake(waker);
        polled
    }

    /// Gives some of what was charged back.
    pub fn give_back(&self, bytes: usize) {
        let waker = self.among.lock().give_back(self.place, bytes);
        Strangers::wake(waker);
    }
}

#[cfg(test)]
mod tests;
