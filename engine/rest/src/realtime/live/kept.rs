//! What a client was given of an answer: keys and digests, and what another answer changes of it. Reads nothing.

use querygate_types::json::print::quoted;
use std::collections::{HashMap, HashSet};

/// Bytes of an entry beside its key.
const ENTRY_BYTES: usize = 64;

/// What tells two records with one key apart.
pub(super) type Digest = [u8; 16];

/// One record of an answer.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) digest: Digest,
    /// Printed; `None`: it is as it was.
    pub(super) record: Option<String>,
}

impl Found {
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.record.as_ref().map_or(0, String::len) + ENTRY_BYTES
    }
}

/// What a client was given.
#[derive(Debug, Default)]
pub(super) struct Kept {
    digests: HashMap<String, Digest>,
    /// Keys in the order of the answer, where it has one.
    order: Option<Vec<String>>,
    bytes: usize,
}

/// One change of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add { key: String, record: String },
    Replace { key: String, record: String },
    Remove { key: String },
}

/// What changes an answer into another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) changes: Vec<Change>,
    /// All keys in their order, where that is not the order before, without what is gone and with what is new at its end.
    pub(super) order: Option<Vec<String>>,
}

impl Kept {
    pub(super) fn new(is_ordered: bool) -> Self {
        Self { order: is_ordered.then(Vec::new), ..Self::default() }
    }

    /// Whether a record is as it was given.
    pub(super) fn has(&self, key: &str, digest: &Digest) -> bool {
        self.digests.get(key) == Some(digest)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes another whole answer. A key stands in it once.
    pub(super) fn replace(&mut self, found: Vec<Found>) -> Difference {
        let mut difference = Difference::default();
        let keys: HashSet<&str> = found.iter().map(|one| one.key.as_str()).collect();
        let mut gone: Vec<String> = self.digests.keys().filter(|key| !keys.contains(key.as_str())).cloned().collect();
        gone.sort_unstable();
        let order = self.order.as_ref().map(|_| found.iter().map(|one| one.key.clone()).collect::<Vec<_>>());
        if let Some(own) = &mut self.order {
            own.retain(|key| keys.contains(key.as_str()));
        }
        for key in gone {
            self.remove(key, &mut difference);
        }
        for one in found {
            self.put(one, &mut difference);
        }
        if let (Some(own), Some(order)) = (&mut self.order, order)
            && *own != order
        {
            own.clone_from(&order);
            difference.order = Some(order);
        }
        difference
    }

    /// Takes another answer to a part of a question without an order: the records with these keys.
    pub(super) fn merge(&mut self, asked: &[String], found: Vec<Found>) -> Difference {
        let mut difference = Difference::default();
        let there: HashSet<String> = found.iter().map(|one| one.key.clone()).collect();
        for key in asked.iter().filter(|key| !there.contains(*key)) {
            if self.digests.contains_key(key) {
                self.remove(key.clone(), &mut difference);
            }
        }
        for one in found {
            self.put(one, &mut difference);
        }
        difference
    }

    fn remove(&mut self, key: String, difference: &mut Difference) {
        self.digests.remove(&key);
        self.bytes = self.bytes.saturating_sub(self.weight(&key));
        difference.changes.push(Change::Remove { key });
    }

    fn put(&mut self, found: Found, difference: &mut Difference) {
        let Found { key, digest, record } = found;
        let known = self.digests.insert(key.clone(), digest);
        if known.is_none() {
            self.bytes = self.bytes.saturating_add(self.weight(&key));
            if let Some(order) = &mut self.order {
                order.push(key.clone());
            }
        }
        match (known, record) {
            (None, Some(record)) => difference.changes.push(Change::Add { key, record }),
            (Some(old), Some(record)) if old != digest => difference.changes.push(Change::Replace { key, record }),
            (_, _) => {}
        }
    }

    fn weight(&self, key: &str) -> usize {
        let times = if self.order.is_some() { 2 } else { 1 };
        times * key.len() + ENTRY_BYTES
    }
}

impl Change {
    pub(super) fn print(&self, out: &mut String) {
        let (word, key, record) = match self {
            Self::Add { key, record } => ("add", key, Some(record)),
            Self::Replace { key, record } => ("change", key, Some(record)),
            Self::Remove { key } => ("remove", key, None),
        };
        out.push_str("{\"op\":\"");
        out.push_str(word);
        out.push_str("\",\"key\":");
        quoted(key, out);
        if let Some(record) = record {
            out.push_str(",\"record\":");
            out.push_str(record);
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, digest: u8) -> Found {
        Found { key: key.to_owned(), digest: [digest; 16], record: Some(format!("{{\"n\":{digest}}}")) }
    }

    fn printed(difference: &Difference) -> (String, Option<String>) {
        let mut out = String::new();
        difference.changes.iter().for_each(|change| change.print(&mut out));
        (out, difference.order.as_ref().map(|order| order.join(",")))
    }

    #[test]
    fn an_answer_becomes_another_by_what_differs() {
        let mut kept = Kept::new(false);
        kept.replace(vec![found("a", 1), found("b", 1)]);
        let bytes = kept.bytes();
        let (changes, order) = printed(&kept.replace(vec![found("b", 2), found("c", 1), found("a", 1)]));
        assert_eq!(changes, r#"{"op":"change","key":"b","record":{"n":2}}{"op":"add","key":"c","record":{"n":1}}"#);
        assert_eq!(order, None);
        assert!(kept.bytes() > bytes);
        let (changes, _) = printed(&kept.merge(&["a".to_owned(), "z".to_owned(), "b".to_owned()], vec![found("b", 2)]));
        assert_eq!(changes, r#"{"op":"remove","key":"a"}"#);
        assert_eq!(kept.bytes(), bytes);
    }

    #[test]
    fn an_order_is_said_where_it_is_not_plain() {
        let mut kept = Kept::new(true);
        assert_eq!(kept.replace(vec![found("a", 1), found("b", 1), found("c", 1)]).order, None);
        assert_eq!(kept.replace(vec![found("b", 1), found("c", 1), found("d", 1)]).order, None, "one left, one came");
        let (changes, order) = printed(&kept.replace(vec![found("d", 1), found("b", 1), found("c", 1)]));
        assert_eq!((changes.as_str(), order.as_deref()), ("", Some("d,b,c")));
        kept.replace(Vec::new());
        assert_eq!(kept.bytes(), 0);
    }
}
