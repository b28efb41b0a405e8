//! Field history: old and new values of tracked fields, taken from the log of committed transactions into a store of their own, where they
//! are found by record. What is kept here is raw, and only the engine gives it out.

mod projection;
mod store;

use crate::claim::claim;
use crate::journal::Events;
use crate::log::{Committed, Cursor};
use projection::keep_tracked;
use querygate_driver_api::write::{ChangeOp, RowsChanged};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long a reader waits for what was committed before it asked.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon what could not be stored is tried again, and how often what is too old is looked for.
const RETRY: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Tracked fields by object. An object is here if its key is one field.
pub type Tracked = BTreeMap<String, BTreeSet<String>>;

/// Where history is kept, for how long.
#[derive(Debug, Clone)]
pub struct HistoryOptions {
    /// Folder of the store.
    pub directory: PathBuf,
    /// Age at which it is forgotten.
    pub retention: Duration,
    /// Bytes of the store; the oldest is forgotten before.
    pub size_max: u64,
}

impl HistoryOptions {
    /// Defaults for a folder.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory, retention: Duration::from_secs(365 * 86_400), size_max: 1 << 30 }
    }
}

/// What happened to one record in one transaction. Its rows are raw: nothing of them goes to anybody unjudged.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Its place in the store: what came later has a greater one.
    pub number: i64,
    /// The value of the record's key, as a text.
    pub key: String,
    /// Microseconds since 1970 at which the transaction was published.
    pub sequence: u64,
    /// The transaction's number, which no other has.
    pub transaction: String,
    /// Whether its source did not know what became of it.
    pub uncertain: bool,
    /// Id of the user whose it was.
    pub actor: Arc<str>,
    /// Through which door it came.
    pub door: Arc<str>,
    /// The tracked fields of the record and of others that changed with it, and the key.
    pub change: Arc<RowsChanged>,
    /// Its row there.
    pub row: usize,
}

/// Records that may be named to one page.
pub const HISTORY_KEYS_MAX: usize = store::KEYS_MAX;

/// Takes bytes for a page from its reader, before they are read.
pub type PageRoom<'a> = &'a (dyn Fn(usize) -> Result<()> + Send + Sync);

/// Some entries, record by record, and of each in order.
#[derive(Debug)]
pub struct HistoryPage {
    /// At least one, unless there are no more or they were forgotten while they were read.
    pub entries: Vec<HistoryEntry>,
    /// The record and the place behind which to go on; `None`: there are no more.
    pub behind: Option<(String, i64)>,
}

/// The history of a gate.
#[derive(Debug)]
pub struct History {
    events: Arc<Events>,
    store: Store,
    tracked: RwLock<Arc<Tracked>>,
    /// The last sequence that is stored.
    stored: watch::Sender<u64>,
    /// Keeps other processes from the folder.
    _lock: File,
}

impl History {
    /// Opens the store.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub async fn open(options: HistoryOptions, events: Arc<Events>) -> Result<Arc<Self>> {
        let unusable = |why: &dyn std::fmt::Display| {
            Error::new(ErrorCode::ConfigInvalid, format!("the folder of [history] cannot be used: {why}"))
        };
        let lock = claim(&options.directory, "history")?;
        let store = Store::open(&options).await.map_err(|error| unusable(&error))?;
        let (stored, _) = watch::channel(store.position().await?);
        Ok(Arc::new(Self { events, store, tracked: RwLock::default(), stored, _lock: lock }))
    }

    /// Says which fields are tracked from now on.
    pub fn track(&self, tracked: Tracked) {
        self.events.track(tracked.keys().cloned().collect());
        *self.tracked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tracked);
    }

    /// Which fields are tracked.
    #[must_use]
    pub fn tracked(&self) -> Arc<Tracked> {
        Arc::clone(&self.tracked.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores what the log has and what comes, for as long as anybody has the history.
    pub fn begin(self: &Arc<Self>, runtime: &Handle) {
        runtime.spawn(follow(Arc::downgrade(self), Arc::clone(&self.events)));
    }

    /// Waits, within a bound, until what was committed so far is stored.
    pub async fn catch_up(&self) {
        let last = self.events.flush().await;
        let mut stored = self.stored.subscribe();
        let reached = tokio::time::timeout(PATIENCE, stored.wait_for(|stored| *stored >= last)).await;
        if !matches!(reached, Ok(Ok(_))) {
            tracing::warn!("field history is behind what was committed");
        }
    }

    /// What happened to records of an object that are there, record by record, and of each in order: at most `count`, and no more than
    /// some bytes, behind a record and a place. `keys`: of these records alone, at most [`HISTORY_KEYS_MAX`]. A record that was removed and
    /// made again is another one.
    ///
    /// # Errors
    /// Those of `room`. Internal: the store cannot be read, or there are too many keys.
    pub async fn page(
        &self,
        object: &str,
        keys: Option<&[String]>,
        behind: Option<(&str, i64)>,
        count: usize,
        room: PageRoom<'_>,
    ) -> Result<HistoryPage> {
        self.store.page(object, keys, behind, count, room).await
    }

    async fn take(&self, committed: &[Arc<Committed>]) -> Result<()> {
        let tracked = self.tracked();
        let Some(last) = committed.last().map(|committed| committed.sequence) else { return Ok(()) };
        let mut entries = Vec::new();
        for committed in committed {
            let mut part = 0;
            for change in &committed.changes {
                let Some(fields) = tracked.get(&*change.object) else { continue };
                for change in keep_tracked(change, fields)? {
                    entries.push((Arc::clone(committed), part, change));
                    part += 1;
                }
            }
        }
        self.store.add(&entries, last).await?;
        self.stored.send_replace(last);
        Ok(())
    }
}

/// Reads the log behind what is stored. What could not be stored is tried again: nothing is left out.
async fn follow(history: Weak<History>, events: Arc<Events>) {
    let Some(stored) = history.upgrade().map(|history| *history.stored.borrow()) else { return };
    let mut cursor = Cursor::after(stored);
    let mut forget_at = tokio::time::Instant::now();
    loop {
        let before = cursor;
        let next = tokio::time::timeout(RETRY, events.next(&mut cursor)).await;
        let Some(history) = history.upgrade() else { return };
        if tokio::time::Instant::now() >= forget_at {
            forget_at = tokio::time::Instant::now() + FORGET_EVERY;
            if let Err(error) = history.store.forget().await {
                failed(&error);
            }
        }
        let taken = match next {
            Err(_) => continue,
            Ok(Ok(committed)) => history.take(&committed).await,
            Ok(Err(error)) if error.code() == ErrorCode::AdminShutdown => return,
            Ok(Err(error)) if error.code() == ErrorCode::ObjectNotInPrerequisiteState => {
                if before.after > 0 {
                    metrics::counter!("querygate_history_gaps_total").increment(1);
                    tracing::error!("the event log has forgotten what field history had not taken yet");
                }
                cursor = events.oldest();
                continue;
            }
            Ok(Err(error)) => Err(error),
        };
        if let Err(error) = taken {
            failed(&error);
            cursor = before;
            drop(history);
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn failed(error: &Error) {
    metrics::counter!("querygate_history_errors_total").increment(1);
    tracing::error!(%error, cause = error.cause(), "field history cannot be stored");
}

/// What was done, as the store has it.
const fn operation(operation: ChangeOp) -> i64 {
    match operation {
        ChangeOp::Insert => 1,
        ChangeOp::Update => 2,
        ChangeOp::Delete => 3,
    }
}

#[cfg(test)]
mod tests;
