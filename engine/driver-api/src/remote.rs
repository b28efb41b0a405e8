//! A remote table as its source describes it. Knows no metadata and no policy.

use crate::identifier::{Identifier, TableRef};
use crate::relation::{Collation, Encoding};
use crate::value::{Value, ValueType};
use querygate_types::ReferentialAction;

/// A table or view of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteTable {
    pub table: TableRef,
    pub kind: TableKind,
    pub columns: Vec<RemoteColumn>,
    /// Column names of the primary key, in order; empty for none.
    pub primary_key: Vec<Identifier>,
    /// Other unique keys.
    pub unique: Vec<Vec<Identifier>>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    pub comment: Option<String>,
    pub row_estimate: Option<u64>,
    /// How the rows can be read in parts.
    pub split: Option<Split>,
}

/// Columns that were looked for beside a description that showed only some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedFor {
    pub columns: Vec<RemoteColumn>,
    /// Whether the table has no others of those names. Otherwise it may.
    pub complete: bool,
}

/// What a remote relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    Table,
    View,
}

/// A column of a remote table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteColumn {
    pub name: Identifier,
    /// The source's own words for the type.
    pub native_type: String,
    /// `None`: we have no type for it; it cannot be read.
    pub value_type: Option<ValueType>,
    pub nullable: bool,
    pub collation: Collation,
    pub encoding: Encoding,
    pub comment: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// `None`: the source gives it none.
    pub name: Option<String>,
    pub columns: Vec<Identifier>,
    pub references: TableRef,
    pub referenced_columns: Vec<Identifier>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
}

/// An index. Expression indexes list no column for the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    pub columns: Vec<Identifier>,
    pub unique: bool,
    /// Covers only some rows.
    pub partial: bool,
    /// Sorts by these columns and nothing else; no text index, no expression.
    pub plain: bool,
    /// The key of the table that it keeps.
    pub keeps: Option<KeyKind>,
}

/// Which key of its table an index keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    Primary,
    Unique,
}

/// A way to read a table in parts: ranges of one integer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub column: Identifier,
    pub least: i64,
    pub greatest: i64,
}

/// What the source knows of a table's size and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableStatistics {
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub columns: Vec<ColumnStatistics>,
}

/// What the source knows of a column's values.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnStatistics {
    pub name: Identifier,
    pub distinct: Option<u64>,
    /// Share of NULLs, 0–1.
    pub null_fraction: Option<f64>,
    pub least: Option<Value>,
    pub greatest: Option<Value>,
}
