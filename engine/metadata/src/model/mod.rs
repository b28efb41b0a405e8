//! The resolved ObjectStack model as plain immutable data. Knows nothing of files, syntax, policies or engines.

mod barrier;
mod enum_type;
mod expression;
mod facts;
mod field;
mod field_type;
mod history;
mod hook;
mod object;
mod permission;
mod protocol;
mod snapshot;
mod source;
mod text_type;
mod validation;
mod value_type;
mod webhook;

pub use barrier::WriteBarrier;
pub(crate) use barrier::is_platform;
pub use enum_type::EnumType;
pub use expression::{Dialect, Expression, Location};
pub use facts::{
    AccessLevel, BusinessUnit, Facts, FactsError, PlacedRow, RecordShare, Tenure, UnitMember, User, UserGrant,
    UserPosition,
};
pub use field::{
    CurrencyConfig, CurrencyMode, DefaultValue, DeleteBehavior, Field, FormulaReturn, MaskingRule, Picklist,
    PicklistPart, SelectOption, SummaryFunction, SummaryRollup, Uniqueness, ValueDomain,
};
pub use field_type::FieldType;
pub use history::Untracked;
pub use hook::{
    HOOK_FILTER, Hook, HookBody, HookCapability, HookEvent, HookScript, NativeHandler, OnError, RunAs, native_name,
};
pub use object::{
    AccessDefault, External, FileKind, FileText, ForeignKey, Index, ManagedBy, Object, ObjectOperation, Ownership,
    RequiredPermissions, SharingModel, Tenancy, UniqueKey,
};
pub(crate) use permission::PLATFORM_SETS;
pub use permission::{
    Capability, FieldPermission, ObjectPermission, PermissionSet, Position, Recipient, RowOperation, RowPolicy, Scope,
    SharingRule,
};
pub use protocol::{Protocol, STRICT_RULES, StrictRule};
pub use snapshot::{Declared, Package, Referrer, SeedData, SeedMode, Snapshot, TenancyPosture};
pub(crate) use snapshot::{Extended, Extension};
pub use source::{Datasource, MappingRule, OnMismatch, SchemaMode};
pub use text_type::TextType;
pub use validation::{TextFormat, Validation, ValidationCheck, ValidationEvents, ValidationSeverity};
pub use value_type::{ItemType, TextCoded, ValueType};
pub use webhook::{Webhook, WebhookTrigger};
