//! Entries as rows of the table: one for each field that the reader sees, with values as the reader sees them. A change of a hidden
//! field, or one that leaves a mask as it was, is none.

use crate::books::system::{Cell, Row, text};
use crate::events::{View, aligned};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_catalog::VisibleObject;
use querygate_driver_api::write::{ChangeOp, RowsChanged};
use querygate_events::HistoryEntry;
use querygate_query_api::requests::question::{AnswerColumn, ObjectDescription};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Prints rows as objects of JSON.
pub(crate) type Print = fn(&Arc<[AnswerColumn]>, &RecordBatch, &mut String) -> Result<()>;

/// What one reader is shown of an object's history.
pub(super) struct Shown<'a> {
    pub(super) visible: &'a VisibleObject,
    pub(super) description: &'a ObjectDescription,
    pub(super) raw: &'a SchemaRef,
    pub(super) principal: &'a Principal,
    pub(super) print: Print,
}

/// The rows of a change before and after, as the reader sees them.
type Sides = (Option<View>, Option<View>);

impl Shown<'_> {
    /// # Errors
    /// A value that cannot be shown.
    pub(super) fn rows(&self, entries: &[HistoryEntry]) -> Result<Vec<Row>> {
        let mut views: BTreeMap<i64, Sides> = BTreeMap::new();
        let mut rows = Vec::new();
        for entry in entries {
            let sides = match views.entry(entry.number) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.sides(&entry.change)?),
            };
            self.entry(entry, sides, &mut rows)?;
        }
        Ok(rows)
    }

    fn sides(&self, change: &RowsChanged) -> Result<Sides> {
        let side = |rows: Option<&RecordBatch>| {
            let raw = rows.map(|rows| aligned(rows, self.raw)).transpose()?;
            raw.map(|raw| View::of(self.visible, self.description, &change.key, &raw)).transpose()
        };
        Ok((side(change.before.as_ref())?, side(change.after.as_ref())?))
    }

    fn entry(&self, entry: &HistoryEntry, (before, after): &Sides, rows: &mut Vec<Row>) -> Result<()> {
        let record = |view: &Option<View>| {
            let printed = view.as_ref().map(|view| view.record(self.print, entry.row)).transpose()?;
            let record: Option<Map<String, Value>> =
                printed.map(|text| querygate_types::json::value::object(&text)).transpose().map_err(Error::internal)?;
            Ok::<_, Error>(record.unwrap_or_default())
        };
        let (old, new) = (record(before)?, record(after)?);
        let change = &entry.change;
        let kept = change.after.as_ref().or(change.before.as_ref());
        let has = |name: &str| kept.is_some_and(|kept| kept.column_by_name(name).is_some());
        let names = self.visible.fields().map(|field| field.name.as_str());
        let names = names.filter(|name| has(name) && !change.key.iter().any(|key| key == name));
        let changed = names.map(|name| (name, cell(old.get(name)), cell(new.get(name))));
        let mut shown: Vec<_> = changed.filter(|(_, old, new)| old != new).collect();
        let what = match change.operation {
            ChangeOp::Insert => "insert",
            ChangeOp::Update => "update",
            ChangeOp::Delete => "delete",
        };
        if shown.is_empty() && change.operation != ChangeOp::Update {
            shown.push(("", None, None));
        }
        for (field, old, new) in shown {
            rows.push(vec![
                Cell::Time(UNIX_EPOCH + Duration::from_micros(entry.sequence)),
                text(&change.object),
                text(&entry.key),
                Cell::Text((!field.is_empty()).then(|| field.to_owned())),
                text(what),
                Cell::Text(old),
                Cell::Text(new),
                Cell::Text(self.actor(entry)),
                text(&entry.door),
                text(&entry.transaction),
                Cell::Flag(entry.uncertain),
            ]);
        }
        Ok(())
    }

    /// Who made a change is for operators, for that user, and for who sees in the record itself who changed it.
    fn actor(&self, entry: &HistoryEntry) -> Option<String> {
        let sees_stamp = || {
            let is_open = !self.visible.decision.masks().contains_key("updated_by");
            is_open && self.visible.fields().any(|field| field.name == "updated_by")
        };
        let is_shown = self.principal.operator || *self.principal.user_id == *entry.actor || sees_stamp();
        is_shown.then(|| entry.actor.to_string())
    }
}

/// A value as a text: texts as they are, others as JSON prints them.
fn cell(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(other.to_string()),
    }
}
