//! Keys of ORDER BY that are columns of tables, beside columns of the result that have their names and are something else: `SELECT t.id::text
//! FROM t ORDER BY t.id`. The engine puts the key among the result's columns to sort by it, and then has two of one name. The result's gets
//! another one, which a client sees as its own. Where a query around this one reads it by its name, the alias there says all names.

use super::names::item_name;
use super::rows;
use crate::dialect::ast::{folded, quoted};
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef,
};
use querygate_query_api::own_names::told_apart;
use std::collections::HashSet;

/// Gives such columns other names, where no query reads them by their own.
pub(in crate::dialect) fn keep_apart(query: &mut Query) {
    match query.body.as_mut() {
        SetExpr::Query(inner) => keep_apart(inner),
        SetExpr::SetOperation { left, right, .. } => {
            // An order behind them names the first one's columns.
            let branches = [query.order_by.is_none().then_some(left), Some(right)];
            for branch in branches.into_iter().flatten() {
                if let SetExpr::Query(inner) = branch.as_mut() {
                    keep_apart(inner);
                }
            }
        }
        _ => {}
    }
    let (SetExpr::Select(select), Some(order)) = (query.body.as_mut(), query.order_by.as_mut()) else { return };
    for (place, name) in mixed(select, order) {
        let other = told_apart(&name, 1);
        if let Some(item) = select.projection.get_mut(place)
            && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = &*item
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&other) };
        }
        if let OrderByKind::Expressions(keys) = &mut order.kind {
            for key in keys.iter_mut().filter(|key| is_named(&key.expr, &name)) {
                key.expr = Expr::Identifier(quoted(&other));
            }
        }
    }
}

/// Keeps keys apart in a query whose columns another one reads under an alias. `columns`: all of them, under the names that they have there.
pub(super) fn keep_apart_under(query: &mut Query, alias: &mut TableAlias, columns: Option<Vec<String>>) {
    let Some(columns) = columns.filter(|columns| rows::are_unlike(columns)) else { return };
    let named = columns.iter().map(|name| TableAliasColumnDef { name: quoted(name), data_type: None });
    alias.columns = named.collect();
    keep_apart(query);
}

/// Keeps keys apart in the query of an expression, whose columns have no names to it.
pub(in crate::dialect) fn keep_apart_in(expr: &mut Expr) {
    match expr {
        Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } => {
            keep_apart(query);
        }
        Expr::Function(function) => {
            if let FunctionArguments::Subquery(query) = &mut function.args {
                keep_apart(query);
            }
        }
        _ => {}
    }
}

/// Whether a query has such columns.
pub(super) fn is_mixed(query: &Query) -> bool {
    match (query.body.as_ref(), &query.order_by) {
        (SetExpr::Query(inner), _) => is_mixed(inner),
        (SetExpr::Select(select), Some(order)) => !mixed(select, order).is_empty(),
        _ => false,
    }
}

/// The places of such columns, and their names.
fn mixed(select: &Select, order: &OrderBy) -> Vec<(usize, String)> {
    let OrderByKind::Expressions(all) = &order.kind else { return Vec::new() };
    let mut keys = Keys::default();
    for key in all.iter().filter(|key| !is_listed(&key.expr, select)) {
        look(&key.expr, &mut keys);
    }
    if keys.0.is_empty() {
        return Vec::new();
    }
    let names: Vec<Option<String>> = select.projection.iter().map(item_name).collect();
    let listed = |name: &str| names.iter().flatten().filter(|other| *other == name).count();
    let bare = |name: &str| all.iter().any(|key| is_named(&key.expr, name));
    let items = select.projection.iter().zip(&names).enumerate();
    let found = items.filter_map(|(place, (item, name))| {
        let name = name.as_ref().filter(|name| keys.has_other(name, item))?;
        // Of several columns of a name, each is kept apart as it is; what is among those of `*` is not known.
        let alone = listed(name) == 1 && (names.iter().all(Option::is_some) || !bare(name));
        alone.then(|| (place, name.clone()))
    });
    found.collect()
}

/// Whether the result has a column that a key is: it is sorted by that one.
fn is_listed(key: &Expr, select: &Select) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr == key,
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
    })
}

fn is_named(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Identifier(own) if folded(own) == name)
}

/// Columns of tables in keys: table and name.
#[derive(Default)]
struct Keys(HashSet<(String, String)>);

impl Keys {
    /// Whether a key is a column of that name and an item something else, under an alias.
    fn has_other(&self, name: &str, item: &SelectItem) -> bool {
        let own = match item {
            // A column by itself is of its table.
            SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => return false,
            SelectItem::ExprWithAlias { expr, .. } => column(expr),
            _ => None,
        };
        self.0.iter().any(|key| key.1 == name && own.as_ref() != Some(key))
    }
}

impl Reader for Keys {
    fn expr(&mut self, expr: &Expr) -> Step {
        self.0.extend(column(expr));
        ON
    }
}

fn column(expr: &Expr) -> Option<(String, String)> {
    let Expr::CompoundIdentifier(names) = expr else { return None };
    let [.., table, name] = names.as_slice() else { return None };
    Some((folded(table), folded(name)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn a_key_of_a_table_stands_beside_a_column_of_its_name() {
        let reader = Shop::open().owner();
        let rows = |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (sql, same) in [
            (
                "SELECT upper(a.name) AS name FROM accounts a ORDER BY a.name DESC",
                "SELECT upper(a.name) AS x FROM accounts a ORDER BY a.name DESC",
            ),
            ("SELECT r.id::text FROM regions r ORDER BY r.id", "SELECT r.id::text AS x FROM regions r ORDER BY r.id"),
            (
                "SELECT r.rank AS id FROM regions r ORDER BY id, r.id DESC",
                "SELECT r.rank AS x FROM regions r ORDER BY x, r.id DESC",
            ),
            (
                "SELECT r.*, upper(r.id) AS id FROM regions r ORDER BY r.id",
                "SELECT r.*, upper(r.id) AS x FROM regions r ORDER BY r.id",
            ),
            (
                "SELECT q.id || '!' FROM (SELECT upper(r.id) AS id FROM regions r ORDER BY r.id LIMIT 2) q ORDER BY 1",
                "SELECT q.x || '!' FROM (SELECT upper(r.id) AS x FROM regions r ORDER BY r.id LIMIT 2) q ORDER BY 1",
            ),
            (
                "WITH q AS (SELECT r.rank, upper(r.id) AS id FROM regions r ORDER BY r.id LIMIT 2) SELECT id, rank FROM q ORDER BY 1",
                "WITH q AS (SELECT r.rank, upper(r.id) AS x FROM regions r ORDER BY r.id LIMIT 2) SELECT x, rank FROM q ORDER BY 1",
            ),
            (
                "SELECT (SELECT upper(r.id) AS id FROM regions r ORDER BY r.id LIMIT 1)",
                "SELECT (SELECT upper(r.id) AS x FROM regions r ORDER BY r.id LIMIT 1)",
            ),
            (
                "SELECT id FROM regions WHERE upper(id) IN (SELECT upper(r.id) AS id FROM regions r ORDER BY r.id LIMIT 2) ORDER BY 1",
                "SELECT id FROM regions ORDER BY 1 LIMIT 2",
            ),
        ] {
            assert_eq!(rows(sql), rows(same), "{sql}");
        }
        let bound = reader.bind("SELECT r.id::text FROM regions r ORDER BY r.id").unwrap();
        assert_eq!(bound.columns().first().map(|column| column.name.as_str()), Some("id"));
    }
}
