//! Names within the expressions of ORDER BY. To PostgreSQL they are columns of tables, and only a key that is nothing but a name is a column
//! of the result; the engine looks among the result's first: `SELECT -a AS a FROM t ORDER BY a + 1`. Where both have such a column, the
//! table's is said. Of outermost queries over one table that group nothing: elsewhere such a key is refused, or one of the result's columns.

use super::names::item_name;
use super::rows;
use crate::dialect::ast::{folded, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::sql::walk::{ON, Step, Writer, write};
use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr};
use std::collections::HashSet;

/// Says the table of such names.
pub(in crate::dialect) fn qualify(rewriter: &Rewriter<'_>, query: &mut Query) {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    if is_grouped || select.distinct.is_some() || keys.iter().all(|key| is_plain(&key.expr)) {
        return;
    }
    let Some((table, names)) = hidden(rewriter, select) else { return };
    for key in keys.iter_mut().filter(|key| !is_plain(&key.expr)) {
        // Nothing is refused on the way.
        let _ = write(&mut key.expr, &mut Qualified { table: &table, names: &names, depth: 0 });
    }
}

fn is_plain(key: &Expr) -> bool {
    matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_))
}

/// The only table of FROM, and those of its columns whose names the result gives to something else. `None`: there are none.
fn hidden(rewriter: &Rewriter<'_>, select: &Select) -> Option<(String, HashSet<String>)> {
    let [from] = select.from.as_slice() else { return None };
    if !from.joins.is_empty() {
        return None;
    }
    let scope = rows::scope(rewriter, select);
    let (table, row) = scope.iter().next()?;
    let columns = row.columns.as_ref()?;
    let named = select.projection.iter().filter_map(|item| {
        let name = item_name(item)?;
        let is_only = columns.iter().filter(|column| **column == name).count() == 1;
        (is_only && !is_column(item, table, &name)).then_some(name)
    });
    let names: HashSet<String> = named.collect();
    (!names.is_empty()).then(|| (table.clone(), names))
}

/// Whether an item is the table's column of a name.
fn is_column(item: &SelectItem, table: &str, name: &str) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return true };
    match expr {
        Expr::Identifier(own) => folded(own) == name,
        Expr::CompoundIdentifier(parts) => {
            matches!(parts.as_slice(), [of, own] if folded(of) == table && folded(own) == name)
        }
        _ => false,
    }
}

struct Qualified<'a> {
    table: &'a str,
    names: &'a HashSet<String>,
    /// Queries around, whose names are their own.
    depth: usize,
}

impl Writer for Qualified<'_> {
    fn query(&mut self, _: &mut Query) -> Step {
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }

    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if self.depth == 0
            && let Expr::Identifier(name) = &*expr
            && self.names.contains(&folded(name))
        {
            *expr = Expr::CompoundIdentifier(vec![quoted(self.table), quoted(&folded(name))]);
        }
        ON
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn names_in_expressions_of_an_order_are_columns_of_the_table() {
        let reader = Shop::open().owner();
        let rows = |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        const NUMBERS: &str = "(VALUES (1, 9), (3, 8), (2, 7)) t(a, b)";
        for (sql, expected) in [
            (format!("SELECT -a AS a FROM {NUMBERS} ORDER BY a + 1"), ["-1", "-2", "-3"]),
            (format!("SELECT -a AS a FROM {NUMBERS} ORDER BY a"), ["-3", "-2", "-1"]),
            (format!("SELECT b AS a FROM {NUMBERS} ORDER BY -a"), ["8", "7", "9"]),
            (format!("SELECT a AS x FROM {NUMBERS} ORDER BY x * -1"), ["3", "2", "1"]),
            (format!("SELECT -a AS a FROM {NUMBERS} ORDER BY -a"), ["-3", "-2", "-1"]),
        ] {
            assert_eq!(rows(&sql), expected, "{sql}");
        }
    }
}
