//! Documents that a transaction has read under a lock. MongoDB has no such locks, and an update that changes nothing takes none: two
//! transactions are in each other's way only where both write to a document. So before the commit, each document that was locked
//! and not written to gets a field and loses it again, which leaves it as it was, and fails if somebody else wrote to it meanwhile.

use super::print::simple;
use crate::documents::introspect::KEY;
use crate::error::unreadable;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes of the keys of all documents, at most.
const BYTES_MAX: usize = 64 << 20;
/// Keys of one command, and their bytes: it names them twice, and is at most 16 MiB.
const KEYS_AT_ONCE: usize = 1_000;
const BYTES_AT_ONCE: usize = 4 << 20;
/// Whole numbers up to this are all doubles.
const WHOLE_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The documents of each collection.
#[derive(Debug, Default)]
pub(super) struct Locks {
    collections: BTreeMap<String, Documents>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Documents {
    locked: HashMap<Vec<u8>, Bson>,
    /// Those that the transaction itself has made or changed.
    written: HashSet<Vec<u8>>,
}

impl Locks {
    /// A document that no other transaction is to write to.
    ///
    /// # Errors
    /// 54000: there are too many.
    pub(super) fn lock(&mut self, collection: &str, key: Bson) -> Result<()> {
        let known = known(&key)?;
        let documents = self.of(collection);
        if documents.locked.contains_key(&known) {
            return Ok(());
        }
        let bytes = known.len() * 2;
        documents.locked.insert(known, key);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows are locked in one transaction"));
        }
        Ok(())
    }

    /// Documents that are in others' way already. What is not kept for its number is only written to once more.
    ///
    /// # Errors
    /// A fault of ours.
    pub(super) fn written(&mut self, collection: &str, keys: &[Bson]) -> Result<()> {
        for key in keys {
            if self.bytes > BYTES_MAX / 2 {
                return Ok(());
            }
            let known = known(key)?;
            let bytes = known.len();
            if self.of(collection).written.insert(known) {
                self.bytes = self.bytes.saturating_add(bytes);
            }
        }
        Ok(())
    }

    /// The commands that write to each document that is locked only.
    pub(super) fn commands(&self) -> Vec<Document> {
        // A name that no document has: it is not left behind, and takes nothing away.
        let field = format!("querygate_lock_{}", ObjectId::new().to_hex());
        let mut commands = Vec::new();
        for (collection, documents) in &self.collections {
            let unwritten = documents.locked.iter().filter(|(known, _)| !documents.written.contains(*known));
            let (mut keys, mut bytes) = (Vec::new(), 0_usize);
            for (known, key) in unwritten {
                keys.push(key.clone());
                bytes = bytes.saturating_add(known.len());
                if keys.len() >= KEYS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                    commands.push(command(collection, &field, std::mem::take(&mut keys)));
                    bytes = 0;
                }
            }
            if !keys.is_empty() {
                commands.push(command(collection, &field, keys));
            }
        }
        commands
    }

    fn of(&mut self, collection: &str) -> &mut Documents {
        self.collections.entry(collection.to_owned()).or_default()
    }
}

fn command(collection: &str, field: &str, keys: Vec<Bson>) -> Document {
    let found = doc! { KEY: { "$in": keys } };
    let update = |change: Document| doc! { "q": found.clone(), "u": change, "multi": true, "collation": simple() };
    let updates = vec![update(doc! { "$set": { field: true } }), update(doc! { "$unset": { field: "" } })];
    doc! { "update": collection, "updates": updates, "ordered": true }
}

/// The bytes of a key. Numbers that are equal are one key.
fn known(key: &Bson) -> Result<Vec<u8>> {
    let key = match key {
        Bson::Int32(number) => Bson::Int64(i64::from(*number)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        Bson::Double(number) if number.fract() == 0.0 && number.abs() <= WHOLE_DOUBLE_MAX => {
            Bson::Int64(*number as i64)
        }
        other => other.clone(),
    };
    doc! { "": key }.to_vec().map_err(|error| unreadable().with_cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_only_is_written_to_and_left_as_it_was() {
        let mut locks = Locks::default();
        for key in [Bson::Int32(1), Bson::Int64(2), Bson::Double(3.0), Bson::Int64(1)] {
            locks.lock("t", key).unwrap();
        }
        locks.written("t", &[Bson::Int64(3), Bson::Int32(2)]).unwrap();
        locks.written("u", &[Bson::Int64(1)]).unwrap();
        let commands = locks.commands();
        assert_eq!(commands.len(), 1);
        assert_eq!(commands[0].get_str("update").unwrap(), "t");
        let updates: Vec<&Document> =
            commands[0].get_array("updates").unwrap().iter().map(|update| update.as_document().unwrap()).collect();
        let changes: Vec<&Document> = updates.iter().map(|update| update.get_document("u").unwrap()).collect();
        let set = changes[0].get_document("$set").unwrap();
        assert!(set.keys().eq(changes[1].get_document("$unset").unwrap().keys()));
        assert_eq!(updates[1].get_document("q").unwrap(), &doc! { "_id": { "$in": [1] } });
        for number in 0..2_500 {
            locks.lock("many", Bson::Int64(number)).unwrap();
        }
        assert_eq!(locks.commands().len(), 4);
    }

    #[test]
    fn locks_are_bounded() {
        let mut locks = Locks::default();
        let long = |number: usize| Bson::String(format!("{number}{}", "x".repeat(1_000_000)));
        let refused = (0..100).find_map(|number| locks.lock("t", long(number)).err());
        assert_eq!(refused.unwrap().code(), ErrorCode::ProgramLimitExceeded);
        assert!(locks.written("t", &[long(200)]).is_ok());
    }
}
