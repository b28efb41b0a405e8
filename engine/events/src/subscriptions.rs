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
        let mut taken = self.places.taken();
        if taken.len() >= self.all_max {
            return full("in all", self.all_max);
        }
        let same = |other: &Weak<Subscription>| {
            other.upgrade().is_some_and(|other| other.subscriber.login == subscriber.login)
        };
        // The last reference may end here, which takes the lock: so it is counted before.
        let own: Vec<_> = taken.values().cloned().collect();
        drop(taken);
        if own.iter().filter(|other| same(other)).count() >= self.per_user_max {
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
        taken = self.places.taken();
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
}
