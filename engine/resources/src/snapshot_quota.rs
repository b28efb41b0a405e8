//! Snapshots that sources keep while users read the parts of a result: a user has a share of those of each source. Knows no source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A source and a user.
type Whose = (Arc<str>, Box<str>);

/// How many each user has of each source.
#[derive(Debug, Default)]
pub(crate) struct SnapshotQuota(Mutex<HashMap<Whose, usize>>);

/// One of them; counts until it is dropped.
#[derive(Debug)]
pub struct HeldSnapshot {
    snapshots: Arc<SnapshotQuota>,
    whose: Whose,
}

impl SnapshotQuota {
    fn counts(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more. `None`: the user has as many as may be.
    pub(crate) fn one_more(self: &Arc<Self>, source: &Arc<str>, login: &str, most: usize) -> Option<HeldSnapshot> {
        let whose: Whose = (Arc::clone(source), login.into());
        let mut counts = self.counts();
        let count = counts.entry(whose.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(HeldSnapshot { snapshots: Arc::clone(self), whose })
    }
}

impl Drop for HeldSnapshot {
    fn drop(&mut self) {
        let mut counts = self.snapshots.counts();
        if let Some(count) = counts.get_mut(&self.whose) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_share_of_each_sources_snapshots() {
        let (snapshots, crm, erp): (_, Arc<str>, Arc<str>) =
            (Arc::new(SnapshotQuota::default()), "crm".into(), "erp".into());
        let first = snapshots.one_more(&crm, "sam", 1).unwrap();
        assert!(snapshots.one_more(&crm, "sam", 1).is_none());
        let _others = (snapshots.one_more(&crm, "ada", 1).unwrap(), snapshots.one_more(&erp, "sam", 1).unwrap());
        drop(first);
        assert_eq!(snapshots.counts().len(), 2);
        assert!(snapshots.one_more(&crm, "sam", 1).is_some());
    }
}
