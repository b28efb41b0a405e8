//! Sets of fields that no two records share. Looks nothing up.

use super::Row;
use super::violation::{Violation, ViolationCode};
use querygate_metadata::model::{FieldType, Object, Uniqueness, ValidationSeverity};
use serde_json::{Map, Value};

/// Fields that no two records share, in the whole store or in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueGroup {
    /// Name of the index or key, else made of the object and its fields.
    pub name: String,
    pub fields: Vec<String>,
    /// The field that holds the organization, where the group is of one. Records without one are of one organization too.
    pub organization: Option<String>,
}

/// The values of one record that no other may have.
#[derive(Debug, Clone, PartialEq)]
pub struct UniqueCheck<'r> {
    pub group: &'r UniqueGroup,
    /// In the order of the group's fields, none of them null.
    pub values: Vec<Value>,
    /// The record's organization, or null, where the group is of one.
    pub organization: Option<Value>,
}

impl UniqueCheck<'_> {
    /// What a record that takes another's values is refused with: the same whichever record it is, and with no value of it. The
    /// field is named where the group is of the whole store.
    #[must_use]
    pub fn violation(&self) -> Violation {
        let field = match (self.group.fields.as_slice(), &self.group.organization) {
            ([only], None) => Some(only.clone()),
            _ => None,
        };
        Violation {
            message: format!("A record with this {} already exists", field.as_deref().unwrap_or("value")),
            field,
            label: None,
            rule: self.group.name.clone(),
            code: ViolationCode::Unique,
            severity: ValidationSeverity::Error,
            constraint: Map::new(),
            beside: Map::new(),
            reads: self.group.fields.clone(),
            is_authored: false,
        }
    }
}

impl UniqueGroup {
    /// What is to be looked up for a record, unless a value is null: nulls are never alike. Of an update only what it changes.
    pub(super) fn check<'r>(&'r self, record: &Row, previous: Option<&Row>) -> Option<UniqueCheck<'r>> {
        let value = |row: &Row, name: &String| row.get(name).cloned().unwrap_or(Value::Null);
        let values: Vec<Value> = self.fields.iter().map(|name| value(record, name)).collect();
        if values.iter().any(Value::is_null) {
            return None;
        }
        let named = || self.fields.iter().chain(&self.organization);
        if previous.is_some_and(|previous| named().all(|name| value(previous, name) == value(record, name))) {
            return None;
        }
        let organization = self.organization.as_ref().map(|name| value(record, name));
        Some(UniqueCheck { group: self, values, organization })
    }
}

/// The groups of an object: unique fields, unique indexes, keys of its table.
pub(super) fn groups_of(object: &Object) -> Vec<UniqueGroup> {
    let organization = object.tenant_field().map(|field| field.name.clone());
    let mut groups: Vec<UniqueGroup> = Vec::new();
    let mut add = |name: Option<&String>, fields: Vec<String>, unique: Uniqueness| {
        let organization = match unique {
            Uniqueness::No => return,
            Uniqueness::Organization => organization.clone(),
            Uniqueness::Global => None,
        };
        let name = name.cloned().unwrap_or_else(|| format!("{}_{}_key", object.name, fields.join("_")));
        if !fields.is_empty()
            && !groups.iter().any(|group| group.fields == fields && group.organization == organization)
        {
            groups.push(UniqueGroup { name, fields, organization });
        }
    };
    let key: Vec<String> = object.key().into_iter().map(|field| field.name.clone()).collect();
    add(object.primary_key_name.as_ref(), key, Uniqueness::Global);
    for field in object.fields.values().filter(|field| field.stored() && field.name != "id") {
        let unique = match (field.unique, field.field_type) {
            (Uniqueness::No, FieldType::Autonumber) => Uniqueness::Organization,
            (unique, _) => unique,
        };
        add(None, vec![field.name.clone()], unique);
    }
    for index in &object.indexes {
        add(index.name.as_ref(), index.fields.clone(), index.unique);
    }
    for key in &object.unique_keys {
        add(key.name.as_ref(), key.fields.clone(), Uniqueness::Global);
    }
    groups
}
