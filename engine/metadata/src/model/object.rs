//! A resolved object. Knows its fields and its declared protection, not how they are enforced.

use super::{Expression, Field, FieldType, Location, Uniqueness, Validation};
use indexmap::IndexMap;
use querygate_types::ReferentialAction;
use serde::{Deserialize, Serialize};

/// `sharingModel`: the org-wide default. Unset means private, except for system objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SharingModel {
    Private,
    PublicRead,
    PublicReadWrite,
    ControlledByParent,
}

/// `access.default`: whether a wildcard `*` grant reaches the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccessDefault {
    Public,
    /// Only an explicit grant counts, or a wildcard that carries viewAll / modifyAll.
    Private,
}

/// An operation on an object's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObjectOperation {
    Read,
    Create,
    Update,
    Delete,
}

/// `requiredPermissions` per operation: every name must be held before any grant counts; binds administrators too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredPermissions {
    pub read: Vec<String>,
    pub create: Vec<String>,
    pub update: Vec<String>,
    pub delete: Vec<String>,
}

impl RequiredPermissions {
    /// Names that must all be held for `operation`.
    #[must_use]
    pub fn of(&self, operation: ObjectOperation) -> &[String] {
        match operation {
            ObjectOperation::Read => &self.read,
            ObjectOperation::Create => &self.create,
            ObjectOperation::Update => &self.update,
            ObjectOperation::Delete => &self.delete,
        }
    }
}

/// `tenancy` of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenancy {
    /// `false`: platform-global, outside the tenant wall.
    pub enabled: bool,
    /// Column that the wall compares; `organization_id` unless declared.
    pub field: String,
    /// `organizationField`: the column that holds the organization of a record for others to read.
    pub organization_field: Option<String>,
}

/// `ownership`: what owns a record. `Org` and `None` get no `owner_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ownership {
    User,
    BusinessUnit,
    Org,
    None,
}

/// `managedBy`: who writes the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ManagedBy {
    Platform,
    Config,
    SystemData,
    EngineOwned,
    AppendOnly,
    BetterAuth,
}

/// `external` of an object whose table belongs to somebody else. Never DDL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Remote table; the object's name when absent.
    pub remote_name: Option<String>,
    pub remote_schema: Option<String>,
    /// Writes need this and the datasource's `allowWrites`.
    pub writable: bool,
    /// Remote column to local field.
    pub column_map: IndexMap<String, String>,
    /// Remote columns that have no field on purpose. Where the list is given, a further one is unexpected.
    pub ignore_columns: Option<Vec<String>>,
}

/// How the files behind an object are written, where their names do not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileText {
    pub format: Option<FileKind>,
    /// Of a CSV file, as its quote, header and text for NULL; ASCII.
    pub delimiter: Option<char>,
    pub quote: Option<char>,
    /// Whether its first row names the columns.
    pub header: Option<bool>,
    pub null: Option<String>,
    /// A label of the WHATWG's Encoding Standard.
    pub encoding: Option<String>,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    Parquet,
    Csv,
    Ndjson,
    Json,
}

/// An index declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: Option<String>,
    pub fields: Vec<String>,
    pub unique: Uniqueness,
}

/// Fields that no two records of a table share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// Its own name, where it is not the usual one.
    pub name: Option<String>,
    pub fields: Vec<String>,
    /// An index alone keeps them apart, and no constraint of the table says so.
    pub is_index: bool,
}

/// A reference of several columns, or to other columns than the key. It is for clients to see; no rule follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Its own name, where it is not the usual one.
    pub name: Option<String>,
    pub fields: Vec<String>,
    /// Object.
    pub references: String,
    /// As many as `fields`, in their order.
    pub referenced_fields: Vec<String>,
    #[serde(with = "action")]
    pub on_delete: ReferentialAction,
    #[serde(with = "action")]
    pub on_update: ReferentialAction,
}

/// Actions in SQL's words.
mod action {
    use querygate_types::ReferentialAction;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(action: &ReferentialAction, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(action.words())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ReferentialAction, D::Error> {
        let words = String::deserialize(deserializer)?;
        ReferentialAction::from_words(&words).ok_or_else(|| D::Error::custom("an unknown action of a foreign key"))
    }
}

/// A resolved object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub name: String,
    /// Label; the name when none is declared.
    pub label: String,
    pub plural_label: Option<String>,
    pub description: Option<String>,
    /// Title field, when declared.
    pub name_field: Option<String>,
    /// Every field in column order: injected system fields first (unless declared elsewhere), then the declared ones. A table that belongs
    /// to somebody else (`external`) has its declared fields in the order in which they are written.
    pub fields: IndexMap<String, Field>,
    /// Name of the datasource, resolved: the object's own, else a mapping rule's, else the default.
    pub datasource: String,
    pub external: Option<External>,
    /// How its files are written.
    pub file: Option<FileText>,
    pub sharing_model: SharingModel,
    pub access_default: AccessDefault,
    pub required_permissions: RequiredPermissions,
    pub tenancy: Tenancy,
    pub ownership: Ownership,
    pub managed_by: Option<ManagedBy>,
    pub is_system: bool,
    /// `enable.apiEnabled`: `false` closes the data doors for it.
    pub api_enabled: bool,
    /// `enable.apiMethods`, when restricted.
    pub api_methods: Option<Vec<String>>,
    /// `enable.trackHistory`: old and new values of its fields are kept.
    pub track_history: bool,
    pub searchable_fields: Option<Vec<String>>,
    pub indexes: Vec<Index>,
    /// Fields of its table's primary key, in the key's order, where metadata says so (`querygate.tables`); see [`Object::key`].
    pub primary_key: Vec<String>,
    /// Its table has no primary key, as metadata says: `id` is none either.
    pub has_no_key: bool,
    /// Further sets of fields that no two records of its table share.
    pub unique_keys: Vec<UniqueKey>,
    /// The primary key's own name, where it is not the usual one.
    pub primary_key_name: Option<String>,
    /// References of its table that no field is: to several columns, or not to the primary key.
    pub foreign_keys: Vec<ForeignKey>,
    /// Rules of written records, in the order of metadata; reads do not ask them.
    pub validations: Vec<Validation>,
    /// Owning package.
    pub package: String,
    /// Packages that extend it, in the order applied.
    pub extended_by: Vec<String>,
    #[serde(skip)]
    pub location: Location,
}

impl Object {
    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// The stored fields that tell its records apart: those of its table's primary key, or `id`. Empty if it has neither, or no key.
    #[must_use]
    pub fn key(&self) -> Vec<&Field> {
        if self.has_no_key {
            return Vec::new();
        }
        if self.primary_key.is_empty() {
            return self.fields.get("id").filter(|id| id.stored()).into_iter().collect();
        }
        self.primary_key.iter().filter_map(|name| self.fields.get(name)).collect()
    }

    /// The field whose value a reference to a record holds: the only one of the key, else `id`.
    #[must_use]
    pub fn referenced_field(&self) -> Option<&Field> {
        match self.key()[..] {
            [only] => Some(only),
            _ => self.fields.get("id").filter(|id| id.stored()),
        }
    }

    /// The only `master_detail` field; `None` when there is none or more than one (controlled_by_parent then denies).
    #[must_use]
    pub fn master_detail(&self) -> Option<&Field> {
        let mut details = self.fields.values().filter(|field| field.field_type == FieldType::MasterDetail);
        let only = details.next()?;
        details.next().is_none().then_some(only)
    }

    /// The column that owner rules compare, unless absent or a phantom: they abstain then.
    #[must_use]
    pub fn owner_field(&self) -> Option<&Field> {
        self.fields.get("owner_id").filter(|field| !field.phantom)
    }

    /// The column that the tenant wall compares, unless the object is outside the wall, or the column is absent or a
    /// phantom.
    #[must_use]
    pub fn tenant_field(&self) -> Option<&Field> {
        if !self.tenancy.enabled {
            return None;
        }
        self.fields.get(&self.tenancy.field).filter(|field| !field.phantom)
    }

    /// Remote table name of a federated object, else the object's name.
    #[must_use]
    pub fn table_name(&self) -> &str {
        self.external.as_ref().and_then(|external| external.remote_name.as_deref()).unwrap_or(&self.name)
    }

    /// Remote column of a local field.
    #[must_use]
    pub fn column_name<'a>(&'a self, field: &'a str) -> &'a str {
        let mapped = self.external.as_ref().and_then(|external| {
            external.column_map.iter().find(|(_, local)| local.as_str() == field).map(|(remote, _)| remote.as_str())
        });
        mapped.unwrap_or(field)
    }

    /// Number of fields written in metadata (extensions included), without the injected ones.
    #[must_use]
    pub fn declared_fields(&self) -> usize {
        self.fields.values().filter(|field| !field.system).count()
    }

    /// Every expression that it declares, with the field or validation it belongs to.
    pub fn expressions(&self) -> impl Iterator<Item = (&str, &Expression)> {
        let fields = self.fields.values().flat_map(|field| {
            let all = [&field.expression, &field.required_when, &field.readonly_when];
            let own = all.into_iter().flatten().chain(field.options.iter().filter_map(|o| o.visible_when.as_ref()));
            own.map(|expression| (field.name.as_str(), expression))
        });
        let rules = self.validations.iter();
        let rules = rules.flat_map(|rule| rule.expressions().into_iter().map(|e| (rule.name.as_str(), e)));
        fields.chain(rules)
    }
}
