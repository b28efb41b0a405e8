//! `FETCH FIRST n ROWS WITH TIES`: the rows whose rank is not above n. Knows no catalog.

use super::last_rank::LAST_RANK;
use crate::dialect::ast::{aliased, binary, call, cast, derived, folded, list, quoted, select, table_alias};
use crate::dialect::rewrite::from::names::column_name;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExceptSelectItem, Expr, FunctionArguments, Ident, LimitClause, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, Query, Select, SelectItem, SetExpr, Value, WildcardAdditionalOptions, WindowSpec,
    WindowType,
};
use querygate_query_api::own_names::{RANK, at_place};
use querygate_types::{Error, ErrorCode, Result};

/// Puts a query that is sorted and cut with its ties in other words.
///
/// # Errors
/// 42601 without ORDER BY, 0A000 for other queries than a plain SELECT.
pub(in crate::dialect) fn with_ties(query: &mut Query, count: Expr) -> Result<()> {
    let Some(order) = query.order_by.take() else {
        return Err(Error::new(ErrorCode::SyntaxError, "WITH TIES cannot be specified without ORDER BY clause"));
    };
    if is_null(&count) {
        let message = "row count cannot be null in FETCH FIRST ... WITH TIES clause";
        return Err(Error::new(ErrorCode::InvalidLimit, message));
    }
    let OrderByKind::Expressions(keys) = order.kind else { return Err(refused("with ORDER BY ALL")) };
    let offset = match query.limit_clause.take() {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, .. }) => offset,
        Some(_) => return Err(Error::new(ErrorCode::SyntaxError, "multiple LIMIT clauses not allowed")),
    };
    let SetExpr::Select(ranked) = query.body.as_mut() else { return Err(refused("of such a query")) };
    if ranked.distinct.is_some() {
        return Err(refused("with DISTINCT"));
    }
    let mut keys = keys.into_iter().map(|key| in_window(key, ranked)).collect::<Result<Vec<_>>>()?;
    let mut own = Vec::new();
    if keys.iter().any(|key| finds(&key.expr, &mut Windows)) {
        own = keyed(query, &mut keys)?;
    }
    let SetExpr::Select(ranked) = query.body.as_mut() else { return Err(refused("of such a query")) };
    ranked.projection.push(SelectItem::ExprWithAlias { expr: rank(keys), alias: quoted(RANK) });

    let but_rank = ExceptSelectItem { first_element: quoted(RANK), additional_elements: own };
    let options = WildcardAdditionalOptions { opt_except: Some(but_rank), ..WildcardAdditionalOptions::default() };
    let mut within = select(Vec::new(), None)?;
    std::mem::swap(&mut within.body, &mut query.body);
    let mut outer =
        select(vec![SelectItem::Wildcard(options)], Some(derived(within, false, Some(table_alias("ranked", &[])))))?;
    let offset_count = offset.as_ref().map_or_else(|| crate::dialect::ast::number(0), |offset| offset.value.clone());
    let bigint = |count| cast(Expr::Nested(Box::new(count)), DataType::BigInt(None));
    let last = call(LAST_RANK, vec![bigint(count), bigint(offset_count)]);
    if let SetExpr::Select(outer) = outer.body.as_mut() {
        outer.selection = Some(binary(Expr::Identifier(quoted(RANK)), BinaryOperator::LtEq, last));
    }
    query.body = outer.body;
    let by_rank = OrderByExpr {
        expr: Expr::Identifier(quoted(RANK)),
        options: OrderByOptions { asc: None, nulls_first: None },
        with_fill: None,
    };
    query.order_by = Some(OrderBy { kind: OrderByKind::Expressions(vec![by_rank]), interpolate: None });
    query.limit_clause =
        offset.map(|offset| LimitClause::LimitOffset { limit: None, offset: Some(offset), limit_by: Vec::new() });
    Ok(())
}

/// Puts the query below another one, which reads keys that are window functions as columns: no window looks into another one. Gives the
/// names of these columns.
fn keyed(query: &mut Query, keys: &mut [OrderByExpr]) -> Result<Vec<Ident>> {
    let SetExpr::Select(below) = query.body.as_mut() else { return Err(refused("of such a query")) };
    let mut names = Vec::with_capacity(keys.len());
    for (at, key) in keys.iter_mut().enumerate() {
        let name = at_place("key ", at);
        let column = Expr::Identifier(quoted(&name));
        below.projection.push(aliased(std::mem::replace(&mut key.expr, column), &name));
        names.push(quoted(&name));
    }
    let mut within = select(Vec::new(), None)?;
    std::mem::swap(&mut within.body, &mut query.body);
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    query.body = select(vec![all], Some(derived(within, false, Some(table_alias("keyed", &[])))))?.body;
    Ok(names)
}

/// Looks for window functions.
struct Windows;

impl Reader for Windows {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Function(function) if function.over.is_some() => Step::Break(Stop::Found),
            _ => ON,
        }
    }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("WITH TIES {what} is not supported"))
}

fn is_null(count: &Expr) -> bool {
    match count {
        Expr::Nested(inner) => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

/// A key as a window's ORDER BY has it: places and names of output columns are what stands there.
fn in_window(key: OrderByExpr, select: &Select) -> Result<OrderByExpr> {
    let of = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let place = |place: &Value| match place {
        Value::Number(place, _) => of(select.projection.get(place.parse::<usize>().ok()?.checked_sub(1)?)?),
        _ => None,
    };
    let expr = match &key.expr {
        Expr::Value(value) => place(&value.value).ok_or_else(|| refused("with such a place in ORDER BY"))?,
        Expr::Identifier(name) => named(&folded(name), select)?.unwrap_or_else(|| key.expr.clone()),
        other => other.clone(),
    };
    Ok(OrderByExpr { expr, ..key })
}

/// What an output column of a name is, if there is one.
///
/// # Errors
/// 42702: there are several that differ.
fn named(name: &str, select: &Select) -> Result<Option<Expr>> {
    let mut found: Option<&Expr> = None;
    for item in &select.projection {
        let expr = match item {
            SelectItem::ExprWithAlias { expr, alias } if folded(alias) == name => expr,
            SelectItem::UnnamedExpr(expr) if column_name(expr) == name => expr,
            _ => continue,
        };
        if found.is_some_and(|found| found != expr) {
            return Err(Error::new(ErrorCode::AmbiguousColumn, format!("ORDER BY \"{name}\" is ambiguous")));
        }
        found = Some(expr);
    }
    Ok(found.cloned())
}

fn rank(order_by: Vec<OrderByExpr>) -> Expr {
    let mut rank = call("rank", Vec::new());
    if let Expr::Function(function) = &mut rank {
        function.args = FunctionArguments::List(list(Vec::new()));
        function.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by,
            window_frame: None,
        }));
    }
    rank
}
