//! Sets in a SELECT list beside a column that another one's alias hides. The planner evaluates what is no set below the
//! sets, and takes such an alias for the column: names that no other column has keep them apart. Knows no catalog.

use super::names::column_name;
use crate::dialect::ast::{aliased, derived, folded, quoted, select, table_alias};
use crate::dialect::rewrite::expressions::calls::{is_set, unqualified};
use crate::sql::walk::{ON, Reader, Step, Stop, finds, look};
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, Value,
};
use querygate_query_api::own_names::{SETS, at_place};
use querygate_types::Result;
use std::collections::HashSet;

/// Wraps such a SELECT: inside, its columns have names of their own; outside, those that were asked for.
pub(in crate::dialect) fn keep_apart(query: &mut Query) -> Result<()> {
    let SetExpr::Select(inner) = query.body.as_mut() else { return Ok(()) };
    if !matches!(inner.distinct, None | Some(Distinct::Distinct)) || !hides(inner) {
        return Ok(());
    }
    let Some(items) = inner.projection.iter().map(named).collect::<Option<Vec<_>>>() else { return Ok(()) };
    if !query.order_by.as_ref().is_none_or(|order| is_of_result(order, &items)) {
        return Ok(());
    }
    let distinct = inner.distinct.take();
    let mut outside = Vec::with_capacity(items.len());
    for (place, (item, (expr, name))) in inner.projection.iter_mut().zip(items).enumerate() {
        let own = at_place("set", place);
        *item = aliased(expr, &own);
        outside.push(aliased(Expr::CompoundIdentifier(vec![quoted(SETS), quoted(&own)]), &name));
    }
    let mut within = select(Vec::new(), None)?;
    std::mem::swap(&mut within.body, &mut query.body);
    query.body = select(outside, Some(derived(within, false, Some(table_alias(SETS, &[])))))?.body;
    if let SetExpr::Select(outer) = query.body.as_mut() {
        outer.distinct = distinct;
    }
    Ok(())
}

/// An item with the name that its column has; `None`: it stands for several.
fn named(item: &SelectItem) -> Option<(Expr, String)> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some((expr.clone(), column_name(expr))),
        SelectItem::ExprWithAlias { expr, alias } => Some((expr.clone(), folded(alias))),
        _ => None,
    }
}

/// Whether all keys are places or names of the result.
fn is_of_result(order: &OrderBy, items: &[(Expr, String)]) -> bool {
    let OrderByKind::Expressions(keys) = &order.kind else { return false };
    keys.iter().all(|key| match &key.expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::Identifier(ident) => items.iter().any(|(_, name)| *name == folded(ident)),
        _ => false,
    })
}

/// Whether the list has a set, and a column of the result that is no column of a table and is called like one in the list.
fn hides(select: &Select) -> bool {
    let Some(items) = select.projection.iter().map(named).collect::<Option<Vec<_>>>() else { return false };
    if !finds(&select.projection, &mut AnySet::default()) {
        return false;
    }
    let mut columns = Columns::default();
    look(&select.projection, &mut columns);
    items.iter().any(|(expr, name)| {
        let is_plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        !is_plain && columns.0.contains(name)
    })
}

/// Finds a set that is no subquery's.
#[derive(Default)]
struct AnySet {
    queries: usize,
}

impl Reader for AnySet {
    fn query(&mut self, _: &Query) -> Step {
        self.queries += 1;
        ON
    }

    fn after_query(&mut self, _: &Query) -> Step {
        self.queries -= 1;
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Function(call) if self.queries == 0 && unqualified(&call.name).is_some_and(|name| is_set(&name)) => {
                Step::Break(Stop::Found)
            }
            _ => ON,
        }
    }
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
