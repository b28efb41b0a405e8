//! What one statement holds, and which thread works for which statement now.

use super::silence::{self, PriorWork};
use super::thread_bytes::net_bytes;
use datafusion::error::DataFusionError;
use querygate_types::{Error, Result};
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

/// Where the bytes that a statement holds are charged.
pub trait Books: fmt::Debug + Send + Sync {
    /// Takes in what the statement holds now, in bytes, and gives what it really holds: memory that others freed for the statement is counted
    /// out here.
    ///
    /// # Errors
    /// 53200: it may not hold so much.
    fn settle(&self, held: i64) -> Result<i64>;

    /// Whether it may hold this number of bytes more than it is charged for.
    ///
    /// # Errors
    /// 53200: it may not.
    fn has_room_for(&self, bytes: usize) -> Result<()>;

    /// The statement was refused memory: it is to end.
    fn end(&self);
}

/// What a statement holds.
#[derive(Debug)]
pub struct Ledger {
    held: AtomicI64,
    /// The most that it held when it was looked at.
    most: AtomicI64,
    books: Box<dyn Books>,
    refused: OnceLock<Error>,
    /// What names the statement in the log.
    named: OnceLock<Arc<str>>,
}

/// A thread's work for a statement.
pub(super) struct Work {
    ledger: Arc<Ledger>,
    /// The thread's bytes when it was last taken into the ledger.
    since: i64,
}

thread_local! {
    static WORK: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// Work that has begun; ends when this is dropped.
pub(super) enum WorkGuard {
    /// The thread worked for the same statement before.
    Within,
    /// What it worked for before.
    After(Option<Work>, PriorWork),
}

impl Ledger {
    /// A statement that holds nothing.
    #[must_use]
    pub fn new(books: Box<dyn Books>) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicI64::new(0),
            most: AtomicI64::new(0),
            books,
            refused: OnceLock::new(),
            named: OnceLock::new(),
        })
    }

    /// Names the statement for the log, by a text without its values.
    pub fn name(&self, text: &Arc<str>) {
        self.named.get_or_init(|| Arc::clone(text));
    }

    /// Bytes that it holds. After its end: what was counted wrongly.
    #[must_use]
    pub fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most bytes that it held when it was looked at.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// Why it is to end, if it was refused memory.
    #[must_use]
    pub fn refused(&self) -> Option<&Error> {
        self.refused.get()
    }

    /// Bytes came to it from elsewhere, or went.
    pub(super) fn add(&self, bytes: i64) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.most.fetch_max(held, Ordering::Relaxed);
    }

    /// Has what it holds charged.
    ///
    /// # Errors
    /// 53200: it may not hold so much, now or at an earlier time.
    pub(super) fn settle(&self) -> Result<()> {
        if let Some(refused) = self.refused.get() {
            return Err(refused.clone());
        }
        let held = self.held();
        match self.books.settle(held) {
            Ok(real) if real == held => Ok(()),
            Ok(real) => {
                self.held.fetch_add(real.saturating_sub(held), Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                if self.refused.set(error.clone()).is_ok() {
                    self.books.end();
                }
                Err(error)
            }
        }
    }
}

impl Work {
    fn take_in(&mut self) {
        let now = net_bytes();
        self.ledger.add(now.wrapping_sub(self.since));
        self.since = now;
    }
}

/// This thread works for a statement from now on.
pub(super) fn begin(ledger: &Arc<Ledger>) -> WorkGuard {
    WORK.with_borrow_mut(|work| {
        if let Some(before) = work {
            if Arc::ptr_eq(&before.ledger, ledger) {
                return WorkGuard::Within;
            }
            before.take_in();
        }
        WorkGuard::After(work.replace(Work { ledger: Arc::clone(ledger), since: net_bytes() }), silence::begin())
    })
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        let Self::After(before, did) = self else { return };
        let mut before = before.take();
        if let Some(before) = &mut before {
            before.since = net_bytes();
        }
        let ended = WORK.replace(before);
        if let Some(mut ended) = ended {
            ended.take_in();
            silence::end(*did, ended.ledger.named.get().map(AsRef::as_ref));
        }
    }
}

/// What this thread works for.
pub(super) fn current() -> Option<Arc<Ledger>> {
    WORK.with_borrow(|work| work.as_ref().map(|work| Arc::clone(&work.ledger)))
}

/// Has what the thread's statement holds by now charged.
///
/// # Errors
/// As [`Ledger::settle`].
pub fn ask() -> Result<()> {
    let ledger = WORK.with_borrow_mut(|work| {
        work.as_mut().map(|work| {
            work.take_in();
            silence::heard(work.ledger.named.get().map(AsRef::as_ref));
            Arc::clone(&work.ledger)
        })
    });
    ledger.map_or(Ok(()), |ledger| ledger.settle())
}

/// Bytes of arguments of which a result is no small part of what a statement may hold.
const LARGE: usize = 1 << 20;
/// What a call makes of its arguments while it works: a result of their length, whose room is doubled when it is full.
const ROOM_OF_RESULTS: usize = 2;

/// Asks whether this thread's statement may hold what a call makes of arguments of this length, in one go and before it is measured.
///
/// # Errors
/// 53200: it may not.
pub fn has_room_for(arguments: usize) -> datafusion::common::Result<()> {
    let ledger = if arguments < LARGE { None } else { current() };
    let asked = ledger.map_or(Ok(()), |ledger| ledger.books.has_room_for(arguments.saturating_mul(ROOM_OF_RESULTS)));
    asked.map_err(|error| DataFusionError::External(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{StatementWork, follow_spawned_tasks, live_bytes};
    use datafusion::common::runtime::SpawnedTask;
    use futures::FutureExt;
    use querygate_types::ErrorCode;
    use std::sync::atomic::AtomicBool;

    /// Bytes that a statement may hold, and whether it was ended.
    #[derive(Debug)]
    struct Bound(i64, Arc<AtomicBool>);

    impl Books for Bound {
        fn settle(&self, held: i64) -> Result<i64> {
            let fits = held <= self.0;
            if fits { Ok(held) } else { Err(Error::new(ErrorCode::OutOfMemory, "too much")) }
        }

        fn has_room_for(&self, bytes: usize) -> Result<()> {
            self.settle(i64::try_from(bytes).unwrap()).map(drop)
        }

        fn end(&self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn statement(most: i64) -> (Arc<Ledger>, Arc<AtomicBool>) {
        let ended = Arc::<AtomicBool>::default();
        (Ledger::new(Box::new(Bound(most, Arc::clone(&ended)))), ended)
    }

    const MANY: usize = 4 << 20;

    /// Asserts that a statement holds this number of the long texts.
    #[track_caller]
    fn assert_holds(ledger: &Ledger, texts: usize) {
        let expected = i64::try_from(texts * MANY).unwrap();
        assert!((ledger.held() - expected).abs() < 1 << 18, "{} of {expected}", ledger.held());
    }

    #[test]
    fn bytes_are_the_statements_that_a_thread_works_for() {
        let ((one, _), (two, _)) = (statement(i64::MAX), statement(i64::MAX));
        let before = vec![1_u8; MANY];
        let kept = {
            let _one = begin(&one);
            let first = vec![1_u8; MANY];
            {
                let _again = begin(&one);
                drop(vec![1_u8; MANY]);
                let _two = begin(&two);
                drop(before);
            }
            (first, vec![1_u8; MANY])
        };
        drop(vec![1_u8; MANY]);
        assert_holds(&one, 2);
        assert_eq!(two.held().signum(), -1, "it freed what was nobody's");
        let _two = begin(&two);
        drop(kept);
        drop(_two);
        assert_holds(&one, 2);
        assert!(live_bytes().unwrap() > 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tasks_and_blocking_work_that_the_engine_begins_are_their_statements() {
        follow_spawned_tasks();
        let (ledger, _) = statement(i64::MAX);
        let texts = StatementWork::new(&ledger, async {
            let there = SpawnedTask::spawn(async {
                tokio::task::yield_now().await;
                vec![1_u8; MANY]
            });
            let blocking = SpawnedTask::spawn_blocking(|| vec![1_u8; MANY]);
            (there.await.unwrap(), blocking.await.unwrap())
        });
        let texts = texts.await.unwrap();
        assert_holds(&ledger, 2);
        StatementWork::new(&ledger, async { drop(texts) }).await.unwrap();
        assert_holds(&ledger, 0);
        assert!(ledger.most() >= 2 * MANY as u64);
    }

    #[tokio::test]
    async fn a_statement_that_holds_too_much_ends_after_its_step_and_in_a_kernel_that_asks() {
        let (ledger, ended) = statement(7 * i64::try_from(MANY / 2).unwrap());
        let mut texts = Vec::new();
        let work = StatementWork::new(&ledger, async {
            for _ in 0..10 {
                texts.push(vec![1_u8; MANY]);
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(work.await.unwrap_err().code(), ErrorCode::OutOfMemory);
        assert!(texts.len() == 4 && ended.load(Ordering::Relaxed) && ledger.refused().is_some());
        assert!(StatementWork::new(&ledger, std::future::pending::<()>()).now_or_never().unwrap().is_err());
        let (ledger, _) = statement(7 * i64::try_from(MANY / 2).unwrap());
        let made = StatementWork::new(&ledger, async {
            let made = (0..10).map(|_| crate::proceed().map(|()| vec![1_u8; MANY]));
            made.take_while(|made| made.is_ok()).collect::<Vec<_>>().len()
        });
        assert_eq!(made.await.unwrap(), 4);
        assert!(ledger.refused().is_some());
        crate::proceed().unwrap();
    }
}
