//! Records as a write stores them: what a payload leaves, what the platform stamps. Checks nothing.

use super::{Row, WriteOperation};
use crate::evaluator::Evaluator;
use crate::filter::FilterValue;
use crate::layers::id_of_kind;
use crate::query_filter::Column;
use crate::rules::{Stamp, is_dropped, json_of};
use crate::value::{ColumnKind, coerce};
use querygate_metadata::model::{DefaultValue, Field, Object, TenancyPosture};
use serde_json::Value;

impl Evaluator<'_> {
    /// The record that an insert of a payload stores: the payload without what is dropped silently, over defaults, stamped. An
    /// unknown object has none.
    #[must_use]
    pub fn insert_image(&self, object: &str, payload: &Row, defaults: &Row) -> Row {
        let Some(object) = self.object(object) else { return Row::new() };
        let mut image = defaults.clone();
        image.extend(kept(object, payload));
        self.complete_insert(object, &image)
    }

    /// The record that an update with a payload stores. An unknown object has none.
    #[must_use]
    pub fn update_image(&self, object: &str, before: &Row, patch: &Row) -> Row {
        let Some(object) = self.object(object) else { return Row::new() };
        let mut image = before.clone();
        image.extend(kept(object, patch));
        self.stamp(object, WriteOperation::Update, image)
    }

    /// Defaults of an object that are the same for every payload: literals, `NOW()` and `current_user`, not expressions.
    #[must_use]
    pub fn fixed_defaults(&self, object: &str) -> Row {
        let Some(object) = self.object(object) else { return Row::new() };
        let value = |field: &Field| match field.default.as_ref()? {
            DefaultValue::Literal(value) => Some(value.clone()),
            DefaultValue::Now => self.now_of(field).map(|now| json_of(&now)),
            DefaultValue::CurrentUser => self.me_of(field).map(|me| json_of(&me)),
            DefaultValue::Expression(_) => None,
        };
        let stored = object.fields.values().filter(|field| field.stored());
        stored.filter_map(|field| Some((field.name.clone(), value(field)?))).collect()
    }

    /// An image with every column of the object, stamped where it has no value.
    pub(super) fn complete_insert(&self, object: &Object, image: &Row) -> Row {
        let mut complete: Row = object.fields.keys().map(|name| (name.clone(), Value::Null)).collect();
        complete.extend(image.clone());
        self.stamp(object, WriteOperation::Insert, complete)
    }

    pub(super) fn stamp(&self, object: &Object, operation: WriteOperation, mut image: Row) -> Row {
        self.stamps(object, operation).iter().for_each(|stamp| stamp.apply(&mut image));
        image
    }

    /// What the platform fills when a user writes. On an insert what a hook or a default gave stays; the stamps of an update
    /// are always new.
    pub(super) fn stamps(&self, object: &Object, operation: WriteOperation) -> Vec<Stamp> {
        let (people, instants): (&[&str], &[&str]) = match operation {
            WriteOperation::Insert => (&["owner_id", "created_by", "updated_by"], &["created_at", "updated_at"]),
            WriteOperation::Update => (&["updated_by"], &["updated_at"]),
            WriteOperation::Delete => (&[], &[]),
        };
        let only_missing = operation == WriteOperation::Insert;
        let stored = |name: &&str| object.field(name).filter(|field| field.stored());
        // What the platform makes belongs to no user.
        let people = people.iter().filter(|name| !self.principal.is_system() || **name != "owner_id");
        let people = people.filter_map(stored).filter_map(|field| Some((field, self.me_of(field)?)));
        let instants = instants.iter().filter_map(stored).filter_map(|field| Some((field, self.now_of(field)?)));
        let stamp = |(field, value): (&Field, FilterValue)| Stamp { field: field.name.clone(), value, only_missing };
        let mut stamps: Vec<Stamp> = people.chain(instants).map(stamp).collect();
        // The tenant add-on stamps a missing organization.
        if operation == WriteOperation::Insert
            && self.policy.snapshot().posture != TenancyPosture::Single
            && let (Some(field), Some(id)) = (object.tenant_field(), &self.principal.organization_id)
            && let Some(value) = id_of(field, id)
        {
            stamps.push(Stamp { field: field.name.clone(), value, only_missing: true });
        }
        stamps
    }

    fn me_of(&self, field: &Field) -> Option<FilterValue> {
        id_of(field, &self.principal.user_id)
    }

    fn now_of(&self, field: &Field) -> Option<FilterValue> {
        let day = || i32::try_from(self.now_ms.div_euclid(86_400_000)).ok();
        match Column::from(field).kind() {
            ColumnKind::Timestamp => Some(FilterValue::Timestamp(self.now_ms)),
            ColumnKind::Date => day().map(FilterValue::Date),
            ColumnKind::Text
            | ColumnKind::Uuid
            | ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Time
            | ColumnKind::List
            | ColumnKind::Json
            | ColumnKind::ReadFromText
            | ColumnKind::Computed => None,
        }
    }
}

/// An id as the column holds it; `None` where it can hold none.
pub(super) fn id_of(field: &Field, id: &str) -> Option<FilterValue> {
    let kind = Column::from(field).kind();
    coerce(&id_of_kind(id, kind)?, kind)
}

/// The payload without what the platform drops silently: audit columns and readonly fields.
pub(super) fn kept(object: &Object, payload: &Row) -> Row {
    let kept = payload.iter().filter(|(name, _)| !object.field(name).is_some_and(is_dropped));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
