//! Permission sets, positions, capabilities and sharing rules as declared. Evaluates nothing.

use super::{Expression, Location};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// `readScope` / `writeScope`, from narrow to wide; the widest among the sets that mention an object counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    Own,
    OwnAndReports,
    Unit,
    UnitAndBelow,
    Org,
}

/// Rights of one set on one object. Every right defaults to `false`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPermission {
    pub allow_create: bool,
    pub allow_read: bool,
    pub allow_edit: bool,
    pub allow_delete: bool,
    /// Implied by nothing.
    pub allow_export: bool,
    pub allow_transfer: bool,
    /// Implies read.
    pub view_all_records: bool,
    /// Implies read, edit, delete and transfer, not create.
    pub modify_all_records: bool,
    pub read_scope: Option<Scope>,
    pub write_scope: Option<Scope>,
}

/// Rights of one set on one field it mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldPermission {
    /// Default `true`.
    pub readable: bool,
    /// Default `false`.
    pub editable: bool,
}

/// `operation` of a row policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowOperation {
    Select,
    Insert,
    Update,
    Delete,
    All,
}

impl RowOperation {
    /// Whether a policy for `self` applies to `operation`.
    #[must_use]
    pub fn covers(self, operation: Self) -> bool {
        self == Self::All || self == operation
    }
}

/// One entry of `rowLevelSecurity`; at least one of `using` and `check` is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPolicy {
    pub name: String,
    /// Object name, or `*`.
    pub object: String,
    pub operation: RowOperation,
    pub using: Option<Expression>,
    pub check: Option<Expression>,
    /// Empty: everybody who holds the set; else one of these must be held.
    pub positions: Vec<String>,
    pub enabled: bool,
}

impl RowPolicy {
    /// Whether it names `object` or everything.
    #[must_use]
    pub fn names(&self, object: &str) -> bool {
        self.object == "*" || self.object == object
    }
}

/// Where the platform's own permission sets are from.
pub(crate) const PLATFORM_SETS: &str = "builtin";

/// A permission set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionSet {
    pub name: String,
    pub label: String,
    pub description: Option<String>,
    /// Held by every signed-in user.
    pub is_default: bool,
    /// By object name or `*`.
    pub objects: IndexMap<String, ObjectPermission>,
    /// By object, then field.
    pub fields: IndexMap<String, IndexMap<String, FieldPermission>>,
    pub system_permissions: Vec<String>,
    pub row_level_security: Vec<RowPolicy>,
    /// Owning package; `None` for the platform's own sets.
    pub package: Option<String>,
    #[serde(skip)]
    pub location: Location,
}

impl PermissionSet {
    /// Whether it is one of the platform's own sets, which no file defines.
    #[must_use]
    pub fn is_of_platform(&self) -> bool {
        self.location == Location::outside(PLATFORM_SETS)
    }

    /// Rights on `object`: the explicit entry, which replaces `*`, else `*`.
    #[must_use]
    pub fn object(&self, object: &str) -> Option<&ObjectPermission> {
        self.objects.get(object).or_else(|| self.objects.get("*"))
    }

    /// Rights on a field, when the set mentions it.
    #[must_use]
    pub fn field(&self, object: &str, field: &str) -> Option<FieldPermission> {
        self.fields.get(object)?.get(field).copied()
    }
}

/// A position: distributes permission sets, flat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub name: String,
    pub label: String,
    pub description: Option<String>,
    pub package: Option<String>,
}

/// A name that `requiredPermissions` and `systemPermissions` use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    pub name: String,
    pub label: String,
    pub description: Option<String>,
    pub package: Option<String>,
}

/// `sharedWith` of a sharing rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Recipient {
    User(String),
    Team(String),
    Position(String),
    /// Row id of a business unit, its whole subtree included.
    UnitAndSubordinates(String),
    /// Row id of a business unit.
    BusinessUnit(String),
    /// A user field of the record itself.
    Field(String),
}

/// A criteria sharing rule: widens private and public_read objects for its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharingRule {
    pub name: String,
    pub label: String,
    pub object: String,
    pub condition: Expression,
    pub access_level: super::AccessLevel,
    pub shared_with: Recipient,
    pub active: bool,
    pub package: Option<String>,
}
