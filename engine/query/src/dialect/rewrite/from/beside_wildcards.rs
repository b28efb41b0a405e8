//! Columns of a result beside `*` that have a name of those of `*`: `SELECT *, upper(b) AS b FROM t`. The engine wants their names to differ,
//! so that they get other ones, which a client sees as their own. Of queries within others, `*` is written out instead.

use super::merged_columns::is_plain;
use super::names::item_name;
use super::rows;
use crate::dialect::ast::{folded, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use datafusion::sql::sqlparser::ast::{
    Expr, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
};
use querygate_query_api::own_names::told_apart;
use std::collections::HashSet;

/// Gives such columns of an outermost query other names. What ORDER BY names among them is one of several, and is refused.
pub(in crate::dialect) fn keep_apart(rewriter: &Rewriter<'_>, query: &mut Query) {
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
        Some(OrderByKind::All(_)) | None => &[],
    };
    let named = keys.iter().filter_map(|key| match &key.expr {
        Expr::Identifier(name) => Some(folded(name)),
        _ => None,
    });
    let named: HashSet<String> = named.collect();
    in_body(rewriter, query.body.as_mut(), &named);
}

fn in_body(rewriter: &Rewriter<'_>, body: &mut SetExpr, named: &HashSet<String>) {
    match body {
        SetExpr::Select(select) => in_select(rewriter, select, named),
        SetExpr::Query(inner) => keep_apart(rewriter, inner),
        SetExpr::SetOperation { left, right, .. } => {
            in_body(rewriter, left, named);
            in_body(rewriter, right, named);
        }
        _ => {}
    }
}

fn in_select(rewriter: &Rewriter<'_>, select: &mut Select, named: &HashSet<String>) {
    let listed = of_wildcards(rewriter, select);
    if listed.is_empty() {
        return;
    }
    let mut number = 0;
    for item in &mut select.projection {
        let expr = match &*item {
            // A column by itself is of its table, and is kept apart as it is.
            SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => continue,
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {
                continue;
            }
        };
        let Some(name) = item_name(item).filter(|name| listed.contains(name) && !named.contains(name)) else {
            continue;
        };
        number += 1;
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&told_apart(&name, number)) };
    }
}

/// The names of the columns that wildcards stand for, as far as they are known.
fn of_wildcards(rewriter: &Rewriter<'_>, select: &Select) -> HashSet<String> {
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if !select.projection.iter().any(is_wildcard) || select.projection.iter().all(is_wildcard) {
        return HashSet::new();
    }
    let scope = rows::scope(rewriter, select);
    let mut names = HashSet::new();
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(options) if is_plain(options) => {
                names.extend(scope.values().filter_map(|row| row.columns.clone()).flatten());
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                if is_plain(options) =>
            {
                let row = parts(name).and_then(|mut names| names.pop()).and_then(|alias| scope.get(&alias));
                names.extend(row.and_then(|row| row.columns.clone()).into_iter().flatten());
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn a_column_beside_a_wildcard_may_have_one_of_its_names() {
        let reader = Shop::open().owner();
        for (sql, same) in [
            (
                "SELECT *, upper(id) AS id FROM regions ORDER BY rank, name",
                "SELECT *, upper(id) AS x FROM regions ORDER BY rank, name",
            ),
            (
                "SELECT rank + 1 AS rank, r.* FROM regions r ORDER BY r.id",
                "SELECT rank + 1 AS x, r.* FROM regions r ORDER BY r.id",
            ),
            (
                "SELECT *, id::text, upper(id) AS id FROM regions ORDER BY 1",
                "SELECT *, id::text AS x, upper(id) AS y FROM regions ORDER BY 1",
            ),
            (
                "SELECT *, row_number() OVER (ORDER BY id) AS rank FROM regions ORDER BY id",
                "SELECT *, row_number() OVER (ORDER BY id) AS x FROM regions ORDER BY id",
            ),
            ("SELECT *, 1 AS other FROM regions ORDER BY other, id", "SELECT *, 1 AS x FROM regions ORDER BY x, id"),
            (
                "SELECT *, rank AS id FROM regions UNION ALL SELECT *, 2 FROM regions ORDER BY 1, 4",
                "SELECT *, rank AS x FROM regions UNION ALL SELECT *, 2 FROM regions ORDER BY 1, 4",
            ),
        ] {
            let rows = |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(rows(sql), rows(same), "{sql}");
        }
        let bound = reader.bind("SELECT *, upper(id) AS id FROM regions").unwrap();
        assert_eq!(bound.columns().last().map(|column| column.name.as_str()), Some("id"));
        let refused = reader.bind("SELECT *, upper(id) AS id FROM regions ORDER BY id").map(drop).unwrap_err();
        assert_eq!(refused.code().sqlstate(), "42702");
    }
}
