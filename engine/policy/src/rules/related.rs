//! What a write has to do with other objects' records: targets that must exist, roll-ups to compute anew, dependents of a
//! deleted record. All as data; looks nothing up.

use super::Row;
use super::object::{ObjectRules, RuleFault};
use super::unique::UniqueCheck;
use super::violation::{Violation, ViolationCode};
use crate::filter::RowFilter;
use crate::query_filter::{Column, FilterContext, compile_filter};
use querygate_metadata::model::{
    DeleteBehavior, Field, FieldType, Object, Protocol, Snapshot, SummaryFunction, ValidationSeverity,
};
use querygate_types::Error;
use serde_json::{Map, Value, json};

/// A record that a written one refers to and that must exist.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceCheck<'r> {
    pub field: &'r Field,
    /// The object that is referred to.
    pub target: &'r str,
    /// As it is written: the value of the target's key.
    pub value: Value,
}

impl ReferenceCheck<'_> {
    /// What is wrong where there is no such record, or none that the writer may see. Names the writer's own value only.
    #[must_use]
    pub fn violation(&self) -> Violation {
        let id = self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned);
        let message = format!("{}: no {} record has id \"{id}\"", self.field.label, self.target);
        Violation::of_field(self.field, ViolationCode::ReferenceNotFound, message)
            .with([("target", json!(self.target))])
            .beside([("value", self.value.clone())])
    }
}

/// Targets that values of a write refer to: of each field once, empty texts not.
fn references<'r>(rules: &'r ObjectRules, given: &Row) -> Vec<ReferenceCheck<'r>> {
    let mut checks: Vec<ReferenceCheck<'_>> = Vec::new();
    for (name, value) in given {
        let Some(field) = rules.object.field(name).filter(|field| field.field_type.is_reference()) else { continue };
        let Some(target) = field.reference.as_deref() else { continue };
        let values = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        for value in values {
            let is_empty = value.is_null() || value.as_str() == Some("");
            let check = ReferenceCheck { field, target, value: value.clone() };
            if !is_empty && !checks.contains(&check) {
                checks.push(check);
            }
        }
    }
    checks
}

/// A roll-up of a parent that a change of its children may have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryUpdate {
    /// The object that has the summary, and the summary.
    pub parent: String,
    pub field: String,
    pub function: SummaryFunction,
    /// What is rolled up, its field (none for a count of records), and the field that holds the parent.
    pub child: String,
    pub child_field: Option<String>,
    pub relationship: String,
    /// Children that count.
    pub filter: RowFilter,
    /// Parents of the child before and after the change.
    pub parents: Vec<Value>,
}

/// A summary over the records of an object.
#[derive(Debug)]
pub(super) struct Rollup {
    parent: String,
    field: String,
    function: SummaryFunction,
    child_field: Option<String>,
    relationship: String,
    filter: Option<Value>,
}

/// Every summary over the records of an object, and those whose way to their children is not clear.
pub(super) fn rollups_of(child: &Object, snapshot: &Snapshot, faults: &mut Vec<RuleFault>) -> Vec<Rollup> {
    let mut rollups = Vec::new();
    for parent in snapshot.objects.values() {
        for field in parent.fields.values() {
            let Some(summary) = field.summary.as_ref().filter(|summary| summary.object == child.name) else { continue };
            let mut fault = |reason: String| {
                let rule = format!("{}.{}", parent.name, field.name);
                faults.push(RuleFault { rule, reason, is_mistake: true, location: field.location.clone() });
            };
            if let Err(error) = filter_of(summary.filter.as_ref(), child, 0, snapshot.protocol) {
                fault(format!("its filter cannot be applied: {}", error.message()));
                continue;
            }
            let Some(relationship) = relationship(child, &parent.name, summary.relationship_field.as_deref()) else {
                fault(format!("not exactly one field of '{}' points at '{}'", child.name, parent.name));
                continue;
            };
            rollups.push(Rollup {
                parent: parent.name.clone(),
                field: field.name.clone(),
                function: summary.function,
                child_field: (!summary.field.is_empty()).then(|| summary.field.clone()),
                relationship: relationship.to_owned(),
                filter: summary.filter.clone(),
            });
        }
    }
    rollups
}

impl ObjectRules {
    /// Roll-ups that are to be computed anew when a record is inserted, changed or deleted.
    ///
    /// # Errors
    /// A filter of a summary that cannot be applied at this time.
    pub fn summary_updates(
        &self,
        before: Option<&Row>,
        after: Option<&Row>,
        now_ms: i64,
    ) -> Result<Vec<SummaryUpdate>, Error> {
        let mut updates = Vec::new();
        for rollup in &self.rollups {
            let mut parents: Vec<Value> = Vec::new();
            for row in [before, after].into_iter().flatten() {
                let value = row.get(&rollup.relationship).unwrap_or(&Value::Null);
                if !value.is_null() && !parents.contains(value) {
                    parents.push(value.clone());
                }
            }
            if !parents.is_empty() {
                updates.push(SummaryUpdate {
                    parent: rollup.parent.clone(),
                    field: rollup.field.clone(),
                    function: rollup.function,
                    child: self.object.name.clone(),
                    child_field: rollup.child_field.clone(),
                    relationship: rollup.relationship.clone(),
                    filter: filter_of(rollup.filter.as_ref(), &self.object, now_ms, self.protocol)?,
                    parents,
                });
            }
        }
        Ok(updates)
    }

    /// Objects that have a roll-up over the records.
    pub fn summary_parents(&self) -> impl Iterator<Item = &str> {
        self.rollups.iter().map(|rollup| rollup.parent.as_str())
    }

    /// Targets that values of a write refer to: of each field once, empty texts not. `given`: what the caller gave, as it is
    /// stored.
    #[must_use]
    pub fn references(&self, given: &Row) -> Vec<ReferenceCheck<'_>> {
        references(self, given)
    }

    /// What no other record may have, of the record as it is to be stored.
    #[must_use]
    pub fn unique_checks(&self, record: &Row, previous: Option<&Row>) -> Vec<UniqueCheck<'_>> {
        self.uniques.iter().filter_map(|group| group.check(record, previous)).collect()
    }
}

/// The child's field that holds the parent: the one named, else the only one that points there.
fn relationship<'o>(child: &'o Object, parent: &str, named: Option<&'o str>) -> Option<&'o str> {
    if named.is_some() {
        return named;
    }
    let points = |field: &&Field| {
        matches!(field.field_type, FieldType::Lookup | FieldType::MasterDetail)
            && field.reference.as_deref() == Some(parent)
    };
    let mut fields = child.fields.values().filter(points);
    let only = fields.next()?;
    fields.next().is_none().then_some(only.name.as_str())
}

fn filter_of(filter: Option<&Value>, child: &Object, now_ms: i64, protocol: Protocol) -> Result<RowFilter, Error> {
    let Some(filter) = filter else { return Ok(RowFilter::All) };
    let column = |name: &str| child.field(name).map(Column::from);
    let context = FilterContext { now_ms, protocol, ..FilterContext::default() };
    compile_filter(filter, &column, &context).map_err(Error::from)
}

/// What the delete of a record means for records that refer to it by one field.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRule<'s> {
    /// The object that refers, and its field.
    pub object: &'s Object,
    pub field: &'s Field,
    /// Of a field with several values, `SetNull` takes the one out and leaves the others.
    pub behavior: DeleteBehavior,
}

impl DeleteRule<'_> {
    /// What a delete is refused with where dependents restrict it. `count` only where the caller may see all of them.
    #[must_use]
    pub fn violation(&self, deleted: &Object, count: Option<usize>) -> Violation {
        let many = count.map(|count| format!("{count} ")).unwrap_or_default();
        let is_forced = self.field.field_type == FieldType::Lookup
            && self.field.required
            && !matches!(self.field.delete_behavior, Some(DeleteBehavior::Restrict));
        let forced = if is_forced { ", which is required and cannot be cleared" } else { "" };
        let message = format!(
            "This {} is still referenced by {many}{} record(s) through “{}”{forced}. Delete or reassign them first.",
            deleted.label, self.object.label, self.field.label
        );
        Violation {
            field: None,
            label: None,
            rule: format!("{}_{}_fkey", self.object.name, self.field.name),
            code: ViolationCode::DeleteRestricted,
            message,
            severity: ValidationSeverity::Error,
            constraint: Map::new(),
            beside: Map::new(),
            reads: Vec::new(),
            is_authored: false,
        }
    }
}

/// What the delete of an object's record means for others, in the order of the fields that point at it.
#[must_use]
pub fn delete_rules<'s>(snapshot: &'s Snapshot, object: &str) -> Vec<DeleteRule<'s>> {
    let referrers = snapshot.referrers(object).iter();
    let rules = referrers.filter_map(|referrer| {
        let object = snapshot.object(&referrer.object)?;
        let field = object.field(&referrer.field)?;
        Some(DeleteRule { object, field, behavior: delete_behavior(field)? })
    });
    rules.collect()
}

/// What a reference does to its record when the target goes. Only `lookup` and `master_detail` react; emptying a
/// required lookup acts as restrict.
pub(crate) fn delete_behavior(fk: &Field) -> Option<DeleteBehavior> {
    if fk.field_type == FieldType::MasterDetail {
        return Some(match fk.delete_behavior {
            Some(DeleteBehavior::Restrict) => DeleteBehavior::Restrict,
            Some(DeleteBehavior::Cascade | DeleteBehavior::SetNull) | None => DeleteBehavior::Cascade,
        });
    }
    if fk.field_type == FieldType::Lookup {
        return Some(match fk.delete_behavior.unwrap_or(DeleteBehavior::SetNull) {
            DeleteBehavior::SetNull if fk.required => DeleteBehavior::Restrict,
            behavior => behavior,
        });
    }
    None
}
