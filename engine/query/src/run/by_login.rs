//! What is kept for each login for as long as anybody holds it. Logins are made by claims of tokens too, so there may be any number
//! of them in the life of a gate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Fewer are never looked through.
const KEPT_LEAST: usize = 256;

/// One thing for each login.
#[derive(Debug)]
pub(crate) struct ByLogin<T: ?Sized>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T: ?Sized> {
    of: HashMap<String, Arc<T>>,
    /// At this number those that are held no more are forgotten; twice what was left the last time, so that each new one costs
    /// equally much.
    look_through_at: usize,
}

impl<T: ?Sized> Default for ByLogin<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { of: HashMap::new(), look_through_at: KEPT_LEAST }))
    }
}

impl<T: ?Sized> ByLogin<T> {
    /// The one of a login, made where there is none. What somebody holds is never made a second time.
    pub(crate) fn of(&self, login: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = kept.of.get(login) {
            return Arc::clone(own);
        }
        if kept.of.len() >= kept.look_through_at {
            // A further hold of one is taken here only, under the lock.
            kept.of.retain(|_, own| Arc::strong_count(own) > 1);
            kept.look_through_at = (2 * kept.of.len()).max(KEPT_LEAST);
        }
        let own = make();
        kept.of.insert(login.to_owned(), Arc::clone(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_the_same_and_the_rest_is_forgotten() {
        let by_login = ByLogin::<usize>::default();
        let held: Vec<_> = (0..300).map(|n| by_login.of(&format!("held{n}"), || Arc::new(n))).collect();
        for n in 0..50_000 {
            by_login.of(&format!("u{n}"), || Arc::new(n));
        }
        assert!(by_login.0.lock().unwrap().of.len() <= 2 * held.len() + KEPT_LEAST);
        for (n, own) in held.iter().enumerate() {
            let found = by_login.of(&format!("held{n}"), || Arc::new(usize::MAX));
            assert!(Arc::ptr_eq(&found, own), "{n}");
        }
    }
}
