//! What one source did for a statement: its time, its rows and how it used its tables. Holds no literal and no value of a row.

use querygate_types::ErrorCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What one source did for a statement, once. A fragment that ran several times has several records.
#[derive(Debug, Clone)]
pub struct FragmentRecord {
    pub template: Arc<FragmentTemplate>,
    /// When the driver was asked.
    pub began: SystemTime,
    /// Rows that were expected when it was planned.
    pub estimated_rows: Option<u64>,
    /// Rows that the source delivered.
    pub rows: u64,
    /// Their bytes in memory.
    pub bytes: u64,
    /// From asking the driver to where it had a connection and had sent the statement.
    pub acquire: Duration,
    /// From asking the driver to the first batch, of few rows to where more was asked for; `None` without one.
    pub first_row: Option<Duration>,
    /// From asking the driver to the end.
    pub total: Duration,
    /// Whether every row was read, and the times are those of the source: a reader that left early says nothing of the fragment's size,
    /// and a run that was not timed, which has its statement's times, nothing of how long the source takes.
    pub complete: bool,
    /// Whether it ran with further conditions: keys of the other side of a join, or a range of a divided result.
    pub narrowed: bool,
    /// NULLs in each column of [`FragmentTemplate::passing`]; empty where that is.
    pub nulls: Vec<u64>,
    /// What a sample of those columns is like, where their values passed as batches; else empty.
    pub columns: Box<[ColumnSummary]>,
    /// What of the Parquet files was read; `None`: the source has none.
    pub reads: Option<FileReads>,
    pub error: Option<ErrorCode>,
}

/// Hash buckets that values are counted in.
pub const CATEGORIES: usize = 16;

/// What the values of a column are like in a sample of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColumnSummary {
    /// From where to where the middle 98% of its numbers go (of text its length, of a time its place in time).
    pub range: Option<(f64, f64)>,
    /// Values by a hash of theirs, if there are few different ones.
    pub categories: Option<[u32; CATEGORIES]>,
}

/// What a scan of Parquet files read, and what it knew it need not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReads {
    /// Bytes, footers left out.
    pub bytes: u64,
    /// Row groups of which something was read.
    pub groups: u64,
    /// Row groups that statistics, bloom filters or a limit spared, in files that were looked at.
    pub groups_spared: u64,
    /// Files, or ranges of them, that the statistics of whole files spared.
    pub files_spared: u64,
}

/// What the runs of a fragment have in common. Shared, so that a record costs a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentTemplate {
    /// Name of the source.
    pub source: Arc<str>,
    /// Kind of the source (`postgres`).
    pub kind: &'static str,
    /// SQL names of the governed tables in it, where they are known; otherwise names of its tables in the source.
    pub objects: Arc<[String]>,
    /// Text in the source's language with `$1…` for each value.
    pub text: Arc<str>,
    /// Hash of source and text, keys of dynamic filters left out.
    pub fingerprint: u64,
    /// Where its rows are all that a policy leaves of one table: the delivered columns by their names in the source, each empty
    /// where it is computed. Otherwise there are none.
    pub passing: Vec<String>,
    pub shape: FragmentShape,
}

/// How a fragment uses its tables: what an index or a model needs to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentShape {
    /// One for each scan, in the order of the fragment.
    pub tables: Vec<TableShape>,
    /// Pairs of columns that joins make equal.
    pub joins: Vec<JoinShape>,
    /// Columns of one table that rows are grouped by, in order.
    pub group: Vec<ColumnPlace>,
    /// Columns that rows are ordered by, in order.
    pub order: Vec<OrderShape>,
    /// Whether the fragment ends after a number of rows.
    pub limited: bool,
    /// Whether its rows are aggregates; without groups there is one, whatever was read for it.
    #[serde(default)]
    pub aggregated: bool,
}

/// One scan of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableShape {
    /// Path of the table in its source, outermost first (`["public", "orders"]`).
    pub path: Vec<String>,
    pub conditions: Vec<Condition>,
    /// Every column that the fragment reads of it.
    pub columns: Vec<String>,
}

/// A conjunct that compares a column with something that is no column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub column: String,
    pub kind: ConditionKind,
}

/// What a conjunct asks of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// `=` a value, or IN a list.
    Equality,
    /// `<`, `<=`, `>`, `>=`, BETWEEN.
    Range,
    /// LIKE with a literal beginning.
    Prefix,
    IsNull,
    IsNotNull,
    /// `=` what a policy says for every statement of everybody it binds: the tenant wall, a row rule.
    PolicyEquality,
    /// `=` a column of another fragment, whose values are known only while the statement runs.
    Join,
}

/// A column of one of the fragment's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPlace {
    /// Index into [`FragmentShape::tables`].
    pub table: usize,
    pub column: String,
}

/// Two columns that a join makes equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinShape {
    pub left: ColumnPlace,
    pub right: ColumnPlace,
}

/// A column that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderShape {
    pub place: ColumnPlace,
    pub descending: bool,
}
