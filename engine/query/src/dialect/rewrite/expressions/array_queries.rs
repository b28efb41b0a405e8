//! `ARRAY(SELECT …)`: an aggregate over the query in the query's order, empty where there are no rows.

use super::calls::{is_set, unqualified};
use crate::dialect::ast::{aliased, call, derived, folded, plain_select, quoted, select, table_alias};
use crate::dialect::rewrite::from::names::column_name;
use crate::dialect::rewrite::grouping::aggregates::is_aggregate;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, OrderByExpr, OrderByKind, Query,
    SelectItem, SetExpr, Value,
};
use querygate_types::Result;
use std::ops::ControlFlow;

/// `ARRAY(SELECT x … ORDER BY y)` is `array_or_empty((SELECT array_agg(x ORDER BY y) …))`.
pub(in crate::dialect) fn array_of_query(query: Query) -> Result<Expr> {
    let simple = plain_select(&query).is_some_and(|s| {
        let ungrouped = matches!(&s.group_by, GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
        let one = matches!(s.projection.as_slice(), [SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }]);
        ungrouped && one && s.distinct.is_none() && s.having.is_none() && !has_aggregate_or_set(&s.projection)
    });
    let direct = simple
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && matches!(query.body.as_ref(), SetExpr::Select(_));
    let order = orderings(&query);
    let name = query_column(&query);
    let mut outer = if direct { query } else { wrapped(query)? };
    outer.order_by = None;
    let SetExpr::Select(select) = outer.body.as_mut() else { return Ok(Expr::Subquery(Box::new(outer))) };
    let Some(SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }) =
        select.projection.first().cloned()
    else {
        return Ok(Expr::Subquery(Box::new(outer)));
    };
    let item = item.clone();
    let mut aggregate = call("array_agg", vec![item.clone()]);
    if let Expr::Function(Function { args: FunctionArguments::List(arguments), .. }) = &mut aggregate {
        let keys: Vec<OrderByExpr> =
            order.into_iter().filter_map(|key| resolve_key(key, &item, name.as_deref(), direct)).collect();
        if !keys.is_empty() {
            arguments.clauses.push(FunctionArgumentClause::OrderBy(keys));
        }
    }
    select.projection = vec![aliased(aggregate, "array")];
    Ok(call("array_or_empty", vec![Expr::Subquery(Box::new(outer))]))
}

fn orderings(query: &Query) -> Vec<OrderByExpr> {
    match query.order_by.as_ref().map(|o| &o.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        Some(OrderByKind::All(_)) | None => Vec::new(),
    }
}

/// An ordering by position means the item; within a wrapped query only this one is left to order by.
fn resolve_key(mut key: OrderByExpr, item: &Expr, name: Option<&str>, direct: bool) -> Option<OrderByExpr> {
    let by_name = !direct && matches!(&key.expr, Expr::Identifier(ident) if Some(folded(ident).as_str()) == name);
    let by_position = matches!(&key.expr, Expr::Value(v) if matches!(&v.value, Value::Number(n, _) if n == "1"));
    if by_position || by_name {
        key.expr = item.clone();
        return Some(key);
    }
    direct.then_some(key)
}

/// The name of the one column of a SELECT.
fn query_column(query: &Query) -> Option<String> {
    let select = plain_select(query)?;
    match select.projection.as_slice() {
        [SelectItem::ExprWithAlias { alias, .. }] => Some(folded(alias)),
        [SelectItem::UnnamedExpr(expr)] => Some(column_name(expr)),
        _ => None,
    }
}

/// `SELECT q.x FROM (query) AS q(x)`.
fn wrapped(query: Query) -> Result<Query> {
    let source = derived(query, false, Some(table_alias("array_query", &["item".to_owned()])));
    let item = Expr::CompoundIdentifier(vec![quoted("array_query"), quoted("item")]);
    select(vec![aliased(item, "item")], Some(source))
}

fn has_aggregate_or_set(items: &[SelectItem]) -> bool {
    struct Finder;
    impl Reader for Finder {
        fn expr(&mut self, expr: &Expr) -> Step {
            match expr {
                Expr::Function(f) if is_aggregate(f) || unqualified(&f.name).is_some_and(|n| is_set(&n)) => {
                    ControlFlow::Break(Stop::Found)
                }
                _ => ON,
            }
        }
    }
    items.iter().any(|item| finds(item, &mut Finder))
}
