//! One transaction's commit: all parts prepare, the decision is made durable, all parts do it. Until the decision everything is undone;
//! after it, nothing is.

use super::book::State;
use super::{Coordinator, Part, context, contributes, late, no_room, party};
use crate::log::{Entry, Party, Step, Unwritten};
use futures::future::join_all;
use querygate_driver_api::write::{CommitError, Fate, Prepare, PrepareError};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a client waits for sources to do what is decided. It is done whether they answer by then or not.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the parts that a session settles itself are left to it.
const OWN_TIME: Duration = Duration::from_secs(65);
/// How often the last party is asked at once what became of its commit.
const ASKS: u32 = 3;

/// Parts that are prepared, or as good as prepared.
struct Prepared {
    parts: Vec<Part>,
    /// The one whose commit is the decision.
    last: Option<Part>,
}

impl Coordinator {
    /// Commits the parts of a transaction, all or none, and waits a little until all sources have done so. To be run in a task that no
    /// caller's end ends.
    ///
    /// # Errors
    /// Why nothing is stored; 08007: it is not known yet whether everything is to be stored, or nothing.
    pub async fn commit(self: &Arc<Self>, number: u64, parts: Vec<Part>) -> Result<()> {
        if let Err(error) = self.stands() {
            join_all(parts.into_iter().map(|part| part.transaction.rollback())).await;
            return Err(error);
        }
        let (last, parts): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| contributes(&part.driver) == Prepare::Marker);
        self.book.begin(number, parts.iter().map(party).collect());
        let mut last = last.into_iter();
        let prepared = Prepared { parts, last: last.next() };
        let committed = match last.next() {
            None => self.decide(number, prepared).await,
            Some(_) => Err(self.abort(number, prepared, Error::internal("two parts commit last")).await),
        };
        let outcome = match &committed {
            Ok(()) => "committed",
            Err(error) if error.code() == ErrorCode::TransactionOutcomeUnknown => "unknown",
            Err(_) => "rolled back",
        };
        metrics::counter!("querygate_distributed_transactions_total", "outcome" => outcome).increment(1);
        committed
    }

    async fn decide(self: &Arc<Self>, number: u64, given: Prepared) -> Result<()> {
        let Prepared { parts, mut last } = self.prepare(number, given).await?;
        let parties: Vec<Party> = parts.iter().map(party).collect();
        if let Some(mut part) = last.take() {
            let id = self.id(number, part.branch);
            if let Err(error) = part.transaction.write_marker(&id).await {
                return Err(self.abort(number, Prepared { parts, last: Some(part) }, error).await);
            }
            return self.commit_last(number, parts, part, parties).await;
        }
        let step = Step::Commit { parties: parties.clone(), since_ms: now_ms() };
        match self.write(number, step).await {
            Ok(()) => {}
            Err(Unwritten::Refused(why)) => {
                let error = no_room().with_cause(why);
                return Err(self.abort(number, Prepared { parts, last: None }, error).await);
            }
            Err(Unwritten::Unknown(why)) => {
                // What is prepared waits for the next start, which reads what the disk has.
                self.book.change(number, |page| {
                    page.state = State::InDoubt;
                    page.error = Some(why.clone());
                });
                return Err(unknown(&why));
            }
        }
        self.settle_own(number, parts, parties).await;
        Ok(())
    }

    /// The commit of the last part is the decision.
    async fn commit_last(
        self: &Arc<Self>,
        number: u64,
        parts: Vec<Part>,
        last: Part,
        parties: Vec<Party>,
    ) -> Result<()> {
        let own = party(&last);
        let step = Step::Ask { last: own.clone(), parties: parties.clone(), since_ms: now_ms() };
        if let Err(Unwritten::Refused(why) | Unwritten::Unknown(why)) = self.write(number, step).await {
            // Should the record be there: the last party will say that it did not commit.
            return Err(self.abort(number, Prepared { parts, last: Some(last) }, no_room().with_cause(why)).await);
        }
        self.book.change(number, |page| page.marker = Some(own.clone()));
        let Part { driver, transaction, .. } = last;
        let fate = |_| async { self.ask_last(number, &driver, &own).await.ok() };
        match transaction.commit_asking(fate).await {
            Ok(()) => {
                self.note(number, Step::Commit { parties: parties.clone(), since_ms: now_ms() });
                self.settle_own(number, parts, parties).await;
                Ok(())
            }
            Err(CommitError::RolledBack(error)) => Err(self.abort(number, Prepared { parts, last: None }, error).await),
            Err(CommitError::Unknown(error, _)) => {
                self.book.change(number, |page| {
                    page.state = State::Asking(own);
                    page.error = Some(error.to_string());
                });
                drop(parts);
                self.wake.notify_one();
                Err(error)
            }
        }
    }

    /// What became of the last part, whose answer was lost.
    async fn ask_last(
        &self,
        number: u64,
        driver: &Arc<dyn querygate_driver_api::driver::Driver>,
        last: &Party,
    ) -> Result<Fate> {
        let id = self.id(number, last.branch);
        let writer = driver.writer().ok_or_else(|| Error::internal("a source without a writer took part"))?;
        let mut answer = Err(late());
        for attempt in 0..ASKS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            answer = writer.marker_fate(&id, &context()).await;
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    /// Prepares all parts but the last. Where one fails, all are undone.
    async fn prepare(self: &Arc<Self>, number: u64, given: Prepared) -> Result<Prepared> {
        let preparing = given.parts.into_iter().map(|mut part| {
            let id = self.id(number, part.branch);
            async move {
                let answer = part.transaction.prepare(&id).await;
                (part, answer)
            }
        });
        let (mut parts, mut lost, mut failed) = (Vec::new(), Vec::new(), None);
        for (part, answer) in join_all(preparing).await {
            match answer {
                Ok(()) => parts.push(part),
                Err(PrepareError::Refused(error)) => {
                    failed.get_or_insert(error);
                    parts.push(part);
                }
                Err(PrepareError::Unknown(error)) => {
                    failed.get_or_insert_with(|| {
                        Error::new(ErrorCode::SourceLost, "transaction was rolled back: a source of it does not answer")
                            .with_cause(&error)
                    });
                    // Whether it is prepared is found out in the background, now and once more later: what was sent may come late.
                    self.sweeps.look_again(&part.source);
                    lost.push(party(&part));
                }
            }
        }
        let prepared = Prepared { parts, last: given.last };
        match failed {
            None => Ok(prepared),
            Some(error) => Err(self.abort_with(number, prepared, lost, error).await),
        }
    }

    /// Undoes everything; gives back the error that it is undone for.
    async fn abort(self: &Arc<Self>, number: u64, prepared: Prepared, error: Error) -> Error {
        self.abort_with(number, prepared, Vec::new(), error).await
    }

    /// `lost`: parties of which it is not known whether they have prepared anything.
    async fn abort_with(
        self: &Arc<Self>,
        number: u64,
        prepared: Prepared,
        mut left: Vec<Party>,
        error: Error,
    ) -> Error {
        let undone = prepared.parts.into_iter().chain(prepared.last).map(|part| async move {
            let own = party(&part);
            part.transaction.rollback_prepared().await.is_err().then_some(own)
        });
        left.extend(join_all(undone).await.into_iter().flatten());
        for party in &left {
            self.sweeps.look_again(&party.source);
        }
        self.book.change(number, |page| page.marker = None);
        if left.is_empty() {
            self.finish(number);
        } else {
            self.book.decide(number, Fate::RolledBack, left, Duration::ZERO);
            self.wake.notify_one();
        }
        error
    }

    /// Has the parts do what is decided, and waits for a while. What is not done then is done later.
    async fn settle_own(self: &Arc<Self>, number: u64, parts: Vec<Part>, parties: Vec<Party>) {
        self.book.decide(number, Fate::Committed, parties, OWN_TIME);
        if parts.is_empty() {
            return self.finish(number);
        }
        let tasks: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let coordinator = Arc::clone(self);
                self.runtime.spawn(async move { coordinator.settle_part(number, part).await })
            })
            .collect();
        let _ = tokio::time::timeout(PATIENCE, join_all(tasks)).await;
    }

    async fn settle_part(self: Arc<Self>, number: u64, part: Part) {
        let own = party(&part);
        match part.transaction.commit_prepared().await {
            Ok(()) => {
                if self.book.settled(number, &own) {
                    self.finish(number);
                }
            }
            Err(CommitError::Unknown(error, _)) => self.leave(number, &error),
            Err(CommitError::RolledBack(error)) => {
                // Settling finds out what is there.
                tracing::error!(transaction = self.gid(number), source = %own.source, %error,
                    "a source does not commit what it had prepared");
                self.leave(number, &error);
            }
        }
    }

    /// Leaves the rest to the background.
    fn leave(&self, number: u64, error: &Error) {
        self.book.change(number, |page| page.error = Some(error.to_string()));
        self.book.hurry(number);
        self.wake.notify_one();
    }

    /// Everything is done.
    pub(super) fn finish(self: &Arc<Self>, number: u64) {
        let Some(page) = self.book.end(number) else { return };
        if page.is_logged {
            self.note(number, Step::End);
        }
        if let Some(marker) = page.marker {
            let coordinator = Arc::clone(self);
            self.runtime.spawn(async move { coordinator.forget(number, &marker).await });
        }
    }

    /// Removes the marker of a transaction that is over. One that stays does no harm.
    async fn forget(&self, number: u64, marker: &Party) {
        let Some(writer) = self.driver(&marker.source).and_then(|driver| driver.writer()) else { return };
        if let Err(error) = writer.forget_marker(&self.id(number, marker.branch), &context()).await {
            tracing::info!(transaction = self.gid(number), source = %marker.source, %error, "a marker stays");
        }
    }

    /// Returns when the step is on disk.
    pub(super) async fn write(&self, number: u64, step: Step) -> std::result::Result<(), Unwritten> {
        let log = self.log.get().ok_or_else(|| Unwritten::Refused("there is no log".to_owned()))?;
        let written = log.write(Entry { number, step }).await;
        // What may be there needs an end, too.
        if !matches!(written, Err(Unwritten::Refused(_))) {
            self.book.change(number, |page| page.is_logged = true);
        }
        written
    }

    pub(super) fn note(&self, number: u64, step: Step) {
        if let Some(log) = self.log.get() {
            log.note(Entry { number, step });
        }
    }
}

fn unknown(why: &str) -> Error {
    Error::new(ErrorCode::TransactionOutcomeUnknown, "it is not known whether the transaction was committed")
        .with_hint("It is committed or rolled back as a whole when the gate is started again.")
        .with_cause(why)
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
