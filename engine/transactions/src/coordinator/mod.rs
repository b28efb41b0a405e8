//! Who decides: numbers transactions across sources, says which sources may take part, commits them, and settles what was left alone.

mod book;
mod commit;
mod operator;
mod settle;
mod sweep;

pub use operator::Unsettled;

use crate::log::{DecisionLog, Found, LogPlace, Party};
use book::Book;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::{GateId, GlobalId, Prepare, Transaction};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sweep::Sweeps;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Transactions that are not settled, at most: then no more are begun.
const UNSETTLED_MAX: usize = 1_000;
/// How long what a source says of its part in such transactions is believed.
const OBSTACLES_LAST: Duration = Duration::from_secs(60);
/// How long a source has to answer what is asked of it in the background.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// The transactions of one gate that span several sources.
pub struct Coordinator {
    gate: GateId,
    next: AtomicU64,
    /// Nothing yet: there was no log, and not every source has said that nothing of this gate is prepared there.
    log: OnceLock<DecisionLog>,
    /// Where the log is to be, until it is.
    place: Mutex<Option<LogPlace>>,
    book: Book,
    sources: OnceLock<BTreeMap<Arc<str>, Arc<dyn Driver>>>,
    sweeps: Sweeps,
    obstacles: Mutex<BTreeMap<Arc<str>, (Instant, bool)>>,
    runtime: Handle,
    /// Something is to be settled.
    wake: Arc<Notify>,
}

/// A source's part of a transaction that is to be committed.
#[derive(Debug)]
pub struct Part {
    pub source: Arc<str>,
    pub driver: Arc<dyn Driver>,
    /// Its number in the transaction's ids.
    pub branch: u16,
    pub transaction: Transaction,
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Coordinator {
    /// Takes over a folder with the log of this gate. Nothing is settled before [`serve`](Self::serve).
    ///
    /// # Errors
    /// F0000: the folder cannot be used; another process uses it; its log is another gate's.
    pub fn open(folder: &Path, gate: GateId, runtime: Handle) -> Result<Arc<Self>> {
        let (log, place, entries) = match LogPlace::take(folder, &gate.to_string())?.open()? {
            Found::Log(log, entries) => (OnceLock::from(log), None, entries),
            Found::Nothing(place) => (OnceLock::new(), Some(place), Vec::new()),
        };
        // Numbers are never used twice: those of this start are above all that were given before in any life of this gate.
        let highest = entries.iter().map(|entry| entry.number).max().unwrap_or(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let next = u64::try_from(now).unwrap_or(u64::MAX / 2).max(highest.saturating_add(1));
        Ok(Arc::new(Self {
            gate,
            next: AtomicU64::new(next),
            log,
            place: Mutex::new(place),
            book: Book::of(entries),
            sources: OnceLock::new(),
            sweeps: Sweeps::default(),
            obstacles: Mutex::default(),
            runtime,
            wake: Arc::default(),
        }))
    }

    /// Begins to settle what earlier transactions left in these sources, and goes on while the coordinator lives.
    pub fn serve(self: &Arc<Self>, sources: impl IntoIterator<Item = (Arc<str>, Arc<dyn Driver>)>) {
        let writers = sources.into_iter().filter(|(_, driver)| driver.writer().is_some());
        let sources: BTreeMap<_, _> = writers.collect();
        self.sweeps
            .begin(sources.iter().filter(|(_, driver)| contributes(driver) == Prepare::Prepared).map(|(name, _)| name));
        if self.sources.set(sources).is_ok() {
            self.runtime.spawn(Self::keep_settling(Arc::downgrade(self), Arc::clone(&self.wake)));
        }
    }

    /// A number for a transaction, given once.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of a source's part.
    #[must_use]
    pub const fn id(&self, number: u64, branch: u16) -> GlobalId {
        GlobalId::new(self.gate, number, branch)
    }

    /// Whether these sources may be changed together. Asked before the second one is changed.
    ///
    /// # Errors
    /// 0A000: one of them cannot, or two can only be the last to commit. 53100: the log takes no decision. 55000: too much is not
    /// settled, or it is not known yet what is.
    pub async fn admit(&self, sources: &[(&Arc<str>, &Arc<dyn Driver>)]) -> Result<()> {
        self.stands()?;
        let mut markers = 0;
        for (_, driver) in sources {
            match contributes(driver) {
                Prepare::Prepared => {}
                Prepare::Marker => markers += 1,
                Prepare::No => return Err(unsupported()),
            }
        }
        if markers > 1 {
            return Err(
                unsupported().with_detail("Of the sources that cannot prepare a transaction, one can take part.")
            );
        }
        for (source, driver) in sources {
            if self.is_hindered(source, driver).await? {
                return Err(unsupported());
            }
        }
        Ok(())
    }

    /// Whether transactions can be decided now.
    fn stands(&self) -> Result<()> {
        let Some(log) = self.log.get() else {
            let text = "transactions of several sources are not taken yet: it is not known what is prepared in them";
            return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, text)
                .with_hint("An operator finds the reason in the log and in querygate.transactions."));
        };
        if log.is_broken() {
            return Err(
                no_room().with_hint("An operator finds the reason in the log; the gate is to be started again.")
            );
        }
        if self.book.len() >= UNSETTLED_MAX {
            let text = "too many transactions of several sources are not settled";
            return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, text)
                .with_hint("An operator finds them in querygate.transactions."));
        }
        Ok(())
    }

    /// Whether something in a source itself stands against its part, by what it said lately.
    async fn is_hindered(&self, source: &Arc<str>, driver: &Arc<dyn Driver>) -> Result<bool> {
        let known = lock(&self.obstacles).get(source).copied();
        if let Some((asked, hindered)) = known
            && asked.elapsed() < OBSTACLES_LAST
        {
            return Ok(hindered);
        }
        let writer = driver.writer().ok_or_else(|| Error::internal("a source without a writer was to take part"))?;
        let obstacles =
            tokio::time::timeout(ANSWER_TIME, writer.distributed_obstacles()).await.map_err(|_| late())??;
        for obstacle in &obstacles {
            tracing::warn!(%source, obstacle, "a source cannot be changed together with others");
        }
        lock(&self.obstacles).insert(Arc::clone(source), (Instant::now(), !obstacles.is_empty()));
        Ok(!obstacles.is_empty())
    }

    fn driver(&self, source: &str) -> Option<&Arc<dyn Driver>> {
        self.sources.get()?.get(source)
    }
}

/// What a source contributes.
fn contributes(driver: &Arc<dyn Driver>) -> Prepare {
    driver.writer().map_or(Prepare::No, |writer| writer.capabilities().prepare)
}

fn unsupported() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "a source of this transaction cannot be changed together with others")
        .with_hint("Commit what was changed in one source before another one is changed.")
}

fn no_room() -> Error {
    Error::new(ErrorCode::DiskFull, "the transactions' log takes no decision").with_detail("Nothing was changed.")
}

fn late() -> Error {
    Error::new(ErrorCode::SourceLost, "source does not answer")
}

/// What a source is asked with in the background.
fn context() -> ExecuteContext {
    ExecuteContext { deadline: Some(Instant::now() + ANSWER_TIME), ..ExecuteContext::default() }
}

fn party(part: &Part) -> Party {
    Party { source: Arc::clone(&part.source), branch: part.branch }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
