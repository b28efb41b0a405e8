//! Columns that are missing, in the words that tell which table they were looked for in. Knows syntax trees, no catalog.

use crate::errors::{Stage, translate, undefined_column};
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Ident, Query, TableFactor};
use querygate_query_api::own_names::output_name;
use querygate_types::{Error, ErrorCode};

/// Translates an error of binding. The engine knows the tables of the innermost query only: a column which is
/// missing from an outer one, that the statement names, is no missing table.
pub(crate) fn translate_binding(error: &DataFusionError, query: &Query) -> Error {
    let told = translate(error, Stage::Plan);
    if told.code() != ErrorCode::UndefinedTable {
        return told;
    }
    let Some((Column { relation: Some(relation), name, .. }, _)) = missing(error) else { return told };
    if named_tables(query).iter().any(|table| table.alias == output_name(relation.table())) {
        undefined_column(output_name(name), Some(relation.table()))
    } else {
        told
    }
}

/// The column that is missing by an error, and the columns among which it was looked for.
pub(super) fn missing(error: &DataFusionError) -> Option<(&Column, &[Column])> {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => missing(inner),
        DataFusionError::Shared(inner) => missing(inner),
        DataFusionError::Collection(errors) => missing(errors.first()?),
        DataFusionError::External(inner) => missing(inner.downcast_ref()?),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => Some((field.as_ref(), valid_fields.as_slice())),
            _ => None,
        },
        _ => None,
    }
}

/// A relation of a query, in names as the engine folds them.
pub(super) struct NamedTable {
    /// What the query calls it.
    pub(super) alias: String,
    /// The parts of its own name; none of a relation that is made in the query.
    pub(super) name: Vec<String>,
}

/// All relations of a query and of what is nested in it.
pub(super) fn named_tables(query: &Query) -> Vec<NamedTable> {
    let mut tables = Tables::default();
    look(query, &mut tables);
    tables.0
}

#[derive(Default)]
struct Tables(Vec<NamedTable>);

impl Reader for Tables {
    fn table_factor(&mut self, factor: &TableFactor) -> Step {
        let (alias, name) = match factor {
            TableFactor::Table { alias, name, .. } => (alias.as_ref(), Some(name)),
            TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => (alias.as_ref(), None),
            _ => (None, None),
        };
        let parts = name.into_iter().flat_map(|name| &name.0);
        let name: Vec<String> = parts.filter_map(|part| part.as_ident()).map(folded).collect();
        if let Some(alias) = alias.map(|alias| folded(&alias.name)).or_else(|| name.last().cloned()) {
            self.0.push(NamedTable { alias, name });
        }
        ON
    }
}

pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// A table that the statement names is there, so what is missing is its column; another one is missing itself.
    #[test]
    fn what_is_missing_is_told_in_the_words_of_where_it_was_looked_for() {
        let reader = Shop::open().clerk();
        for (sql, code, message) in [
            ("SELECT nope FROM accounts", "42703", "column \"nope\" does not exist"),
            ("SELECT a.nope FROM accounts a", "42703", "column a.nope does not exist"),
            ("SELECT accounts.nope FROM accounts", "42703", "column accounts.nope does not exist"),
            // Hidden from this reader, and so not there.
            ("SELECT secret FROM accounts", "42703", "column \"secret\" does not exist"),
            ("SELECT x.id FROM accounts a", "42P01", "missing FROM-clause entry for table \"x\""),
            (
                "SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM regions r WHERE r.id = a.nope)",
                "42703",
                "column a.nope does not exist",
            ),
            (
                "SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM regions r WHERE r.id = z.id)",
                "42P01",
                "missing FROM-clause entry for table \"z\"",
            ),
            ("SELECT q.nope FROM (SELECT 1 AS x) q", "42703", "column q.nope does not exist"),
            // An alias that is a column's name, too.
            ("SELECT id.nope FROM accounts id", "42703", "column id.nope does not exist"),
            ("SELECT max(id.nope) FROM accounts id WHERE id.nope > 1", "42703", "column id.nope does not exist"),
            ("SELECT 1 FROM accounts id ORDER BY id.nope", "42703", "column id.nope does not exist"),
            ("SELECT a.id.nope FROM accounts a", "42P01", "missing FROM-clause entry for table \"id\""),
            ("SELECT id.x.y FROM accounts a", "42P01", "missing FROM-clause entry for table \"x\""),
            ("SELECT 1 FROM accounts a ORDER BY a.nope", "42703", "column a.nope does not exist"),
            ("SELECT 1 FROM accounts a ORDER BY z.nope", "42P01", "missing FROM-clause entry for table \"z\""),
            ("SELECT id FROM nowhere", "42P01", "relation \"nowhere\" does not exist"),
            ("SELECT person FROM wages", "42P01", "relation \"wages\" does not exist"),
        ] {
            let error = reader.bind(sql).map(drop).unwrap_err();
            assert_eq!((error.code().sqlstate(), error.message()), (code, message), "{sql}");
        }
    }

    /// A name of two columns is theirs with their table's name, too, and nothing is shown of what tells them apart.
    #[test]
    fn a_name_of_two_columns_is_ambiguous() {
        let reader = Shop::open().clerk();
        for sql in [
            "SELECT card FROM (SELECT 1 AS card, 2 AS card) x",
            "SELECT x.card FROM (SELECT 1 AS card, 2 AS card) x",
            "SELECT 1 FROM (SELECT 1 AS card, 2 AS card) x WHERE x.card = 1",
            "SELECT x.card, x.* FROM (SELECT 1 AS card, 2 AS card) x",
            "WITH x AS (SELECT 1 AS card, 2 AS card) SELECT x.card FROM x, (VALUES (1)) y(card)",
            "SELECT x.card FROM (SELECT id AS card, name AS card FROM accounts) x",
        ] {
            let error = reader.bind(sql).map(drop).unwrap_err();
            let expected = ("42702", "column reference \"card\" is ambiguous");
            assert_eq!((error.code().sqlstate(), error.message()), expected, "{sql}");
        }
    }
}
