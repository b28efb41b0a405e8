//! What a source tells of its indexes, what a statement would cost with others, and how one is made. Knows no source, and
//! no value.

use crate::capability::Refusal;
use crate::identifier::{Identifier, TableRef};
use async_trait::async_trait;
use querygate_types::Result;
use std::sync::Arc;

/// A B-tree index that could be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexSpec {
    /// The table that it is made on.
    pub table: TableRef,
    /// Key columns in order, at least one.
    pub keys: Vec<Identifier>,
    /// Columns that are carried along, so that the table need not be read.
    pub include: Vec<Identifier>,
    /// Key columns whose texts are in order of code points there, whatever the column's own order.
    pub code_point: Vec<Identifier>,
    /// Rows that it holds; `None`: all. Only tests without a value: no value becomes part of a statement.
    pub rows: Option<NullTest>,
}

/// Rows in which a column is NULL, or is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NullTest {
    /// The column that is tested.
    pub column: Identifier,
    /// IS NOT NULL.
    pub negated: bool,
}

/// An index that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingIndex {
    /// The source's name of it, with its schema where the source has such.
    pub name: String,
    /// Key columns in order; expressions are left out.
    pub keys: Vec<Identifier>,
    /// Columns that are carried along.
    pub include: Vec<Identifier>,
    /// It admits no two rows of equal keys.
    pub unique: bool,
    /// A constraint rests on it: primary, unique, exclusion, the referring side of a foreign key, a replica identity.
    pub constraint: bool,
    /// It holds only some of the rows.
    pub partial: bool,
    /// Some key is an expression.
    pub expression: bool,
    /// A B-tree in the columns' default order, collation and operator class.
    pub plain: bool,
    /// The source may use it: it was built to its end.
    pub valid: bool,
    /// Scans since the source began to count; `None`: it does not count.
    pub scans: Option<u64>,
    /// Days since it began to count.
    pub days: f64,
    /// Bytes on disk; `None`: the source does not tell.
    pub bytes: Option<u64>,
}

/// A column as an index sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedColumn {
    /// The source's name of it.
    pub name: Identifier,
    /// Mean stored bytes of a value.
    pub width: f64,
    /// Alignment of its type: 1, 2, 4 or 8.
    pub align: u8,
    /// Distinct values.
    pub distinct: f64,
    /// Share of NULLs, 0 to 1.
    pub nulls: f64,
    /// Whether equal values have equal bytes, so that a B-tree may store them once.
    pub dedupes: bool,
    /// A text whose own order is another than by code point.
    pub collates: bool,
}

/// What is written to a table in a day, as far as the source counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writes {
    /// Rows inserted or deleted.
    pub inserted: f64,
    /// Rows updated.
    pub updated: f64,
}

/// A table as an index search sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedTable {
    /// Which one.
    pub table: TableRef,
    /// Rows, as the source estimates them.
    pub rows: f64,
    /// Columns that an index can have as keys.
    pub columns: Vec<IndexedColumn>,
    /// Indexes of every kind that it has.
    pub indexes: Vec<ExistingIndex>,
    /// Columns of the key by which a row is found in the table itself, where no index is listed for it; empty: none.
    pub row_key: Vec<Identifier>,
    /// `None`: the source does not count.
    pub writes: Option<Writes>,
    /// What a new one can be.
    pub abilities: IndexAbilities,
}

/// What indexes of a table can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexAbilities {
    /// Over a part of the rows.
    pub partial: bool,
    /// With texts in order of code points, whatever the column's own order.
    pub code_point: bool,
    /// With columns in them that spare reading the table.
    pub covering: bool,
}

impl IndexAbilities {
    /// Every form that a specification has words for.
    pub const ALL: Self = Self { partial: true, code_point: true, covering: true };
}

/// What an index search starts from.
pub struct Study {
    /// Those of the tables that exist and are tables, not views.
    pub tables: Vec<IndexedTable>,
    /// What tells the cost of statements.
    pub planner: Planner,
}

/// Whether the source's own planner can be asked about indexes that do not exist.
pub enum Planner {
    /// It can.
    Asked(Box<dyn WhatIf>),
    /// It cannot, with the reason and what would help.
    Absent(String),
}

/// A statement whose cost is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeQuery {
    /// Text of this driver, with its parameters open.
    pub text: Arc<str>,
    /// What it asks of its tables, one for each use of a table. Planners that know it themselves do not look at it.
    pub tables: Vec<TableConditions>,
    /// Rows that a run delivered in the mean; `None`: none ran. What a planner without a guess at ranges can go by.
    pub rows: Option<f64>,
}

/// Conditions of a statement on one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableConditions {
    /// Which one.
    pub table: TableRef,
    /// Columns compared for equality with a value.
    pub equal: Vec<Identifier>,
    /// Columns compared by range or prefix.
    pub range: Vec<Identifier>,
    /// Columns compared for equality with those of other tables, or of other fragments.
    pub join: Vec<Identifier>,
    /// Columns tested for NULL.
    pub nulls: Vec<NullTest>,
}

/// What a planner says of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Costed {
    /// In the planner's own unit; only comparable with other answers of the same planner. What the planner is known to take
    /// for cheaper than it is, is corrected.
    pub cost: f64,
    /// What the planner itself says.
    pub planned: f64,
    /// What it costs if what is uncertain turns out badly, where the source can say; otherwise the cost.
    pub worst: f64,
    /// Which of the offered indexes the plan uses (places in the list).
    pub used: Vec<usize>,
}

/// A planner with hypothetical indexes. Nothing is built, and nothing of the source changes.
#[async_trait]
pub trait WhatIf: Send {
    /// How the cost is found, for people.
    fn evidence(&self) -> &'static str;

    /// What writing one index entry costs, in the unit of [`Costed::cost`]: planners do not tell.
    fn write_cost(&self) -> f64;

    /// How far what it says of indexes that are not there can be believed, 0 to 1.
    fn confidence(&self) -> f64 {
        0.8
    }

    /// Cost of one execution, if exactly these indexes were there beside the real ones.
    /// Values are never stored, so the plan is one for any value.
    ///
    /// # Errors
    /// A statement that the source cannot plan so.
    async fn cost(&mut self, query: &NativeQuery, indexes: &[&IndexSpec]) -> Result<Costed>;
}

/// A source that can be advised on indexes.
#[async_trait]
pub trait IndexAdvice: Send + Sync {
    /// Looks at tables and makes the planner ready. Bounded in time and rows read; reads no more than statistics where the
    /// source keeps them.
    ///
    /// # Errors
    /// The source's.
    async fn study(&self, tables: &[TableRef]) -> Result<Study>;

    /// The statement that makes the index, for people and for [`IndexAdvice::create`].
    ///
    /// # Errors
    /// A name that cannot be quoted.
    fn ddl(&self, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal>;

    /// The statement that drops an index of this name, for people.
    ///
    /// # Errors
    /// A name that cannot be quoted.
    fn drop_ddl(&self, table: &TableRef, name: &Identifier) -> Result<String, Refusal>;

    /// Makes the index, without blocking writers where the source can, and lets the planner know of it. What failed leaves
    /// nothing behind.
    ///
    /// # Errors
    /// The source's; 42501 where its user may not.
    async fn create(&self, index: &IndexSpec, name: &Identifier) -> Result<()>;

    /// Drops an index that [`IndexAdvice::create`] made. That it is gone already is no error.
    ///
    /// # Errors
    /// As for `create`.
    async fn drop_index(&self, table: &TableRef, name: &Identifier) -> Result<()>;
}

impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let planner = match &self.planner {
            Planner::Asked(planner) => planner.evidence(),
            Planner::Absent(why) => why,
        };
        f.debug_struct("Study").field("tables", &self.tables.len()).field("planner", &planner).finish()
    }
}

/// How many values of a whole differ, from a sample of it: Haas and Stokes' Duj1 (1998), which PostgreSQL uses as well. Of the `taken`
/// values of the sample `found` differ, and `once` of these came a single time; the whole has `rows`.
#[must_use]
pub fn distinct_of_sample(taken: usize, found: usize, once: usize, rows: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a sample are small")]
    let [taken, found, once] = [taken, found, once].map(|count| count as f64);
    if taken < 1.0 || taken >= rows {
        return found.max(1.0);
    }
    let below = taken - once + once * taken / rows;
    (taken * found / below.max(f64::MIN_POSITIVE)).clamp(found, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_tell_few_values_from_many() {
        // All distinct: as many as rows. Few values: those. A whole that was read: what was counted.
        for (taken, found, once, rows, expected) in [
            (1_000, 1_000, 1_000, 1e6, 1e6),
            (1_000, 10, 0, 1e6, 10.0),
            (500, 300, 200, 500.0, 300.0),
            (0, 0, 0, 0.0, 1.0),
        ] {
            let told = distinct_of_sample(taken, found, once, rows);
            assert!((told - expected).abs() < 1e-6, "{taken} {found} {once} {rows}: {told}");
        }
    }
}
