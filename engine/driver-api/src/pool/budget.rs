//! The bound on the open connections of all sources together. Knows no connection: pools ask it before they open one, and tell
//! it which of theirs are unused.

use querygate_types::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often one who waits looks whether a connection rests.
const LOOK: Duration = Duration::from_millis(100);

/// A pool that keeps connections for the next one who asks.
pub trait Resting: Send + Sync {
    /// Since when the one has rested that has rested longest. `None`: none rests.
    fn longest(&self) -> Option<Instant>;

    /// Closes that one, and gives its place back with it.
    fn close_longest(&self);
}

/// Connections that may be open at once, over all drivers. Given in the order of asking. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn Resting>>>,
}

/// The right to one open connection, as long as it lives.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of this number of open connections, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { shared: Arc::new(Shared { places, waiting: AtomicUsize::new(0), pools: Mutex::default() }) }
    }

    /// A pool whose resting connections may make room for others.
    pub fn add(&self, pool: Weak<dyn Resting>) {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Whether somebody waits: then an unused connection is closed, not kept.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.shared.waiting.load(Ordering::SeqCst) > 0
    }

    /// Whether nothing more can be opened now.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.shared.places.available_permits() == 0
    }

    /// Waits for a place, for which the connection goes that has rested longest, whosesoever it is.
    ///
    /// # Errors
    /// Internal only: places are never taken away.
    pub async fn place(&self) -> Result<Place, Error> {
        if let Ok(permit) = Arc::clone(&self.shared.places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        // Counted before the look, so that a connection given back after the look is seen as wanted.
        let _counted = Counted::new(&self.shared.waiting);
        let mut turn = std::pin::pin!(Arc::clone(&self.shared.places).acquire_owned());
        loop {
            self.make_room();
            // Again after a while: one may come to rest whose user had asked before anybody waited.
            if let Ok(permit) = tokio::time::timeout(LOOK, turn.as_mut()).await {
                return Ok(Place { _permit: permit.map_err(Error::internal)? });
            }
        }
    }

    fn make_room(&self) {
        let pools: Vec<Arc<dyn Resting>> = {
            let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.iter().filter_map(Weak::upgrade).collect()
        };
        let rested = pools.iter().filter_map(|pool| pool.longest().map(|since| (since, pool)));
        if let Some((_, pool)) = rested.min_by_key(|(since, _)| *since) {
            pool.close_longest();
        }
    }
}

impl Default for Budget {
    /// No bound.
    fn default() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("free", &self.shared.places.available_permits()).finish_non_exhaustive()
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// Resting connections are places with the time since when they rest.
    #[derive(Default)]
    struct Pool(Mutex<Vec<(Instant, Place)>>);

    impl Resting for Pool {
        fn longest(&self) -> Option<Instant> {
            self.0.lock().unwrap().iter().map(|(since, _)| *since).min()
        }

        fn close_longest(&self) {
            let mut resting = self.0.lock().unwrap();
            let at = (0..resting.len()).min_by_key(|at| resting[*at].0);
            at.map(|at| resting.remove(at));
        }
    }

    #[tokio::test]
    async fn what_rests_longest_makes_room_and_who_waits_longest_gets_it() {
        let budget = Budget::new(2);
        let (young, old) = (Arc::new(Pool::default()), Arc::new(Pool::default()));
        let weak = |pool: &Arc<Pool>| Arc::downgrade(&(Arc::clone(pool) as Arc<dyn Resting>));
        budget.add(weak(&young));
        budget.add(weak(&old));
        let began = Instant::now();
        for (pool, rests) in [(&old, began), (&young, began + std::time::Duration::from_secs(1))] {
            let place = budget.place().await.unwrap();
            pool.0.lock().unwrap().push((rests, place));
        }
        assert!(budget.is_spent() && !budget.is_wanted());
        let third = budget.place().now_or_never().unwrap().unwrap();
        assert_eq!((old.0.lock().unwrap().len(), young.0.lock().unwrap().len()), (0, 1));
        let fourth = budget.place().now_or_never().unwrap().unwrap();
        assert!(young.0.lock().unwrap().is_empty());
        let mut first = Box::pin(budget.place());
        let mut second = Box::pin(budget.place());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!(budget.is_wanted());
        drop(third);
        assert!((&mut second).now_or_never().is_none());
        let first = first.now_or_never().unwrap();
        drop(fourth);
        assert!(second.now_or_never().unwrap().is_ok() && first.is_ok());
        assert!(!budget.is_wanted());
    }

    #[tokio::test]
    async fn what_comes_to_rest_unseen_makes_room_a_little_later() {
        let budget = Budget::new(1);
        let pool = Arc::new(Pool::default());
        budget.add(Arc::downgrade(&(Arc::clone(&pool) as Arc<dyn Resting>)));
        let place = budget.place().await.unwrap();
        let mut waiting = Box::pin(budget.place());
        assert!((&mut waiting).now_or_never().is_none());
        // Kept by somebody who had asked before anybody waited.
        pool.0.lock().unwrap().push((Instant::now(), place));
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().is_ok());
    }
}
