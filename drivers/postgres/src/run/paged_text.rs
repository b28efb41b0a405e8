//! The text of a statement that reads one table row by row, for a range of the table's pages.

use crate::compile::dialect::quote;
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::identifier::TableRef;
use std::ops::Range;

/// A statement, cut where its table's name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PagedText {
    before: String,
    /// As SQL writes it.
    pub(crate) table: String,
    after: String,
}

impl PagedText {
    /// `None`: the name does not stand there once.
    pub(super) fn of(table: &TableRef, text: &str) -> Result<Option<Self>, Refusal> {
        let parts = table.parts().iter().map(|part| quote(part.as_str())).collect::<Result<Vec<_>, _>>()?;
        let table = parts.join(".");
        let named = format!(" FROM {table} AS ");
        let mut found = text.split(named.as_str());
        let (Some(before), Some(after), None) = (found.next(), found.next(), found.next()) else { return Ok(None) };
        Ok(Some(Self { before: before.to_owned(), table, after: after.to_owned() }))
    }

    /// Reads the rows of a range of pages. An open end takes whatever comes behind.
    pub(crate) fn select(&self, pages: &Range<u32>, is_last: bool) -> String {
        let Self { before, table, after } = self;
        let low = format!("ctid >= '({},0)'::pg_catalog.tid", pages.start);
        let high = if is_last { String::new() } else { format!(" AND ctid < '({},0)'::pg_catalog.tid", pages.end) };
        format!("{before} FROM (SELECT * FROM ONLY {table} WHERE {low}{high}) AS {after}")
    }

    /// Reads them in COPY's binary format, for which the statement takes no values.
    pub(crate) fn copy(&self, pages: &Range<u32>, is_last: bool) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT binary)", self.select(pages, is_last))
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
        let whole = PagedText::of(&table, &text).unwrap().unwrap();
        assert_eq!(
            whole.copy(&(0..8), false),
            format!(
                "COPY (SELECT t0.\"x\" AS c0 FROM (SELECT * FROM ONLY {named} WHERE ctid >= '(0,0)'::pg_catalog.tid \
                 AND ctid < '(8,0)'::pg_catalog.tid) AS t0) TO STDOUT (FORMAT binary)"
            )
        );
        assert!(!whole.copy(&(8..16), true).contains("ctid <"));
        let twice = format!("{text} JOIN (SELECT 1 FROM {named} AS t1) AS t2");
        assert_eq!(PagedText::of(&table, &twice), Ok(None));
        assert_eq!(PagedText::of(&TableRef::new(["public", "b"]).unwrap(), &text), Ok(None));
    }
}
