//! Which statements read a large table, whole or under a condition, and the text of whole ones for a range of its pages. Talks to no
//! server.

use crate::compile::dialect::quote;
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts that are remembered; when one more comes, all are forgotten.
const STATEMENTS_MAX: usize = 1_024;

/// What is known of tables and of the statements that read one row by row.
#[derive(Debug, Default)]
pub(crate) struct FullScans {
    /// Bytes of tables, as their statistics last said.
    sizes: Mutex<HashMap<TableRef, u64>>,
    statements: Mutex<HashMap<Arc<str>, Noted>>,
}

/// A statement that reads one table row by row.
#[derive(Debug, Clone)]
struct Noted {
    table: TableRef,
    /// It gives every row and takes no value.
    is_whole: bool,
}

impl FullScans {
    /// Notes the size of a table.
    pub(crate) fn measured(&self, table: &TableRef, bytes: u64) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), bytes);
    }

    /// Notes a statement, if it reads one table row by row.
    pub(crate) fn rendered(&self, relation: &Relation, statement: &NativeStatement) {
        let Some((table, every_row)) = read_by_row(relation) else { return };
        let noted = Noted { table: table.clone(), is_whole: every_row && statement.bindings.is_empty() };
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(Arc::clone(&statement.text), noted);
    }

    /// Whether a statement reads, row by row, a table of at least `bytes_least` bytes.
    pub(crate) fn is_large(&self, statement: &NativeStatement, bytes_least: u64) -> bool {
        self.noted(statement, bytes_least).is_some()
    }

    fn noted(&self, statement: &NativeStatement, bytes_least: u64) -> Option<Noted> {
        let noted = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(&statement.text).cloned()?;
        let bytes = *self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&noted.table)?;
        (bytes >= bytes_least).then_some(noted)
    }

    /// How to read a statement's table in parts, if it has at least so many bytes.
    pub(crate) fn of(&self, statement: &NativeStatement, bytes_least: u64) -> Option<FullScan> {
        let noted = self.noted(statement, bytes_least).filter(|noted| noted.is_whole)?;
        FullScan::of(&noted.table, &statement.text).ok().flatten()
    }
}

/// The one table whose rows a relation gives, each by itself, and whether it gives every one. `None`: it looks at several rows at once, or
/// a column equals something, which an index may answer with few rows.
fn read_by_row(relation: &Relation) -> Option<(&TableRef, bool)> {
    match relation {
        Relation::Scan { table, .. } => Some((table, true)),
        Relation::Project { input, .. } => read_by_row(input),
        Relation::Filter { input, predicate } if !equals(predicate) => {
            read_by_row(input).map(|(table, _)| (table, false))
        }
        Relation::Fence { input } => read_by_row(input).map(|(table, _)| (table, false)),
        Relation::Filter { .. }
        | Relation::Join { .. }
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

/// Whether a condition that every row meets is an equality or a list.
fn equals(predicate: &ScalarExpr) -> bool {
    match predicate {
        ScalarExpr::And(all) => all.iter().any(equals),
        ScalarExpr::Comparison { op, .. } => *op == ComparisonOp::Eq,
        ScalarExpr::InList { negated, .. } => !negated,
        _ => false,
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
    fn large_tables_are_read_row_by_row_where_no_column_equals_anything() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let compared =
            |op| ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, ValueType::Int32));
        let filter = |input, predicate| Relation::Filter { input: Box::new(input), predicate };
        let (range, equality) = (|| compared(ComparisonOp::Gt), || compared(ComparisonOp::Eq));
        let either = ScalarExpr::Or(vec![equality(), range()]);
        let fenced = Relation::Fence { input: Box::new(filter(scan(), range())) };
        let limited = Relation::Limit { input: Box::new(scan()), fetch: Some(1), skip: 0 };
        for (relation, is_large, is_whole) in [
            (scan(), true, true),
            (filter(scan(), range()), true, false),
            (filter(scan(), either), true, false),
            (fenced, true, false),
            (filter(scan(), equality()), false, false),
            (filter(scan(), ScalarExpr::And(vec![range(), equality()])), false, false),
            (limited, false, false),
        ] {
            let statement = NativeStatement {
                text: "SELECT 1 FROM \"public\".\"a\" AS t0".into(),
                bindings: Vec::new(),
                parameters: Vec::new(),
                output: Vec::new(),
                schema: Arc::new(arrow::datatypes::Schema::empty()),
            };
            let scans = FullScans::default();
            scans.rendered(&relation, &statement);
            assert!(!scans.is_large(&statement, 0), "its size is not known");
            scans.measured(&table, 10);
            assert_eq!(scans.is_large(&statement, 10), is_large, "{relation:?}");
            assert_eq!(scans.of(&statement, 10).is_some(), is_whole, "{relation:?}");
            assert!(!scans.is_large(&statement, 11) && scans.of(&statement, 11).is_none());
        }
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
