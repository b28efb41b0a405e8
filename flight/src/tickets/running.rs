//! Which flights are being fetched, so that a client can cancel them, which were cancelled, how far they are, and what is kept
//! for them. Knows no statement.

use crate::tickets::progress::{Place, Progress};
use crate::tickets::seal::{Id, later_ms, now_ms};
use crate::tickets::ticket::TicketBody;
use querygate_query_api::parts::Kept;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Cancelled flights remembered; beyond it the ones that expire first are forgotten.
const CANCELLED_MAX: usize = 10_000;
/// How long what a flight needs is kept after all of it was fetched: a source holds something for it.
const FETCHED_KEPT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Inner {
    fetched: HashMap<Id, Vec<(u64, CancellationToken)>>,
    /// Cancelled flights and when they expire.
    cancelled: HashMap<Id, u64>,
    progress: Progress,
    /// What flights need of their sources as long as their tickets are good.
    kept: HashMap<Id, (u64, Kept)>,
    next: u64,
}

/// Running fetches by flight.
#[derive(Debug, Default)]
pub(crate) struct Running {
    inner: Mutex<Inner>,
}

/// A running fetch; not registered any more once dropped.
#[derive(Debug)]
pub(crate) struct Fetch {
    running: Arc<Running>,
    ticket: Id,
    number: u64,
    /// Where it is counted, if anybody may ask.
    place: Option<Arc<Place>>,
    pub(crate) cancel: CancellationToken,
}

impl Fetch {
    /// So many rows more went out.
    pub(crate) fn sent(&self, rows: usize) {
        if let Some(place) = &self.place {
            place.sent(rows);
        }
    }

    /// All went out.
    pub(crate) fn complete(&self) {
        let Some(place) = &self.place else { return };
        place.complete();
        let inner = &mut *self.running.inner();
        if inner.progress.is_whole(&self.ticket)
            && let Some((expires_ms, _)) = inner.kept.get_mut(&self.ticket)
        {
            *expires_ms = later_ms(FETCHED_KEPT).min(*expires_ms);
        }
    }
}

impl Running {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a fetch, which ends with `parent` too. A cancelled flight's fetch is born cancelled.
    pub(crate) fn begin(self: &Arc<Self>, body: &TicketBody, parent: &CancellationToken) -> Fetch {
        let (ticket, cancel) = (body.name(), parent.child_token());
        let inner = &mut *self.inner();
        let place = inner.progress.begin(body);
        if inner.cancelled.contains_key(&ticket) {
            cancel.cancel();
        }
        inner.next += 1;
        let number = inner.next;
        inner.fetched.entry(ticket).or_default().push((number, cancel.clone()));
        Fetch { running: Arc::clone(self), ticket, number, place, cancel }
    }

    /// How much of a flight was fetched, between 0 and 1; `None`: nobody counted.
    pub(crate) fn progress(&self, body: &TicketBody) -> Option<f64> {
        self.inner().progress.of(body)
    }

    /// Keeps what a flight's tickets need until they expire.
    pub(crate) fn keep(&self, flight: Id, expires_ms: u64, kept: Kept) {
        self.inner().kept.insert(flight, (expires_ms, kept));
    }

    /// One of the flight's tickets expires later now.
    pub(crate) fn keep_longer(&self, flight: &Id, expires_ms: u64) {
        if let Some((expires, _)) = self.inner().kept.get_mut(flight) {
            *expires = expires_ms.max(*expires);
        }
    }

    /// Lets go of what no ticket needs any more. A fetch that runs has its own hold on its source.
    pub(crate) fn sweep(&self) {
        let now = now_ms();
        let gone: Vec<Kept> = {
            let kept = &mut self.inner().kept;
            let gone: Vec<Id> = kept.iter().filter(|(_, (expires, _))| *expires <= now).map(|(id, _)| *id).collect();
            gone.iter().filter_map(|id| kept.remove(id)).map(|(_, kept)| kept).collect()
        };
        // Ends connections, and not under the lock.
        drop(gone);
    }

    /// Ends the flight's fetches and refuses later ones. Returns at once.
    pub(crate) fn cancel(&self, ticket: Id, expires_ms: u64) {
        // Let go of after the lock: it may end connections.
        let _kept = self.forbid(ticket, expires_ms);
    }

    fn forbid(&self, ticket: Id, expires_ms: u64) -> Option<(u64, Kept)> {
        let inner = &mut *self.inner();
        for (_, token) in inner.fetched.get(&ticket).into_iter().flatten() {
            token.cancel();
        }
        if inner.cancelled.len() >= CANCELLED_MAX {
            let now = now_ms();
            inner.cancelled.retain(|_, expires| *expires > now);
        }
        if inner.cancelled.len() >= CANCELLED_MAX
            && let Some(first) = inner.cancelled.iter().min_by_key(|(_, expires)| **expires).map(|(id, _)| *id)
        {
            inner.cancelled.remove(&first);
        }
        inner.cancelled.insert(ticket, expires_ms);
        inner.kept.remove(&ticket)
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let inner = &mut *self.running.inner();
        if let Some(fetches) = inner.fetched.get_mut(&self.ticket) {
            fetches.retain(|(number, _)| *number != self.number);
            if fetches.is_empty() {
                inner.fetched.remove(&self.ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_ticket_ends_its_fetches_and_later_ones() {
        let (running, root) = (Arc::new(Running::default()), CancellationToken::new());
        let body = |id: u8| TicketBody { id: vec![id; 16].into(), ..TicketBody::default() };
        let (first, second, other) =
            (running.begin(&body(1), &root), running.begin(&body(1), &root), running.begin(&body(2), &root));
        running.cancel([1; 16], now_ms() + 1_000);
        assert!(first.cancel.is_cancelled() && second.cancel.is_cancelled() && !other.cancel.is_cancelled());
        assert!(running.begin(&body(1), &root).cancel.is_cancelled());
        drop((first, second, other));
        assert!(running.inner().fetched.is_empty());
    }

    #[test]
    fn what_a_flight_needs_is_kept_until_it_expires_or_is_cancelled() {
        let running = Running::default();
        let held: Vec<Arc<str>> = ["past", "future", "renewed", "cancelled"].map(Arc::from).to_vec();
        for (number, (held, expires)) in (0..).zip(held.iter().zip([0, u64::MAX, 0, u64::MAX])) {
            running.keep([number; 16], expires, Kept::new(Arc::new(Arc::clone(held))));
        }
        running.keep_longer(&[2; 16], u64::MAX);
        running.keep_longer(&[9; 16], u64::MAX);
        running.cancel([3; 16], u64::MAX);
        running.sweep();
        assert_eq!(held.iter().map(Arc::strong_count).collect::<Vec<_>>(), [1, 2, 2, 1]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let running = Running::default();
        for number in 0..CANCELLED_MAX as u64 + 500 {
            let mut id = Id::default();
            id[..8].copy_from_slice(&number.to_be_bytes());
            running.cancel(id, u64::MAX - number);
        }
        assert_eq!(running.inner().cancelled.len(), CANCELLED_MAX);
    }
}
