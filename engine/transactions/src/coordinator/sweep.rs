//! Looking for what is prepared in sources and is not in the book: it was never decided, so it is rolled back. Without a log that cannot
//! be known: then an operator decides.

use super::settle::answered;
use super::{Coordinator, context, lock};
use querygate_driver_api::write::{Fate, GlobalId};
use querygate_types::{ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The pause after a source did not answer.
const AGAIN: Duration = Duration::from_secs(5);
/// When what was sent to a source may have arrived at last.
const LATER: Duration = Duration::from_secs(90);

/// What is known of each source that prepares transactions.
#[derive(Debug, Default)]
pub(super) struct Sweeps(Mutex<BTreeMap<Arc<str>, Sweep>>);

#[derive(Debug)]
struct Sweep {
    /// When it is looked at; `None`: nothing is missing there.
    due: Option<Instant>,
    /// Looked at again after that.
    again: Option<Instant>,
    /// What it had at the last look; `None`: it has not.
    strays: Option<Vec<GlobalId>>,
}

impl Sweeps {
    /// Every source is looked at once after the start.
    pub(super) fn begin<'a>(&self, sources: impl Iterator<Item = &'a Arc<str>>) {
        let sweep = || Sweep { due: Some(Instant::now()), again: None, strays: None };
        lock(&self.0).extend(sources.map(|source| (Arc::clone(source), sweep())));
    }

    /// Something may be prepared there that is not in the book, now or a little later.
    pub(super) fn look_again(&self, source: &Arc<str>) {
        if let Some(sweep) = lock(&self.0).get_mut(source) {
            let now = Instant::now();
            sweep.due = Some(now + AGAIN);
            sweep.again = Some(now + LATER);
        }
    }

    /// All are looked at as soon as possible.
    pub(super) fn hurry(&self) {
        lock(&self.0).values_mut().for_each(|sweep| sweep.due = Some(Instant::now()));
    }

    /// It is looked at after a pause.
    fn at(&self, source: &Arc<str>, pause: Duration) {
        if let Some(sweep) = lock(&self.0).get_mut(source) {
            sweep.due = Some(Instant::now() + pause);
        }
    }

    fn take_due(&self) -> Vec<Arc<str>> {
        let now = Instant::now();
        let mut sweeps = lock(&self.0);
        let due = sweeps.iter_mut().filter(|(_, sweep)| sweep.due.is_some_and(|due| due <= now));
        due.map(|(source, sweep)| {
            sweep.due = None;
            Arc::clone(source)
        })
        .collect()
    }

    /// A source has answered. `None`: it has not.
    fn done(&self, source: &Arc<str>, strays: Option<Vec<GlobalId>>) {
        if let Some(sweep) = lock(&self.0).get_mut(source) {
            let next = match &strays {
                None => Some(Instant::now() + AGAIN),
                Some(left) if !left.is_empty() => Some(Instant::now() + AGAIN),
                Some(_) => sweep.again.take(),
            };
            sweep.due = sweep.due.or(next);
            sweep.strays = strays.or(sweep.strays.take());
        }
    }

    /// Whether every source has said that nothing is prepared there.
    fn are_clean(&self) -> bool {
        lock(&self.0).values().all(|sweep| sweep.strays.as_ref().is_some_and(Vec::is_empty))
    }

    /// What is prepared in sources and could not be ended, or may not be.
    pub(super) fn strays(&self) -> Vec<(Arc<str>, GlobalId)> {
        let of = |(source, sweep): (&Arc<str>, &Sweep)| {
            let strays = sweep.strays.iter().flatten().map(|id| (Arc::clone(source), *id));
            strays.collect::<Vec<_>>()
        };
        lock(&self.0).iter().flat_map(of).collect()
    }
}

impl Coordinator {
    /// Looks at the sources whose turn it is.
    pub(super) fn sweep_due(self: &Arc<Self>) {
        for source in self.sweeps.take_due() {
            let coordinator = Arc::clone(self);
            self.runtime.spawn(async move {
                let strays = coordinator.sweep(&source).await;
                if let Err(error) = &strays {
                    tracing::warn!(%source, %error, "it is not known what is prepared in a source");
                }
                coordinator.sweeps.done(&source, strays.ok());
                coordinator.begin_log();
                if coordinator.log.get().is_none() {
                    coordinator.sweeps.at(&source, AGAIN);
                }
            });
        }
    }

    /// Rolls back what a source has of this gate and the book has not. What is left of it.
    async fn sweep(&self, source: &Arc<str>) -> Result<Vec<GlobalId>> {
        let Some((driver, writer)) = self.driver(source).and_then(|driver| Some((driver, driver.writer()?))) else {
            return Ok(Vec::new());
        };
        let prepared = match answered(writer.prepared(self.gate, &context())).await {
            Err(error) if error.code() == ErrorCode::FeatureNotSupported => Vec::new(),
            prepared => prepared?,
        };
        // First the source, then the book: what has left the book by now was settled, and settling it again does nothing.
        let stray = prepared.into_iter().filter(|id| !self.book.has(id.number));
        if self.log.get().is_none() {
            return Ok(stray.collect());
        }
        let mut left = Vec::new();
        for id in stray {
            match self.settle_at(driver, id.number, id.branch, Fate::RolledBack).await {
                Ok(()) => {
                    tracing::info!(transaction = %id, %source, "what was prepared and never decided is rolled back")
                }
                Err(error) => {
                    tracing::warn!(transaction = %id, %source, %error, "what was prepared is not rolled back yet");
                    left.push(id);
                }
            }
        }
        Ok(left)
    }

    /// Makes the log where there was none, once no source has anything that it could have been about.
    pub(super) fn begin_log(&self) {
        if self.log.get().is_some() {
            return;
        }
        if !self.sweeps.are_clean() {
            let strays = self.sweeps.strays();
            if let Some((source, id)) = strays.first() {
                tracing::error!(
                    prepared = strays.len(), first = %id, %source,
                    "the transactions' log is missing, and something of this gate is prepared: resolve it, or bring the log back"
                );
            }
            return;
        }
        let mut place = lock(&self.place);
        let Some(known) = place.as_ref() else { return };
        match known.create() {
            Ok(log) => {
                if self.log.set(log).is_ok() {
                    *place = None;
                }
            }
            Err(error) => tracing::error!(%error, "transactions of several sources are not taken"),
        }
    }
}
