//! Sets in a SELECT list beside a column that another one's alias hides. The planner evaluates what is no set below the
//! sets, and takes such an alias for the column: names that no other column has keep them apart. Knows no catalog.

use super::names::column_name;
use crate::dialect::ast::{aliased, derived, folded, quoted, select, table_alias};
use crate::dialect::rewrite::expressions::calls::{is_set, unqualified};
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SelectItem, SetExpr};
use querygate_query_api::own_names::{SETS, at_place};
use querygate_types::Result;
use std::collections::HashSet;

/// Wraps such a SELECT: inside, its columns have names of their own; outside, those that were asked for.
pub(in crate::dialect) fn keep_apart(query: &mut Query) -> Result<()> {
    if query.order_by.is_some() {
        return Ok(());
    }
    let SetExpr::Select(inner) = query.body.as_mut() else { return Ok(()) };
    if inner.distinct.is_some() || !hides(inner) {
        return Ok(());
    }
    let mut outside = Vec::with_capacity(inner.projection.len());
    for (place, item) in inner.projection.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (expr.clone(), column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), folded(alias)),
            _ => return Ok(()),
        };
        let own = at_place("set", place);
        *item = aliased(expr, &own);
        outside.push(aliased(Expr::CompoundIdentifier(vec![quoted(SETS), quoted(&own)]), &name));
    }
    let mut within = select(Vec::new(), None)?;
    std::mem::swap(&mut within.body, &mut query.body);
    query.body = select(outside, Some(derived(within, false, Some(table_alias(SETS, &[])))))?.body;
    Ok(())
}

/// Whether the list has a set, and an alias that is the name of a column in it.
fn hides(select: &Select) -> bool {
    let mut items = select.projection.iter();
    let is_plain = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let set = |item: &SelectItem| {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return false };
        matches!(expr, Expr::Function(f) if unqualified(&f.name).is_some_and(|name| is_set(&name)))
    };
    if !items.clone().any(set) || !items.clone().all(is_plain) {
        return false;
    }
    let mut columns = Columns::default();
    look(&select.projection, &mut columns);
    items.any(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            !plain && columns.0.contains(&folded(alias))
        }
        _ => false,
    })
}

#[derive(Default)]
struct Columns(HashSet<String>);

impl Reader for Columns {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(ident) => _ = self.0.insert(folded(ident)),
            Expr::CompoundIdentifier(idents) => self.0.extend(idents.last().map(folded)),
            _ => {}
        }
        ON
    }
}
