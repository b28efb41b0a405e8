//! The way of records from statements to the learning thread: bounded, and never waited for. Two lists are filled in turns, so that
//! in the long run a record costs no memory of the way itself. Beside it come the sums of sessions.

use super::gather::Gathering;
use querygate_telemetry_api::StatementRecord;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Records that a list keeps room for once it is empty again.
const ROOM_KEPT: usize = 4_096;

/// Records that wait when sessions begin to add up: the thread comes ten times a second.
const PRESSED_AT: usize = 64;

/// What both ends count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) taken: AtomicU64,
    /// Found no room in the queue, or came after the end.
    pub(crate) dropped: AtomicU64,
    /// Statements that have no record of their own in the file because many came at once; they are in the sums.
    pub(crate) thinned: AtomicU64,
    pub(crate) written: AtomicU64,
    /// Statements that sessions added up; they are among those taken.
    pub(crate) summed: AtomicU64,
    /// Batches that the file did not take.
    pub(crate) failed: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// What waits, and whether anybody will come for more.
#[derive(Debug, Default)]
struct Waiting {
    records: Vec<StatementRecord>,
    closed: bool,
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The statements' end.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Arc<Mutex<Waiting>>,
    pub(crate) gathering: Arc<Gathering>,
    room: usize,
    counts: Arc<Counts>,
}

/// The thread's end. Dropped, nothing is taken any more.
#[derive(Debug)]
pub(crate) struct Receiver {
    waiting: Arc<Mutex<Waiting>>,
    gathering: Arc<Gathering>,
    counts: Arc<Counts>,
}

/// A queue with room for so many records.
pub(crate) fn queue(room: usize, counts: Arc<Counts>) -> (Queue, Receiver) {
    let room = room.max(1);
    let records = Vec::with_capacity(room.min(ROOM_KEPT));
    let waiting = Arc::new(Mutex::new(Waiting { records, closed: false }));
    let gathering: Arc<Gathering> = Arc::default();
    let receiver =
        Receiver { waiting: Arc::clone(&waiting), gathering: Arc::clone(&gathering), counts: Arc::clone(&counts) };
    (Queue { waiting, gathering, room, counts }, receiver)
}

impl Queue {
    /// Hands a record over, or counts it as dropped.
    pub(crate) fn offer(&self, record: StatementRecord) {
        // What goes on is counted when it ends.
        let counted = u64::from(!record.under_way);
        let mut waiting = locked(&self.waiting);
        if !waiting.closed && waiting.records.len() < self.room {
            waiting.records.push(record);
            let waits = waiting.records.len();
            drop(waiting);
            if waits == PRESSED_AT {
                self.gathering.press();
            }
            Counts::add(&self.counts.taken, counted);
        } else {
            drop(waiting);
            Counts::add(&self.counts.dropped, counted);
            metrics::counter!("querygate_learning_dropped_total").increment(1);
        }
    }

    /// Records that wait.
    pub(crate) fn waiting(&self) -> usize {
        locked(&self.waiting).records.len()
    }
}

impl Receiver {
    /// Puts what waits behind `taken`. `spare` is an empty list, which the statements fill next.
    pub(crate) fn take(&self, taken: &mut Vec<StatementRecord>, spare: &mut Vec<StatementRecord>) {
        spare.shrink_to(ROOM_KEPT);
        std::mem::swap(&mut locked(&self.waiting).records, spare);
        taken.append(spare);
    }

    /// Puts what sessions added up behind `taken`.
    pub(crate) fn gather(&self, taken: &mut Vec<StatementRecord>) {
        self.gathered(taken, |taken| self.gathering.take(taken));
    }

    fn gathered(&self, taken: &mut Vec<StatementRecord>, take: impl FnOnce(&mut Vec<StatementRecord>)) {
        let before = taken.len();
        take(taken);
        let came = taken.get(before..).unwrap_or_default().iter().map(StatementRecord::runs).sum();
        Counts::add(&self.counts.taken, came);
        Counts::add(&self.counts.summed, came);
    }

    /// So many statements came within this time.
    pub(crate) fn came(&self, statements: u64, within: Duration) {
        self.gathering.came(statements, within);
    }

    /// From now on nothing is taken, but for what sessions have added up, which is put behind `taken`.
    pub(crate) fn close(&self, taken: &mut Vec<StatementRecord>) {
        locked(&self.waiting).closed = true;
        self.gathered(taken, |taken| self.gathering.close(taken));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        locked(&self.waiting).closed = true;
        let mut lost = Vec::new();
        self.gathering.close(&mut lost);
        Counts::add(&self.counts.dropped, lost.iter().map(StatementRecord::runs).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};

    #[test]
    fn sessions_are_to_add_up_as_soon_as_much_waits_and_until_little_comes() {
        let (queue, receiver) = queue(10_000, Arc::default());
        for (offered, pressed, came, stays) in [(63, false, 63, false), (64, true, 64, false), (70, true, 500, true)] {
            (0..offered).for_each(|n| queue.offer(statement("sam", n, 1, DAY)));
            assert_eq!(queue.gathering.is_pressed(), pressed, "{offered}");
            receiver.take(&mut Vec::new(), &mut Vec::new());
            receiver.came(came, Duration::from_secs(1));
            assert_eq!(queue.gathering.is_pressed(), stays, "{came}");
        }
    }

    #[test]
    fn lists_are_filled_in_turns_and_keep_their_room() {
        let (queue, receiver) = queue(10_000, Arc::default());
        let (mut taken, mut spare) = (Vec::new(), Vec::new());
        for round in 0..4 {
            (0..5_000).for_each(|n| queue.offer(statement("sam", round * 5_000 + n, 1, DAY)));
            receiver.take(&mut taken, &mut spare);
            assert_eq!((queue.waiting(), taken.len() as u64, spare.len()), (0, (round + 1) * 5_000, 0));
        }
        assert!(taken.iter().map(|record| record.fingerprint).eq(0..20_000), "in the order in which they came");
        receiver.take(&mut taken, &mut spare);
        let rooms = [locked(&queue.waiting).records.capacity(), spare.capacity()];
        assert!(rooms.iter().all(|room| (ROOM_KEPT..10_000).contains(room)), "{rooms:?}");
        receiver.close(&mut taken);
        queue.offer(statement("sam", 1, 1, DAY));
        assert_eq!((queue.waiting(), Counts::of(&queue.counts.dropped)), (0, 1));
    }
}
