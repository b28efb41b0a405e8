//! What the gate tells of each finished statement and of its fragments. Holds no literal, no value of a row, and knows not who
//! listens.

use crate::Door;
use crate::more::{Ended, More};
use crate::repeats::Repeats;
use querygate_types::ErrorCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Takes the records of finished statements.
pub trait Telemetry: Send + Sync + std::fmt::Debug {
    /// Hands a record over. Called where statements end, so it never waits: what does not fit is counted and lost.
    fn record(&self, record: StatementRecord);

    /// Whether so much comes that sessions should add up what they run again and again.
    fn is_pressed(&self) -> bool;

    /// Begins to collect what a session adds up, until nobody else has it. `false`: it is not collected.
    fn collect(&self, repeats: &Arc<Repeats>) -> bool;
}

/// Bytes that count as a row: rows that were gathered into one value are rows nevertheless.
const ROW_BYTES: u64 = 200;

/// Rows that a result counts as.
#[must_use]
pub const fn read_rows(rows: u64, bytes: u64) -> u64 {
    let by_size = bytes / ROW_BYTES;
    if by_size > rows { by_size } else { rows }
}

/// A finished statement.
#[derive(Debug, Clone)]
pub struct StatementRecord {
    /// Number of the statement, as `querygate.queries` shows it. Not ordered by time.
    pub id: u64,
    pub started: SystemTime,
    /// Login of the principal.
    pub login: Arc<str>,
    pub door: Door,
    /// `application_name`, as the client says it.
    pub application: Arc<str>,
    /// The statement with `?` for each literal, bounded in length.
    pub template: Arc<str>,
    /// Hash of the whole template: stable across literals, white space, letter case and the length of IN lists.
    pub fingerprint: u64,
    /// SQL names of the governed tables that it read.
    pub objects: Arc<[String]>,
    /// From the start to where the plan ran.
    pub planning: Duration,
    /// From the start to the first batch, of few rows to where more was asked for; `None` without one.
    pub first_row: Option<Duration>,
    /// From the start to the end, the reader's own pace included.
    pub total: Duration,
    /// Rows that the client was given.
    pub rows: u64,
    /// Their bytes in memory: an upper bound of what went over the wire in columns.
    pub bytes: u64,
    /// `None`: success, or a reader that left early.
    pub error: Option<ErrorCode>,
    /// Whether planning was spared.
    pub cached: bool,
    /// What the plan advisor chose; `None` where it was not asked.
    pub choice: Option<Choice>,
    /// In no order.
    pub fragments: Vec<FragmentRecord>,
    /// Further runs of the same, added up: everything above is of one run.
    pub more: Option<Box<More>>,
    /// Whether it goes on: this is what it did so far, and its own record comes when it ends.
    pub under_way: bool,
}

impl StatementRecord {
    /// Runs that it stands for; none, while it goes on.
    #[must_use]
    pub fn runs(&self) -> u64 {
        u64::from(!self.under_way) + self.more.as_ref().map_or(0, |more| more.runs)
    }

    /// Takes in a record of the same statement that stands for more runs of it. The slower of the two runs stays.
    pub fn join(&mut self, mut other: Self) {
        if other.total > self.total {
            std::mem::swap(self, &mut other);
        }
        let more = self.more.get_or_insert_with(Box::default);
        more.add(&Ended::of(&other));
        if let Some(further) = &other.more {
            more.merge(further);
        }
    }

    /// When the last of them began.
    #[must_use]
    pub fn last(&self) -> SystemTime {
        let more = self.more.as_ref().and_then(|more| more.last);
        more.map_or(self.started, |last| last.max(self.started))
    }
}

/// A plan that was chosen, and why it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Name of the alternative; `default` is what runs without advice.
    pub alternative: Arc<str>,
    /// Band of selectivity for which it was chosen.
    pub band: u8,
    pub stage: Stage,
}

/// Why an alternative ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing is known yet, or advice is off.
    Observe,
    /// Beside the statement, for nobody.
    Shadow,
    /// On a bounded share of runs, to be measured.
    Trial,
    /// Proven better.
    Pinned,
    /// The default, while another one is pinned, to be measured.
    Control,
}

impl Stage {
    /// Name as system tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Shadow => "shadow",
            Self::Trial => "trial",
            Self::Pinned => "pinned",
            Self::Control => "control",
        }
    }
}

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
    /// Whether every row was read: a reader that left early says nothing of the fragment's size.
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
