//! What the engine calls: changes are written down before their commit, published afterwards in the order in which they were written, source by
//! source, and read by their followers. Judges no one.

use crate::claim::claim;
use crate::log::{
    Committed, Cursor, FileBounds, Id, Left, Recovered, Rows, SharedLog, Writer, now, read_intent, recover, written,
};
use crate::net::net;
use crate::options::EventOptions;
use crate::queues::{FateOf, Kept, Queues, Waiting, fated};
use crate::subscriptions::Registry;
use async_trait::async_trait;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::write::{ChangeJournal, Fate, Intended, Intention, Transaction, TxMark};
use querygate_types::{Error, ErrorCode, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::runtime::Handle;

/// How far ahead a sequence may be, in microseconds: a clock may have been set back.
const CLOCKS_DIFFER: u64 = 60_000_000;

/// The events of a gate.
#[derive(Debug)]
pub struct Events {
    shared: Arc<SharedLog>,
    queues: Arc<Queues>,
    pub(crate) registry: Registry,
    options: EventOptions,
    /// Objects whose changes are kept for their history, followed or not.
    tracked: RwLock<BTreeSet<String>>,
    left: Mutex<Vec<Left>>,
    random: SystemRandom,
    /// Keeps other processes from the folder.
    _lock: File,
}

impl Events {
    /// Opens the log, as far as it was written whole. What was about to be committed when the last process ended waits for
    /// [`begin`](Self::begin). `outboxes`: tables of sources, by their names.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub fn open(options: EventOptions, outboxes: BTreeMap<String, String>, runtime: Handle) -> Result<Arc<Self>> {
        let unusable = |why: &dyn std::fmt::Display| {
            Error::new(ErrorCode::ConfigInvalid, format!("the folder of [events] cannot be used: {why}"))
        };
        let lock = claim(&options.directory, "events")?;
        let Recovered { state, left, published } = recover(&options.directory)?;
        let shared = Arc::new(SharedLog::new(options.directory.clone(), options.memory_max, state));
        let bounds = FileBounds {
            segment_bytes: options.segment_bytes(),
            size_max: options.size_max,
            retention: options.retention,
        };
        let places = left.iter().map(|left| left.place);
        let writer = Writer::start(Arc::clone(&shared), bounds, places).map_err(|error| unusable(&error))?;
        let queues = Queues::new(writer, runtime, outboxes, &published);
        Ok(Arc::new(Self {
            registry: Registry::new(options.subscriptions_max, options.subscriptions_per_user_max),
            shared,
            queues,
            options,
            tracked: RwLock::default(),
            left: Mutex::new(left),
            random: SystemRandom::new(),
            _lock: lock,
        }))
    }

    /// Settles what was about to be committed when the last process ended, by what its sources say. Before the first change. `drivers`:
    /// sources that have an outbox, by their names.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn begin(&self, fate_of: FateOf, drivers: &[(String, Arc<dyn Driver>)]) -> Result<()> {
        self.queues.begin(fate_of, drivers);
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for Left { id, place } in left {
            let (rows, mark) = read_intent(&self.shared.directory, place)?;
            let source = Arc::clone(&rows.source);
            tracing::info!(source = &*source, "a transaction was about to be committed when the last process ended");
            let (kept, is_known) = (Kept::Log(place), mark.is_some());
            self.queues.add(&source, Waiting { id, kept, rows: Some(rows), is_known, fated: None });
            self.queues.ask(source, id, mark.map(TxMark::new));
        }
        Ok(())
    }

    /// Keeps changes of these objects, too, from now on. They are not followed for it.
    pub fn track(&self, objects: BTreeSet<String>) {
        *self.tracked.write().unwrap_or_else(PoisonError::into_inner) = objects;
    }

    /// Whether changes of an object may be followed.
    #[must_use]
    pub fn is_followed(&self, object: &str) -> bool {
        self.options.objects.has(object)
    }

    /// Waits until what was settled so far is on disk, as far as it can be written. Gives the sequence of what came last.
    pub async fn flush(&self) -> u64 {
        self.queues.writer.flush().await;
        self.last()
    }

    /// Where a reader begins who wants all that is kept.
    #[must_use]
    pub fn oldest(&self) -> Cursor {
        Cursor::after(self.floor())
    }

    /// Up to this sequence, what came may be forgotten.
    pub(crate) fn floor(&self) -> u64 {
        self.shared.state().floor
    }

    /// What events are kept.
    #[must_use]
    pub fn options(&self) -> &EventOptions {
        &self.options
    }

    /// The sequence of what came last; 0: nothing came.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.shared.last()
    }

    /// Where a reader begins who wants what comes after a sequence; `None`: what comes from now on.
    ///
    /// # Errors
    /// 55000: it is no longer kept. 22023: it is none that was given out by now.
    pub fn cursor(&self, after: Option<u64>) -> Result<Cursor> {
        let Some(after) = after else { return Ok(Cursor::after(self.last())) };
        // A sequence is a time: one of the future was never given out. What came last is not published by this.
        if after > now().saturating_add(CLOCKS_DIFFER) && after > self.last() {
            return Err(Error::new(ErrorCode::InvalidParameterValue, "the sequence is none that was given out"));
        }
        // Nothing that is still to come is passed over.
        let after = if after > self.last() { after.min(now()) } else { after };
        let cursor = Cursor::after(after);
        self.shared.admits(&cursor)?;
        Ok(cursor)
    }

    /// What came after a reader's sequence, in order; waits until something does.
    ///
    /// # Errors
    /// 55000: it is no longer kept.
    pub async fn next(&self, cursor: &mut Cursor) -> Result<Vec<Arc<Committed>>> {
        self.shared.next(cursor).await
    }

    /// Moves a reader that was given everything to the time of now. `None`: it has something to read.
    pub fn reached(&self, cursor: &mut Cursor) -> Option<u64> {
        self.shared.reached(cursor, now())
    }

    /// Writes down what is still to be written, within a bound.
    pub fn close(&self) {
        self.queues.writer.close();
    }

    async fn write_down(&self, intention: Intention, transaction: &mut Transaction) -> Result<Box<dyn Intended>> {
        let full = || {
            Error::new(ErrorCode::DiskFull, "change cannot be written to the event log")
                .with_detail("Nothing was changed.")
                .with_hint("An operator finds the reason in the log.")
        };
        let Intention { source, actor, door, mark, changes } = intention;
        let rows = Rows { source: Arc::clone(&source), actor, door, changes: net(changes)? };
        if rows.changes.is_empty() {
            return Ok(Box::new(Nothing));
        }
        let body = written(&rows, mark.as_ref().map(TxMark::as_str))?;
        let mut random = [0; 8];
        self.random.fill(&mut random).map_err(|_| Error::internal("the system gives no random numbers"))?;
        let id = Id::new(now(), random);
        let kept = match self.queues.outbox(&source).await? {
            None => Kept::Log(self.queues.writer.intend(id, body).await.ok_or_else(full)?),
            Some(outbox) => {
                let keys = outbox.put(transaction, id, &body).await?;
                Kept::Outbox { body, keys }
            }
        };
        let is_known = mark.is_some();
        self.queues.add(&source, Waiting { id, kept, rows: Some(rows), is_known, fated: None });
        Ok(Box::new(WrittenDown { queues: Arc::clone(&self.queues), source, id, mark, is_settled: false }))
    }
}

#[async_trait]
impl ChangeJournal for Events {
    fn takes(&self, object: &str) -> bool {
        self.is_followed(object) || self.tracked.read().unwrap_or_else(PoisonError::into_inner).contains(object)
    }

    async fn intend(&self, intention: Intention, transaction: &mut Transaction) -> Result<Box<dyn Intended>> {
        match self.write_down(intention, transaction).await {
            Err(error) if !self.options.required && !transaction.has_failed() => {
                metrics::counter!("querygate_events_dropped_total").increment(1);
                tracing::error!(cause = error.message(), "a change is committed that is not in the event log");
                Ok(Box::new(Nothing))
            }
            written => written,
        }
    }
}

/// A transaction of which nothing is published.
#[derive(Debug)]
struct Nothing;

impl Intended for Nothing {
    fn settle(self: Box<Self>, _fate: Option<Fate>) {}
}

/// A transaction that was written down.
#[derive(Debug)]
struct WrittenDown {
    queues: Arc<Queues>,
    source: Arc<str>,
    id: Id,
    mark: Option<TxMark>,
    is_settled: bool,
}

impl WrittenDown {
    fn end(&mut self, fate: Option<Fate>) {
        self.is_settled = true;
        match fate {
            Some(fate) => self.queues.settle(&self.source, self.id, fated(fate)),
            None => self.queues.ask(Arc::clone(&self.source), self.id, self.mark.take()),
        }
    }
}

impl Intended for WrittenDown {
    fn settle(mut self: Box<Self>, fate: Option<Fate>) {
        self.end(fate);
    }
}

impl Drop for WrittenDown {
    fn drop(&mut self) {
        if !self.is_settled {
            self.end(None);
        }
    }
}

#[cfg(test)]
mod tests;
