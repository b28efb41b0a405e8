//! Who follows changes now, and how far each has come.

use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

/// Who follows.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Login name.
    pub login: String,
    /// Through which door.
    pub door: &'static str,
    /// Objects that are followed; `None`: all that the user sees.
    pub objects: Option<Vec<String>>,
}

/// One who follows, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) subscriber: Subscriber,
    pub(crate) since: SystemTime,
    pub(crate) delivered: AtomicU64,
    pub(crate) sequence: AtomicU64,
    number: u64,
    places: Weak<Places>,
}

impl Subscription {
    /// Notes that a follower was given events, and has come to a sequence.
    pub fn came_to(&self, sequence: u64, events: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
        self.delivered.fetch_add(events, Ordering::Relaxed);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(places) = self.places.upgrade() {
            places.taken().remove(&self.number);
        }
    }
}

#[derive(Debug, Default)]
struct Places {
    next: AtomicU64,
    taken: Mutex<BTreeMap<u64, Weak<Subscription>>>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Subscription>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All who follow.
#[derive(Debug)]
pub(crate) struct Registry {
    places: Arc<Places>,
    all_max: usize,
    per_user_max: usize,
}

impl Registry {
    pub(crate) fn new(all_max: usize, per_user_max: usize) -> Self {
        Self { places: Arc::default(), all_max, per_user_max }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// 53300: there are too many.
    pub(crate) fn enter(&self, subscriber: Subscriber, sequence: u64) -> Result<Arc<Subscription>> {
        let full = |whose: &str, most: usize| {
            let text = format!("too many subscriptions to events {whose}");
            Err(Error::new(ErrorCode::TooManyQueries, text).with_detail(format!("The limit is {most}.")))
        };
        // The last reference to one may end here, which takes the lock: they are let go behind it.
        let others: Vec<Arc<Subscription>>;
        let mut taken = self.places.taken();
        if taken.len() >= self.all_max {
            return full("in all", self.all_max);
        }
        others = taken.values().filter_map(Weak::upgrade).collect();
        if others.iter().filter(|other| other.subscriber.login == subscriber.login).count() >= self.per_user_max {
            return full("of one user", self.per_user_max);
        }
        let number = self.places.next.fetch_add(1, Ordering::Relaxed);
        let made = Arc::new(Subscription {
            subscriber,
            since: SystemTime::now(),
            delivered: AtomicU64::new(0),
            sequence: AtomicU64::new(sequence),
            number,
            places: Arc::downgrade(&self.places),
        });
        taken.insert(number, Arc::downgrade(&made));
        Ok(made)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Subscription>> {
        let taken: Vec<_> = self.places.taken().values().cloned().collect();
        taken.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(login: &str) -> Subscriber {
        Subscriber { login: login.to_owned(), door: "rest", objects: None }
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let registry = Registry::new(3, 2);
        let first = registry.enter(of("ada"), 5).unwrap();
        let _second = registry.enter(of("ada"), 5).unwrap();
        assert_eq!(registry.enter(of("ada"), 5).unwrap_err().code(), ErrorCode::TooManyQueries);
        let _third = registry.enter(of("sam"), 5).unwrap();
        assert_eq!(registry.enter(of("eve"), 5).unwrap_err().code(), ErrorCode::TooManyQueries);
        drop(first);
        assert_eq!(registry.all().len(), 2);
        registry.enter(of("eve"), 5).unwrap();
    }

    #[test]
    fn places_that_are_asked_for_at_the_same_time_are_bounded() {
        for _ in 0..200 {
            let registry = Registry::new(5, 3);
            let (registry, start) = (&registry, &std::sync::Barrier::new(8));
            let places: Vec<_> = std::thread::scope(|scope| {
                let enter = |at: usize| {
                    scope.spawn(move || {
                        start.wait();
                        registry.enter(of(if at.is_multiple_of(2) { "ada" } else { "sam" }), 0)
                    })
                };
                let threads: Vec<_> = (0..8).map(enter).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
            });
            let of_ada = places.iter().filter(|place| place.subscriber.login == "ada").count();
            assert!(places.len() == 5 && (2..=3).contains(&of_ada), "{} of ada in {}", of_ada, places.len());
        }
    }
}
