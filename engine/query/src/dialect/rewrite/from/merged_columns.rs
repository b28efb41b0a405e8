//! The columns of a FROM clause in PostgreSQL's order, where the text and the catalog say them all. Joins that merge columns, by USING or
//! NATURAL, become joins ON: the engine leaves the columns where they are, and gives them the left side's type and values whatever the join.

use super::{names, rows, value_lists};
use crate::dialect::ast::{aliased, binary, call, cast, folded, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::sql::refuse::repeated_in_using;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableAlias, TableFactor, TableWithJoins, Value, WildcardAdditionalOptions,
};
use querygate_pg_catalog::common_type;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::collections::HashSet;

/// A column that a FROM clause gives.
#[derive(Debug, Clone)]
pub(in crate::dialect) struct Given {
    pub(in crate::dialect) name: String,
    /// What it is by the names of its tables.
    pub(in crate::dialect) value: Expr,
    /// `None`: not known here.
    pg_type: Option<PgType>,
    /// Whether a join made it of two columns.
    pub(in crate::dialect) merged: bool,
}

/// Which side of a join has a merged column's value.
#[derive(Debug, Clone, Copy)]
enum Side {
    Both,
    Left,
    Right,
    Either,
}

/// The columns of all tables, whose joins merge nothing afterwards. `None`: they are not all known, and some joins may be changed.
///
/// # Errors
/// 42702: a join merges a column of which a side has two. 42701: it names one again.
pub(in crate::dialect) fn settle(rewriter: &Rewriter<'_>, from: &mut [TableWithJoins]) -> Result<Option<Vec<Given>>> {
    let mut all = Vec::new();
    for table in from {
        let Some(columns) = of_table(rewriter, table)? else { return Ok(None) };
        all.extend(columns);
    }
    Ok(Some(all))
}

fn of_table(rewriter: &Rewriter<'_>, table: &mut TableWithJoins) -> Result<Option<Vec<Given>>> {
    let Some(mut left) = of_factor(rewriter, &mut table.relation)? else { return Ok(None) };
    for join in &mut table.joins {
        let Some(right) = of_factor(rewriter, &mut join.relation)? else { return Ok(None) };
        let Some((side, constraint)) = sides(&mut join.join_operator) else { return Ok(None) };
        let names: Option<Vec<String>> = match &*constraint {
            JoinConstraint::Using(columns) => columns.iter().map(last).collect(),
            JoinConstraint::Natural => {
                let both = left.iter().filter(|column| right.iter().any(|other| other.name == column.name));
                Some(both.map(|column| column.name.clone()).collect())
            }
            JoinConstraint::On(_) | JoinConstraint::None => {
                left.extend(right);
                continue;
            }
        };
        let Some(names) = names else { return Ok(None) };
        let Some((condition, columns)) = merge(&names, left, right, side)? else { return Ok(None) };
        *constraint = JoinConstraint::On(condition);
        left = columns;
    }
    Ok(Some(left))
}

fn sides(operator: &mut JoinOperator) -> Option<(Side, &mut JoinConstraint)> {
    match operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
            Some((Side::Both, constraint))
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => Some((Side::Left, constraint)),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => Some((Side::Right, constraint)),
        JoinOperator::FullOuter(constraint) => Some((Side::Either, constraint)),
        _ => None,
    }
}

pub(super) fn last(name: &ObjectName) -> Option<String> {
    parts(name)?.pop()
}

/// The condition of a join that merges columns, and the columns behind it: the merged ones come first.
fn merge(names: &[String], left: Vec<Given>, right: Vec<Given>, side: Side) -> Result<Option<(Expr, Vec<Given>)>> {
    let mut condition = None;
    let mut columns: Vec<Given> = Vec::with_capacity(left.len() + right.len());
    for name in names {
        if columns.iter().any(|column| column.name == *name) {
            return Err(repeated_in_using(name));
        }
        // What is not there is refused by the engine.
        let (Some(own), Some(other)) = (only(&left, name, "left")?, only(&right, name, "right")?) else {
            return Ok(None);
        };
        let equal = Expr::Nested(Box::new(binary(own.value.clone(), BinaryOperator::Eq, other.value.clone())));
        condition = Some(match condition {
            None => equal,
            Some(before) => binary(before, BinaryOperator::And, equal),
        });
        columns.push(one_of(side, own, other));
    }
    columns.extend(left.into_iter().chain(right).filter(|column| !names.contains(&column.name)));
    let always = || Expr::Value(Value::Boolean(true).with_empty_span());
    Ok(Some((condition.unwrap_or_else(always), columns)))
}

fn only<'a>(columns: &'a [Given], name: &str, side: &str) -> Result<Option<&'a Given>> {
    let mut found = columns.iter().filter(|column| column.name == name);
    let first = found.next();
    if found.next().is_none() {
        return Ok(first);
    }
    let message = format!("common column name \"{name}\" appears more than once in {side} table");
    Err(Error::new(ErrorCode::AmbiguousColumn, message))
}

/// A merged column: of the type in which both sides meet, with the value of the side that has one.
fn one_of(side: Side, left: &Given, right: &Given) -> Given {
    let common = left.pg_type.zip(right.pg_type).and_then(|(own, other)| common_type([own, other]));
    let typed = |column: &Given| match common.filter(|common| column.pg_type != Some(*common)) {
        Some(common) => match value_lists::plain(common) {
            Some(data_type) => cast(column.value.clone(), data_type),
            None => column.value.clone(),
        },
        None => column.value.clone(),
    };
    let value = match side {
        // Both are equal: one that has the type already needs no cast.
        Side::Both if common.is_some() && left.pg_type != common && right.pg_type == common => right.value.clone(),
        Side::Both | Side::Left => typed(left),
        Side::Right => typed(right),
        Side::Either => call("coalesce", vec![left.value.clone(), right.value.clone()]),
    };
    Given { name: left.name.clone(), value, pg_type: common, merged: true }
}

fn of_factor(rewriter: &Rewriter<'_>, factor: &mut TableFactor) -> Result<Option<Vec<Given>>> {
    let (table, names, types) = match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => return of_table(rewriter, table_with_joins),
        TableFactor::Table { name, alias, args: None, .. } => {
            let Some(path) = parts(name) else { return Ok(None) };
            let Some(table) = alias.as_ref().map(named).or_else(|| path.last().cloned()) else { return Ok(None) };
            (table, rows::renamed(rewriter.columns_of(&path), alias.as_ref()), rewriter.column_types(&path))
        }
        TableFactor::Derived { subquery, alias: Some(alias), .. } => {
            (named(alias), rows::renamed(rows::columns(rewriter, subquery), Some(&*alias)), Vec::new())
        }
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => {
            (named(alias), rows::only_column(factor).map(|column| vec![column]), Vec::new())
        }
        _ => return Ok(None),
    };
    let Some(names) = names.filter(|names| rows::are_unlike(names)) else { return Ok(None) };
    let columns = names.into_iter().enumerate().map(|(place, name)| Given {
        value: Expr::CompoundIdentifier(vec![quoted(&table), quoted(&name)]),
        name,
        pg_type: types.get(place).copied().flatten(),
        merged: false,
    });
    Ok(Some(columns.collect()))
}

fn named(alias: &TableAlias) -> String {
    folded(&alias.name)
}

/// Puts columns in place of `*` where the engine would give others: those that joins merged, in their order, and in a query within another
/// one those that have one name, which the engine renames.
pub(in crate::dialect) fn expand(
    select: &mut Select,
    columns: &[Given],
    scope: &rows::Scope,
    within: bool,
    merges: bool,
) {
    let whole = |item: &SelectItem| of_item(item, columns, scope);
    let all: Option<Vec<Vec<SelectItem>>> = select.projection.iter().map(whole).collect();
    if let Some(all) = all.filter(|all| within && !are_unlike(all)) {
        select.projection = all.into_iter().flatten().collect();
    } else if merges {
        let items = std::mem::take(&mut select.projection).into_iter();
        let each = items.map(|item| {
            let all = matches!(item, SelectItem::Wildcard(_)).then(|| of_item(&item, columns, scope));
            all.flatten().unwrap_or_else(|| vec![item])
        });
        select.projection = each.flatten().collect();
    }
}

/// The columns that an item of a SELECT stands for. `None`: not known.
fn of_item(item: &SelectItem, columns: &[Given], scope: &rows::Scope) -> Option<Vec<SelectItem>> {
    match item {
        SelectItem::Wildcard(options) => is_plain(options).then(|| columns.iter().map(as_item).collect()),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            let table = last(name).filter(|_| is_plain(options))?;
            let columns = scope.get(&table)?.columns.as_ref().filter(|columns| rows::are_unlike(columns))?;
            let column = |name: &String| Expr::CompoundIdentifier(vec![quoted(&table), quoted(name)]);
            Some(columns.iter().map(|name| SelectItem::UnnamedExpr(column(name))).collect())
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => None,
        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } | SelectItem::ExprWithAliases { .. } => {
            Some(vec![item.clone()])
        }
    }
}

fn as_item(column: &Given) -> SelectItem {
    match &column.value {
        Expr::CompoundIdentifier(_) => SelectItem::UnnamedExpr(column.value.clone()),
        other => aliased(other.clone(), &column.name),
    }
}

fn are_unlike(items: &[Vec<SelectItem>]) -> bool {
    let mut seen = HashSet::new();
    items.iter().flatten().filter_map(names::item_name).all(|name| seen.insert(name))
}

/// Whether `*` is all columns under their names.
pub(super) fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none()
}
