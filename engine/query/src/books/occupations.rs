//! What a session is kept for beyond single statements, as long as its door says so. Knows no door.

use querygate_query_api::holding::Occupation;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What a session is kept for since a moment.
#[derive(Debug, Clone)]
pub(crate) struct SessionOccupation {
    pub(crate) occupation: Occupation,
    /// What it is about.
    pub(crate) object: String,
    pub(crate) since: SystemTime,
}

/// All of one session, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occupations(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    shown: BTreeMap<u64, SessionOccupation>,
}

/// One that goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenOccupation {
    all: Occupations,
    number: u64,
}

impl Occupations {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins. `object`: what it is about.
    pub(crate) fn begin(&self, occupation: Occupation, object: &str) -> OpenOccupation {
        let shown = SessionOccupation { occupation, object: object.to_owned(), since: SystemTime::now() };
        let open = &mut *self.open();
        let number = open.next;
        open.next += 1;
        open.shown.insert(number, shown);
        OpenOccupation { all: self.clone(), number }
    }

    /// Those that go on now.
    pub(crate) fn now(&self) -> Vec<SessionOccupation> {
        self.open().shown.values().cloned().collect()
    }
}

impl Drop for OpenOccupation {
    fn drop(&mut self) {
        self.all.open().shown.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_shown_until_it_is_dropped() {
        let all = Occupations::default();
        let names = || all.now().into_iter().map(|one| (one.occupation.word(), one.object)).collect::<Vec<_>>();
        let first = all.begin(Occupation::Presence, "deal");
        let second = all.begin(Occupation::Import, "note");
        assert_eq!(names(), [("presence", "deal".to_owned()), ("import", "note".to_owned())]);
        drop(first);
        let _third = all.begin(Occupation::Presence, "note");
        drop(second);
        assert_eq!(names(), [("presence", "note".to_owned())]);
    }
}
