//! What the evaluator answers for a read, and the permit that proves it was allowed. Decides nothing itself.

use crate::filter::{Fingerprint, RowFilter};
use crate::mask::Mask;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A layer of the decision, in the order of the vendor's explain (reference section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    TenantIsolation,
    Principal,
    RequiredPermissions,
    ObjectCrud,
    Fls,
    OwdBaseline,
    Depth,
    Sharing,
    VamaBypass,
    Rls,
}

impl Layer {
    /// The layer's name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TenantIsolation => "tenant_isolation",
            Self::Principal => "principal",
            Self::RequiredPermissions => "required_permissions",
            Self::ObjectCrud => "object_crud",
            Self::Fls => "fls",
            Self::OwdBaseline => "owd_baseline",
            Self::Depth => "depth",
            Self::Sharing => "sharing",
            Self::VamaBypass => "vama_bypass",
            Self::Rls => "rls",
        }
    }
}

/// What a layer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerEffect {
    Grants,
    Denies,
    Narrows,
    Widens,
    Neutral,
    NotApplicable,
}

impl LayerEffect {
    /// The effect's name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Denies => "denies",
            Self::Narrows => "narrows",
            Self::Widens => "widens",
            Self::Neutral => "neutral",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// One layer's part in a decision. Names sets, policies and rules: for administrators, not for the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVerdict {
    pub layer: Layer,
    pub effect: LayerEffect,
    pub detail: String,
    /// Permission sets, policies and sharing rules that took part.
    pub contributors: Vec<String>,
}

/// Why an object cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// No such object in the snapshot.
    UnknownObject,
    /// A name of the object's `requiredPermissions` is not held.
    RequiredPermissions,
    /// No held permission set grants the operation.
    NoGrant,
    /// The credential that was shown is not good for it.
    OutOfScope,
}

/// Whether an object can be read at all. An allowed read may still have a row filter that passes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Allow,
    Deny(DenyReason),
}

/// The decision for reading one object. Only the evaluator makes one.
#[derive(Debug, Clone)]
pub struct ReadDecision {
    pub(crate) object: String,
    pub(crate) user_id: String,
    pub(crate) snapshot_version: u64,
    pub(crate) verdict: Verdict,
    pub(crate) row_filter: RowFilter,
    pub(crate) hidden_fields: BTreeSet<String>,
    pub(crate) masks: BTreeMap<String, Mask>,
    pub(crate) layers: Vec<LayerVerdict>,
    pub(crate) unusable_rule: Option<String>,
}

impl ReadDecision {
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self.verdict {
            Verdict::Allow => true,
            Verdict::Deny(_) => false,
        }
    }

    /// Rows that are left; `Nothing` when denied.
    #[must_use]
    pub fn row_filter(&self) -> &RowFilter {
        &self.row_filter
    }

    /// Fields that are removed from every row: not readable for the caller, or `internal`. All when denied.
    #[must_use]
    pub fn hidden_fields(&self) -> &BTreeSet<String> {
        &self.hidden_fields
    }

    /// Masks of readable fields.
    #[must_use]
    pub fn masks(&self) -> &BTreeMap<String, Mask> {
        &self.masks
    }

    /// Each layer's part, in the order of section 7. For administrators.
    #[must_use]
    pub fn layers(&self) -> &[LayerVerdict] {
        &self.layers
    }

    /// The rule that cannot be applied and for which no row can be shown: whoever reads is to be refused, not to be told that
    /// there are no rows. For administrators.
    #[must_use]
    pub fn unusable_rule(&self) -> Option<&str> {
        self.unusable_rule.as_deref()
    }

    /// Stable hash of everything that shapes a plan: equal for principals who differ in bound values only.
    #[must_use]
    pub fn shape_fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        fingerprint.text(&self.object);
        fingerprint.byte(match self.verdict {
            Verdict::Allow => 0,
            Verdict::Deny(DenyReason::UnknownObject) => 1,
            Verdict::Deny(DenyReason::RequiredPermissions) => 2,
            Verdict::Deny(DenyReason::NoGrant) => 3,
            Verdict::Deny(DenyReason::OutOfScope) => 4,
        });
        fingerprint.filter(&self.row_filter);
        fingerprint.number(self.hidden_fields.len() as u64);
        self.hidden_fields.iter().for_each(|field| fingerprint.text(field));
        fingerprint.number(self.masks.len() as u64);
        for (field, mask) in &self.masks {
            fingerprint.text(field);
            match mask {
                Mask::Keep { head, tail } => {
                    fingerprint.byte(1);
                    fingerprint.number(*head as u64);
                    fingerprint.number(*tail as u64);
                }
                Mask::Email => fingerprint.byte(2),
                Mask::Full => fingerprint.byte(3),
                Mask::Bullets => fingerprint.byte(4),
                Mask::Native(mask) => {
                    fingerprint.byte(5);
                    fingerprint.text(mask.extension());
                    fingerprint.text(&mask.version().to_string());
                    fingerprint.text(mask.name());
                }
            }
        }
        if self.unusable_rule.is_some() {
            fingerprint.byte(1);
        }
        fingerprint.finish()
    }

    /// The permit of an allowed read, which a governed scan requires.
    ///
    /// # Errors
    /// `InsufficientPrivilege` when denied; an unknown object reads like a denied one's absence, `UndefinedTable`.
    pub fn permit(&self) -> Result<Permit> {
        match self.verdict {
            Verdict::Allow => Ok(Permit { decision: self.clone() }),
            Verdict::Deny(DenyReason::UnknownObject) => {
                Err(Error::new(ErrorCode::UndefinedTable, format!("object \"{}\" does not exist", self.object)))
            }
            Verdict::Deny(DenyReason::RequiredPermissions | DenyReason::NoGrant | DenyReason::OutOfScope) => {
                Err(Error::new(ErrorCode::InsufficientPrivilege, format!("permission denied for \"{}\"", self.object)))
            }
        }
    }
}

/// Proof of an allowed read of one object by one user in one snapshot. Made by [`ReadDecision::permit`] only.
#[derive(Debug, Clone)]
pub struct Permit {
    decision: ReadDecision,
}

impl Permit {
    #[must_use]
    pub fn object(&self) -> &str {
        &self.decision.object
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

    #[must_use]
    pub fn row_filter(&self) -> &RowFilter {
        &self.decision.row_filter
    }

    #[must_use]
    pub fn hidden_fields(&self) -> &BTreeSet<String> {
        &self.decision.hidden_fields
    }

    #[must_use]
    pub fn masks(&self) -> &BTreeMap<String, Mask> {
        &self.decision.masks
    }
}
