//! The way of records from statements to the learning thread: bounded, and never waited for.

use querygate_query_api::telemetry::StatementRecord;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What both ends count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) taken: AtomicU64,
    /// Found no room in the queue, or came after the end.
    pub(crate) dropped: AtomicU64,
    /// Single records that were left out of the file because many came at once; they are in the sums.
    pub(crate) thinned: AtomicU64,
    pub(crate) written: AtomicU64,
    /// Batches that the file did not take.
    pub(crate) failed: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// The statements' end.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Sender<StatementRecord>,
    counts: Arc<Counts>,
}

/// A queue with room for so many records.
pub(crate) fn queue(room: usize, counts: Arc<Counts>) -> (Queue, Receiver<StatementRecord>) {
    let (sender, receiver) = channel(room.max(1));
    (Queue { sender, counts }, receiver)
}

impl Queue {
    /// Hands a record over, or counts it as dropped.
    pub(crate) fn offer(&self, record: StatementRecord) {
        match self.sender.try_send(record) {
            Ok(()) => Counts::add(&self.counts.taken, 1),
            Err(_) => {
                Counts::add(&self.counts.dropped, 1);
                metrics::counter!("querygate_learning_dropped_total").increment(1);
            }
        }
    }

    /// Records that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}
