//! Who holds how many connections of a source: a share of them for a session and for a user, and back to others who wait from a
//! result that is not being read. Knows no kind of source: a driver tells how many connections it has.

use crate::snapshot_quota::{HeldSnapshot, SnapshotQuota};
use crate::transaction_block::{BranchRead, TransactionBlock};
use datafusion::execution::memory_pool::MemoryPool;
use futures::{FutureExt, Stream, StreamExt};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::pool::PoolStatus;
use querygate_driver_api::value::Value;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often one who waits looks at how the others do.
const LOOK: Duration = Duration::from_millis(100);
/// A statement that holds connections already gets another one beyond its share after so long: it may be waiting for itself alone.
const OWN_WAIT: Duration = Duration::from_secs(2);
/// As soon as it has asked none of its results for more for so long: it waits for this one before it reads those.
const UNREAD: Duration = Duration::from_millis(5);
/// For how long a result rests before a next one of its user is refused, where connections are never taken back.
const REFUSED_AFTER: Duration = Duration::from_secs(5);

/// Share that one user has of the snapshots that a source keeps.
const MOMENTS_PER_USER: f64 = 0.25;

/// What may be held of a source's connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareBounds {
    /// Share that all statements of one user hold, from 0 to 1; one connection at least.
    pub per_user: f64,
    /// Share that all statements of one session hold.
    pub per_session: f64,
    /// How long a result that is not being read keeps a connection for which others wait; `None`: as long as it lasts.
    pub rest_max: Option<Duration>,
}

impl Default for ShareBounds {
    fn default() -> Self {
        Self { per_user: 0.75, per_session: 0.5, rest_max: Some(Duration::from_secs(5)) }
    }
}

/// The connections that statements hold of all sources.
#[derive(Debug)]
pub struct SourceShares {
    bounds: ShareBounds,
    /// By source.
    held: Mutex<HashMap<Arc<str>, Vec<Arc<Lease>>>>,
    /// What sources keep for users.
    snapshots: Arc<SnapshotQuota>,
    /// Notified when one is given back.
    given_back: Notify,
}

/// A statement that runs: whose it is, and whether somebody reads its result. In the engine's configuration.
#[derive(Debug)]
pub struct Holder {
    shares: Arc<SourceShares>,
    login: Box<str>,
    session: u64,
    /// The transaction block that it runs in, with the account that pays for rows which are read there.
    block: Option<(Arc<TransactionBlock>, Arc<dyn MemoryPool>)>,
    /// Since when its result is not being read.
    resting: Mutex<Option<Instant>>,
}

/// Marks a result as not being read, until this is dropped.
#[derive(Debug)]
pub struct Resting<'a>(&'a Holder);

/// A connection that one statement holds.
struct Lease {
    holder: Arc<Holder>,
    run: Mutex<Run>,
}

#[derive(Default)]
struct Run {
    /// `None`: not begun, ended, or taken back.
    batches: Option<BatchStream>,
    /// Whether its connection is one of those that are bounded for all sources together.
    counts: bool,
    taken_back: bool,
    waker: Option<Waker>,
    /// Since when the statement has not asked for more; `None`: it waits for the source.
    unread: Option<Instant>,
}

/// Why there is none.
struct Full {
    /// The statement holds some of those that count.
    own: bool,
    /// It holds all of them, and reads none.
    unread: bool,
    /// All of them have rested for so long.
    rest: Duration,
}

impl SourceShares {
    #[must_use]
    pub fn new(bounds: ShareBounds) -> Arc<Self> {
        Arc::new(Self { bounds, held: Mutex::default(), snapshots: Arc::default(), given_back: Notify::new() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<Arc<Lease>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more for this statement, `size` being all of them. `beyond`: whatever its share is.
    fn take(&self, source: &Arc<str>, size: usize, holder: &Arc<Holder>, beyond: bool) -> Result<Arc<Lease>, Full> {
        let mut held = self.held();
        let leases = held.entry(Arc::clone(source)).or_default();
        let of_user = |lease: &&Arc<Lease>| lease.holder.login == holder.login;
        let of_session = |lease: &&Arc<Lease>| lease.holder.session == holder.session;
        let user = leases.iter().filter(of_user).count() >= share(size, self.bounds.per_user);
        let session = leases.iter().filter(of_session).count() >= share(size, self.bounds.per_session);
        if (user || session) && !beyond {
            let now = Instant::now();
            let counted = leases.iter().filter(|lease| if user { of_user(lease) } else { of_session(lease) });
            let full = Full { own: false, unread: true, rest: Duration::MAX };
            return Err(counted.fold(full, |full, lease| Full {
                own: full.own || Arc::ptr_eq(&lease.holder, holder),
                unread: full.unread && Arc::ptr_eq(&lease.holder, holder) && lease.unread_for(now) >= UNREAD,
                rest: full.rest.min(lease.holder.rests_for(now)),
            }));
        }
        let lease = Arc::new(Lease { holder: Arc::clone(holder), run: Mutex::default() });
        leases.push(Arc::clone(&lease));
        Ok(lease)
    }

    fn give_back(&self, source: &Arc<str>, lease: &Arc<Lease>) {
        let mut held = self.held();
        if let Some(leases) = held.get_mut(source) {
            leases.retain(|other| !Arc::ptr_eq(other, lease));
            if leases.is_empty() {
                held.remove(source);
            }
        }
        drop(held);
        self.given_back.notify_waiters();
    }

    /// Makes room for who waits for a connection of a source: where all of its own are taken, there; else, where somebody waits for
    /// a place among those of all sources, at any of these.
    fn make_room(&self, source: &Arc<str>, pool: &PoolStatus) {
        let made = pool.in_use >= pool.size && self.relieve(Some(source));
        if !made && pool.wanted == Some(true) {
            self.relieve(None);
        }
    }

    /// Takes a connection back from a result that has rested too long: of the user who holds the most, the longest. `None`: of any
    /// source whose connections count among those of all. Whether there was one.
    fn relieve(&self, of: Option<&Arc<str>>) -> bool {
        let Some(rest_max) = self.bounds.rest_max else { return false };
        let now = Instant::now();
        let taken = {
            let held = self.held();
            let here = held.iter().filter(|(source, _)| of.is_none_or(|of| of == *source));
            let leases: Vec<_> = here
                .flat_map(|(source, leases)| leases.iter().map(move |lease| (source, lease)))
                .filter(|(_, lease)| of.is_some() || lease.run().counts)
                .collect();
            let of_user = |login: &str| leases.iter().filter(|(_, lease)| &*lease.holder.login == login).count();
            let rested = leases.iter().map(|held| (of_user(&held.1.holder.login), held.1.holder.rests_for(now), held));
            let rested = rested.filter(|(_, rest, (_, lease))| *rest >= rest_max && lease.runs());
            let most = rested.max_by_key(|(count, rest, _)| (*count, *rest));
            most.map(|(_, _, (source, lease))| (Arc::clone(source), Arc::clone(lease)))
        };
        let Some((source, lease)) = taken else { return false };
        tracing::info!(source = &*source, login = &*lease.holder.login, "a resting result lost its connection");
        lease.take_back();
        self.give_back(&source, &lease);
        true
    }
}

/// A share of all connections, at least one.
fn share(size: usize, of: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "connections are few, and the share is from 0 to 1"
    )]
    let share = (size as f64 * of.clamp(0.0, 1.0)) as usize;
    share.max(1)
}

impl Holder {
    /// A statement of a session.
    #[must_use]
    pub fn new(shares: &Arc<SourceShares>, login: &str, session: u64) -> Arc<Self> {
        Self::in_block(shares, login, session, None)
    }

    /// A statement of a session in a transaction block, with the account that pays for its rows.
    #[must_use]
    pub fn in_block(
        shares: &Arc<SourceShares>,
        login: &str,
        session: u64,
        block: Option<(Arc<TransactionBlock>, Arc<dyn MemoryPool>)>,
    ) -> Arc<Self> {
        Arc::new(Self { shares: Arc::clone(shares), login: login.into(), session, block, resting: Mutex::default() })
    }

    /// Runs a statement: in the transaction block, where its source takes part in one, else on a connection of its own.
    ///
    /// # Errors
    /// As [`hold`](Self::hold); as [`TransactionBlock::read`].
    pub async fn run(
        self: &Arc<Self>,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        if let Some((block, account)) = &self.block {
            let read = BranchRead { source, driver, statement, values, account };
            if let Some(batches) = block.read(read, context.clone()).await? {
                return Ok(batches);
            }
        }
        let begin = driver.run(statement, values, Ask::Batches(context)).map(|answer| answer?.batches());
        self.hold(source, driver, begin).await
    }

    /// Its result is not being read from now on.
    #[must_use]
    pub fn rest(&self) -> Resting<'_> {
        *self.resting() = Some(Instant::now());
        Resting(self)
    }

    fn resting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rests_for(&self, now: Instant) -> Duration {
        self.resting().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// One more moment that a source keeps for this user. A source keeps as many as half of its connections, and of these a user
    /// has a quarter: each takes a connection, and holds the source's own clean-up back. `None`: these are taken.
    pub fn hold_snapshot(&self, source: &Arc<str>, driver: &Arc<dyn Driver>) -> Option<HeldSnapshot> {
        let most = driver.pool().map_or(usize::MAX, |pool| share(pool.size / 2, MOMENTS_PER_USER));
        self.shares.snapshots.one_more(source, &self.login, most)
    }

    /// Begins a run at a source as soon as the statement may hold one more of its connections.
    ///
    /// # Errors
    /// 53300: its session or its user holds a share of them with results that are not being read. What `begin` says.
    pub async fn hold(
        self: &Arc<Self>,
        source: &Arc<str>,
        driver: &Arc<dyn Driver>,
        begin: impl Future<Output = Result<BatchStream>>,
    ) -> Result<BatchStream> {
        let Some(pool) = driver.pool() else { return begin.await };
        let lease = self.turn(source, pool.size).await?;
        let held = Held { source: Arc::clone(source), lease, ended: false };
        let mut begin = std::pin::pin!(begin);
        let batches = loop {
            tokio::select! {
                biased;
                begun = &mut begin => break begun?,
                () = tokio::time::sleep(LOOK) => {
                    if let Some(pool) = driver.pool() {
                        self.shares.make_room(source, &pool);
                    }
                }
            }
        };
        *held.lease.run() = Run::begun(batches, pool.wanted.is_some());
        Ok(held.boxed())
    }

    async fn turn(self: &Arc<Self>, source: &Arc<str>, size: usize) -> Result<Arc<Lease>> {
        let began = Instant::now();
        loop {
            let given_back = self.shares.given_back.notified();
            let full = match self.shares.take(source, size, self, false) {
                Ok(lease) => return Ok(lease),
                Err(full) => full,
            };
            if full.own && (full.unread || began.elapsed() >= OWN_WAIT) {
                return self.shares.take(source, size, self, true).map_err(|_| too_many(source));
            }
            if !full.own && full.rest >= self.shares.bounds.rest_max.unwrap_or(REFUSED_AFTER) {
                return Err(too_many(source));
            }
            // Looks again after a while: no notification comes when a result rests or is not read.
            let _ = tokio::time::timeout(if full.own { UNREAD } else { LOOK }, given_back).await;
        }
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        *self.0.resting() = None;
    }
}

impl Run {
    fn begun(batches: BatchStream, counts: bool) -> Self {
        Self { batches: Some(batches), counts, unread: Some(Instant::now()), ..Self::default() }
    }
}

impl Lease {
    fn unread_for(&self, now: Instant) -> Duration {
        self.run().unread.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> bool {
        self.run().batches.is_some()
    }

    /// Ends the source's own query. Its reader hears of it when it reads on.
    fn take_back(&self) {
        let (batches, waker) = {
            let mut run = self.run();
            run.taken_back = run.batches.is_some();
            (run.batches.take(), run.waker.take())
        };
        drop(batches);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("login", &self.holder.login).finish_non_exhaustive()
    }
}

/// The batches of a run, whose connection counts until they end.
struct Held {
    source: Arc<str>,
    lease: Arc<Lease>,
    ended: bool,
}

impl Held {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.lease.holder.shares.give_back(&self.source, &self.lease);
        }
    }
}

impl Stream for Held {
    type Item = Result<arrow::record_batch::RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut run = self.lease.run();
        if std::mem::take(&mut run.taken_back) {
            drop(run);
            let lost = taken_back(&self.source);
            self.end();
            return Poll::Ready(Some(Err(lost)));
        }
        let polled = match run.batches.as_mut() {
            None => Poll::Ready(None),
            Some(batches) => batches.poll_next_unpin(cx),
        };
        match &polled {
            Poll::Pending => {
                run.waker = Some(cx.waker().clone());
                run.unread = None;
            }
            Poll::Ready(Some(Ok(_))) => run.unread = Some(Instant::now()),
            Poll::Ready(Some(Err(_)) | None) => {
                run.batches = None;
                drop(run);
                self.end();
            }
        }
        polled
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The source's own query first: the place is free when its connection is.
        let batches = self.lease.run().batches.take();
        drop(batches);
        self.end();
    }
}

fn too_many(source: &str) -> Error {
    let message = format!("results that nobody reads hold all connections to source \"{source}\" that one may hold");
    Error::new(ErrorCode::TooManyConnections, message)
        .with_hint("Close cursors, or read results to their ends; see limits.source_share_per_user.")
}

fn taken_back(source: &str) -> Error {
    let message = format!("the connection to source \"{source}\" was given to others, who waited for one");
    Error::new(ErrorCode::TooManyConnections, message)
        .with_hint("Run the statement again and read its result without long pauses, or raise the source's pool_size.")
}

#[cfg(test)]
mod tests;
