//! A table's alias as a value: `row_to_json(t)`, `count(t)`, `SELECT t FROM t`, `t IS NULL`, `(t).column`. Its columns come
//! from the FROM clause, from WITH, or from what the reader's catalog shows; where they are not known, it stays a name.

use super::merged_columns::is_plain;
use super::names::column_name;
use crate::dialect::ast::{aliased, call, folded, parts, quoted, text};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::dialect::rewrite::expressions::sets;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, JoinOperator, ObjectName, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins,
};
use querygate_query_api::own_names::told_apart;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{HashMap, HashSet};

/// What FROM says of an alias.
#[derive(Debug, Clone)]
pub(in crate::dialect) struct Row {
    /// `None`: not known.
    pub(super) columns: Option<Vec<String>>,
    /// On the side of an outer join that may have no row.
    absent: bool,
    /// Whether the row is its one column: what a function gives that returns a set of values.
    scalar: bool,
    /// Whether it is of a table or view of the metadata, which may have columns that its reader does not know.
    pub(in crate::dialect) described: bool,
}

impl Row {
    /// Whether it is known to have a column of that name.
    pub(in crate::dialect) fn has(&self, name: &str) -> bool {
        self.columns.is_some() && self.may_have(name)
    }

    /// Whether it has a column of that name, as far as is known.
    pub(in crate::dialect) fn may_have(&self, name: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name))
    }
}

/// Aliases of a FROM clause.
pub(in crate::dialect) type Scope = HashMap<String, Row>;

/// The scope of a SELECT, before its parts are rewritten.
pub(in crate::dialect) fn scope(rewriter: &Rewriter<'_>, select: &Select) -> Scope {
    let mut scope = Scope::new();
    for table in &select.from {
        let mut before: Vec<String> = Vec::new();
        add(rewriter, &table.relation, false, &mut scope, &mut before);
        for join in &table.joins {
            let (left, right) = match &join.join_operator {
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => (false, true),
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
                JoinOperator::FullOuter(_) => (true, true),
                _ => (false, false),
            };
            if left {
                before.iter().for_each(|name| {
                    if let Some(row) = scope.get_mut(name) {
                        row.absent = true;
                    }
                });
            }
            add(rewriter, &join.relation, right, &mut scope, &mut before);
        }
    }
    scope
}

fn add(rewriter: &Rewriter<'_>, factor: &TableFactor, absent: bool, scope: &mut Scope, names: &mut Vec<String>) {
    if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
        add(rewriter, &table_with_joins.relation, true, scope, names);
        for join in &table_with_joins.joins {
            add(rewriter, &join.relation, true, scope, names);
        }
        return;
    }
    let mut described = false;
    let (name, columns, scalar) = match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let Some(names) = parts(name) else { return };
            let Some(last) = names.last() else { return };
            let own = rewriter.columns_of(&names);
            described = rewriter.relation_of(&names).is_some();
            (alias.as_ref().map_or_else(|| last.clone(), |a| folded(&a.name)), renamed(own, alias.as_ref()), false)
        }
        TableFactor::Derived { subquery, alias: Some(alias), .. } => {
            (folded(&alias.name), renamed(columns(rewriter, subquery), Some(alias)), false)
        }
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => {
            let only = only_column(factor);
            let scalar = only.is_some();
            (folded(&alias.name), only.map(|column| vec![column]).or_else(|| fields(factor)), scalar)
        }
        TableFactor::NestedJoin { alias: Some(alias), .. } => (folded(&alias.name), None, false),
        _ => return,
    };
    names.push(name.clone());
    scope.insert(name, Row { columns, absent, scalar, described });
}

/// The one column of a function in FROM that returns a set of values, where it has an alias. `None`: it is something else.
pub(super) fn only_column(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias: Some(alias), args: Some(_), with_ordinality: false, .. }
        | TableFactor::Function { name, alias: Some(alias), with_ordinality: false, .. } => {
            value_column(&unqualified(name)?, alias)
        }
        TableFactor::UNNEST { alias: Some(alias), array_exprs, with_ordinality: false, .. } => {
            value_column("unnest", alias).filter(|_| array_exprs.len() == 1)
        }
        _ => None,
    }
}

/// The columns of a function in FROM that returns a set of rows. `None`: it is something else, or nothing is known of it.
fn fields(factor: &TableFactor) -> Option<Vec<String>> {
    let (name, alias, ordinality) = match factor {
        TableFactor::Table { name, alias: Some(alias), args: Some(_), with_ordinality, .. }
        | TableFactor::Function { name, alias: Some(alias), with_ordinality, .. } => (name, alias, *with_ordinality),
        _ => return None,
    };
    let set = sets::find(&unqualified(name)?).filter(|set| !set.fields.is_empty())?;
    let own = set.fields.iter().copied().chain(ordinality.then_some("ordinality")).map(str::to_owned);
    renamed(Some(own.collect()), Some(alias))
}

/// The one column of a function that returns a set of values. `None`: it returns something else, or nothing is known of it.
fn value_column(function: &str, alias: &TableAlias) -> Option<String> {
    let default = match sets::find(function) {
        Some(set) if set.fields.is_empty() => set.column,
        Some(_) => return None,
        None if matches!(function, "generate_series" | "unnest") => None,
        None => return None,
    };
    let given = alias.columns.first().map(|column| folded(&column.name));
    Some(given.or_else(|| default.map(str::to_owned)).unwrap_or_else(|| folded(&alias.name)))
}

/// Whether there may be aliases that stand for a value: all else in FROM has columns.
pub(super) fn has_functions(from: &[TableWithJoins]) -> bool {
    let is_function = |factor: &TableFactor| match factor {
        TableFactor::Table { args: None, .. } | TableFactor::Derived { .. } => false,
        TableFactor::NestedJoin { table_with_joins, .. } => {
            has_functions(std::slice::from_ref(table_with_joins.as_ref()))
        }
        _ => true,
    };
    let joined = |table: &TableWithJoins| table.joins.iter().any(|join| is_function(&join.relation));
    from.iter().any(|table| is_function(&table.relation) || joined(table))
}

/// Aliases that stand for a value, where no column has the name, with that value.
pub(super) fn values(scope: &Scope) -> Vec<(String, Expr)> {
    let named = |name: &str| scope.values().any(|row| row.may_have(name));
    let rows = scope.iter().filter(|(alias, row)| row.scalar && !named(alias));
    rows.filter_map(|(alias, row)| Some((alias.clone(), self::named(alias, row, false)?))).collect()
}

/// Columns under the names that an alias gives them.
pub(in crate::dialect) fn renamed(columns: Option<Vec<String>>, alias: Option<&TableAlias>) -> Option<Vec<String>> {
    let mut columns = columns?;
    let given = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    for (column, name) in columns.iter_mut().zip(given) {
        *column = folded(&name.name);
    }
    Some(columns)
}

/// Names of a query's columns, if the text says them all.
pub(in crate::dialect) fn columns(rewriter: &Rewriter<'_>, query: &Query) -> Option<Vec<String>> {
    of_body(rewriter, &query.body)
}

fn of_body(rewriter: &Rewriter<'_>, body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => of_select(rewriter, select),
        SetExpr::Query(query) => columns(rewriter, query),
        SetExpr::SetOperation { left, .. } => of_body(rewriter, left),
        SetExpr::Values(values) => {
            let count = values.rows.first()?.content.len();
            Some((1..=count).map(|place| format!("column{place}")).collect())
        }
        _ => None,
    }
}

fn of_select(rewriter: &Rewriter<'_>, select: &Select) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => names.push(column_name(expr)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(folded(alias)),
            SelectItem::Wildcard(options) => {
                let given = super::merged_columns::settle(rewriter, &mut select.from.clone()).ok().flatten()?;
                if !is_plain(options) {
                    return None;
                }
                names.extend(given.into_iter().map(|column| column.name));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let alias = parts(name)?.pop()?;
                names.extend(scope(rewriter, select).remove(&alias)?.columns?);
            }
            _ => return None,
        }
    }
    Some(names)
}

/// Select items that are an alias; their names stay.
pub(in crate::dialect) fn items(rewriter: &Rewriter<'_>, items: &mut [SelectItem]) {
    for item in items {
        let (expr, name) = match &*item {
            SelectItem::UnnamedExpr(expr) => (expr, column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (expr, folded(alias)),
            _ => continue,
        };
        if let Some(row) = row_of(rewriter, expr) {
            *item = aliased(row, &name);
        }
    }
}

/// Aliases inside of an expression, at places where a name that is no column is a row.
///
/// # Errors
/// 0A000: rows are counted that an outer join may leave out, and their columns are not known.
pub(in crate::dialect) fn rewrite(rewriter: &Rewriter<'_>, expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
            // `row(t.*)` is a row of the columns, not of a row.
            let spreads = unqualified(&function.name).is_some_and(|name| name == "row" || name == "record_of");
            if spreads {
                let spread = std::mem::take(&mut list.args).into_iter().flat_map(|argument| spread(rewriter, argument));
                list.args = spread.collect();
            }
            // What is counted is whether there is a row.
            let counts = unqualified(&function.name).is_some_and(|name| name == "count");
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = argument
                    && let Some((alias, row)) = table(rewriter, name)
                {
                    if let Some(row) = named(&alias, row, counts) {
                        *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(row));
                    } else if counts && row.absent {
                        // The engine would count the rows of the join.
                        let message =
                            "rows of a table whose columns are not known cannot be counted behind an outer join";
                        return Err(
                            Error::new(ErrorCode::FeatureNotSupported, message).with_hint("Count one of its columns.")
                        );
                    }
                }
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument
                    && let Some((alias, row)) = alias(rewriter, argument)
                    && let Some(row) = named(&alias, row, counts)
                {
                    *argument = row;
                }
            }
        }
        Expr::IsNull(inner) => {
            if let Some(all) = each(rewriter, inner, |column| Expr::IsNull(Box::new(column))) {
                *expr = all;
            }
        }
        Expr::IsNotNull(inner) => {
            if let Some(all) = each(rewriter, inner, |column| Expr::IsNotNull(Box::new(column))) {
                *expr = all;
            }
        }
        Expr::Cast { expr: inner, .. } => put_row(rewriter, inner),
        Expr::BinaryOp { left, op, right } if is_comparison(op) => put_rows(rewriter, left, right),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => put_rows(rewriter, left, right),
        Expr::Identifier(_) => {
            if let Some((alias, row)) = alias(rewriter, expr)
                && row.scalar
                && let Some(value) = named(&alias, row, false)
            {
                *expr = value;
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let Expr::Nested(inner) = root.as_ref()
                && let Some((alias, _)) = alias(rewriter, inner)
                && let [datafusion::sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(field))] =
                    access_chain.as_slice()
            {
                *expr = Expr::CompoundIdentifier(vec![quoted(&alias), field.clone()]);
            }
        }
        _ => {}
    }
    Ok(())
}

const fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Puts a row in place of its alias; whatever else there is stays.
fn put_row(rewriter: &Rewriter<'_>, expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) => put_row(rewriter, inner),
        other => {
            if let Some(row) = row_of(rewriter, other) {
                *other = row;
            }
        }
    }
}

/// Puts rows in the places of two sides that are compared, where both are aliases.
fn put_rows(rewriter: &Rewriter<'_>, left: &mut Expr, right: &mut Expr) {
    let is_row = |expr: &Expr| {
        let mut at = expr;
        while let Expr::Nested(inner) = at {
            at = inner;
        }
        row_of(rewriter, at).is_some()
    };
    if is_row(left) && is_row(right) {
        put_row(rewriter, left);
        put_row(rewriter, right);
    }
}

/// The alias that an expression is, with its row.
fn alias<'a>(rewriter: &'a Rewriter<'_>, expr: &Expr) -> Option<(String, &'a Row)> {
    let Expr::Identifier(ident) = expr else { return None };
    let name = folded(ident);
    for scope in rewriter.rows().iter().rev() {
        // A column of that name comes first; of a table whose columns are not known, it may be one.
        if scope.values().any(|row| row.columns.as_ref().is_none_or(|columns| columns.contains(&name))) {
            return None;
        }
        if let Some(row) = scope.get(&name) {
            return Some((name, row));
        }
    }
    None
}

fn column(alias: &str, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)])
}

fn row_of(rewriter: &Rewriter<'_>, expr: &Expr) -> Option<Expr> {
    let (alias, row) = alias(rewriter, expr)?;
    named(&alias, row, false)
}

/// A row under the names of its columns. Of two columns under one name it could not say which is which; `counted`: it need not.
fn named(alias: &str, row: &Row, counted: bool) -> Option<Expr> {
    let columns = row.columns.as_ref()?;
    if row.scalar {
        return columns.first().map(|value| column(alias, value));
    }
    if !counted && !are_unlike(columns) {
        return None;
    }
    let fields = columns.iter().zip(apart(columns)).flat_map(|(name, own)| [text(name), column(alias, &own)]).collect();
    Some(call(if row.absent { "row_if_any" } else { "row_named" }, fields))
}

/// The names of a query's columns as [`super::names::name_columns`] numbers them.
fn apart(columns: &[String]) -> Vec<String> {
    let count = |columns: &[String], name: &String| columns.iter().filter(|other| *other == name).count();
    let named = |(at, name): (usize, &String)| {
        let before = columns.get(..at).unwrap_or_default();
        if count(columns, name) > 1 { told_apart(name, count(before, name) + 1) } else { name.clone() }
    };
    columns.iter().enumerate().map(named).collect()
}

/// Whether each column has a name of its own.
pub(super) fn are_unlike(columns: &[String]) -> bool {
    columns.iter().collect::<HashSet<_>>().len() == columns.len()
}

/// The columns that `t.*` is among the fields of a row; what has no known columns stays.
fn spread(rewriter: &Rewriter<'_>, argument: FunctionArg) -> Vec<FunctionArg> {
    if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = &argument
        && let Some((alias, Row { columns: Some(columns), .. })) = table(rewriter, name)
        && are_unlike(columns)
    {
        let fields = columns.iter().map(|name| FunctionArg::Unnamed(FunctionArgExpr::Expr(column(&alias, name))));
        return fields.collect();
    }
    vec![argument]
}

fn table<'a>(rewriter: &'a Rewriter<'_>, name: &ObjectName) -> Option<(String, &'a Row)> {
    let [alias] = <[String; 1]>::try_from(parts(name)?).ok()?;
    let row = rewriter.rows().iter().rev().find_map(|scope| scope.get(&alias))?;
    Some((alias, row))
}

/// A condition on each column of a row.
fn each(rewriter: &Rewriter<'_>, expr: &Expr, condition: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let (alias, row) = alias(rewriter, expr)?;
    let columns = row.columns.as_ref().filter(|columns| are_unlike(columns))?;
    let all = columns.iter().map(|name| condition(column(&alias, name))).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })?;
    Some(Expr::Nested(Box::new(all)))
}
