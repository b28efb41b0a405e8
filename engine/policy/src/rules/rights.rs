//! Rights on objects that a principal has, of those that rules ask for.

use crate::formula::ObjectRight;
use std::collections::{BTreeMap, BTreeSet};

/// Rights that a principal has, of those that an object's rules ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantedRights(BTreeMap<String, BTreeSet<ObjectRight>>);

impl GrantedRights {
    /// One more right on an object.
    pub(crate) fn add(&mut self, object: &str, right: ObjectRight) {
        self.0.entry(object.to_owned()).or_default().insert(right);
    }

    /// Whether an object's right is among them, by its verb.
    pub(super) fn have(&self, object: &str, verb: &str) -> bool {
        let right = ObjectRight::of_verb(verb);
        right.is_some_and(|right| self.0.get(object).is_some_and(|rights| rights.contains(&right)))
    }
}
