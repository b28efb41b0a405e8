//! Orders of aggregates: those that PostgreSQL takes from a sorted subquery are said, several that differ are each computed by an
//! aggregate that sorts by itself, and a number in one is a constant, no place of a column. Orders of SELECT DISTINCT.

use crate::dialect::ast::{aliased, call, folded, list, number, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::sql::walk::{ON, Step, Writer, write};
use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value,
};
use querygate_query_api::own_names::at_place;

/// Aggregates whose result shows the order of rows.
const ORDERED: &[&str] = &["array_agg", "json_agg", "jsonb_agg", "string_agg"];

/// Aggregates over nothing but a sorted subquery, or a sorted WITH query, see its rows in its order.
pub(in crate::dialect) fn inherit(rewriter: &Rewriter<'_>, select: &mut Select) {
    let [table] = select.from.as_mut_slice() else { return };
    let is_sorted = match &table.relation {
        TableFactor::Derived { subquery, alias: Some(alias), .. } => {
            alias.columns.is_empty() && subquery.order_by.is_some()
        }
        TableFactor::Table { name, alias, .. } => {
            alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) && order_of_cte(rewriter, name).is_some()
        }
        _ => false,
    };
    if !is_sorted || !table.joins.is_empty() {
        return;
    }
    let mut found = Ordering { keys: Vec::new(), depth: 0, any: false };
    select.projection.iter_mut().for_each(|item| found.order(item));
    if !found.any {
        return;
    }
    let keys = match &mut table.relation {
        TableFactor::Derived { subquery, alias: Some(alias), .. } => keys_of(rewriter, subquery, &alias.name),
        TableFactor::Table { name, alias, .. } => order_of_cte(rewriter, name).map(|(name, columns)| {
            let table = alias.as_ref().map_or(name, |alias| folded(&alias.name));
            columns.iter().map(|(column, key)| of_table(&table, column, key)).collect()
        }),
        _ => None,
    };
    let Some(keys) = keys else { return };
    let mut ordering = Ordering { keys, depth: 0, any: false };
    select.projection.iter_mut().for_each(|item| ordering.order(item));
}

/// The columns by which a query is sorted, and how.
pub(in crate::dialect) type Columns = Vec<(String, OrderByExpr)>;

/// The name of a sorted WITH query, and by which of its columns it is.
fn order_of_cte<'a>(rewriter: &'a Rewriter<'_>, name: &ObjectName) -> Option<(String, &'a Columns)> {
    let [name] = <[String; 1]>::try_from(parts(name)?).ok()?;
    let columns = rewriter.order_of_cte(&name)?;
    Some((name, columns))
}

/// The ORDER BY of a WITH query with these columns. `None`: it has none, or sorts by what is no column of it, of which nothing can be said
/// where it is read.
pub(in crate::dialect) fn of_cte(rewriter: &Rewriter<'_>, query: &Query, columns: &[String]) -> Option<Columns> {
    let OrderByKind::Expressions(keys) = &query.order_by.as_ref()?.kind else { return None };
    let names = crate::dialect::rewrite::from::rows::columns(rewriter, query)?;
    let column = |key: &OrderByExpr| {
        let column = columns.get(place_of(&key.expr, &names, query)?)?;
        let is_only = columns.iter().filter(|other| *other == column).count() == 1;
        is_only.then(|| (column.clone(), key.clone()))
    };
    keys.iter().map(column).collect()
}

/// Which column of a query a key of its ORDER BY is.
fn place_of(key: &Expr, names: &[String], query: &Query) -> Option<usize> {
    match key {
        Expr::Value(value) => match &value.value {
            Value::Number(place, _) => place.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        Expr::Identifier(name) if names.contains(&folded(name)) => {
            let name = folded(name);
            let place = names.iter().position(|other| *other == name)?;
            // Of two columns with one name nothing says which.
            (names.iter().filter(|other| **other == name).count() == 1).then_some(place)
        }
        other => {
            let SetExpr::Select(select) = query.body.as_ref() else { return None };
            let place = select.projection.iter().position(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr == other,
                _ => false,
            });
            place.filter(|_| select.projection.len() == names.len())
        }
    }
}

/// A column of a table as a key.
fn of_table(table: &str, column: &str, key: &OrderByExpr) -> OrderByExpr {
    OrderByExpr { expr: Expr::CompoundIdentifier(vec![quoted(table), quoted(column)]), ..key.clone() }
}

/// Gives keys to aggregates that have no order of their own, wherever in an expression; to none of a subquery's.
struct Ordering {
    /// Empty: nothing is changed.
    keys: Vec<OrderByExpr>,
    /// Queries around.
    depth: usize,
    any: bool,
}

impl Ordering {
    fn order(&mut self, item: &mut SelectItem) {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            // Nothing is refused on the way.
            let _ = write(expr, self);
        }
    }
}

impl Writer for Ordering {
    fn query(&mut self, _: &mut Query) -> Step {
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }

    fn expr(&mut self, expr: &mut Expr) -> Step {
        if self.depth == 0
            && let Some(arguments) = unordered(expr)
        {
            self.any = true;
            if !self.keys.is_empty() {
                arguments.push(FunctionArgumentClause::OrderBy(self.keys.clone()));
            }
        }
        ON
    }
}

/// The keys of a subquery's ORDER BY as columns of its result, which gets one more for each that is none of it. `None`: it cannot.
fn keys_of(rewriter: &Rewriter<'_>, query: &mut Query, alias: &Ident) -> Option<Vec<OrderByExpr>> {
    let OrderByKind::Expressions(keys) = &query.order_by.as_ref()?.kind else { return None };
    let names = crate::dialect::rewrite::from::rows::columns(rewriter, query)?;
    let items = match query.body.as_ref() {
        SetExpr::Select(select) => select.projection.as_slice(),
        _ => &[],
    };
    let mut further: Vec<SelectItem> = Vec::new();
    let mut column = |key: &OrderByExpr| {
        let known = match &key.expr {
            Expr::Value(value) => match &value.value {
                Value::Number(place, _) => Some(names.get(place.parse::<usize>().ok()?.checked_sub(1)?)?.clone()),
                _ => return None,
            },
            Expr::Identifier(name) if names.contains(&folded(name)) => Some(folded(name)),
            other => {
                let at = items.iter().position(|item| match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr == other,
                    _ => false,
                });
                at.and_then(|at| names.get(at)).filter(|_| items.len() == names.len()).cloned()
            }
        };
        // Of two columns with one name nothing says which.
        if let Some(name) = &known
            && names.iter().filter(|other| *other == name).count() != 1
        {
            return None;
        }
        let name = known.unwrap_or_else(|| {
            let name = at_place("order ", further.len());
            further.push(aliased(key.expr.clone(), &name));
            name
        });
        Some(of_table(&folded(alias), &name, key))
    };
    let keys: Vec<OrderByExpr> = keys.iter().map(&mut column).collect::<Option<_>>()?;
    if !further.is_empty() {
        let SetExpr::Select(select) = query.body.as_mut() else { return None };
        if select.distinct.is_some() {
            return None;
        }
        select.projection.extend(further);
    }
    Some(keys)
}

/// The clauses of such an aggregate that has no order of its own.
fn unordered(expr: &mut Expr) -> Option<&mut Vec<FunctionArgumentClause>> {
    let Expr::Function(function) = expr else { return None };
    let known = unqualified(&function.name).is_some_and(|name| ORDERED.contains(&name.as_str()));
    if !known || function.over.is_some() {
        return None;
    }
    let FunctionArguments::List(arguments) = &mut function.args else { return None };
    let plain = arguments.clauses.is_empty() && arguments.duplicate_treatment != Some(DuplicateTreatment::Distinct);
    plain.then_some(&mut arguments.clauses)
}

/// The engine gives all `string_agg` of a SELECT one order. Where they want several, each is the text of an array, which sorts by
/// itself.
pub(in crate::dialect) fn apart(select: &mut Select) {
    let mut orders: Vec<Vec<OrderByExpr>> = Vec::new();
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        if let Some(order) = text_order(expr) {
            orders.push(order);
        }
    }
    if orders.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
        return;
    }
    for item in &mut select.projection {
        let alias = match &*item {
            SelectItem::UnnamedExpr(expr) => Some(crate::dialect::rewrite::from::names::column_name(expr)),
            _ => None,
        };
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        if text_order(expr).is_none() {
            continue;
        }
        let Expr::Function(function) = &*expr else { continue };
        let Some(joined) = joined(function) else { continue };
        *expr = joined;
        if let Some(alias) = alias {
            *item = aliased(expr.clone(), &alias);
        }
    }
}

/// The order of a `string_agg` that is no window function.
fn text_order(expr: &Expr) -> Option<Vec<OrderByExpr>> {
    let Expr::Function(Function { name, args: FunctionArguments::List(arguments), over: None, .. }) = expr else {
        return None;
    };
    if unqualified(name).as_deref() != Some("string_agg") {
        return None;
    }
    arguments.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => Some(keys.clone()),
        _ => None,
    })
}

/// Leaves out keys of DISTINCT ON that are named again, of which the engine loses count.
pub(in crate::dialect) fn distinct_once(select: &mut Select) {
    if let Some(Distinct::On(keys)) = &mut select.distinct {
        let mut seen: Vec<Expr> = Vec::with_capacity(keys.len());
        keys.retain(|key| {
            let is_new = !seen.contains(key);
            if is_new {
                seen.push(key.clone());
            }
            is_new
        });
    }
}

/// `SELECT DISTINCT lower(a) … ORDER BY lower(a)`: what the list computes stands in ORDER BY as its place there, by which alone the engine
/// finds it.
pub(in crate::dialect) fn by_listed(query: &mut Query) {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    let is_name = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_));
    if select.distinct != Some(Distinct::Distinct) || keys.iter().all(|key| is_name(&key.expr)) {
        return;
    }
    // Of one table, a column's name says as much without it.
    let alone = matches!(select.from.as_slice(), [table] if table.joins.is_empty());
    // Behind `*`, places are not known.
    let items = select.projection.iter().map_while(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(bare(expr, alone)),
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
    });
    let items: Vec<String> = items.collect();
    for key in keys {
        if is_name(&key.expr) {
            continue;
        }
        let written = bare(&key.expr, alone);
        let place = items.iter().position(|item| *item == written).and_then(|at| i64::try_from(at + 1).ok());
        if let Some(place) = place {
            key.expr = number(place);
        }
    }
}

/// An expression's text without parentheses around it, its names as they are looked up.
fn bare(expr: &Expr, alone: bool) -> String {
    let mut inside = expr;
    while let Expr::Nested(inner) = inside {
        inside = inner;
    }
    let mut expr = inside.clone();
    // Nothing is refused on the way.
    let _ = write(&mut expr, &mut Bare { alone });
    expr.to_string()
}

struct Bare {
    /// Whether columns are written without their tables.
    alone: bool,
}

impl Writer for Bare {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        match expr {
            Expr::Identifier(name) => *name = quoted(&folded(name)),
            Expr::CompoundIdentifier(names) => {
                names.iter_mut().for_each(|name| *name = quoted(&folded(name)));
                if let Some(name) = names.last().filter(|_| self.alone) {
                    *expr = Expr::Identifier(name.clone());
                }
            }
            Expr::Function(function) => {
                if let Some(name) = unqualified(&function.name) {
                    function.name = ObjectName(vec![ObjectNamePart::Identifier(quoted(&name))]);
                }
            }
            _ => {}
        }
        ON
    }
}

/// Leaves out numbers by which an aggregate is to sort, and puts those in parentheses that WITHIN GROUP gives it. PostgreSQL takes them for
/// constants, the engine for places of columns.
pub(in crate::dialect) fn by_no_places(expr: &mut Expr) {
    let Expr::Function(Function { args: FunctionArguments::List(arguments), within_group, .. }) = expr else { return };
    for key in within_group.iter_mut().filter(|key| is_number(&key.expr)) {
        key.expr = Expr::Nested(Box::new(key.expr.clone()));
    }
    for clause in &mut arguments.clauses {
        if let FunctionArgumentClause::OrderBy(keys) = clause {
            keys.retain(|key| !is_number(&key.expr));
        }
    }
    arguments.clauses.retain(|clause| !matches!(clause, FunctionArgumentClause::OrderBy(keys) if keys.is_empty()));
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

/// `joined_elements(array_agg(x …), between)`.
fn joined(function: &Function) -> Option<Expr> {
    let arguments = crate::dialect::ast::plain_arguments(&function.args)?;
    let [value, between] = arguments.as_slice() else { return None };
    let (value, between) = ((*value).clone(), (*between).clone());
    // Only a separator that is the same for all rows.
    crate::dialect::ast::literal_text(&between)?;
    let mut array = function.clone();
    array.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("array_agg"))]);
    if let FunctionArguments::List(arguments) = &mut array.args {
        arguments.args = list(vec![value]).args;
    }
    Some(call("joined_elements", vec![Expr::Function(array), between]))
}
