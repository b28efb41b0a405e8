//! What a connection and those who answer its requests tell each other: whether a request came whole, and whether it is a user's.

use futures::task::AtomicWaker;
use querygate_arrivals::{Arrival, Purse};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Tie>);

#[derive(Debug)]
struct Tie {
    /// Whether the headers of the request have come.
    begun: AtomicBool,
    /// Whether the request that it is about has come whole: from then on it is ours to answer.
    whole: AtomicBool,
    /// Whether a user has sent a request by it.
    of_user: AtomicBool,
    /// Its place among those that no user has sent a request by.
    arrival: Mutex<Option<Arrival>>,
    purse: Purse,
    /// Charged for an answer that may not have been taken yet.
    answer_bytes: AtomicUsize,
    reader: AtomicWaker,
}

impl Connection {
    pub(crate) fn new(arrival: Arrival) -> Self {
        let purse = arrival.purse();
        Self(Arc::new(Tie {
            begun: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            of_user: AtomicBool::new(false),
            arrival: Mutex::new(Some(arrival)),
            purse,
            answer_bytes: AtomicUsize::new(0),
            reader: AtomicWaker::new(),
        }))
    }

    /// By its headers, a request is a user's: what it sends is bounded and charged as a user's from now on.
    pub fn is_users(&self) {
        if !self.0.of_user.swap(true, Ordering::AcqRel) {
            drop(self.0.arrival.lock().unwrap_or_else(PoisonError::into_inner).take());
            self.0.reader.wake();
        }
    }

    pub(crate) fn was_users(&self) -> bool {
        self.0.of_user.load(Ordering::Acquire)
    }

    pub(crate) fn has_begun(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn had_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn is_whole(&self) {
        self.0.whole.store(true, Ordering::Relaxed);
    }

    pub(crate) fn begins_anew(&self) {
        self.0.begun.store(false, Ordering::Relaxed);
        self.0.whole.store(false, Ordering::Relaxed);
    }

    pub(crate) fn was_whole(&self) -> bool {
        self.0.whole.load(Ordering::Relaxed)
    }

    /// Whether it must go so that others can come; asked while it is its client's turn.
    pub(crate) fn poll_gives_way(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.0.arrival.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(arrival) => arrival.poll_gives_way(context),
            None => Poll::Pending,
        }
    }

    /// Has the reader woken when the connection is a user's.
    pub(crate) fn reads(&self, context: &Context<'_>) {
        self.0.reader.register(context.waker());
    }

    pub(crate) fn purse(&self) -> &Purse {
        &self.0.purse
    }

    /// Charges an answer to a stranger, before it is sent. `false`: the connection must go instead.
    pub(crate) async fn charge_answer(&self, bytes: usize) -> bool {
        if self.was_users() {
            return true;
        }
        let charged = std::future::poll_fn(|context| {
            if self.0.purse.poll_charge(context, bytes).is_ready() {
                return Poll::Ready(true);
            }
            self.poll_gives_way(context).map(|()| false)
        });
        let charged = charged.await;
        if charged {
            self.0.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        charged
    }

    /// The answer was taken, as far as anybody can see: the next request has begun.
    pub(crate) fn answer_was_taken(&self) {
        let bytes = self.0.answer_bytes.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            self.0.purse.give_back(bytes);
        }
    }
}
