//! What the evaluator answers for writes in their set form, and the permit that proves that a write was allowed. Decides nothing.

use super::{
    Refusal, RefusalCode, Row, Stamp, WriteDenial, WriteOperation, foreign_owner, is_own_mask, locked_fields, own_mask,
    unknown_field,
};
use crate::decision::LayerVerdict;
use crate::filter::{FilterValue, RowFilter};
use crate::mask::Mask;
use crate::value;
use querygate_metadata::model::WriteBarrier;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Whether records of an object can be written at all. An allowed write may still have a target that passes no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteVerdict {
    Allow,
    Deny(WriteDenial),
}

/// What a statement may do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignment {
    /// It may be given a value.
    Free,
    /// A value is dropped silently by the vendor; SQL refuses it as that of a generated column.
    Dropped,
    /// It is computed on read or by roll-up and has no value of its own.
    Computed,
    /// Field security does not let the principal write it.
    Locked,
}

/// What a statement may make of the owner.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnerRule {
    /// Anybody, or there is no owner.
    Free,
    /// Without the transfer right: an insert may name the principal or none, an update may not change it. `me` is the principal
    /// as the column holds it, if it can.
    Guarded { field: String, me: Option<FilterValue> },
}

/// The decision for writing one object. Only the evaluator makes one.
#[derive(Debug, Clone)]
pub struct WriteDecision {
    pub(super) object: String,
    pub(super) user_id: String,
    pub(super) snapshot_version: u64,
    pub(super) operation: WriteOperation,
    pub(super) verdict: WriteVerdict,
    pub(super) target: RowFilter,
    pub(super) check: RowFilter,
    pub(super) fields: BTreeMap<String, Assignment>,
    pub(super) masks: BTreeMap<String, Mask>,
    pub(super) owner: OwnerRule,
    pub(super) stamps: Vec<Stamp>,
    pub(super) layers: Vec<LayerVerdict>,
}

impl WriteDecision {
    pub(super) fn denied(object: &str, asker: &Principal, operation: WriteOperation, denial: WriteDenial) -> Self {
        Self {
            object: object.to_owned(),
            user_id: asker.user_id.clone(),
            snapshot_version: 0,
            operation,
            verdict: WriteVerdict::Deny(denial),
            target: RowFilter::Nothing,
            check: RowFilter::Nothing,
            fields: BTreeMap::new(),
            masks: BTreeMap::new(),
            owner: OwnerRule::Free,
            stamps: Vec::new(),
            layers: Vec::new(),
        }
    }

    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    #[must_use]
    pub fn operation(&self) -> WriteOperation {
        self.operation
    }

    #[must_use]
    pub fn verdict(&self) -> WriteVerdict {
        self.verdict
    }

    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self.verdict {
            WriteVerdict::Allow => true,
            WriteVerdict::Deny(_) => false,
        }
    }

    /// What every write is refused with, when denied.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self.verdict {
            WriteVerdict::Allow => None,
            WriteVerdict::Deny(denial) => Some(denial.refusal(&self.object, self.operation)),
        }
    }

    /// Stored records that may be reached; `All` for an insert, `Nothing` when denied.
    #[must_use]
    pub fn target(&self) -> &RowFilter {
        &self.target
    }

    /// Records as they may be left; `All` for a delete, `Nothing` when denied.
    #[must_use]
    pub fn check(&self) -> &RowFilter {
        &self.check
    }

    /// Each layer's part. For administrators.
    #[must_use]
    pub fn layers(&self) -> &[LayerVerdict] {
        &self.layers
    }

    /// Whether a later decision still allows all that this one does. `false` where that takes more than a look at the filters.
    #[must_use]
    pub fn is_kept_by(&self, later: &Self) -> bool {
        if !self.is_allowed() {
            return true;
        }
        let free = |decision: &Self, field: &String| decision.fields.get(field) == Some(&Assignment::Free);
        let fields = self.fields.keys().all(|field| !free(self, field) || free(later, field));
        let masks = later.masks.iter().all(|(field, mask)| self.masks.get(field) == Some(mask));
        let owner = later.owner == OwnerRule::Free || later.owner == self.owner;
        let rows = later.target.covers(&self.target) && later.check.covers(&self.check);
        later.is_allowed() && self.operation == later.operation && rows && fields && masks && owner
    }

    /// The permit of an allowed write, which every change requires.
    ///
    /// # Errors
    /// When denied: an object that is unknown or not served reads like one that does not exist.
    pub fn permit(&self) -> Result<WritePermit> {
        let denial = match self.verdict {
            WriteVerdict::Allow => return Ok(WritePermit { decision: self.clone() }),
            WriteVerdict::Deny(denial) => denial,
        };
        let vendor = denial.refusal(&self.object, self.operation).code.vendor();
        let refused = match denial {
            WriteDenial::UnknownObject | WriteDenial::ApiDisabled => {
                Error::new(ErrorCode::UndefinedTable, format!("object \"{}\" does not exist", self.object))
                    .with_vendor_message(format!("Object '{}' is not registered", self.object))
            }
            WriteDenial::RequiredPermissions | WriteDenial::NoGrant | WriteDenial::Managed => {
                let told = Error::from(denial.refusal(&self.object, self.operation));
                told.with_message(format!("permission denied for \"{}\"", self.object))
            }
            WriteDenial::ApiMethod
            | WriteDenial::Barrier(
                WriteBarrier::Platform | WriteBarrier::ObjectNotWritable | WriteBarrier::SourceReadOnly,
            ) => denial.refusal(&self.object, self.operation).into(),
        };
        Err(refused.with_vendor_code(vendor))
    }
}

/// Proof of an allowed kind of write of one object by one user in one snapshot. Made by [`WriteDecision::permit`] only.
#[derive(Debug, Clone)]
pub struct WritePermit {
    decision: WriteDecision,
}

impl WritePermit {
    pub(super) const fn decision(&self) -> &WriteDecision {
        &self.decision
    }

    #[must_use]
    pub fn object(&self) -> &str {
        &self.decision.object
    }

    #[must_use]
    pub fn operation(&self) -> WriteOperation {
        self.decision.operation
    }

    /// The user it was made for.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.decision.user_id
    }

    /// The snapshot it was made from.
    #[must_use]
    pub fn snapshot_version(&self) -> u64 {
        self.decision.snapshot_version
    }

    /// See [`WriteDecision::target`].
    #[must_use]
    pub fn target(&self) -> &RowFilter {
        &self.decision.target
    }

    /// See [`WriteDecision::check`].
    #[must_use]
    pub fn check(&self) -> &RowFilter {
        &self.decision.check
    }

    /// What a statement may do with a field; `None` for one that is not there.
    #[must_use]
    pub fn assignment(&self, field: &str) -> Option<Assignment> {
        self.decision.fields.get(field).copied()
    }

    /// Fields that may be given a value.
    pub fn editable(&self) -> impl Iterator<Item = &str> {
        let fields = self.decision.fields.iter();
        fields.filter(|(_, assignment)| **assignment == Assignment::Free).map(|(field, _)| field.as_str())
    }

    /// Masks under which the principal reads fields. No such field may be given a value that its mask made.
    #[must_use]
    pub fn masks(&self) -> &BTreeMap<String, Mask> {
        &self.decision.masks
    }

    #[must_use]
    pub fn owner(&self) -> &OwnerRule {
        &self.decision.owner
    }

    /// What the platform fills, in order.
    #[must_use]
    pub fn stamps(&self) -> &[Stamp] {
        &self.decision.stamps
    }

    /// Whether the payload of one record may be written: its fields, its values, its owner. `before` is the stored record of an
    /// update. Filters are not asked.
    ///
    /// # Errors
    /// The refusal of the payload.
    pub fn admit(&self, before: Option<&Row>, payload: &Row) -> std::result::Result<(), Refusal> {
        let (mut locked, mut masked) = (Vec::new(), Vec::new());
        for (name, value) in payload {
            if self.assignment(name) == Some(Assignment::Locked) {
                locked.push(name.as_str());
            } else if self.decision.masks.get(name).is_some_and(|mask| is_own_mask(mask, value)) {
                masked.push(name.as_str());
            }
        }
        let is_update = before.is_some();
        if !masked.is_empty() {
            return Err(own_mask(&self.decision.object, &masked, is_update));
        }
        if !locked.is_empty() {
            return Err(locked_fields(&self.decision.object, &locked));
        }
        if let OwnerRule::Guarded { field, me } = &self.decision.owner
            && let Some(given) = payload.get(field)
            && !self.keeps_owner(before.map(|before| before.get(field).unwrap_or(&Value::Null)), given, me.as_ref())
        {
            return Err(foreign_owner(&self.decision.object, field, is_update));
        }
        for name in payload.keys() {
            let code = match self.assignment(name) {
                Some(Assignment::Free | Assignment::Dropped | Assignment::Locked) => continue,
                Some(Assignment::Computed) => RefusalCode::ComputedField,
                None => RefusalCode::InvalidField,
            };
            return Err(unknown_field(code, name, &self.decision.object));
        }
        Ok(())
    }

    fn keeps_owner(&self, before: Option<&Value>, given: &Value, me: Option<&FilterValue>) -> bool {
        match before {
            Some(before) => before == given,
            None => given.is_null() || me.is_some_and(|me| value::compare(given, me) == Some(Ordering::Equal)),
        }
    }
}
