//! Changes of single records by their values, as ObjectStack's interface has them, beside SQL. Knows no plan and no HTTP.

use crate::requests::question::AnswerColumn;
use arrow::record_batch::RecordBatch;
use querygate_types::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A change of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordChange {
    /// The object, by its name in metadata.
    pub object: String,
    /// What is done.
    pub action: RecordAction,
    /// Documents among its values as they were written, by the names of fields: values have doubles, which are not all digits of a number.
    /// One that does not say what its value is says nothing.
    pub texts: HashMap<String, String>,
}

impl RecordChange {
    /// With no texts of documents.
    #[must_use]
    pub fn new(object: String, action: RecordAction) -> Self {
        Self { object, action, texts: HashMap::new() }
    }
}

/// What is done to a record.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordAction {
    /// A record is added.
    Create {
        /// Its values, by the names of fields; its key may be among them.
        values: Map<String, Value>,
    },
    /// Fields of a record get other values.
    Update {
        /// The record's key.
        id: String,
        /// The new values, by the names of fields.
        values: Map<String, Value>,
        /// `updated_at` of the record as the caller knows it; another one refuses the change.
        expected_version: Option<String>,
    },
    /// The record of a key gets other values, or is added where there is none.
    Upsert {
        /// The record's key.
        id: String,
        /// Its values, by the names of fields. A key among them is that of the record that is added.
        values: Map<String, Value>,
    },
    /// A record is taken away, with those that follow it.
    Delete {
        /// The record's key.
        id: String,
        /// `updated_at` of the record as the caller knows it; another one refuses the change.
        expected_version: Option<String>,
    },
}

impl RecordAction {
    /// The values that are given; of a record that is taken away, none.
    #[must_use]
    pub fn values(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Create { values } | Self::Update { values, .. } | Self::Upsert { values, .. } => Some(values),
            Self::Delete { .. } => None,
        }
    }

    /// The key of a record that there is, or is to be.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create { .. } => None,
            Self::Update { id, .. } | Self::Upsert { id, .. } | Self::Delete { id, .. } => Some(id),
        }
    }
}

/// A change that was made.
#[derive(Debug, Clone)]
pub struct ChangedRecord {
    /// The record's key.
    pub id: String,
    /// The record as it is stored now and as the caller may see it: a batch of one row, with what its columns are. `None` of one that was
    /// taken away, or that the caller does not see.
    pub record: Option<(Arc<[AnswerColumn]>, RecordBatch)>,
    /// Fields whose values were dropped.
    pub dropped: Vec<DroppedField>,
}

/// A field that took no value of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedField {
    /// Its name in metadata.
    pub field: String,
    /// Why.
    pub reason: DropReason,
}

/// Why a value was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The field is not for callers to write.
    Readonly,
    /// The field's condition holds for this record.
    ReadonlyWhen,
}

impl DropReason {
    /// As ObjectStack spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::ReadonlyWhen => "readonly_when",
        }
    }
}

/// What happens to several changes when one of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Nothing of them is stored.
    UndoAll,
    /// Nothing of them is stored. They are new rows of one object and one change: hooks hear which of its rows each is, and what is wrong with
    /// the fields of one is answered before anything else of any of them.
    AsOne,
    /// What was done before stays, what comes after is not tried.
    Stop,
    /// The others are made.
    Continue,
}

/// What became of one of several changes.
#[derive(Debug)]
pub enum ChangeOutcome {
    /// It is stored.
    Made(ChangedRecord),
    /// It failed, and nothing of it is stored.
    Failed(Error),
    /// It was made and is undone, because another one failed.
    Undone,
    /// It was not tried, because another one failed.
    NotTried,
}

/// The texts of a record's key, one for each of its fields: those of several have commas between them. `None`: it is no such key. A
/// text with a comma in it is a part of none, and one with a NUL character is no text of a record.
#[must_use]
pub fn key_parts(id: &str, fields: usize) -> Option<Vec<&str>> {
    if id.contains('\0') {
        return None;
    }
    if fields == 1 {
        return Some(vec![id]);
    }
    let parts: Vec<&str> = id.split(',').collect();
    (parts.len() == fields).then_some(parts)
}

/// A key for a new record: 16 characters that stand in a URL as they are.
///
/// # Errors
/// Internal: the system has no randomness.
pub fn record_id() -> Result<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let mut random = [0_u8; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::internal("the system has no randomness"))?;
    Ok(random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 64))).map(|letter| char::from(*letter)).collect())
}

/// A random UUID, of version 4.
///
/// # Errors
/// Internal: the system has no randomness.
pub fn random_uuid() -> Result<String> {
    let mut random = [0_u8; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::internal("the system has no randomness"))?;
    let mut bits = u128::from_be_bytes(random);
    bits = (bits & !(0xf_u128 << 76)) | (4_u128 << 76);
    bits = (bits & !(0b11_u128 << 62)) | (0b10_u128 << 62);
    let digits = format!("{bits:032x}");
    querygate_types::uuid::canonical(&digits).ok_or_else(|| Error::internal("a uuid has no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_fields_have_as_many_parts() {
        assert_eq!(key_parts("a,b", 1), Some(vec!["a,b"]));
        assert_eq!(key_parts("o1,2", 2), Some(vec!["o1", "2"]));
        assert_eq!(key_parts(",", 2), Some(vec!["", ""]));
        for wrong in ["o1", "o1,2,3", ""] {
            assert_eq!(key_parts(wrong, 2), None, "{wrong}");
        }
        assert_eq!(key_parts("a", 0), None);
        assert_eq!((key_parts("a\0", 1), key_parts("a\0,b", 2)), (None, None));
    }

    #[test]
    fn keys_are_of_one_length_and_differ() {
        let keys: std::collections::HashSet<String> = (0..100).map(|_| record_id().unwrap()).collect();
        assert_eq!(keys.len(), 100);
        assert!(keys.iter().all(|key| key.len() == 16));
    }

    #[test]
    fn uuids_are_random_ones() {
        let text = random_uuid().unwrap();
        let at = |place: usize| text.as_bytes().get(place).copied();
        assert_eq!((text.len(), at(14), at(8)), (36, Some(b'4'), Some(b'-')));
        assert!(matches!(at(19), Some(b'8' | b'9' | b'a' | b'b')), "{text}");
        assert_ne!(text, random_uuid().unwrap());
    }
}
