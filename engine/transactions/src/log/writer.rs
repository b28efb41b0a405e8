//! The one thread that writes the decision log: what waits at the same time is put on disk at once. Rotates by copying what is open.

use super::record::{Entry, Step, encode};
use super::storage::{Storage, Unreplaced};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Records that are put on disk at once, at most.
const BATCH_MAX: usize = 256;
/// From this size on, what has ended is left behind.
pub(super) const ROTATE_AT: u64 = 1 << 20;
/// A log that holds so much of what is open takes no more.
pub(super) const SIZE_MAX: u64 = 64 << 20;
/// How long a full log is not copied again after that failed: a copy may be half as large, and all who commit wait for it.
const PAUSE: Duration = Duration::from_secs(5);

/// A record that is to be written.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) entry: Entry,
    /// Who waits until it is on disk; `None`: it may be lost.
    pub(super) waiter: Option<oneshot::Sender<Result<(), Unwritten>>>,
}

/// Why a record is not on disk, as far as it is known.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// It is not there, and will not be.
    Refused(String),
    /// It may be there.
    Unknown(String),
}

/// What the thread holds.
#[derive(Debug)]
pub(super) struct LogWriter<S> {
    pub(super) storage: S,
    pub(super) header: Vec<u8>,
    /// Bytes that are in the log, and known to be.
    pub(super) length: u64,
    /// The last record of each transaction that has not ended.
    pub(super) open: BTreeMap<u64, Vec<u8>>,
    /// What is on disk is not known any more: nothing is written again.
    pub(super) broken: Arc<AtomicBool>,
    pub(super) rotate_at: u64,
    /// Until when it is not copied again, should it be full. `None`: it may be at once.
    pub(super) paused_until: Option<Instant>,
    /// The place is this process' until the last record is written.
    pub(super) _lock: Option<File>,
}

impl<S: Storage> LogWriter<S> {
    /// Writes until the last of those who may append is gone.
    pub(super) fn run(mut self, appends: &Receiver<Append>) {
        while let Ok(first) = appends.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(next) = appends.try_recv()
            {
                batch.push(next);
            }
            self.write(batch);
        }
        // What may be lost need not be.
        let _ = self.storage.sync();
    }

    pub(super) fn write(&mut self, batch: Vec<Append>) {
        if self.length > SIZE_MAX && !self.is_broken() {
            self.make_room(&batch);
        }
        if self.is_broken() {
            return answer(batch, || Err(Unwritten::Refused("the decision log is broken".to_owned())));
        }
        if self.length > SIZE_MAX {
            return answer(batch, || {
                Err(Unwritten::Refused("the decision log is full of open transactions".to_owned()))
            });
        }
        let mut taken = Vec::with_capacity(batch.len());
        let mut bytes = Vec::new();
        for append in batch {
            match encode(&append.entry) {
                Ok(record) => {
                    bytes.extend(&record);
                    taken.push((append, record));
                }
                Err(error) => answer(vec![append], || Err(Unwritten::Refused(error.to_string()))),
            }
        }
        let durable = taken.iter().any(|(append, _)| append.waiter.is_some());
        let stored = self.storage.append(&bytes).and_then(|()| if durable { self.storage.sync() } else { Ok(()) });
        let batch = taken.into_iter();
        match stored {
            Ok(()) => {
                self.length += bytes.len() as u64;
                let batch = batch.map(|(append, record)| {
                    self.remember(&append.entry, record);
                    append
                });
                answer(batch.collect(), || Ok(()));
                self.rotate();
            }
            Err(error) => self.undo(batch.map(|(append, _)| append).collect(), &error),
        }
    }

    /// Takes back what was not written as a whole. Where that fails, too, it is not known what is there.
    fn undo(&mut self, batch: Vec<Append>, error: &io::Error) {
        let text = error.to_string();
        match self.storage.truncate(self.length) {
            Ok(()) => {
                tracing::error!(%error, "the decision log takes no record");
                answer(batch, || Err(Unwritten::Refused(text.clone())));
            }
            Err(second) => {
                self.broken.store(true, Ordering::Release);
                tracing::error!(%error, %second, "the decision log is broken: no more transactions across sources before a restart");
                answer(batch, || Err(Unwritten::Unknown(text.clone())));
            }
        }
    }

    fn remember(&mut self, entry: &Entry, record: Vec<u8>) {
        match entry.step {
            Step::End => drop(self.open.remove(&entry.number)),
            Step::Ask { .. } | Step::Commit { .. } | Step::Abort { .. } => {
                self.open.insert(entry.number, record);
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Leaves behind what has ended by the log or by these records, however long rotation was put off. That a record says so may be lost:
    /// where the one before it is found, it is found out again. After a copy that failed it takes a while until the next.
    fn make_room(&mut self, batch: &[Append]) {
        for append in batch {
            if append.entry.step == Step::End {
                self.open.remove(&append.entry.number);
            }
        }
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.rotate_at = self.rotate_at.min(SIZE_MAX);
        self.rotate();
    }

    fn rotate(&mut self) {
        let open: usize = self.open.values().map(Vec::len).sum();
        let kept = (self.header.len() + open) as u64;
        if self.length < self.rotate_at || kept.saturating_mul(2) > self.length {
            return;
        }
        let bytes: Vec<u8> = self.header.iter().chain(self.open.values().flatten()).copied().collect();
        match self.storage.replace(&bytes) {
            Ok(()) => self.length = kept,
            Err(Unreplaced::Kept(error)) => {
                tracing::warn!(%error, "the decision log is not rotated now");
                // Not again with every record.
                self.rotate_at = self.length.saturating_mul(2);
                self.paused_until = Some(Instant::now() + PAUSE);
            }
            Err(Unreplaced::Unknown(error)) => {
                self.broken.store(true, Ordering::Release);
                tracing::error!(%error, "the decision log is broken: no more transactions across sources before a restart");
            }
        }
    }
}

fn answer(batch: Vec<Append>, with: impl Fn() -> Result<(), Unwritten>) {
    for append in batch {
        if let Some(waiter) = append.waiter {
            // Who left hears of it at the next start.
            let _ = waiter.send(with());
        }
    }
}
