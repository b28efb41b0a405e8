//! Advisory locks of one gate: sessions that agree on a number wait for each other. They lock no row and reach no source.

use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Locks that one session may hold: those of all sessions together are some megabytes.
const LOCKS_MAX: usize = 100;

/// What is locked: one number, or two. They never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LockKey {
    One(i64),
    Two(i32, i32),
}

/// How a session wants a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LockMode {
    /// Beside others that want it so.
    pub(crate) shared: bool,
    /// Until the transaction's end, not the session's.
    pub(crate) of_transaction: bool,
}

#[derive(Debug, Default)]
pub(crate) struct AdvisoryLocks {
    state: Mutex<LockState>,
    released: Notify,
}

/// How a session has a lock.
#[derive(Debug, Clone, Copy)]
struct Hold {
    times: u32,
    /// The savepoint of its transaction that was set last when it was first taken; `None`: it had set none.
    since: Option<u32>,
}

#[derive(Debug, Default)]
struct LockState {
    /// How each session has each lock.
    holds: BTreeMap<LockKey, BTreeMap<(u64, LockMode), Hold>>,
    /// What each session has.
    keys: BTreeMap<u64, BTreeSet<LockKey>>,
    /// What sessions wait for.
    waits: BTreeMap<u64, (LockKey, bool)>,
}

impl LockState {
    /// Other sessions whose locks stand against this one's.
    fn against(&self, session: u64, key: LockKey, shared: bool) -> impl Iterator<Item = u64> {
        let holds = self.holds.get(&key).into_iter().flat_map(BTreeMap::keys);
        holds.filter(move |(other, mode)| *other != session && !(shared && mode.shared)).map(|(other, _)| *other)
    }

    /// Whether it is taken now.
    fn take(&mut self, session: u64, key: LockKey, mode: LockMode, since: Option<u32>) -> Result<bool> {
        if self.against(session, key, mode.shared).next().is_some() {
            return Ok(false);
        }
        let keys = self.keys.entry(session).or_default();
        if keys.len() >= LOCKS_MAX && !keys.contains(&key) {
            let text = format!("a session holds at most {LOCKS_MAX} advisory locks");
            return Err(Error::new(ErrorCode::OutOfMemory, text));
        }
        keys.insert(key);
        let hold = self.holds.entry(key).or_default().entry((session, mode)).or_insert(Hold { times: 0, since });
        hold.times = hold.times.saturating_add(1);
        Ok(true)
    }

    /// Whether the session would wait for one that waits for it.
    fn deadlocks(&self, session: u64, key: LockKey, shared: bool) -> bool {
        let mut met = BTreeSet::new();
        let mut open: Vec<u64> = self.against(session, key, shared).collect();
        while let Some(other) = open.pop() {
            if other == session {
                return true;
            }
            if met.insert(other)
                && let Some((key, shared)) = self.waits.get(&other)
            {
                open.extend(self.against(other, *key, *shared));
            }
        }
        false
    }

    /// Gives back what a session has of a lock in such ways.
    fn release(&mut self, session: u64, key: LockKey, ends: impl Fn(LockMode, Hold) -> bool) {
        let Some(holds) = self.holds.get_mut(&key) else { return };
        holds.retain(|(holder, mode), hold| *holder != session || !ends(*mode, *hold));
        let has_it = holds.keys().any(|(holder, _)| *holder == session);
        if holds.is_empty() {
            self.holds.remove(&key);
        }
        if !has_it && let Some(keys) = self.keys.get_mut(&session) {
            keys.remove(&key);
            if keys.is_empty() {
                self.keys.remove(&session);
            }
        }
    }
}

/// The locks of one session. They end with it.
#[derive(Debug)]
pub(crate) struct SessionLocks {
    all: Arc<AdvisoryLocks>,
    session: u64,
    /// Whether it may have some: most sessions never do, and their statements end without a look at those of others.
    has_taken: AtomicBool,
    /// The savepoint that its transaction has set last.
    savepoint: Mutex<Option<u32>>,
}

/// A wait, for as long as somebody waits.
struct Wait<'a>(&'a SessionLocks);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.state().waits.remove(&self.0.session);
    }
}

impl SessionLocks {
    pub(crate) fn new(all: Arc<AdvisoryLocks>, session: u64) -> Self {
        Self { all, session, has_taken: AtomicBool::new(false), savepoint: Mutex::default() }
    }

    /// What the session has.
    pub(crate) fn keys(&self) -> Vec<LockKey> {
        self.state().keys.get(&self.session).into_iter().flatten().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, LockState> {
        self.all.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_savepoint(&self) -> MutexGuard<'_, Option<u32>> {
        self.savepoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transaction sets a savepoint. Its id is above those that were set before.
    pub(crate) fn savepoint(&self, id: u32) {
        *self.last_savepoint() = Some(id);
    }

    /// Gives back what ends with the transaction and was taken since a savepoint.
    pub(crate) fn roll_back_to(&self, savepoint: u32) {
        self.release_where(|mode, hold| mode.of_transaction && hold.since.is_some_and(|set| set >= savepoint));
    }

    /// Takes a lock if no other session's stands against it.
    ///
    /// # Errors
    /// 53200: the session holds as many as it may.
    pub(crate) fn attempt(&self, key: LockKey, mode: LockMode) -> Result<bool> {
        let since = *self.last_savepoint();
        let mut state = self.state();
        // While nothing else of the session is given back.
        self.has_taken.store(true, Ordering::Release);
        state.take(self.session, key, mode, since)
    }

    /// Waits for a lock. Dropping this gives the wait up.
    ///
    /// # Errors
    /// As [`attempt`](Self::attempt). 40P01: its holder waits for this session.
    pub(crate) async fn acquire(&self, key: LockKey, mode: LockMode) -> Result<()> {
        let _wait = Wait(self);
        loop {
            let mut released = std::pin::pin!(self.all.released.notified());
            released.as_mut().enable();
            let since = *self.last_savepoint();
            {
                let mut state = self.state();
                self.has_taken.store(true, Ordering::Release);
                if state.take(self.session, key, mode, since)? {
                    return Ok(());
                }
                if state.deadlocks(self.session, key, mode.shared) {
                    return Err(Error::new(ErrorCode::DeadlockDetected, "deadlock detected"));
                }
                state.waits.insert(self.session, (key, mode.shared));
            }
            released.await;
        }
    }

    /// Gives one of the session's locks back. Whether it had it.
    pub(crate) fn release(&self, key: LockKey, shared: bool) -> bool {
        let mut state = self.state();
        let own = LockMode { shared, of_transaction: false };
        let held = state.holds.get_mut(&key).and_then(|holds| holds.get_mut(&(self.session, own)));
        let Some(hold) = held else { return false };
        hold.times -= 1;
        if hold.times == 0 {
            state.release(self.session, key, |mode, _| mode == own);
            self.all.released.notify_waiters();
        }
        true
    }

    /// Gives back what is the session's, and leaves what ends with its transaction.
    pub(crate) fn release_all(&self) {
        self.release_where(|mode, _| !mode.of_transaction);
    }

    /// Gives back what ends with a transaction.
    pub(crate) fn end_transaction(&self) {
        *self.last_savepoint() = None;
        self.release_where(|mode, _| mode.of_transaction);
    }

    fn release_where(&self, ends: impl Fn(LockMode, Hold) -> bool) {
        if !self.has_taken.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        let keys: Vec<LockKey> = state.keys.get(&self.session).into_iter().flatten().copied().collect();
        keys.into_iter().for_each(|key| state.release(self.session, key, &ends));
        self.has_taken.store(state.keys.contains_key(&self.session), Ordering::Release);
        self.all.released.notify_waiters();
    }
}

impl Drop for SessionLocks {
    fn drop(&mut self) {
        self.release_where(|_, _| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OWN: LockMode = LockMode { shared: false, of_transaction: false };
    const SHARED: LockMode = LockMode { shared: true, of_transaction: false };
    const OF_TRANSACTION: LockMode = LockMode { shared: false, of_transaction: true };
    const KEY: LockKey = LockKey::One(7);

    fn two() -> (SessionLocks, SessionLocks) {
        let all = Arc::<AdvisoryLocks>::default();
        (SessionLocks::new(Arc::clone(&all), 1), SessionLocks::new(all, 2))
    }

    #[test]
    fn a_lock_is_anothers_once_it_was_given_back_as_often_as_taken() {
        let (one, two) = two();
        assert!(one.attempt(KEY, OWN).unwrap() && one.attempt(KEY, OWN).unwrap());
        assert!(!two.attempt(KEY, OWN).unwrap() && two.attempt(LockKey::Two(0, 7), OWN).unwrap());
        assert!(one.release(KEY, false) && !two.attempt(KEY, SHARED).unwrap());
        assert!(one.release(KEY, false) && !one.release(KEY, false));
        assert!(two.attempt(KEY, SHARED).unwrap() && one.attempt(KEY, SHARED).unwrap());
        assert!(!one.attempt(KEY, OWN).unwrap());
        drop(two);
        assert!(one.attempt(KEY, OWN).unwrap());
        assert!((0..=LOCKS_MAX).any(|n| one.attempt(LockKey::Two(1, i32::try_from(n).unwrap()), OWN).is_err()));
    }

    #[test]
    fn what_is_a_transactions_ends_with_it_and_not_before() {
        let (one, two) = two();
        assert!(one.attempt(KEY, OF_TRANSACTION).unwrap() && !one.release(KEY, false));
        one.release_all();
        assert!(!two.attempt(KEY, OWN).unwrap());
        one.end_transaction();
        assert!(two.attempt(KEY, OWN).unwrap());
    }

    #[test]
    fn a_savepoint_gives_back_what_was_taken_after_it() {
        let (one, two) = two();
        let key = LockKey::One;
        assert!(one.attempt(key(1), OF_TRANSACTION).unwrap());
        one.savepoint(0);
        assert!(one.attempt(key(1), OF_TRANSACTION).unwrap() && one.attempt(key(2), OF_TRANSACTION).unwrap());
        one.savepoint(1);
        assert!(one.attempt(key(3), OF_TRANSACTION).unwrap() && one.attempt(key(4), OWN).unwrap());
        let free = || (1..=4).filter(|n| two.attempt(key(*n), SHARED).unwrap() && two.release(key(*n), true));
        assert_eq!(free().count(), 0);
        one.roll_back_to(1);
        assert_eq!(free().collect::<Vec<_>>(), [3]);
        one.roll_back_to(0);
        assert_eq!(free().collect::<Vec<_>>(), [2, 3], "what is the session's stays");
        one.end_transaction();
        assert_eq!(free().collect::<Vec<_>>(), [1, 2, 3]);
        // Of the next transaction, which has set none.
        assert!(one.attempt(key(2), OF_TRANSACTION).unwrap());
        one.savepoint(0);
        one.roll_back_to(0);
        assert_eq!(free().collect::<Vec<_>>(), [1, 3]);
    }

    #[tokio::test]
    async fn who_waits_gets_it_and_who_would_wait_in_a_circle_does_not() {
        let (one, two) = two();
        assert!(one.attempt(KEY, OWN).unwrap() && two.attempt(LockKey::One(8), OWN).unwrap());
        let waiting = two.acquire(KEY, OWN);
        let circle = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let error = one.acquire(LockKey::One(8), OWN).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::DeadlockDetected);
            assert!(one.release(KEY, false));
        };
        let (got, ()) = tokio::join!(waiting, circle);
        got.unwrap();
        assert!(!one.attempt(KEY, OWN).unwrap());
    }
}
