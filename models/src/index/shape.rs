//! Tables, statements and indexes as numbers: what an index search has to know of a schema and a workload. Knows no names
//! and no values.

use serde::{Deserialize, Serialize};

/// A column's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Mean stored bytes of a value that is not NULL, without alignment.
    pub width: f64,
    /// Alignment of its type: 1, 2, 4 or 8.
    pub align: u8,
    /// Distinct values.
    pub distinct: f64,
    /// Share of NULLs, 0 to 1.
    pub nulls: f64,
    /// Whether equal values have equal bytes, so that a B-tree stores them once (Postgres: not `numeric`, not `float`, not
    /// `jsonb`).
    pub dedupes: bool,
}

/// A table and what is written to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Rows.
    pub rows: f64,
    /// In the order that column numbers refer to.
    pub columns: Vec<Column>,
    /// Rows inserted and rows deleted per unit of the workload's weights.
    pub inserts: f64,
    /// Rows updated per unit, by column; shorter than `columns` means none for the others.
    pub updates: Vec<f64>,
}

/// A condition that the policy always adds for somebody (tenant wall, row rule), so that an index may be built on its rows
/// only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicate {
    /// Table that it restricts.
    pub table: usize,
    /// Share of the rows that it keeps.
    pub selectivity: f64,
}

/// A B-tree index. Column and table numbers are those of the workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Index {
    /// Its table.
    pub table: usize,
    /// Key columns in order.
    pub keys: Vec<usize>,
    /// Columns carried along for index-only scans, ascending.
    pub include: Vec<usize>,
    /// Rows that it holds: all, or those of this predicate.
    pub predicate: Option<usize>,
}

impl Index {
    /// On these keys, nothing else.
    #[must_use]
    pub fn on(table: usize, keys: &[usize]) -> Self {
        Self { table, keys: keys.to_vec(), include: Vec::new(), predicate: None }
    }

    /// Whether every column is in the index.
    #[must_use]
    pub fn covers(&self, columns: &[usize]) -> bool {
        columns.iter().all(|column| self.keys.contains(column) || self.include.contains(column))
    }
}

/// How a statement uses one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// The table.
    pub table: usize,
    /// Columns compared for equality with constants or parameters.
    pub equal: Vec<usize>,
    /// Columns compared by range or prefix.
    pub range: Vec<usize>,
    /// Columns joined on.
    pub join: Vec<usize>,
    /// Columns ordered or grouped by, in order.
    pub order: Vec<usize>,
    /// All columns that the statement needs of the table, those above included.
    pub output: Vec<usize>,
    /// Predicates that the access implies.
    pub implies: Vec<usize>,
}

impl Access {
    /// Columns that an index could lead with.
    pub(crate) fn leads(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        for column in self.equal.iter().chain(&self.range).chain(&self.join).chain(&self.order) {
            if !columns.contains(column) {
                columns.push(*column);
            }
        }
        columns
    }

    /// Whether the planner could use the index here.
    pub(crate) fn may_use(&self, index: &Index) -> bool {
        let implied = index.predicate.is_none_or(|predicate| self.implies.contains(&predicate));
        let leads = index.keys.first().is_some_and(|key| self.leads().contains(key));
        index.table == self.table && implied && (leads || index.covers(&self.output))
    }
}

/// A statement (a template with typical parameters).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Executions per unit.
    pub weight: f64,
    /// One for each use of a table.
    pub accesses: Vec<Access>,
}

/// What an index set is to be found for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Tables, referred to by number.
    pub tables: Vec<Table>,
    /// Predicates of the policy, referred to by number.
    pub predicates: Vec<Predicate>,
    /// Statements, referred to by number.
    pub statements: Vec<Statement>,
}

impl Workload {
    /// Whether all numbers refer to something.
    pub(crate) fn is_sound(&self) -> bool {
        let table = |number: usize| self.tables.get(number);
        let access = |access: &Access| {
            let lists = [&access.equal, &access.range, &access.join, &access.order, &access.output];
            table(access.table).is_some_and(|table| {
                lists.iter().all(|list| list.iter().all(|column| *column < table.columns.len()))
                    && access.implies.iter().all(|p| self.predicates.get(*p).is_some_and(|p| p.table == access.table))
            })
        };
        self.statements.iter().all(|statement| {
            statement.weight.is_finite() && statement.weight >= 0.0 && statement.accesses.iter().all(access)
        }) && self.predicates.iter().all(|predicate| table(predicate.table).is_some())
    }

    /// Whether the planner could use the index in the statement.
    pub(crate) fn may_use(&self, statement: usize, index: &Index) -> bool {
        self.statements.get(statement).is_some_and(|s| s.accesses.iter().any(|access| access.may_use(index)))
    }
}
