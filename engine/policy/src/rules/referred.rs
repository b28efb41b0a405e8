//! Records that validations read beside the written one: those that its fields refer to. Says which, and holds what was found; looks
//! nothing up.

use super::Row;
use super::validation::CompiledValidation;
use crate::expression::DropReason;
use querygate_metadata::model::{Object, Snapshot};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A field that refers to records which validations read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferredField {
    /// The field of the written record.
    pub name: String,
    /// The object that it refers to.
    pub target: String,
    /// Fields of that object that validations read.
    pub reads: BTreeSet<String>,
}

/// Records that written ones refer to, with the fields that validations read: as they are stored, whatever the writer sees.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReferredRecords {
    /// By the field that refers to them and the JSON text of its value.
    rows: BTreeMap<String, BTreeMap<String, Row>>,
}

impl ReferredField {
    /// The object whose records a field refers to, one each.
    pub(super) fn target<'s>(object: &Object, field: &str, snapshot: &'s Snapshot) -> Result<&'s Object, DropReason> {
        let own = object.field(field).ok_or_else(|| DropReason::no_column(field))?;
        let refers = |text: &str| DropReason::new(format!("'{field}' {text}, so that nothing is read through it"));
        if !own.field_type.is_reference() {
            return Err(refers("is no reference"));
        }
        if own.multiple {
            return Err(refers("refers to several records"));
        }
        let target = own.reference.as_deref().and_then(|target| snapshot.object(target));
        target.map(AsRef::as_ref).ok_or_else(|| refers("refers to an object that is not there"))
    }

    /// What the validations of an object read of other records.
    pub(super) fn all(validations: &[CompiledValidation], object: &Object) -> Vec<Self> {
        let mut reads: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (field, name) in validations.iter().flat_map(CompiledValidation::referred) {
            reads.entry(field).or_default().insert(name.to_owned());
        }
        let found = reads.into_iter().filter_map(|(name, reads)| {
            let target = object.field(name)?.reference.clone()?;
            Some(Self { name: name.to_owned(), target, reads })
        });
        found.collect()
    }

    /// What a record's field holds, where that refers to a record.
    #[must_use]
    pub fn value<'r>(&self, record: &'r Row) -> Option<&'r Value> {
        record.get(&self.name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }
}

impl ReferredRecords {
    /// Keeps the record that a field's value refers to.
    pub fn insert(&mut self, field: &str, value: &Value, record: Row) {
        self.rows.entry(field.to_owned()).or_default().insert(value.to_string(), record);
    }

    /// The record that a field's value refers to, if it was found.
    pub(super) fn get(&self, field: &str, value: &Value) -> Option<&Row> {
        self.rows.get(field)?.get(&value.to_string())
    }
}
