//! What is done in the background: transactions whose session is gone, or did not wait, are settled, each source as often as it takes.

use super::book::{Page, State};
use super::{Coordinator, context, late};
use crate::log::{Party, Step};
use futures::future::join_all;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::write::{Fate, Settled};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often it is looked for what is to be done.
const LOOK: Duration = Duration::from_millis(250);
/// Transactions that are settled at a time.
const AT_ONCE: usize = 16;
/// From this age on, it is in the log and in the metrics.
const OLD: Duration = Duration::from_secs(60);
const TELL: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Looks for what is to be settled, for as long as the coordinator lives.
    pub(super) async fn keep_settling(coordinator: Weak<Self>, wake: Arc<Notify>) {
        let mut told = Instant::now();
        // With no source that prepares, nothing can have been left.
        if let Some(alive) = coordinator.upgrade() {
            alive.begin_log();
        }
        loop {
            let Some(alive) = coordinator.upgrade() else { return };
            alive.sweep_due();
            for number in alive.book.take_due(AT_ONCE) {
                let one = Arc::clone(&alive);
                alive.runtime.spawn(async move { one.settle(number).await });
            }
            if told.elapsed() > TELL {
                alive.tell_of_old();
                told = Instant::now();
            }
            drop(alive);
            let _ = tokio::time::timeout(LOOK, wake.notified()).await;
        }
    }

    fn tell_of_old(&self) {
        let old = self.book.older_than(OLD);
        #[expect(clippy::cast_precision_loss, reason = "a count that is bounded")]
        metrics::gauge!("querygate_transactions_unsettled").set(old.len() as f64);
        if let Some(first) = old.first() {
            tracing::warn!(
                transactions = old.len(),
                first = self.gid(*first),
                "transactions of several sources are not settled after a minute; they may hold locks in their sources"
            );
        }
    }

    /// Settles a transaction that was taken from the book, as far as its sources answer.
    pub(super) async fn settle(self: Arc<Self>, number: u64) {
        if let Some(page) = self.book.page(number)
            && let Some(fate) = self.fate(number, &page).await
        {
            let this = self.as_ref();
            let attempts = page.parties.iter().cloned().map(|party| async move {
                let settled = this.settle_party(number, &party, fate).await;
                (party, settled)
            });
            for (party, settled) in join_all(attempts).await {
                match settled {
                    Ok(()) => {
                        self.book.settled(number, &party);
                    }
                    Err(error) => {
                        self.book.change(number, |page| page.error = Some(format!("{}: {error}", party.source)))
                    }
                }
            }
            if self.book.page(number).is_some_and(|page| page.parties.is_empty()) {
                tracing::info!(transaction = self.gid(number), ?fate, "a transaction of several sources is settled");
                return self.finish(number);
            }
        }
        self.book.rest(number);
    }

    /// What is decided; `None`: that is not known yet.
    async fn fate(&self, number: u64, page: &Page) -> Option<Fate> {
        let last = match &page.state {
            State::Settling(fate) => return Some(*fate),
            State::Deciding | State::InDoubt => return None,
            State::Asking(last) => last,
        };
        match self.ask(number, last).await {
            Ok(fate) => {
                let (parties, since_ms) = (page.parties.clone(), super::commit::now_ms());
                // Lost, it is asked for again.
                self.note(
                    number,
                    match fate {
                        Fate::Committed => Step::Commit { parties, since_ms },
                        Fate::RolledBack => Step::Abort { parties, since_ms },
                    },
                );
                self.book.change(number, |page| {
                    page.state = State::Settling(fate);
                    if fate == Fate::RolledBack {
                        // It keeps a transaction that may still be there from committing.
                        page.marker = None;
                    }
                });
                Some(fate)
            }
            Err(error) => {
                self.book.change(number, |page| page.error = Some(format!("{}: {error}", last.source)));
                None
            }
        }
    }

    async fn ask(&self, number: u64, last: &Party) -> Result<Fate> {
        let writer = self.driver(&last.source).and_then(|driver| driver.writer()).ok_or_else(not_configured)?;
        let id = self.id(number, last.branch);
        answered(writer.marker_fate(&id, &context())).await
    }

    async fn settle_party(&self, number: u64, party: &Party, fate: Fate) -> Result<()> {
        let driver = self.driver(&party.source).ok_or_else(not_configured)?;
        self.settle_at(driver, number, party.branch, fate).await
    }

    pub(super) async fn settle_at(&self, driver: &Arc<dyn Driver>, number: u64, branch: u16, fate: Fate) -> Result<()> {
        let writer = driver.writer().ok_or_else(not_configured)?;
        let id = self.id(number, branch);
        match answered(writer.settle(&id, fate, &context())).await? {
            Settled::Done | Settled::Absent => Ok(()),
            Settled::Held => Err(Error::new(ErrorCode::LockNotAvailable, "a connection that has not ended holds it")),
        }
    }
}

/// A source's answer, where it comes in time: a driver keeps to its deadline, mostly.
pub(super) async fn answered<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(super::ANSWER_TIME * 2, answer).await.unwrap_or_else(|_| Err(late()))
}

fn not_configured() -> Error {
    Error::new(ErrorCode::SourceUnavailable, "the source is not configured, or not to be changed")
}
