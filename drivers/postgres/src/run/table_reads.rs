//! Which statements read a large table row by row, how many rows they gave last, and the text of those that read it whole for a range
//! of its pages. Talks to no server.

use crate::compile::dialect::quote;
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Texts that are remembered; when one more comes, those are forgotten that compare for equality, or all if there are none.
const STATEMENTS_MAX: usize = 1_024;
/// Rows from which on it pays to describe and to plan a statement anew for each of its runs, which is two round trips more, because each
/// row then takes 0.15 µs less.
const MANY_ROWS: usize = 50_000;

/// What is known of tables and of the statements that read one row by row.
#[derive(Debug, Default)]
pub(crate) struct TableReads {
    /// Bytes of tables, as their statistics last said.
    sizes: Mutex<HashMap<TableRef, u64>>,
    statements: Mutex<HashMap<Arc<str>, Arc<TableRead>>>,
}

/// A statement that reads one table row by row.
#[derive(Debug)]
pub(crate) struct TableRead {
    table: TableRef,
    /// It gives every row and takes no value.
    is_whole: bool,
    /// A column equals something in every row, which an index may answer with few rows.
    by_equality: bool,
    /// Rows that its last run gave, for whatever values; of one that did not come to its end, no fewer than before.
    last_rows: AtomicUsize,
    /// It has columns of the database's own types, which the client library alone asks about.
    has_own_types: AtomicBool,
}

impl TableReads {
    /// Notes the size of a table.
    pub(crate) fn measured(&self, table: &TableRef, bytes: u64) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), bytes);
    }

    /// Notes a statement, if it reads one table row by row.
    pub(crate) fn rendered(&self, relation: &Relation, statement: &NativeStatement) {
        let Some(read) = TableRead::of(relation, statement) else { return };
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS_MAX {
            // A result that is divided by pages needs the text that it reads whole.
            statements.retain(|_, known| !known.by_equality);
            if statements.len() >= STATEMENTS_MAX {
                statements.clear();
            }
        }
        // One that was compiled again keeps what is known of its runs.
        statements.entry(Arc::clone(&statement.text)).or_insert_with(|| Arc::new(read));
    }

    /// A statement that reads, row by row, a table of at least `bytes_least` bytes.
    pub(crate) fn of(&self, statement: &NativeStatement, bytes_least: u64) -> Option<Arc<TableRead>> {
        let read = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(&statement.text).cloned()?;
        let bytes = *self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&read.table)?;
        (bytes >= bytes_least).then_some(read)
    }
}

impl TableRead {
    /// `None`: the relation looks at several rows at once.
    fn of(relation: &Relation, statement: &NativeStatement) -> Option<Self> {
        match relation {
            Relation::Scan { table, .. } => Some(Self {
                table: table.clone(),
                is_whole: statement.bindings.is_empty(),
                by_equality: false,
                last_rows: AtomicUsize::new(0),
                has_own_types: AtomicBool::new(false),
            }),
            Relation::Project { input, .. } => Self::of(input, statement),
            Relation::Filter { input, predicate } => {
                let input = Self::of(input, statement)?;
                Some(Self { is_whole: false, by_equality: input.by_equality || equals(predicate), ..input })
            }
            Relation::Fence { input } => {
                let input = Self::of(input, statement)?;
                Some(Self { is_whole: false, ..input })
            }
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => None,
        }
    }

    /// How to read the table in parts, if the statement gives every row of it.
    pub(crate) fn in_parts(&self, statement: &NativeStatement) -> Option<FullScan> {
        if !self.is_whole {
            return None;
        }
        FullScan::of(&self.table, &statement.text).ok().flatten()
    }

    /// Whether to read it off the connection's own bytes: many rows are to be expected, of types that are known.
    pub(crate) fn gives_many(&self) -> bool {
        let rows = self.last_rows.load(Ordering::Relaxed);
        (!self.by_equality || rows >= MANY_ROWS) && !self.has_own_types.load(Ordering::Relaxed)
    }

    /// Notes how many rows a run gave, and whether these were all.
    pub(crate) fn gave(&self, rows: usize, is_complete: bool) {
        if is_complete {
            self.last_rows.store(rows, Ordering::Relaxed);
        } else {
            self.last_rows.fetch_max(rows, Ordering::Relaxed);
        }
    }

    /// Notes that it has columns of the database's own types. A table whose columns change has other texts, or is read as it is.
    pub(crate) fn has_own_types(&self) {
        self.has_own_types.store(true, Ordering::Relaxed);
    }
}

/// Whether a condition that every row meets is an equality or a list.
fn equals(predicate: &ScalarExpr) -> bool {
    match predicate {
        ScalarExpr::And(all) => all.iter().any(equals),
        ScalarExpr::Comparison { op, .. } => *op == ComparisonOp::Eq,
        ScalarExpr::InList { negated, .. } => !negated,
        ScalarExpr::Column(_)
        | ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::Between { .. }
        | ScalarExpr::Like { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Case { .. }
        | ScalarExpr::Cast { .. }
        | ScalarExpr::Function { .. }
        | ScalarExpr::Exists { .. }
        | ScalarExpr::InSubquery { .. }
        | ScalarExpr::ScalarSubquery { .. } => false,
    }
}

/// A statement, cut where its table's name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullScan {
    before: String,
    /// As SQL writes it.
    pub(crate) table: String,
    after: String,
}

impl FullScan {
    /// `None`: the name does not stand there once.
    fn of(table: &TableRef, text: &str) -> Result<Option<Self>, Refusal> {
        let parts = table.parts().iter().map(|part| quote(part.as_str())).collect::<Result<Vec<_>, _>>()?;
        let table = parts.join(".");
        let named = format!(" FROM {table} AS ");
        let mut found = text.split(named.as_str());
        let (Some(before), Some(after), None) = (found.next(), found.next(), found.next()) else { return Ok(None) };
        Ok(Some(Self { before: before.to_owned(), table, after: after.to_owned() }))
    }

    /// Reads the rows of a range of pages, in COPY's binary format. An open end takes whatever comes behind.
    pub(crate) fn copy(&self, pages: &Range<u32>, is_last: bool) -> String {
        let Self { before, table, after } = self;
        let low = format!("ctid >= '({},0)'::pg_catalog.tid", pages.start);
        let high = if is_last { String::new() } else { format!(" AND ctid < '({},0)'::pg_catalog.tid", pages.end) };
        format!("COPY ({before} FROM (SELECT * FROM {table} WHERE {low}{high}) AS {after}) TO STDOUT (FORMAT binary)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::ColumnId;
    use querygate_driver_api::value::ValueType;

    #[test]
    fn many_rows_are_expected_of_large_tables_but_by_equality_only_once_they_came() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let compared =
            |op| ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, ValueType::Int32));
        let filter = |input, predicate| Relation::Filter { input: Box::new(input), predicate };
        let (range, equality) = (|| compared(ComparisonOp::Gt), || compared(ComparisonOp::Eq));
        let either = ScalarExpr::Or(vec![equality(), range()]);
        let fenced = Relation::Fence { input: Box::new(filter(scan(), range())) };
        let limited = Relation::Limit { input: Box::new(scan()), fetch: Some(1), skip: 0 };
        let both = ScalarExpr::And(vec![range(), equality()]);
        let equal_below = Relation::Fence { input: Box::new(filter(filter(scan(), equality()), range())) };
        // Whether one table is read row by row, gives many rows before it ran, and is read whole.
        for (relation, [by_row, gives_many, is_whole]) in [
            (scan(), [true, true, true]),
            (filter(scan(), range()), [true, true, false]),
            (filter(scan(), either), [true, true, false]),
            (fenced, [true, true, false]),
            (filter(scan(), equality()), [true, false, false]),
            (filter(scan(), both), [true, false, false]),
            (equal_below, [true, false, false]),
            (limited, [false; 3]),
        ] {
            let statement = NativeStatement {
                text: "SELECT 1 FROM \"public\".\"a\" AS t0".into(),
                bindings: Vec::new(),
                parameters: Vec::new(),
                output: Vec::new(),
                schema: Arc::new(arrow::datatypes::Schema::empty()),
            };
            let reads = TableReads::default();
            reads.rendered(&relation, &statement);
            assert!(reads.of(&statement, 0).is_none(), "its size is not known");
            reads.measured(&table, 10);
            assert!(reads.of(&statement, 11).is_none());
            let read = reads.of(&statement, 10);
            assert_eq!(read.is_some(), by_row, "{relation:?}");
            let Some(read) = read else { continue };
            assert_eq!(read.gives_many(), gives_many, "{relation:?}");
            assert_eq!(read.in_parts(&statement).is_some(), is_whole, "{relation:?}");
            read.gave(MANY_ROWS, true);
            read.gave(3, false);
            reads.rendered(&relation, &statement);
            let again = reads.of(&statement, 10).unwrap();
            assert!(again.gives_many(), "what is known of its runs is kept");
            again.gave(MANY_ROWS - 1, true);
            assert_eq!(read.gives_many(), gives_many, "{relation:?}");
            read.has_own_types();
            assert!(!again.gives_many());
        }
    }

    #[test]
    fn what_is_read_whole_is_remembered_beside_any_number_of_look_ups() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let equal = ScalarExpr::compare(
            ComparisonOp::Eq,
            ScalarExpr::Column(ColumnId(0)),
            ScalarExpr::Parameter(0, ValueType::Int32),
        );
        let statement = |number: usize| NativeStatement {
            text: format!("SELECT {number} FROM \"public\".\"a\" AS t0").into(),
            bindings: Vec::new(),
            parameters: Vec::new(),
            output: Vec::new(),
            schema: Arc::new(arrow::datatypes::Schema::empty()),
        };
        let reads = TableReads::default();
        reads.measured(&table, 10);
        let whole = statement(0);
        reads.rendered(&scan(), &whole);
        for number in 1..3 * STATEMENTS_MAX {
            let look_up = Relation::Filter { input: Box::new(scan()), predicate: equal.clone() };
            reads.rendered(&look_up, &statement(number));
        }
        assert!(reads.of(&whole, 0).is_some());
        assert!(reads.statements.lock().unwrap().len() <= STATEMENTS_MAX);
    }

    #[test]
    fn a_statement_is_cut_at_its_tables_name_or_not_at_all() {
        let table = TableRef::new(["public", "a\" AS t0"]).unwrap();
        let named = "\"public\".\"a\"\" AS t0\"";
        let text = format!("SELECT t0.\"x\" AS c0 FROM {named} AS t0");
        let whole = FullScan::of(&table, &text).unwrap().unwrap();
        assert_eq!(
            whole.copy(&(0..8), false),
            format!(
                "COPY (SELECT t0.\"x\" AS c0 FROM (SELECT * FROM {named} WHERE ctid >= '(0,0)'::pg_catalog.tid \
                 AND ctid < '(8,0)'::pg_catalog.tid) AS t0) TO STDOUT (FORMAT binary)"
            )
        );
        assert!(!whole.copy(&(8..16), true).contains("ctid <"));
        let twice = format!("{text} JOIN (SELECT 1 FROM {named} AS t1) AS t2");
        assert_eq!(FullScan::of(&table, &twice), Ok(None));
        assert_eq!(FullScan::of(&TableRef::new(["public", "b"]).unwrap(), &text), Ok(None));
    }
}
