//! What one principal may see, as plain data: the only input of `pg_catalog` and `information_schema`.
//! Knows no metadata format, no policy and no session; whatever is hidden must not be put in.

use querygate_types::{PgType, ReferentialAction};

/// Everything that catalog relations and functions may tell one principal about one metadata snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CatalogImage {
    /// `current_database()`.
    pub database: String,
    /// Comment on the database.
    pub database_comment: Option<String>,
    /// `current_user`. Must be among `roles`, or it is added as a plain login role.
    pub user: String,
    /// Owner of every object (`pg_get_userbyid(relowner)`). Must be among `roles`, or it is added as one that cannot log in.
    pub owner: String,
    /// Roles that this principal may know of.
    pub roles: Vec<Role>,
    /// Visible schemas with their visible relations. `pg_catalog` and `information_schema` are added by themselves.
    pub schemas: Vec<Schema>,
    /// Schemas that unqualified names resolve in, in order, without `pg_catalog`.
    pub search_path: Vec<String>,
    /// `server_version`, such as `15.8`: client tools choose their templates by it.
    pub server_version: String,
    /// Text of `version()`.
    pub version_text: String,
    /// Rows of `pg_settings`; a session's own values replace `value` (see `SessionVars`).
    pub settings: Vec<Setting>,
    /// Whether readers get notices of bare names in subqueries that are found only around these: metadata hides columns of some.
    pub tells_outer_names: bool,
}

/// A row of `pg_roles`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    /// Names of roles that this one is a member of. Unknown names are left out.
    pub member_of: Vec<String>,
    pub comment: Option<String>,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    pub name: String,
    pub comment: Option<String>,
    pub relations: Vec<Relation>,
    /// Enum types, named by columns of any schema.
    pub enums: Vec<EnumType>,
}

/// What `pg_class.relkind` tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RelationKind {
    #[default]
    Table,
    View,
    MaterializedView,
    ForeignTable,
}

/// A table or view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Relation {
    pub name: String,
    pub kind: RelationKind,
    /// Of one session, gone with it.
    pub temporary: bool,
    /// From [`OidSpace`](super::OidSpace) over *all* objects of the snapshot, so that it is the same for all principals.
    /// 0: derived here from schema and name.
    pub oid: u32,
    pub comment: Option<String>,
    pub columns: Vec<Column>,
    /// Names of all columns that statements find, in their order, where these are more than `columns`: reading the others is refused.
    pub named: Option<Vec<String>>,
    /// Text of a view's query, when the principal may read it.
    pub definition: Option<String>,
    pub primary_key: Option<Key>,
    pub unique: Vec<Key>,
    /// Only those whose other end is visible; others are left out here too.
    pub foreign_keys: Vec<ForeignKey>,
    /// Indexes that are not the primary key's or a unique key's.
    pub indexes: Vec<Index>,
    pub checks: Vec<Check>,
    /// Estimated rows (`reltuples`); `None` when unknown or when telling would betray hidden rows.
    pub row_estimate: Option<f32>,
    pub privileges: TablePrivileges,
}

/// Rights on all columns of a relation, beside SELECT, which everything in an image has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TablePrivileges {
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
}

/// A column. `attnum` is its position from 1 among the columns that the principal sees;
/// gaps are allowed. 0: position in `columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub attnum: i16,
    pub pg_type: PgType,
    /// `atttypmod`: −1 for none, length + 4 for varchar, ((precision << 16) | scale) + 4 for numeric.
    pub typmod: i32,
    /// Schema and name of an enum type of this image; the column is shown with it in place of `pg_type`.
    pub enum_type: Option<(String, String)>,
    pub not_null: bool,
    pub comment: Option<String>,
    /// Text of the default (or of the generation expression).
    pub default: Option<String>,
    pub generation: Generation,
    /// Whether INSERT may give it a value.
    pub insertable: bool,
    /// Whether UPDATE may.
    pub updatable: bool,
}

impl Column {
    /// A nullable column without modifier, comment or default, numbered by its place.
    #[must_use]
    pub fn new(name: &str, pg_type: PgType) -> Self {
        Self {
            name: name.to_owned(),
            attnum: 0,
            pg_type,
            typmod: -1,
            enum_type: None,
            not_null: false,
            comment: None,
            default: None,
            generation: Generation::None,
            insertable: false,
            updatable: false,
        }
    }
}

/// How a column's value comes about (`attidentity`, `attgenerated`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Generation {
    #[default]
    None,
    IdentityByDefault,
    IdentityAlways,
    /// Computed from other columns; `default` holds the expression.
    Stored,
}

/// A primary or unique key. All columns must be visible, or the key is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// Name of constraint and index; `None` gives PostgreSQL's usual one (`table_pkey`, `table_a_b_key`).
    pub name: Option<String>,
    pub columns: Vec<String>,
}

impl Key {
    /// Name of its constraint in a table of this name.
    #[must_use]
    pub fn shown_name(&self, table: &str, primary: bool) -> String {
        let usual =
            || if primary { format!("{table}_pkey") } else { format!("{table}_{}_key", self.columns.join("_")) };
        self.name.clone().unwrap_or_else(usual)
    }
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignKey {
    /// `None` gives `table_column_fkey`.
    pub name: Option<String>,
    pub columns: Vec<String>,
    pub references: (String, String),
    pub referenced_columns: Vec<String>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
}

impl ForeignKey {
    /// Name of its constraint in a table of this name.
    #[must_use]
    pub fn shown_name(&self, table: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{table}_{}_fkey", self.columns.join("_")))
    }
}

/// A plain index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    pub unique: bool,
    pub columns: Vec<IndexColumn>,
}

/// A column of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexColumn {
    pub name: String,
    pub descending: bool,
}

/// A check constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    /// Columns that it names. All must be visible, or the check is left out.
    pub columns: Vec<String>,
    /// Text without the word CHECK and outer parentheses.
    pub expression: String,
}

/// An enum type with its labels in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnumType {
    pub name: String,
    pub labels: Vec<String>,
    pub comment: Option<String>,
}

/// A row of `pg_settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: String,
    /// `bool`, `integer`, `real`, `string` or `enum`.
    pub vartype: String,
    pub unit: Option<String>,
    pub category: String,
    pub description: String,
    /// `internal`, `postmaster`, `user`, …
    pub context: String,
}
