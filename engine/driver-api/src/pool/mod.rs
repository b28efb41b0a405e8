//! Connections of a source: how many there may be, whether they are tried, and what they do, in numbers for metrics,
//! `querygate.sources` and benchmarks. Knows no connection.

mod breaker;
mod budget;

pub use breaker::{Breaker, BreakerState};
pub use budget::{Budget, Place, Resting};

use crate::execution::ending::{canceled, timed_out, until};
use querygate_types::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Connections of one source at one moment, and since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections that there may be at once.
    pub size: usize,
    /// Leased, or being opened for one who waits.
    pub in_use: usize,
    /// Open and free.
    pub idle: usize,
    /// Statements that wait for one.
    pub waiting: usize,
    /// Connections opened so far.
    pub opened: u64,
    /// Attempts to open one that failed, so far.
    pub failed: u64,
    /// Leases given so far.
    pub leased: u64,
    /// Time that all of these waited for, opening included.
    pub lease_time: Duration,
    /// Whether connections are tried.
    pub breaker: BreakerState,
    /// Whether somebody waits for a place among the connections of all sources. `None`: these do not count among them.
    pub wanted: Option<bool>,
}

impl PoolStatus {
    /// The status of connections that count among those of all sources. `wanted`: whether somebody waits for a place there.
    #[must_use]
    pub const fn among_all(self, wanted: bool) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// How long a lease took to get; `None` before the first.
    #[must_use]
    pub fn mean_lease(&self) -> Option<Duration> {
        let leased = u32::try_from(self.leased).unwrap_or(u32::MAX);
        self.lease_time.checked_div(leased)
    }
}

/// Counts for a pool, which it calls as it works. Reading them takes no lock.
#[derive(Debug, Default)]
pub struct PoolMeter {
    waiting: AtomicUsize,
    opened: AtomicU64,
    failed: AtomicU64,
    leased: AtomicU64,
    lease_nanos: AtomicU64,
}

/// One who waits for a connection; no longer when dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    meter: &'a PoolMeter,
    since: Instant,
}

impl PoolMeter {
    /// Somebody begins to wait.
    #[must_use]
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { meter: self, since: Instant::now() }
    }

    /// What `acquire` gives, waited for until the deadline or the cancel at most.
    ///
    /// # Errors
    /// 57014: it was not there in time; what `acquire` says.
    pub async fn lease<T>(
        &self,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
        acquire: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let waiting = self.wait();
        let lease = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(canceled()),
            () = until(deadline) => Err(timed_out()),
            lease = acquire => lease,
        };
        if lease.is_ok() {
            waiting.leased();
        }
        lease
    }

    /// A connection was opened, or could not be.
    pub fn opened<T, E>(&self, outcome: &Result<T, E>) {
        let count = if outcome.is_ok() { &self.opened } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers, with what the pool itself knows: its size, the leases that it could still give, and its free
    /// connections.
    #[must_use]
    pub fn status(&self, size: usize, available: usize, idle: usize, breaker: BreakerState) -> PoolStatus {
        PoolStatus {
            size,
            in_use: size.saturating_sub(available),
            idle,
            waiting: self.waiting.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            leased: self.leased.load(Ordering::Relaxed),
            lease_time: Duration::from_nanos(self.lease_nanos.load(Ordering::Relaxed)),
            breaker,
            wanted: None,
        }
    }
}

impl Waiting<'_> {
    /// The wait ended with a lease.
    pub fn leased(self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.meter.lease_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.meter.leased.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;

    #[test]
    fn waits_end_with_a_lease_or_without_one() {
        let meter = PoolMeter::default();
        let (first, second) = (meter.wait(), meter.wait());
        assert_eq!(meter.status(4, 4, 0, BreakerState::Closed).waiting, 2);
        first.leased();
        drop(second);
        meter.opened(&Ok::<(), ()>(()));
        meter.opened(&Err::<(), ()>(()));
        let status = meter.status(4, 3, 1, BreakerState::Open);
        assert_eq!((status.waiting, status.leased, status.opened, status.failed), (0, 1, 1, 1));
        assert_eq!((status.in_use, status.idle, status.breaker.name()), (1, 1, "open"));
    }

    #[tokio::test]
    async fn a_lease_is_waited_for_until_the_statement_is_over() {
        let (meter, cancel) = (PoolMeter::default(), CancellationToken::new());
        let given = meter.lease(None, &cancel, async { Ok(7) }).await;
        assert_eq!(given.unwrap(), 7);
        let never = || std::future::pending::<Result<(), Error>>();
        let late = meter.lease(Some(Instant::now()), &cancel, never()).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::StatementTimeout);
        cancel.cancel();
        let cancelled = meter.lease(None, &cancel, never()).await.unwrap_err();
        assert_eq!(cancelled.code(), ErrorCode::QueryCanceled);
        let status = meter.status(1, 1, 0, BreakerState::Closed);
        assert_eq!((status.waiting, status.leased), (0, 1));
    }
}
