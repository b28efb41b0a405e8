//! Write verdicts of one record (reference 6.3 to 6.8 and "By-id write, exactly"). Writes nothing.

mod gates;

use crate::evaluator::{Evaluator, Rights};
use crate::filter::RowLookup;
use gates::Cascade;
use querygate_metadata::model::{Field, ManagedBy, Object, ObjectOperation, RowOperation, TenancyPosture};
use querygate_types::{Error, ErrorCode};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

type Row = Map<String, Value>;

/// A write of one record. Rows are JSON by field name.
#[derive(Debug, Clone, Copy)]
pub enum Change<'r> {
    /// The caller's payload, with defaults applied.
    Insert { payload: &'r Row },
    /// The stored record and the caller's payload.
    Update { before: &'r Row, patch: &'r Row },
    /// The stored record.
    Delete { before: &'r Row },
}

/// The vendor's code of a refused write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalCode {
    /// 403: grants, fields, row policies, ownership.
    PermissionDenied,
    /// 403: the org-wide default's gate.
    Forbidden,
    /// 409: a dependent record restricts the delete.
    DeleteRestricted,
    /// 400: no such field, or a computed one.
    InvalidField,
    /// 400: a masked value written back.
    ValidationError,
}

impl RefusalCode {
    /// The code as the vendor spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Forbidden => "FORBIDDEN",
            Self::DeleteRestricted => "DELETE_RESTRICTED",
            Self::InvalidField => "INVALID_FIELD",
            Self::ValidationError => "VALIDATION_ERROR",
        }
    }
}

/// A refused write. The text names no policy, no hidden field and no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

impl Refusal {
    fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn denied(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::PermissionDenied, message)
    }

    fn no_grant() -> Self {
        Self::denied("you do not have permission to perform this action")
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.code {
            RefusalCode::PermissionDenied | RefusalCode::Forbidden => ErrorCode::InsufficientPrivilege,
            RefusalCode::DeleteRestricted => ErrorCode::DataException,
            RefusalCode::InvalidField => ErrorCode::UndefinedColumn,
            RefusalCode::ValidationError => ErrorCode::InvalidParameterValue,
        };
        Self::new(code, refusal.message)
    }
}

impl From<Error> for Refusal {
    /// Rows that cannot be had refuse the write.
    fn from(_: Error) -> Self {
        Self::denied("the records that decide this write cannot be read")
    }
}

/// Columns the platform stamps; a caller's value is dropped.
const AUDIT: [&str; 4] = ["created_at", "updated_at", "created_by", "updated_by"];

impl<'a> Evaluator<'a> {
    /// Decides a write of one record. An unknown object refuses.
    ///
    /// # Errors
    /// The first refusal in the order of the reference.
    pub fn decide_write(&self, object: &str, change: &Change<'_>, rows: &dyn RowLookup) -> Result<(), Refusal> {
        let object = self.object(object).ok_or_else(Refusal::no_grant)?;
        match change {
            Change::Insert { payload } => self.insert(object, payload, rows),
            Change::Update { before, patch } => self.update(object, before, patch, rows),
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

    fn insert(&self, object: &'a Object, payload: &Row, rows: &dyn RowLookup) -> Result<(), Refusal> {
        let rights = self.rights(object);
        self.may(object, ObjectOperation::Create, rights)?;
        self.payload_fields(object, payload)?;
        self.owner_guard(object, rights, None, payload)?;
        let after = self.insert_image(object, payload);
        self.organization_guard(object, &after, rows)?;
        self.post_image(object, RowOperation::Insert, rights, &after, rows)?;
        self.master_editable(object, &after, rows)?;
        known_fields(object, payload)
    }

    fn update(&self, object: &'a Object, before: &Row, patch: &Row, rows: &dyn RowLookup) -> Result<(), Refusal> {
        let rights = self.rights(object);
        self.may(object, ObjectOperation::Update, rights)?;
        self.payload_fields(object, patch)?;
        self.owner_guard(object, rights, Some(before), patch)?;
        self.inside_wall(object, before, rows)?;
        self.stored_row(object, rights, RowOperation::Update, before, rows)?;
        let mut after = before.clone();
        after.extend(kept(object, patch));
        self.organization_guard(object, &after, rows)?;
        self.post_image(object, RowOperation::Update, rights, &after, rows)?;
        self.master_editable(object, before, rows)?;
        self.master_editable(object, &after, rows)?;
        known_fields(object, patch)
    }

    /// Required permissions, the object bit, and who manages the records.
    fn may(&self, object: &Object, operation: ObjectOperation, rights: Rights) -> Result<(), Refusal> {
        let granted = match operation {
            ObjectOperation::Read => rights.read,
            ObjectOperation::Create => rights.create,
            ObjectOperation::Update => rights.edit,
            ObjectOperation::Delete => rights.delete,
        };
        let managed = match (object.managed_by, operation) {
            (Some(ManagedBy::EngineOwned), _) => true,
            (Some(ManagedBy::AppendOnly), ObjectOperation::Update | ObjectOperation::Delete) => true,
            (Some(ManagedBy::AppendOnly), ObjectOperation::Create | ObjectOperation::Read) => false,
            (
                Some(ManagedBy::Platform | ManagedBy::Config | ManagedBy::SystemData | ManagedBy::BetterAuth) | None,
                _,
            ) => false,
        };
        if granted && !managed && self.holds_all(object.required_permissions.of(operation)) {
            return Ok(());
        }
        Err(Refusal::no_grant())
    }

    /// Every field named may be edited, computed ones too, and is not given its own mask. What is no field comes later.
    fn payload_fields(&self, object: &Object, payload: &Row) -> Result<(), Refusal> {
        let mut locked = Vec::new();
        for (name, value) in payload {
            let Some(field) = object.field(name) else { continue };
            if !self.field_rights(object, field).1 {
                locked.push(name.as_str());
            } else if let (Some(mask), Some(text)) = (self.mask(field), value.as_str())
                && text.contains('*')
                && mask.apply(text) == text
            {
                return Err(Refusal::new(RefusalCode::ValidationError, "masked value write refused"));
            }
        }
        if locked.is_empty() {
            return Ok(());
        }
        let (names, object) = (locked.join(", "), &object.name);
        Err(Refusal::denied(format!("field write denied: not permitted to edit [{names}] on '{object}'")))
    }

    /// Another user's `owner_id` on insert, or any change of it, needs the transfer right.
    fn owner_guard(&self, object: &Object, rights: Rights, before: Option<&Row>, payload: &Row) -> Result<(), Refusal> {
        let Some(field) = object.owner_field() else { return Ok(()) };
        let Some(owner) = payload.get(&field.name) else { return Ok(()) };
        let unchanged = match before {
            Some(before) => before.get(&field.name).unwrap_or(&Value::Null) == owner,
            None => owner.is_null() || owner.as_str() == Some(self.principal.user_id.as_str()),
        };
        if unchanged || rights.transfer {
            return Ok(());
        }
        Err(Refusal::denied(format!("'{}' on '{}' is system-managed", field.name, object.name)))
    }

    /// The record as an insert stores it, as far as policies see it.
    fn insert_image(&self, object: &Object, payload: &Row) -> Row {
        let mut image: Row = object.fields.keys().map(|name| (name.clone(), Value::Null)).collect();
        image.extend(kept(object, payload));
        let me = Value::String(self.principal.user_id.clone());
        for stamp in ["owner_id", "created_by", "updated_by"] {
            if let Some(value) = image.get_mut(stamp)
                && value.is_null()
            {
                *value = me.clone();
            }
        }
        // The tenant add-on stamps a missing organization.
        if let (Some(field), Some(organization)) = (object.tenant_field(), &self.principal.organization_id)
            && self.policy.snapshot().posture != TenancyPosture::Single
            && let Some(value) = image.get_mut(&field.name)
            && value.is_null()
        {
            *value = Value::String(organization.clone());
        }
        image
    }
}

/// Every field named exists and is stored. Asked last: who may not write hears that first.
fn known_fields(object: &Object, payload: &Row) -> Result<(), Refusal> {
    match payload.keys().find(|name| !object.field(name).is_some_and(Field::stored)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("'{name}' is not a writable field of '{}'", object.name);
            Err(Refusal::new(RefusalCode::InvalidField, message))
        }
    }
}

/// The payload without what the platform drops silently: audit columns and readonly fields.
fn kept(object: &Object, payload: &Row) -> Row {
    let dropped = |name: &str| AUDIT.contains(&name) || object.field(name).is_some_and(|f| f.readonly && !f.system);
    payload.iter().filter(|(name, _)| !dropped(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
