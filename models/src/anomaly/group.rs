//! One alert for what belongs together: incidents that share a principal, template, source or object and begin close to each
//! other. Knows keys as numbers, not what they stand for.

use serde::{Deserialize, Serialize};

/// Incidents this close in time, in seconds, may belong together.
const CLOSE: i64 = 1800;
const OPEN_MOST: usize = 1000;
const KEYS_MOST: usize = 64;

/// Groups that may still grow, each with the time and the keys of its first incident; at most 1,000, the oldest are closed first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    next: u64,
    open: Vec<(u64, i64, Vec<u64>)>,
}

/// Where an incident belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the first of a new alert.
    New(u64),
    /// It belongs to this alert.
    Joins(u64),
}

impl Groups {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Places an incident that began at `time` (UTC seconds) and concerns `keys` (hashes of principal, template, source
    /// and object). It joins the latest group that began within half an hour, whose first incident shares a key, and that
    /// `may_join` allows: what joins makes a group neither last longer nor concern more.
    pub fn place(&mut self, time: i64, keys: &[u64], may_join: impl Fn(u64) -> bool) -> Place {
        self.open.retain(|(_, first, _)| time - first <= CLOSE);
        let related =
            self.open.iter().filter(|(id, _, known)| keys.iter().any(|key| known.contains(key)) && may_join(*id));
        if let Some((id, ..)) = related.max_by_key(|(_, first, _)| *first) {
            return Place::Joins(*id);
        }
        if self.open.len() >= OPEN_MOST {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, (_, first, _))| *first).map(|(at, _)| at);
            oldest.map(|at| self.open.swap_remove(at));
        }
        let id = self.next;
        self.next += 1;
        self.open.push((id, time, keys.iter().copied().take(KEYS_MOST).collect()));
        Place::New(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_key_and_a_time_is_one_alert() {
        let mut groups = Groups::new();
        for (time, keys, expected) in [
            (0, [1, 10].as_slice(), Place::New(0)),
            (300, &[2, 10], Place::Joins(0)),
            // Key 2 came with the second incident: not what the alert is about.
            (600, &[2, 11], Place::New(1)),
            (CLOSE, &[10, 11], Place::Joins(1)),
            (CLOSE, &[1], Place::Joins(0)),
            (CLOSE + 1, &[1, 10], Place::New(2)),
            (CLOSE + 1, &[], Place::New(3)),
        ] {
            assert_eq!(groups.place(time, keys, |_| true), expected, "{time} {keys:?}");
        }
    }

    #[test]
    fn there_are_never_more_than_a_thousand() {
        let mut groups = Groups::new();
        (0..5000).for_each(|key| {
            groups.place(0, &[key], |_| true);
        });
        assert_eq!(groups.open.len(), OPEN_MOST);
    }

    #[test]
    fn what_may_not_join_begins_a_group() {
        let mut groups = Groups::new();
        assert_eq!(groups.place(0, &[1], |_| true), Place::New(0));
        assert_eq!(groups.place(1, &[1], |group| group != 0), Place::New(1));
        assert_eq!(groups.place(2, &[1], |group| group == 0), Place::Joins(0));
    }
}
