//! What FROM says of its aliases: the columns of each as a row. They come from the FROM clause, from WITH, or from what the reader's
//! catalog shows; where they are not known, an alias stays a name.

use super::merged_columns::is_plain;
use super::names::column_name;
use crate::dialect::ast::{folded, parts};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::dialect::rewrite::expressions::sets;
use datafusion::sql::sqlparser::ast::{
    JoinOperator, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor,
    TableWithJoins,
};
use std::collections::{HashMap, HashSet};

/// What FROM says of an alias.
#[derive(Debug, Clone)]
pub(in crate::dialect) struct Row {
    /// `None`: not known.
    pub(super) columns: Option<Vec<String>>,
    /// On the side of an outer join that may have no row.
    pub(super) absent: bool,
    /// Whether the row is its one column: what a function gives that returns a set of values.
    pub(super) scalar: bool,
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
    match &query.with {
        Some(with) => of_body(&rewriter.within(with), &query.body),
        None => of_body(rewriter, &query.body),
    }
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

/// Whether each column has a name of its own.
pub(super) fn are_unlike(columns: &[String]) -> bool {
    columns.iter().collect::<HashSet<_>>().len() == columns.len()
}
