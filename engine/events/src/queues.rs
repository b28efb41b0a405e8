//! Transactions whose outcome is not published yet: in order, source by source, until their sources say what became of them. What outboxes
//! hold is moved to the log.

use crate::log::{Command, Fated, Id, Intent, Place, Rows, Settled, Writer, now, read_body};
use crate::outbox::{Message, Outbox};
use futures::future::BoxFuture;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::write::{Fate, TxMark};
use querygate_types::{Error, Result};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell, oneshot};
use tokio::time::Instant;

/// How long a source is asked what became of a transaction, and how often.
const ASKED_FOR: Duration = Duration::from_secs(60);
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// How often outboxes are looked at, and how long it is known what was moved from them, in microseconds.
const LOOKED_EVERY: Duration = Duration::from_secs(5);
const GATHERED_FOR: Duration = Duration::from_millis(200);
const FORGOTTEN_AFTER: u64 = 600_000_000;
/// As long it is known of what lies behind the rows that a look reads, should these never go.
const FORGOTTEN_BEHIND_AFTER: u64 = 6 * FORGOTTEN_AFTER;
/// Bytes of transactions that go from outboxes to the log and are not on disk there yet, at most; one goes in any case. Others stay in
/// their outboxes, where they are found again.
const MOVING_BYTES_MAX: usize = 64 << 20;
/// A transaction is held as it is stored, and as what is published of it.
const COPIES: usize = 2;

/// Asks a source, by its name, what became of a transaction.
pub type FateOf = Arc<dyn Fn(Arc<str>, TxMark) -> BoxFuture<'static, Result<Option<Fate>>> + Send + Sync>;

/// Bytes of a transaction that goes to the log.
struct Moving {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Transactions that were written down and not published yet, by source, in the order in which they were written.
pub(crate) struct Queues {
    pub(crate) writer: Writer,
    runtime: Handle,
    fate_of: OnceLock<FateOf>,
    waiting: Mutex<BTreeMap<Arc<str>, VecDeque<Waiting>>>,
    outboxes: BTreeMap<Arc<str>, SourceOutbox>,
    /// Bytes of what goes from outboxes to the log.
    moving: Arc<AtomicUsize>,
}

/// The outbox of a source, which is looked at when it is needed first.
struct SourceOutbox {
    table: String,
    driver: OnceLock<Arc<dyn Driver>>,
    outbox: OnceCell<Arc<Outbox>>,
    /// What was moved to the log and may be there still, and whether the log has it on disk.
    moved: Mutex<BTreeMap<Id, bool>>,
    /// Keys of rows that the log has on disk.
    done: Mutex<Vec<String>>,
    is_done: Arc<Notify>,
    left: Mutex<Left>,
}

/// Transactions that were left in an outbox because too much goes to the log. Those behind them are left too, so that they are published
/// in their order.
#[derive(Debug, Default, Clone, Copy)]
struct Left {
    is_behind: bool,
    /// How often one was.
    times: u64,
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: Id,
    pub(crate) kept: Kept,
    pub(crate) rows: Option<Rows>,
    /// Whether its source knows what became of it.
    pub(crate) is_known: bool,
    pub(crate) fated: Option<Fated>,
}

/// Where it is kept what a transaction changed.
#[derive(Debug)]
pub(crate) enum Kept {
    /// In the log, before it was committed.
    Log(Place),
    /// In its source, stored with it.
    Outbox { body: Vec<u8>, keys: Vec<String> },
}

pub(crate) fn fated(fate: Fate) -> Fated {
    match fate {
        Fate::Committed => Fated::Committed,
        Fate::RolledBack => Fated::RolledBack,
    }
}

impl Queues {
    /// `outboxes`: tables of sources, by their names. `published`: what a process before has published lastly.
    pub(crate) fn new(
        writer: Writer,
        runtime: Handle,
        outboxes: BTreeMap<String, String>,
        published: &VecDeque<Id>,
    ) -> Arc<Self> {
        let outbox = |(source, table): (String, String)| (source.into(), SourceOutbox::new(table, published));
        let outboxes = outboxes.into_iter().map(outbox).collect();
        Arc::new(Self {
            writer,
            runtime,
            fate_of: OnceLock::new(),
            waiting: Mutex::default(),
            outboxes,
            moving: Arc::default(),
        })
    }

    /// Says who is asked what became of a transaction, and begins to look at the outboxes of these sources.
    pub(crate) fn begin(self: &Arc<Self>, fate_of: FateOf, drivers: &[(String, Arc<dyn Driver>)]) {
        let _ = self.fate_of.set(fate_of);
        for (source, driver) in drivers {
            let Some((source, own)) = self.outboxes.get_key_value(source.as_str()) else { continue };
            let _ = own.driver.set(Arc::clone(driver));
            self.runtime.spawn(Self::follow(Arc::downgrade(self), Arc::clone(source)));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, VecDeque<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, source: &Arc<str>, waiting: Waiting) {
        self.waiting().entry(Arc::clone(source)).or_default().push_back(waiting);
    }

    /// Notes what became of a transaction, and hands over all of its source that wait for nothing before them any more.
    pub(crate) fn settle(self: &Arc<Self>, source: &Arc<str>, id: Id, fated: Fated) {
        let mut waiting = self.waiting();
        let Some(queue) = waiting.get_mut(source) else { return };
        if let Some(own) = queue.iter_mut().find(|own| own.id == id) {
            own.fated = Some(fated);
            if fated == Fated::RolledBack {
                own.rows = None;
            }
        }
        while let Some(Waiting { fated: Some(fated), .. }) = queue.front() {
            let fated = *fated;
            let Some(Waiting { id, kept, rows, is_known, .. }) = queue.pop_front() else { break };
            // Under the lock, so that no two threads hand over in another order.
            match kept {
                Kept::Log(place) => {
                    let intent = Intent::Written(place);
                    let is_here_alone = !is_known;
                    self.writer.send(Command::Settle(Settled { id, intent, fated, rows, is_here_alone, heard: None }));
                }
                Kept::Outbox { body, keys } => {
                    let is_left = || self.outboxes.get(source).is_some_and(SourceOutbox::leaves);
                    if fated == Fated::Committed && !is_left() {
                        self.move_to_log(source, Message { id, body, keys }, rows);
                    }
                    // What became of another is published by whether it is in its outbox, where it is looked for.
                }
            }
        }
        if queue.is_empty() {
            waiting.remove(source);
        }
    }

    /// Asks the source what became of a transaction until it says so, for a while.
    pub(crate) fn ask(self: &Arc<Self>, source: Arc<str>, id: Id, mark: Option<TxMark>) {
        let (Some(mark), Some(fate_of)) = (mark, self.fate_of.get().map(Arc::clone)) else {
            self.settle(&source, id, Fated::Uncertain);
            return;
        };
        let queues = Arc::clone(self);
        self.runtime.spawn(async move {
            let end = Instant::now() + ASKED_FOR;
            let fated = loop {
                if let Ok(Some(fate)) = fate_of(Arc::clone(&source), mark.clone()).await {
                    break fated(fate);
                }
                if Instant::now() >= end {
                    break Fated::Uncertain;
                }
                tokio::time::sleep(ASKED_EVERY).await;
            };
            queues.settle(&source, id, fated);
        });
    }
}

impl SourceOutbox {
    /// `published`: what a process before has published of lastly.
    fn new(table: String, published: &VecDeque<Id>) -> Self {
        let moved = Mutex::new(published.iter().map(|id| (*id, true)).collect());
        let (driver, outbox) = (OnceLock::new(), OnceCell::new());
        Self { table, driver, outbox, moved, done: Mutex::default(), is_done: Arc::default(), left: Mutex::default() }
    }

    fn moved(&self) -> MutexGuard<'_, BTreeMap<Id, bool>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a transaction that was committed just now is left in the outbox, as those before it are.
    fn leaves(&self) -> bool {
        let mut left = self.left();
        left.times += u64::from(left.is_behind);
        left.is_behind
    }

    fn done(&self) -> MutexGuard<'_, Vec<String>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away the rows that the log has on disk. What cannot be taken away now is met again.
    async fn take_away(&self) -> Result<()> {
        let keys = std::mem::take(&mut *self.done());
        if keys.is_empty() { Ok(()) } else { self.get().await?.remove(&keys).await }
    }

    async fn get(&self) -> Result<Arc<Outbox>> {
        let driver = self.driver.get().ok_or_else(|| Error::internal("a source with an outbox has no driver"))?;
        let made = || async { Outbox::of(driver, &self.table).await.map(Arc::new) };
        self.outbox.get_or_try_init(made).await.map(Arc::clone)
    }
}

impl Queues {
    /// The outbox of a source; `None`: it has none.
    pub(crate) async fn outbox(&self, source: &Arc<str>) -> Result<Option<Arc<Outbox>>> {
        match self.outboxes.get(source) {
            Some(own) => own.get().await.map(Some),
            None => Ok(None),
        }
    }

    /// Writes what an outbox has into the log, and takes it away from there afterwards; or leaves it where it is, while too much is on
    /// its way. Whether it goes.
    fn move_to_log(self: &Arc<Self>, source: &Arc<str>, message: Message, rows: Option<Rows>) -> bool {
        let Some(own) = self.outboxes.get(source) else { return false };
        let Message { id, body, keys } = message;
        let bytes = body.len().saturating_mul(COPIES);
        let before = self.moving.fetch_add(bytes, Ordering::AcqRel);
        let moving = Moving { bytes, all: Arc::clone(&self.moving) };
        if before > 0 && before.saturating_add(bytes) > MOVING_BYTES_MAX {
            let mut left = own.left();
            (left.is_behind, left.times) = (true, left.times + 1);
            return false;
        }
        match own.moved().entry(id) {
            Entry::Occupied(_) => return true,
            Entry::Vacant(place) => drop(place.insert(false)),
        }
        let (heard, written) = oneshot::channel();
        self.writer.send(Command::Settle(Settled {
            id,
            intent: Intent::Kept(body),
            fated: Fated::Committed,
            rows,
            // The source has it until it is written.
            is_here_alone: false,
            heard: Some(heard),
        }));
        let (queues, source) = (Arc::downgrade(self), Arc::clone(source));
        self.runtime.spawn(async move {
            let written = written.await;
            drop(moving);
            if written.is_err() {
                return;
            }
            if let Some(own) = queues.upgrade().as_ref().and_then(|queues| queues.outboxes.get(&source)) {
                own.moved().insert(id, true);
                own.done().extend(keys);
                own.is_done.notify_one();
            }
        });
        true
    }

    /// Looks for what transactions have left that this process does not know of: of one before, or whose outcome was lost.
    async fn follow(queues: Weak<Self>, source: Arc<str>) {
        let mut looked: Option<Instant> = None;
        loop {
            let Some(all) = queues.upgrade() else { return };
            let Some(own) = all.outboxes.get(&source) else { return };
            if let Err(error) = own.take_away().await {
                tracing::warn!(source = &*source, %error, "rows of an outbox are in the log and could not be taken away");
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOKED_EVERY) {
                looked = Some(Instant::now());
                match all.look(&source).await {
                    Ok(true) => {}
                    // The next look is as soon as some of what goes now is on disk.
                    Ok(false) => looked = None,
                    Err(error) => {
                        tracing::warn!(source = &*source, %error, "an outbox could not be read; it is tried again");
                    }
                }
            }
            let is_done = Arc::clone(&own.is_done);
            drop(all);
            // Several transactions are taken away at once.
            tokio::time::sleep(GATHERED_FOR).await;
            let _ = tokio::time::timeout(LOOKED_EVERY, is_done.notified()).await;
        }
    }

    /// Moves what an outbox has to the log, as much as one look reads. Whether another look at once would find nothing else: it read all, or
    /// nothing of it goes.
    async fn look(self: &Arc<Self>, source: &Arc<str>) -> Result<bool> {
        let (Some(own), Some(outbox)) = (self.outboxes.get(source), self.outbox(source).await?) else {
            return Ok(true);
        };
        let left = own.left().times;
        let (messages, is_all) = outbox.messages().await?;
        let (mut all_go, mut is_backlog) = (is_all, false);
        let there: BTreeSet<Id> = messages.iter().map(|message| message.id).collect();
        for message in messages {
            let moved = own.moved().get(&message.id).copied();
            match moved {
                Some(true) => {
                    // Another task may just have taken it away.
                    if let Err(error) = outbox.remove(&message.keys).await {
                        tracing::debug!(%error, "rows of an outbox could not be taken away");
                    }
                }
                Some(false) => {}
                None if self.is_waiting(source, message.id) => {}
                None => {
                    is_backlog = true;
                    let (rows, _) = read_body(&message.body)?;
                    if !self.move_to_log(source, message, Some(rows)) {
                        all_go = false;
                        break;
                    }
                }
            }
        }
        let mut behind = own.left();
        // More of what is not known here may follow: what is committed from now on goes behind that.
        behind.is_behind |= is_backlog && !is_all;
        // Whatever was left before the outbox was read was in it, and all of it goes.
        if all_go && behind.times == left {
            behind.is_behind = false;
        }
        drop(behind);
        let at = |before: u64| Id::new(now().saturating_sub(before), [0; 8]);
        let (horizon, behind_horizon) = (at(FORGOTTEN_AFTER), at(FORGOTTEN_BEHIND_AFTER));
        // Behind what was read there may be some that were moved and not taken away yet.
        let is_beyond = |id: &Id| !is_all && there.last().is_some_and(|last| id > last) && *id > behind_horizon;
        own.moved().retain(|id, _| there.contains(id) || *id > horizon || is_beyond(id));
        Ok(all_go || !is_backlog)
    }

    /// Whether a transaction waits for its outcome, or for those before it.
    fn is_waiting(&self, source: &Arc<str>, id: Id) -> bool {
        self.waiting().get(source).is_some_and(|queue| queue.iter().any(|own| own.id == id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{FileBounds, Recovered, SharedLog, recover};

    /// A log that cannot be written holds no more than its bound in memory, and goes on when it can.
    #[tokio::test(flavor = "multi_thread")]
    async fn too_much_on_its_way_to_the_log_stays_in_the_outbox() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("log");
        std::fs::create_dir(&directory).unwrap();
        let Recovered { state, .. } = recover(&directory).unwrap();
        let shared = Arc::new(SharedLog::new(directory.clone(), 1 << 20, state));
        // Each write begins a file, so that none succeeds without the folder.
        let bounds = FileBounds { segment_bytes: 0, size_max: 1 << 30, retention: Duration::from_secs(60) };
        let writer = Writer::start(shared, bounds, std::iter::empty()).unwrap();
        let outboxes = BTreeMap::from([("shop".to_owned(), "outbox".to_owned())]);
        let queues = Queues::new(writer, Handle::current(), outboxes, &VecDeque::new());
        std::fs::remove_dir_all(&directory).unwrap();

        let shop: Arc<str> = "shop".into();
        let moves = |n: u64| {
            let body = vec![0; MOVING_BYTES_MAX / COPIES / 4];
            let rows =
                Rows { source: Arc::clone(&shop), actor: "ada".into(), door: "pgwire".into(), changes: Vec::new() };
            let message = Message { id: Id::new(n, [0; 8]), body, keys: vec![n.to_string()] };
            queues.move_to_log(&shop, message, Some(rows))
        };
        assert_eq!((0..10).filter(|n| moves(*n)).count(), 4);
        assert_eq!(queues.moving.load(Ordering::Acquire), MOVING_BYTES_MAX);
        let own = queues.outboxes.get("shop").unwrap();
        assert!(own.leaves(), "what is committed later stays behind what was left");

        std::fs::create_dir(&directory).unwrap();
        let written = async {
            while queues.moving.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written).await.unwrap();
        assert!(moves(11));
    }
}
