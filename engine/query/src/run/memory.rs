//! Accounts of memory, one inside another: a statement's or a session's, its user's, the gate's. Whoever holds bytes holds a
//! reservation of the innermost account, which charges all of them and gives back when it is dropped. Knows no statement.

use super::by_login::ByLogin;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use querygate_resources::measured::ask;
use querygate_resources::memory::Owner;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes beyond its bound that an account may always be charged with: what a statement takes before it is looked at.
const TOLERATED_LEAST: usize = 8 << 20;

/// An account inside another one, with a bound of its own.
#[derive(Debug)]
pub(crate) struct Account {
    owner: Owner,
    above: Arc<dyn MemoryPool>,
    most: usize,
    used: AtomicUsize,
    /// Operators of a statement that write what they hold into files when they get no more, and what they hold.
    spillers: AtomicUsize,
    spillable: AtomicUsize,
}

impl Account {
    #[expect(clippy::new_ret_no_self, reason = "an account is only ever asked as a pool")]
    pub(crate) fn new(owner: Owner, above: Arc<dyn MemoryPool>, most: usize) -> Arc<dyn MemoryPool> {
        Arc::new(Self {
            owner,
            above,
            most,
            used: AtomicUsize::new(0),
            spillers: AtomicUsize::new(0),
            spillable: AtomicUsize::new(0),
        })
    }

    /// The first account, from this one outwards, that would be charged, with this number of bytes more, an eighth more than
    /// it may be: what is measured is charged after it was taken.
    pub(crate) fn overdrawn_by(&self, more: usize) -> Option<DataFusionError> {
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_add(more) > self.most.saturating_add(self.tolerated()) {
            return Some(self.is_full(("what is measured", more), used));
        }
        self.above.downcast_ref::<Self>().and_then(|above| above.overdrawn_by(more))
    }

    /// Bytes beyond its bound that it may be charged with.
    fn tolerated(&self) -> usize {
        (self.most / 8).max(TOLERATED_LEAST)
    }

    /// Whether an operator of a statement gets more. One whose next step may take as much again as it holds gets no more than leaves
    /// room for that: the engine asks for the bytes of such a step after it.
    fn may_hold(&self, reservation: &MemoryReservation, additional: usize) -> bool {
        if self.owner != Owner::Statement {
            return true;
        }
        let (before, consumer) = (reservation.size(), reservation.consumer());
        let own = before.saturating_add(additional);
        let next = if consumer.can_spill() {
            if !self.need_not_spill(own, additional) {
                return false;
            }
            // While a table doubles, the one before and one twice as long are there.
            if has_doubled(before, additional) { own.saturating_mul(2) } else { 0 }
        } else if is_copied(consumer.name()) {
            own.saturating_sub(self.tolerated())
        } else {
            0
        };
        // What it has taken by now is measured, and charged.
        self.reserved().saturating_add(next) <= self.most
    }

    /// Whether an operator that can spill need not do so. A quarter is left to those that cannot, or a sort would leave no room for the
    /// expressions below it; and beyond a half of all, none gets more than an equal share, or one would leave no room for the next.
    fn need_not_spill(&self, own: usize, additional: usize) -> bool {
        let most = self.most - self.most / 4;
        let all = self.spillable.load(Ordering::Relaxed).saturating_add(additional);
        all <= self.most / 2 || all <= most && own <= most / self.spillers.load(Ordering::Relaxed).max(1)
    }

    /// The outermost account.
    pub(crate) fn whole(&self) -> &Self {
        self.above.downcast_ref::<Self>().map_or(self, Self::whole)
    }

    /// The consumer that wanted bytes, and how many.
    fn is_full(&self, (consumer, additional): (&str, usize), used: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{} was asked by {consumer} for {additional} bytes beside {used} of its {}",
            self.owner.mark(),
            self.most
        ))
    }
}

/// Whether what an operator holds grew by a half or more in one step, and will again: the buffers of a table of groups do. Rows that are
/// merged from files are asked for at once.
fn has_doubled(before: usize, additional: usize) -> bool {
    before.min(additional) >= TOLERATED_LEAST && additional >= before / 2
}

/// Whether what an operator of this name holds is copied whole in one step: aggregates without groups when their result is made (values are
/// gathered) or their sets grow, and the table of rows that a recursive query has given.
fn is_copied(consumer: &str) -> bool {
    consumer.starts_with("AggregateStream[") || consumer == "RecursiveQueryHashTable"
}

/// Bytes of a reservation, if its holder can spill them.
fn spillable(reservation: &MemoryReservation, bytes: usize) -> usize {
    if reservation.consumer().can_spill() { bytes } else { 0 }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(used: {}, most: {})", self.owner, self.used.load(Ordering::Relaxed), self.most)
    }
}

impl MemoryPool for Account {
    fn name(&self) -> &str {
        self.owner.mark()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.spillers.fetch_add(usize::from(consumer.can_spill()), Ordering::Relaxed);
        self.above.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.spillers.fetch_sub(usize::from(consumer.can_spill()), Ordering::Relaxed);
        self.above.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.spillable.fetch_add(spillable(reservation, additional), Ordering::Relaxed);
        self.above.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.spillable.fetch_sub(spillable(reservation, shrink), Ordering::Relaxed);
        self.above.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let wanted = (reservation.consumer().name(), additional);
        // An operator asks when it has taken in more: what it holds by then counts, too.
        if self.owner == Owner::Statement {
            ask().map_err(|error| self.is_full(wanted, self.reserved()).context(error.to_string()))?;
        }
        if !self.may_hold(reservation, additional) {
            return Err(self.is_full(wanted, self.reserved()));
        }
        let fits = |used: usize| used.checked_add(additional).filter(|sum| *sum <= self.most);
        let used = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        let used = used.map_err(|used| self.is_full(wanted, used))?;
        let charged = match (self.above.try_grow(reservation, additional), self.owner) {
            // The pool below the gate's account has no name for itself.
            (Err(_), Owner::Gate) => Err(self.is_full(wanted, used)),
            (charged, _) => charged,
        };
        match charged {
            Ok(()) => self.spillable.fetch_add(spillable(reservation, additional), Ordering::Relaxed),
            Err(_) => self.used.fetch_sub(additional, Ordering::Relaxed),
        };
        charged
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most)
    }
}

/// The gate's account and its users'.
#[derive(Debug)]
pub(crate) struct Accounts {
    total: Arc<dyn MemoryPool>,
    per_user: usize,
    /// Of a login that has no session there is nothing to be charged.
    users: ByLogin<dyn MemoryPool>,
}

impl Accounts {
    pub(crate) fn new(total: usize, per_user: usize) -> Self {
        let pool = Arc::new(FairSpillPool::new(total));
        Self { total: Account::new(Owner::Gate, pool, total), per_user, users: ByLogin::default() }
    }

    pub(crate) fn total(&self) -> &Arc<dyn MemoryPool> {
        &self.total
    }

    /// A user's share, which all of the user's sessions and statements are charged to.
    pub(crate) fn user(&self, login: &str) -> Arc<dyn MemoryPool> {
        self.users.of(login, || Account::new(Owner::User, Arc::clone(&self.total), self.per_user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::{Stage, translate};
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use querygate_types::ErrorCode;
    use std::sync::Mutex;

    fn reservation(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("test").register(pool)
    }

    #[test]
    fn operators_that_can_spill_leave_room_for_others() {
        let user = Accounts::new(1_000, 1_000).user("ada");
        let statement = Account::new(Owner::Statement, user, 160);
        let sort = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&statement);
        let (first, second) = (sort("first"), sort("second"));
        first.try_grow(80).unwrap();
        assert!(first.try_grow(1).is_err(), "more than its share, where half is held");
        second.try_grow(40).unwrap();
        assert!(second.try_grow(1).is_err(), "a quarter is left");
        let expression = reservation(&statement);
        expression.try_grow(40).unwrap();
        drop((first, second));
        let alone = sort("alone");
        alone.try_grow(120).unwrap();
        assert!(alone.try_grow(1).is_err());
        alone.free();
        drop(expression);
        alone.try_grow(120).unwrap();
    }

    const MB: usize = 1 << 20;

    fn statement_of(most: usize) -> Arc<dyn MemoryPool> {
        Account::new(Owner::Statement, Accounts::new(1 << 30, 1 << 30).user("ada"), most)
    }

    #[test]
    fn tables_that_double_leave_room_for_the_next_time() {
        let statement = statement_of(64 * MB);
        let spilling = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&statement);
        let table = spilling("a table");
        table.try_grow(10 * MB).unwrap();
        table.try_grow(10 * MB).unwrap();
        assert!(table.try_grow(20 * MB).is_err(), "it may be twice 40 MB next");
        table.try_grow(MB).unwrap();
        drop(table);
        let sort = spilling("a sort");
        for _ in 0..12 {
            sort.try_grow(4 * MB).unwrap();
        }
        sort.free();
        sort.try_grow(48 * MB).unwrap();
        drop(sort);
        let other = reservation(&statement);
        other.try_grow(40 * MB).unwrap();
        let table = spilling("a table beside others");
        table.try_grow(8 * MB).unwrap();
        assert!(table.try_grow(8 * MB).is_err());
    }

    #[test]
    fn what_is_copied_in_the_end_leaves_room_for_its_copy() {
        let statement = statement_of(64 * MB);
        let gathered = MemoryConsumer::new("AggregateStream[0]").register(&statement);
        for _ in 0..36 {
            gathered.try_grow(MB).unwrap();
        }
        assert!(gathered.try_grow(MB).is_err());
        gathered.free();
        reservation(&statement).try_grow(64 * MB).unwrap();
    }

    /// The names of those that ask a pool.
    #[derive(Debug, Default)]
    struct Names(Mutex<Vec<String>>);

    impl fmt::Display for Names {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names")
        }
    }

    impl MemoryPool for Names {
        fn name(&self) -> &'static str {
            "names"
        }

        fn register(&self, consumer: &MemoryConsumer) {
            self.0.lock().unwrap().push(consumer.name().to_owned());
        }

        fn grow(&self, _: &MemoryReservation, _: usize) {}

        fn shrink(&self, _: &MemoryReservation, _: usize) {}

        fn try_grow(&self, _: &MemoryReservation, _: usize) -> Result<()> {
            Ok(())
        }

        fn reserved(&self) -> usize {
            0
        }
    }

    /// DataFusion says by names alone which operator asks.
    #[tokio::test]
    async fn what_copies_is_known_by_its_name() {
        for (sql, copies) in [
            ("SELECT array_agg(a) FROM (VALUES (1), (2)) t(a)", true),
            ("WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r", true),
            ("SELECT a, count(*) FROM (VALUES (1), (2)) t(a) GROUP BY a ORDER BY a", false),
        ] {
            let names = Arc::new(Names::default());
            let pool: Arc<dyn MemoryPool> = Arc::<Names>::clone(&names);
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
            let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime);
            context.sql(sql).await.unwrap().collect().await.unwrap();
            let asked = names.0.lock().unwrap();
            assert!(!asked.is_empty());
            assert_eq!(asked.iter().any(|name| is_copied(name)), copies, "{sql}: {asked:?}");
        }
    }

    #[test]
    fn bytes_are_charged_to_every_account_above_and_given_back() {
        let accounts = Accounts::new(100, 60);
        let (ada, sam) = (accounts.user("ada"), accounts.user("sam"));
        let statement = |user: &Arc<dyn MemoryPool>| Account::new(Owner::Statement, Arc::clone(user), 50);
        let (one, two, other) = (statement(&ada), statement(&ada), statement(&sam));
        let (first, second, third) = (reservation(&one), reservation(&two), reservation(&other));
        let hint = |error: DataFusionError| {
            let error = translate(&error, Stage::Execute);
            assert_eq!(error.code(), ErrorCode::OutOfMemory);
            error.hint().unwrap().to_owned()
        };
        first.try_grow(40).unwrap();
        assert!(hint(first.try_grow(11).unwrap_err()).contains("memory_per_query"));
        assert!(hint(second.try_grow(21).unwrap_err()).contains("memory_per_user"));
        second.try_grow(20).unwrap();
        assert!(hint(third.try_grow(41).unwrap_err()).contains("memory_total"));
        third.try_grow(40).unwrap();
        assert_eq!((one.reserved(), ada.reserved(), accounts.total().reserved()), (40, 60, 100));
        drop(first);
        assert_eq!((one.reserved(), ada.reserved(), accounts.total().reserved()), (0, 20, 60));
        assert!(Arc::ptr_eq(&accounts.user("ada"), &ada));
        drop((second, third));
        assert_eq!(accounts.total().reserved(), 0);
    }
}
