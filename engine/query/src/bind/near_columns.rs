//! The column that a reader may have meant by a name that none has: of those in reach that the reader's own catalog lists, and no others.

use crate::bind::missing_columns::{NamedTable, missing, named_tables};
use crate::dialect::near_column;
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::Query;
use querygate_pg_catalog::image::CatalogImage;
use querygate_query_api::own_names::output_name;
use querygate_types::{Error, ErrorCode};
use std::collections::HashSet;

/// The most tables of a statement whose columns are looked through for a hint.
const TABLES_MAX: usize = 32;
/// The most columns in reach among which the nearest is looked for.
const COLUMNS_MAX: usize = 2_000;

/// The error of a column that does not exist, with the nearest one.
pub(super) fn with_nearest_column(error: Error, cause: &DataFusionError, query: &Query, image: &CatalogImage) -> Error {
    if error.code() != ErrorCode::UndefinedColumn || error.hint().is_some() {
        return error;
    }
    let Some((column, in_reach)) = missing(cause) else { return error };
    match near(column, in_reach, &named_tables(query), image) {
        Some(near) => error.with_hint(format!("Perhaps you meant to reference the column \"{near}\".")),
        None => error,
    }
}

/// With what the query calls its table. What the engine found in reach is believed only where the catalog lists it too.
fn near(column: &Column, in_reach: &[Column], tables: &[NamedTable], image: &CatalogImage) -> Option<String> {
    let asked = column.relation.as_ref().map(|relation| output_name(relation.table()));
    let mut named: Vec<&NamedTable> = tables.iter().collect();
    named.sort_by_key(|table| (&table.alias, &table.name));
    named.dedup_by_key(|table| (&table.alias, &table.name));
    if named.len() > TABLES_MAX {
        return None;
    }
    let mut listed: HashSet<(&str, &str)> = HashSet::new();
    for table in named {
        listed.extend(columns(image, &table.name).map(|name| (table.alias.as_str(), name)));
    }
    let candidates = in_reach.iter().take(COLUMNS_MAX).filter_map(|field| {
        let (alias, name) = (output_name(field.relation.as_ref()?.table()), output_name(&field.name));
        (listed.contains(&(alias, name)) && asked.is_none_or(|asked| asked == alias)).then_some((alias, name))
    });
    let candidates: Vec<(&str, &str)> = candidates.collect();
    let near = near_column(output_name(&column.name), candidates.iter().map(|(_, name)| *name))?;
    let (alias, name) = candidates.iter().find(|(_, name)| *name == near)?;
    Some(format!("{alias}.{name}"))
}

/// Columns that a reader's catalog has in the relation of this name.
fn columns<'a>(image: &'a CatalogImage, name: &'a [String]) -> impl Iterator<Item = &'a str> {
    let (schema, relation) = match name {
        [] => (None, None),
        [relation] => (None, Some(relation)),
        [.., schema, relation] => (Some(schema), Some(relation)),
    };
    let is_meant = move |name: &String| match schema {
        Some(schema) => name == schema,
        None => image.search_path.contains(name),
    };
    let schemas = image.schemas.iter().filter(move |schema| is_meant(&schema.name));
    let relations = schemas.flat_map(|schema| &schema.relations).filter(move |one| relation == Some(&one.name));
    relations.flat_map(|one| one.columns.iter().map(|column| column.name.as_str()))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// A hidden column is never named, not even where its name is the nearest: the clerk's accounts have no `secret`.
    #[test]
    fn the_nearest_column_is_one_that_the_reader_sees() {
        let shop = Shop::open();
        let (owner, clerk) = (shop.owner(), shop.clerk());
        for (reader, sql, near) in [
            (&clerk, "SELECT nmae FROM accounts", Some("accounts.name")),
            (&clerk, "SELECT a.nmae FROM accounts a", Some("a.name")),
            (&clerk, "SELECT id FROM accounts a WHERE a.nmae = 'x'", Some("a.name")),
            (&clerk, "SELECT id FROM public.accounts WHERE nmae = 'x'", Some("accounts.name")),
            (&clerk, "SELECT nmae FROM shop.public.accounts", Some("accounts.name")),
            (&owner, "SELECT secert FROM accounts", Some("accounts.secret")),
            (&clerk, "SELECT secert FROM accounts", None),
            (&clerk, "SELECT secret FROM accounts", None),
            (&clerk, "SELECT a.secrets FROM accounts a", None),
            // A query's own columns are in no catalog, and a table that is out of reach has none to offer.
            (&clerk, "SELECT nmae FROM (SELECT name FROM accounts) x", None),
            (&clerk, "WITH accounts AS (SELECT 1 AS total) SELECT nmae FROM accounts", None),
            (&clerk, "SELECT zebra FROM accounts", None),
            // Any name of two letters is like any other.
            (&clerk, "SELECT ix FROM accounts", None),
        ] {
            let error = reader.bind(sql).map(drop).unwrap_err();
            let expected = near.map(|near| format!("Perhaps you meant to reference the column \"{near}\"."));
            assert_eq!((error.code().sqlstate(), error.hint()), ("42703", expected.as_deref()), "{sql}");
        }
    }
}
