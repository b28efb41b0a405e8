//! Write verdicts, of one record and as sets of records (reference 6.3 to 6.8 and "By-id write, exactly"). Writes nothing.

mod decision;
mod explain;
mod exposure;
mod gates;
mod image;
mod mechanism;
mod obstacles;
mod refusal;
mod rights;
mod target;

pub use crate::rules::Stamp;
pub use decision::{Assignment, OwnerRule, WriteDecision, WritePermit, WriteVerdict};
pub use obstacles::{WriteObstacle, events_of};
pub use refusal::{Refusal, RefusalCode, WriteDenial, WriteOperation};
pub use target::{Dependent, DependentAction};

use crate::evaluator::{Evaluator, Rights};
use crate::filter::RowLookup;
use crate::mask::Mask;
use crate::value;
use gates::Cascade;
use image::id_of;
use querygate_metadata::model::{Field, Object, RowOperation};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

type Row = Map<String, Value>;

/// A write of one record. Rows are JSON by field name.
#[derive(Debug, Clone, Copy)]
pub enum Change<'r> {
    /// The caller's payload, which rights and field security look at, and the record that is to be stored, which row policies
    /// look at: see [`Evaluator::insert_image`]. What the image lacks is null, or stamped.
    Insert { payload: &'r Row, image: &'r Row },
    /// The stored record and the caller's payload.
    Update { before: &'r Row, patch: &'r Row },
    /// The stored record.
    Delete { before: &'r Row },
}

impl<'a> Evaluator<'a> {
    /// Decides a write of one record. An unknown object refuses.
    ///
    /// # Errors
    /// The first refusal in the order of the reference.
    pub fn decide_write(&self, object: &str, change: &Change<'_>, rows: &dyn RowLookup) -> Result<(), Refusal> {
        let object = self.object(object).ok_or_else(Refusal::no_grant)?;
        let operation = match change {
            Change::Insert { .. } => WriteOperation::Insert,
            Change::Update { .. } => WriteOperation::Update,
            Change::Delete { .. } => WriteOperation::Delete,
        };
        let rights = self.rights(object);
        if let Some(denial) = self.write_denial(object, operation, rights) {
            return Err(denial.refusal(&object.name, operation));
        }
        match change {
            Change::Insert { payload, image } => self.insert(object, rights, payload, image, rows),
            Change::Update { before, patch } => self.update(object, rights, before, patch, rows),
            Change::Delete { before } => self.delete(object, before, rows, &mut Cascade::default()),
        }
    }

    /// Fields of an object that field security does not let the principal write.
    #[must_use]
    pub fn not_editable_fields(&self, object: &str) -> BTreeSet<String> {
        let Some(object) = self.object(object) else { return BTreeSet::new() };
        let locked = |field: &&Field| !self.field_rights(object, field).1;
        object.fields.values().filter(locked).map(|field| field.name.clone()).collect()
    }

    fn insert(
        &self,
        object: &'a Object,
        rights: Rights,
        payload: &Row,
        image: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        self.payload_fields(object, payload, false)?;
        self.owner_guard(object, rights, None, payload)?;
        let after = self.complete_insert(object, image);
        self.inside_wall(object, &after, rows)?;
        self.post_image(object, RowOperation::Insert, rights, &after, rows)?;
        self.master_editable(object, &after, rows)?;
        known_fields(object, payload)
    }

    fn update(
        &self,
        object: &'a Object,
        rights: Rights,
        before: &Row,
        patch: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        self.payload_fields(object, patch, true)?;
        self.owner_guard(object, rights, Some(before), patch)?;
        self.inside_wall(object, before, rows)?;
        self.stored_row(object, rights, RowOperation::Update, before, rows)?;
        let after = self.update_image(&object.name, before, patch);
        self.inside_wall(object, &after, rows)?;
        self.post_image(object, RowOperation::Update, rights, &after, rows)?;
        self.master_editable(object, before, rows)?;
        self.master_editable(object, &after, rows)?;
        known_fields(object, patch)
    }

    /// Every field named may be edited, computed ones too, and is not given its own mask. What is no field comes later.
    fn payload_fields(&self, object: &Object, payload: &Row, is_update: bool) -> Result<(), Refusal> {
        let (mut locked, mut masked) = (Vec::new(), Vec::new());
        for (name, value) in payload {
            let Some(field) = object.field(name) else { continue };
            if !self.field_rights(object, field).1 {
                locked.push(name.as_str());
            } else if self.mask(field).is_some_and(|mask| is_own_mask(&mask, value)) {
                masked.push(name.as_str());
            }
        }
        if !masked.is_empty() {
            return Err(own_mask(&object.name, &masked, is_update));
        }
        if locked.is_empty() { Ok(()) } else { Err(locked_fields(&object.name, &locked)) }
    }

    /// Another user's `owner_id` on insert, or any change of it, needs the transfer right.
    fn owner_guard(&self, object: &Object, rights: Rights, before: Option<&Row>, payload: &Row) -> Result<(), Refusal> {
        let Some(field) = object.owner_field() else { return Ok(()) };
        let Some(owner) = payload.get(&field.name) else { return Ok(()) };
        let unchanged = match before {
            Some(before) => before.get(&field.name).unwrap_or(&Value::Null) == owner,
            None => owner.is_null() || self.is_me(field, owner),
        };
        if unchanged || rights.transfer {
            return Ok(());
        }
        Err(foreign_owner(&object.name, &field.name, before.is_some()))
    }

    /// Whether a value of a field is the principal's id, as its column holds it.
    fn is_me(&self, field: &Field, value: &Value) -> bool {
        id_of(field, &self.principal.user_id).is_some_and(|me| value::compare(value, &me) == Some(Ordering::Equal))
    }
}

/// A value that a mask made: stored, it would destroy what it hides.
fn is_own_mask(mask: &Mask, value: &Value) -> bool {
    match value {
        // What masks in Rust make has no sign of its own; of one that fails, nothing says what the value is.
        Value::String(text) => {
            let may_be = text.contains(['*', '•']) || matches!(mask, Mask::Native(_));
            may_be && mask.apply(text).map_or(true, |masked| masked == *text)
        }
        Value::Array(elements) => elements.iter().any(|element| is_own_mask(mask, element)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn own_mask(object: &str, masked: &[&str], is_update: bool) -> Refusal {
    let names = masked.join(", ");
    let action = if is_update { "update" } else { "insert" };
    Refusal::new(RefusalCode::ValidationError, "masked value write refused").says(format!(
        "[Security] Masked value write refused: {action} on '{object}' supplies masked placeholder values for [{names}]. \
         These look like a round-trip of a partially masked read (field.maskingRule); writing them back would replace \
         the stored values with their masks. Resubmit the real values, or omit these fields from the write."
    ))
}

fn locked_fields(object: &str, locked: &[&str]) -> Refusal {
    let names = locked.join(", ");
    let text = format!("not permitted to edit [{names}] on '{object}'");
    Refusal::denied(format!("field write denied: {text}")).says(format!("[Security] Field write denied: {text}"))
}

fn foreign_owner(object: &str, field: &str, is_update: bool) -> Refusal {
    let text = format!("'{field}' on '{object}' is system-managed");
    let change = match is_update {
        true => "changing record ownership on update",
        false => "creating a record owned by another user",
    };
    Refusal::denied(text.clone()).says(format!(
        "[Security] Access denied: {text} — {change} requires the transfer grant (allowTransfer or modifyAllRecords)"
    ))
}

/// Every field named exists and is stored. Asked last: who may not write hears that first.
fn known_fields(object: &Object, payload: &Row) -> Result<(), Refusal> {
    for name in payload.keys() {
        let (code, object) = match object.field(name) {
            Some(field) if field.stored() => continue,
            Some(field) if !field.field_type.stored() => (RefusalCode::ComputedField, &object.name),
            Some(_) | None => (RefusalCode::InvalidField, &object.name),
        };
        return Err(unknown_field(code, name, object));
    }
    Ok(())
}

fn unknown_field(code: RefusalCode, name: &str, object: &str) -> Refusal {
    let refusal = Refusal::new(code, format!("'{name}' is not a writable field of '{object}'"));
    Refusal { field: Some(name.to_owned()), ..refusal.says(format!("Unknown field '{name}' on object '{object}'")) }
}
