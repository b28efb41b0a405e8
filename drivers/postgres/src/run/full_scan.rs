//! Which statements read a large table whole, and their text for a range of its pages. Talks to no server.

use crate::compile::dialect::quote;
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Relation;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Statements that are remembered; a gate has few that take no value and read a table whole.
const STATEMENTS_MAX: usize = 1_024;

/// What is known of tables and of the statements that read them whole.
#[derive(Debug, Default)]
pub(crate) struct FullScans {
    /// Bytes of tables, as their statistics last told.
    sizes: Mutex<HashMap<TableRef, u64>>,
    statements: Mutex<HashMap<Arc<str>, TableRef>>,
}

impl FullScans {
    /// Notes the size of a table.
    pub(crate) fn measured(&self, table: &TableRef, bytes: u64) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), bytes);
    }

    /// Notes a statement, if it reads a table whole.
    pub(crate) fn rendered(&self, relation: &Relation, statement: &NativeStatement) {
        let Some(table) = read_whole(relation).filter(|_| statement.bindings.is_empty()) else { return };
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(Arc::clone(&statement.text), table.clone());
    }

    /// How to read a statement's table in parts, if it has at least so many bytes.
    pub(crate) fn of(&self, statement: &NativeStatement, bytes_least: u64) -> Option<FullScan> {
        if !statement.bindings.is_empty() {
            return None;
        }
        let table = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(&statement.text)?.clone();
        let bytes = *self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&table)?;
        if bytes < bytes_least {
            return None;
        }
        FullScan::of(&table, &statement.text).ok().flatten()
    }
}

/// The one table whose every row a relation gives, each by itself: no condition that an index could answer, nothing that looks
/// at several rows.
fn read_whole(relation: &Relation) -> Option<&TableRef> {
    match relation {
        Relation::Scan { table, .. } => Some(table),
        Relation::Project { input, .. } => read_whole(input),
        Relation::Filter { .. }
        | Relation::Fence { .. }
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
