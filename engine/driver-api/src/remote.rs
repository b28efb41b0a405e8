//! A remote table as its source describes it. Knows no metadata and no policy.

use crate::identifier::{Identifier, TableRef};
use crate::relation::{Collation, Encoding};
use crate::value::{Value, ValueType};
use querygate_types::ReferentialAction;

/// A table or view of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteTable {
    /// Its path in the source.
    pub table: TableRef,
    /// What it is.
    pub kind: TableKind,
    /// In the source's order.
    pub columns: Vec<RemoteColumn>,
    /// Column names of the primary key, in order; empty for none.
    pub primary_key: Vec<Identifier>,
    /// Other unique keys.
    pub unique: Vec<Vec<Identifier>>,
    /// Keys of other tables that its columns hold.
    pub foreign_keys: Vec<ForeignKey>,
    /// Indexes that the source tells of.
    pub indexes: Vec<Index>,
    /// The source's comment on it.
    pub comment: Option<String>,
    /// Rows, as the source's planner estimates them; `None`: it does not.
    pub row_estimate: Option<u64>,
    /// How the rows can be read in parts.
    pub split: Option<Split>,
}

impl RemoteTable {
    /// A table of these columns, of which nothing else is known: no key, no index, no size.
    #[must_use]
    pub fn new(table: TableRef, columns: Vec<RemoteColumn>) -> Self {
        Self {
            table,
            kind: TableKind::Table,
            columns,
            primary_key: Vec::new(),
            unique: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            comment: None,
            row_estimate: None,
            split: None,
        }
    }
}

/// Columns that were looked for beside a description that showed only some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedFor {
    /// Those that were found.
    pub columns: Vec<RemoteColumn>,
    /// Whether the table has no others of those names. Otherwise it may.
    pub complete: bool,
}

/// What a remote relation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// It holds rows.
    #[default]
    Table,
    /// Its rows are computed; it has no keys of its own.
    View,
    /// Its rows were computed, and are kept until they are computed anew.
    MaterializedView,
    /// Its rows are another server's, which the source asks for them.
    ForeignTable,
}

/// A column of a remote table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteColumn {
    /// The source's name of it.
    pub name: Identifier,
    /// The source's own words for the type.
    pub native_type: String,
    /// `None`: we have no type for it; it cannot be read.
    pub value_type: Option<ValueType>,
    /// NULL may be among its values.
    pub nullable: bool,
    /// Whether the source itself gives it a value in a new row that has none: a default, a counter, an expression.
    pub has_default: bool,
    /// How the source compares it.
    pub collation: Collation,
    /// How the source stores it.
    pub encoding: Encoding,
    /// What the source calls its own equality of the column's texts, where it takes different texts for equal.
    pub equality: Option<String>,
    /// The source's comment on it.
    pub comment: Option<String>,
}

impl RemoteColumn {
    /// A column that takes NULL, has no default, and is stored and compared as its type is here.
    #[must_use]
    pub fn new(name: Identifier, native_type: impl Into<String>, value_type: Option<ValueType>) -> Self {
        Self {
            name,
            native_type: native_type.into(),
            value_type,
            nullable: true,
            has_default: false,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
            equality: None,
            comment: None,
        }
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// `None`: the source gives it none.
    pub name: Option<String>,
    /// Columns of the referring table, in order.
    pub columns: Vec<Identifier>,
    /// The table that they refer to.
    pub references: TableRef,
    /// Its columns, one for each of the referring ones.
    pub referenced_columns: Vec<Identifier>,
    /// When the row referred to is deleted.
    pub on_delete: ReferentialAction,
    /// When its key is changed.
    pub on_update: ReferentialAction,
}

/// An index. Expression indexes list no column for the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The source's name of it.
    pub name: String,
    /// Key columns, in order.
    pub columns: Vec<Identifier>,
    /// It admits no two rows of equal keys.
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
    /// The primary key.
    Primary,
    /// Another key.
    Unique,
}

/// A way to read a table in parts: ranges of one integer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The column, in which no value is NULL.
    pub column: Identifier,
    /// Its least value, about: ranges cover all others too.
    pub least: i64,
    /// Its greatest value, about.
    pub greatest: i64,
}

/// What the source knows of a table's size and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableStatistics {
    /// Rows, estimated.
    pub rows: Option<u64>,
    /// Bytes on disk, estimated.
    pub bytes: Option<u64>,
    /// Of the columns that it knows something of.
    pub columns: Vec<ColumnStatistics>,
}

/// What the source knows of a column's values.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnStatistics {
    /// The column's name in the source.
    pub name: Identifier,
    /// Distinct values, estimated; NULL is none.
    pub distinct: Option<u64>,
    /// Share of NULLs, 0–1.
    pub null_fraction: Option<f64>,
    /// The least value, as far as the source knows.
    pub least: Option<Value>,
    /// The greatest value, as far as the source knows.
    pub greatest: Option<Value>,
}
