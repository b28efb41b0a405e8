//! Keys of ORDER BY that are names of the result's columns: one of several columns that differ is ambiguous. What a column is, is compared
//! where the text and the catalog say it; where they do not, nothing is refused.

use super::merged_columns::is_plain;
use super::names;
use super::rows::{self, Scope};
use super::using::{self, Merged};
use crate::dialect::ast::{binary, folded, number, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Value,
};
use querygate_types::{Error, ErrorCode, Result};

/// A column of a result: its name, and what it is.
type Listed = (String, Option<Expr>);

/// # Errors
/// 42702: a key is the name of columns that differ, or a join merges a column of which a side has two.
pub(in crate::dialect) fn refuse_ambiguous(rewriter: &Rewriter<'_>, query: &Query) -> Result<()> {
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) else { return Ok(()) };
    let mut keys = keys.iter().filter_map(|key| match &key.expr {
        Expr::Identifier(name) => Some(folded(name)),
        _ => None,
    });
    let Some(first) = keys.next() else { return Ok(()) };
    let Some(listed) = of_query(rewriter, query)? else { return Ok(()) };
    for key in std::iter::once(first).chain(keys) {
        let mut columns = listed.iter().filter(|(name, _)| *name == key).map(|(_, column)| column);
        let Some(column) = columns.next() else { continue };
        if columns.any(|other| column.is_some() && other.is_some() && column != other) {
            return Err(Error::new(ErrorCode::AmbiguousColumn, format!("ORDER BY \"{key}\" is ambiguous")));
        }
    }
    Ok(())
}

/// The columns of a query's result. `None`: they are not known, or each has a name of its own.
fn of_query(rewriter: &Rewriter<'_>, query: &Query) -> Result<Option<Vec<Listed>>> {
    match query.body.as_ref() {
        SetExpr::Select(select) => of_select(rewriter, select),
        SetExpr::SetOperation { .. } => {
            // Behind a set operation each column is another one.
            let listed = rows::columns(rewriter, query).map(|names| names.into_iter().zip((1..).map(number).map(Some)));
            Ok(listed.map(Iterator::collect))
        }
        _ => Ok(None),
    }
}

fn of_select(rewriter: &Rewriter<'_>, select: &Select) -> Result<Option<Vec<Listed>>> {
    let named: Vec<String> = select.projection.iter().filter_map(names::item_name).collect();
    if named.len() == select.projection.len() && rows::are_unlike(&named) {
        return Ok(None);
    }
    let scope = rows::scope(rewriter, select);
    let joined = using::joined(rewriter, &select.from)?;
    let mut listed: Vec<Listed> = Vec::with_capacity(select.projection.len());
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                let Some(name) = names::item_name(item) else { return Ok(None) };
                listed.push((name, meant(expr, &joined.merged, &scope)));
            }
            SelectItem::Wildcard(options) if is_plain(options) => {
                let Some((_, columns)) = &joined.known else { return Ok(None) };
                listed.extend(columns.iter().map(|column| (column.name.clone(), Some(column.value.clone()))));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                if is_plain(options) =>
            {
                let Some(alias) = parts(name).and_then(|mut names| names.pop()) else { return Ok(None) };
                let Some(columns) = scope.get(&alias).and_then(|row| row.columns.as_ref()) else { return Ok(None) };
                listed.extend(columns.iter().map(|name| (name.clone(), of_table(&alias, name, &scope))));
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => {
                return Ok(None);
            }
        }
    }
    Ok(Some(listed))
}

/// An expression by the tables that its columns are of. `None`: they are not known, or it has parts that are compared otherwise than by
/// their text.
fn meant(expr: &Expr, merged: &Merged, scope: &Scope) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => meant(inner, merged, scope),
        Expr::Identifier(name) => {
            let name = folded(name);
            if let Some(value) = merged.get(&name) {
                return Some(value.clone());
            }
            let mut tables = scope.iter().filter(|(_, row)| row.may_have(&name));
            let (alias, _) = tables.next()?;
            tables.next().is_none().then(|| of_table(alias, &name, scope)).flatten()
        }
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, name] => of_table(&folded(table), &folded(name), scope),
            _ => None,
        },
        Expr::Value(value) if matches!(value.value, Value::Number(..) | Value::Placeholder(_)) => Some(expr.clone()),
        Expr::BinaryOp {
            left,
            op: op @ (BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide),
            right,
        } => Some(binary(meant(left, merged, scope)?, op.clone(), meant(right, merged, scope)?)),
        _ => None,
    }
}

/// The one column of a table with that name.
fn of_table(alias: &str, name: &str, scope: &Scope) -> Option<Expr> {
    let columns = scope.get(alias)?.columns.as_ref()?;
    let one = columns.iter().filter(|column| *column == name).count() == 1;
    one.then(|| Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)]))
}
