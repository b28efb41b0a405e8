//! Charges a statement for what it holds beyond its estimates, as the allocator counts it.

use super::memory::Account;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use querygate_resources::measured::{Books, Ledger, live_bytes};
use querygate_resources::memory::out_of_memory;
use querygate_types::Result;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Bytes that a statement may hold beside its estimates before they are charged, and by which the charge may be old.
const STEP: i64 = 2 << 20;
/// Age up to which a sample of the process's uncharged bytes is used again.
const SAMPLE_AGE: Duration = Duration::from_millis(100);

/// The ledger of a statement with this account. `cancel`: ends it.
pub(crate) fn ledger(account: &Arc<dyn MemoryPool>, cancel: &CancellationToken) -> Arc<Ledger> {
    let beyond = MemoryConsumer::new("measured beyond estimates").register(account);
    let before = unaccounted_lately(account);
    let (account, beyond, cancel) = (Arc::clone(account), Mutex::new(beyond), cancel.clone());
    Ledger::new(Box::new(StatementBooks { account, beyond, process: unaccounted, before, cancel }))
}

#[derive(Debug)]
struct StatementBooks {
    account: Arc<dyn MemoryPool>,
    /// What it was measured to hold beyond the estimates.
    beyond: Mutex<MemoryReservation>,
    /// The process's bytes that are charged to no account; `None`: the allocator does not say.
    process: fn(&Arc<dyn MemoryPool>) -> Option<i64>,
    /// How many these were when the statement began.
    before: i64,
    cancel: CancellationToken,
}

impl Books for StatementBooks {
    fn settle(&self, held: i64) -> Result<i64> {
        // Where another thread settles, this one need not.
        let Ok(beyond) = self.beyond.try_lock() else { return Ok(held) };
        let charged = signed(beyond.size());
        let estimated = signed(self.account.reserved()) - charged;
        let needed = (held - estimated).max(0);
        if (needed - charged).abs() <= STEP {
            return Ok(held);
        }
        if needed < charged {
            beyond.resize(unsigned(needed));
            return Ok(held);
        }
        // What others freed is still counted as the statement's. All that no account has bounds what it can hold beside its estimates.
        let found = (self.process)(&self.account).map_or(0, |found| found + charged - self.before);
        let confirmed = needed.min(found.max(0));
        beyond.resize(unsigned(confirmed));
        match self.account.downcast_ref::<Account>().and_then(|account| account.overdrawn_by(0)) {
            Some(full) if confirmed > charged => Err(out_of_memory(&full.to_string())),
            Some(_) | None => Ok(held - needed + confirmed),
        }
    }

    fn has_room_for(&self, bytes: usize) -> Result<()> {
        match self.account.downcast_ref::<Account>().and_then(|account| account.overdrawn_by(bytes)) {
            Some(full) => Err(out_of_memory(&full.to_string())),
            None => Ok(()),
        }
    }

    fn end(&self) {
        self.cancel.cancel();
    }
}

/// Bytes of the process that are charged to no account. `None`: the allocator does not say.
fn unaccounted(account: &Arc<dyn MemoryPool>) -> Option<i64> {
    let charged = account.downcast_ref::<Account>()?.whole().reserved();
    Some(i64::try_from(live_bytes()?).unwrap_or(i64::MAX) - signed(charged))
}

/// What [`unaccounted`] gave at most [`SAMPLE_AGE`] ago.
fn unaccounted_lately(account: &Arc<dyn MemoryPool>) -> i64 {
    static SAMPLE: AtomicI64 = AtomicI64::new(0);
    static TAKEN: LazyLock<Mutex<Option<Instant>>> = LazyLock::new(Mutex::default);
    let is_new = {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = taken.is_some_and(|taken| taken.elapsed() < SAMPLE_AGE);
        if !is_new {
            *taken = Some(Instant::now());
        }
        is_new
    };
    if !is_new {
        SAMPLE.store(unaccounted(account).unwrap_or(0), Ordering::Relaxed);
    }
    SAMPLE.load(Ordering::Relaxed)
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn unsigned(bytes: i64) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::memory::Accounts;
    use querygate_resources::memory::Owner;
    use querygate_types::ErrorCode;

    const MB: i64 = 1 << 20;

    fn statement(process: fn(&Arc<dyn MemoryPool>) -> Option<i64>) -> (StatementBooks, Arc<dyn MemoryPool>) {
        let user = Accounts::new(1 << 30, 1 << 30).user("ada");
        let account = Account::new(Owner::Statement, user, 64 << 20);
        let beyond = Mutex::new(MemoryConsumer::new("test").register(&account));
        let cancel = CancellationToken::new();
        let books = StatementBooks { account: Arc::clone(&account), beyond, process, before: 10 * MB, cancel };
        (books, account)
    }

    /// A process whose memory all is the statement's.
    fn all(account: &Arc<dyn MemoryPool>) -> Option<i64> {
        Some(1 << 40).map(|live| live - signed(account.reserved()))
    }

    #[test]
    fn what_estimates_left_out_is_charged_and_given_back() {
        let (books, account) = statement(all);
        let estimated = MemoryConsumer::new("sort").register(&account);
        estimated.grow(20 << 20);
        for (held, charged) in [(0, 20), (20, 20), (22, 20), (40, 40), (41, 40), (60, 60), (30, 30), (5, 20)] {
            assert_eq!(books.settle(held * MB).unwrap(), held * MB);
            assert_eq!(account.reserved() >> 20, charged, "{held} MB");
        }
        assert_eq!(books.settle(70 * MB).unwrap(), 70 * MB, "a quarter more is borne");
        let error = books.settle(90 * MB).unwrap_err();
        assert_eq!(error.code(), ErrorCode::OutOfMemory);
        assert!(error.hint().unwrap().contains("limits.memory_per_query"));
        books.end();
        assert!(books.cancel.is_cancelled());
        drop((books, estimated));
        assert_eq!(account.reserved(), 0);
    }

    #[test]
    fn what_the_process_does_not_hold_is_not_the_statements() {
        // Five megabytes more than when it began.
        let (books, account) = statement(|account| Some(15 * MB - signed(account.reserved())));
        assert_eq!(books.settle(1_000 * MB).unwrap(), 5 * MB);
        assert_eq!(account.reserved() >> 20, 5);
        let (books, account) = statement(|_| None);
        assert_eq!(books.settle(1_000 * MB).unwrap(), 0);
        assert_eq!(account.reserved(), 0);
    }
}
