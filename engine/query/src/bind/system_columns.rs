//! Columns that each table of PostgreSQL has and no table here: where a row lies, and which transactions wrote it. The gate has no true
//! value of them. A statement that names one is refused, with what helps instead. A column that is called so is found first.

use crate::bind::missing_columns::{NamedTable, folded, missing, named_tables};
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::Query;
use querygate_pg_catalog::PgCatalog;
use querygate_query_api::own_names::output_name;
use querygate_types::{Error, ErrorCode};
use std::collections::HashSet;

/// What helps instead of a system column. `None`: it is none, or there is such a one here.
fn instead(column: &str) -> Option<&'static str> {
    Some(match column {
        "ctid" => "A row has no place here. Name it by the key of its table.",
        "xmin" | "cmin" => {
            "The gate does not know what wrote a row. To notice a change of it, compare a column that each change sets, \
             as a version or the time of the change."
        }
        "xmax" | "cmax" => {
            "The gate does not know what wrote a row. INSERT … ON CONFLICT DO NOTHING RETURNING gives the rows that were \
             inserted, and no others."
        }
        _ => return None,
    })
}

/// Whether a column of a name is a system column that no table has here.
pub(crate) fn is_unsupported_system_column(column: &str) -> bool {
    instead(column).is_some()
}

/// The error of a column that does not exist, where it is a system column of a table: that there is none here. Views have none in
/// PostgreSQL either.
pub(super) fn without_system_columns(
    error: Error,
    cause: &DataFusionError,
    query: &Query,
    catalog: &PgCatalog,
) -> Error {
    let missing = missing(cause).filter(|_| error.code() == ErrorCode::UndefinedColumn);
    let Some((column, in_reach)) = missing else { return error };
    let name = output_name(&column.name);
    let Some(instead) = instead(name) else { return error };
    let tables = tables(query, catalog);
    let is_meant = match &column.relation {
        Some(relation) => tables.contains(output_name(relation.table())),
        None => {
            let aliases = in_reach.iter().filter_map(|field| Some(output_name(field.relation.as_ref()?.table())));
            // What the dialect puts around a query has no name that a client could say.
            let aliases: HashSet<&str> = aliases.filter(|alias| !alias.is_empty()).collect();
            let found = aliases.iter().filter(|alias| tables.contains(**alias)).count();
            if found > 1 {
                let text = format!("column reference \"{name}\" is ambiguous");
                return Error::new(ErrorCode::AmbiguousColumn, text);
            }
            found == 1 || aliases.is_empty() && !tables.is_empty()
        }
    };
    if !is_meant {
        return error;
    }
    let text = format!("system column \"{name}\" of a table is not supported");
    Error::new(ErrorCode::FeatureNotSupported, text).with_hint(instead)
}

/// What a query calls the tables that it and its subqueries read. Not among them is what stands for something else, too.
fn tables(query: &Query, catalog: &PgCatalog) -> HashSet<String> {
    let mut with_names = WithNames::default();
    look(query, &mut with_names);
    let is_table = |named: &NamedTable| match named.name.as_slice() {
        [] => false,
        [name] if with_names.0.contains(name) => false,
        [name] => {
            let path = catalog.image().search_path.iter().map(String::as_str);
            let found = std::iter::once("pg_catalog").chain(path).find_map(|schema| catalog.is_table(schema, name));
            found.unwrap_or(false)
        }
        [.., schema, name] => catalog.is_table(schema, name).unwrap_or(false),
    };
    let (tables, others): (Vec<NamedTable>, Vec<NamedTable>) = named_tables(query).into_iter().partition(is_table);
    let others: HashSet<String> = others.into_iter().map(|other| other.alias).collect();
    tables.into_iter().map(|table| table.alias).filter(|alias| !others.contains(alias)).collect()
}

/// Names that WITH gives in a query and in what is nested in it.
#[derive(Default)]
struct WithNames(HashSet<String>);

impl Reader for WithNames {
    fn query(&mut self, query: &Query) -> Step {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(named.map(|named| folded(&named.alias.name)));
        ON
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// Wherever a statement names one, bare or with its table's name, of a governed table or of one of the catalog's.
    #[test]
    fn a_system_column_of_a_table_is_refused_with_what_helps_instead() {
        let clerk = Shop::open().clerk();
        for (sql, column, at) in [
            ("SELECT ctid, * FROM accounts", "ctid", Some(8)),
            ("SELECT a.ctid FROM public.accounts a", "ctid", Some(8)),
            ("SELECT accounts.xmin::text FROM shop.public.accounts", "xmin", Some(8)),
            ("SELECT id FROM accounts WHERE id = 'a1' AND xmin = 5", "xmin", Some(45)),
            ("SELECT id FROM accounts ORDER BY cmin", "cmin", Some(34)),
            ("SELECT count(*) FROM visits GROUP BY cmax", "cmax", Some(38)),
            ("SELECT (xmax = 0) AS inserted FROM visits", "xmax", Some(9)),
            ("SELECT id FROM accounts WHERE ctid = '(0,1)'::tid", "ctid", Some(31)),
            ("SELECT id FROM regions WHERE id IN (SELECT r.id FROM regions r WHERE r.xmax = 0)", "xmax", Some(70)),
            ("SELECT (SELECT max(ctid) FROM regions) FROM accounts", "ctid", Some(20)),
            ("WITH x AS (SELECT xmin FROM accounts) SELECT * FROM x", "xmin", Some(19)),
            ("SELECT a.id FROM accounts a JOIN regions r ON a.xmin = r.rank", "xmin", Some(47)),
            ("SELECT ctid FROM pg_class", "ctid", Some(8)),
        ] {
            let error = clerk.bind(sql).map(drop).unwrap_err();
            let message = format!("system column \"{column}\" of a table is not supported");
            assert_eq!((error.code().sqlstate(), error.message()), ("0A000", message.as_str()), "{sql}");
            assert!(error.hint().is_some(), "{sql}");
            assert_eq!(error.position(), at, "{sql}");
        }
    }

    /// PostgreSQL: what is no table has none, two tables have two, and a column that is called so is a column.
    #[test]
    fn what_is_no_table_has_no_system_columns() {
        let clerk = Shop::open().clerk();
        for (sql, code) in [
            ("SELECT ctid FROM (SELECT id FROM accounts) x", "42703"),
            ("SELECT x.ctid FROM (SELECT id FROM accounts) x", "42703"),
            ("WITH accounts AS (SELECT 1 AS total) SELECT ctid FROM accounts", "42703"),
            ("SELECT xmin FROM pg_views", "42703"),
            ("SELECT ctid", "42703"),
            ("SELECT \"CTID\" FROM accounts", "42703"),
            ("SELECT ctid FROM accounts, regions", "42702"),
            // A table that this reader does not see.
            ("SELECT ctid FROM wages", "42P01"),
        ] {
            let error = clerk.bind(sql).map(drop).unwrap_err();
            assert_eq!(error.code().sqlstate(), code, "{sql}: {}", error.message());
        }
        for sql in [
            "SELECT xmin FROM (SELECT 1 AS xmin) x",
            "SELECT a.ctid FROM (SELECT id AS ctid FROM accounts) a WHERE ctid = 'a1' ORDER BY ctid",
            "SELECT s.xmin FROM pg_replication_slots s",
            "SELECT c.xmin, c.xmax, c.tableoid FROM pg_class c",
        ] {
            assert!(clerk.bind(sql).is_ok(), "{sql}");
        }
    }
}
