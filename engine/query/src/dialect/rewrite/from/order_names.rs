//! Keys of ORDER BY, DISTINCT ON and GROUP BY that are names of the result's columns: one of several columns that differ is ambiguous.
//! What a column is, is compared as far as the text and the catalog say it; where they do not, nothing is refused.

use super::merged_columns::is_plain;
use super::names;
use super::rows::{self, Scope};
use super::using::{self, Merged};
use crate::dialect::ast::{folded, number, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::unqualified;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, UnaryOperator,
    Value,
};
use querygate_types::{Error, ErrorCode, PgType, Result};

/// A column of a result: its name, and what it is.
type Listed = (String, What);

/// What a column is, as far as the text says it. Shapes that a parser makes of one another, such as a cast, are not kept apart.
#[derive(Debug)]
enum What {
    /// A column of a table or of a join, a number, a parameter.
    Value(Box<Expr>),
    Operator(BinaryOperator, Box<[Self; 2]>),
    Call(Call),
    Query,
    Case,
    /// `*` as an argument.
    Rows,
    Unknown,
}

#[derive(Debug)]
struct Call {
    name: String,
    arguments: Vec<What>,
    distinct: bool,
    window: bool,
}

impl What {
    /// Whether two are certainly not the same.
    fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => false,
            (Self::Value(one), Self::Value(other)) => one != other,
            (Self::Operator(op, own), Self::Operator(other, theirs)) => {
                op != other || any_differs(&own[..], &theirs[..])
            }
            (Self::Call(one), Self::Call(other)) => {
                one.name != other.name
                    || (one.distinct, one.window) != (other.distinct, other.window)
                    || one.arguments.len() != other.arguments.len()
                    || any_differs(&one.arguments, &other.arguments)
            }
            (Self::Query, Self::Query) | (Self::Case, Self::Case) | (Self::Rows, Self::Rows) => false,
            (
                Self::Value(_) | Self::Operator(..) | Self::Call(_) | Self::Query | Self::Case | Self::Rows,
                Self::Value(_) | Self::Operator(..) | Self::Call(_) | Self::Query | Self::Case | Self::Rows,
            ) => true,
        }
    }
}

fn any_differs(own: &[What], theirs: &[What]) -> bool {
    own.iter().zip(theirs).any(|(own, other)| own.differs(other))
}

/// # Errors
/// 42702: a key is the name of columns that differ, or a join merges a column of which a side has two.
pub(in crate::dialect) fn refuse_ambiguous(rewriter: &Rewriter<'_>, query: &Query) -> Result<()> {
    let keys = keys(query);
    if keys.is_empty() {
        return Ok(());
    }
    let Some(listed) = of_query(rewriter, query)? else { return Ok(()) };
    for (clause, key) in keys {
        let columns: Vec<&What> = listed.iter().filter(|(name, _)| *name == key).map(|(_, column)| column).collect();
        let differ =
            columns.iter().enumerate().any(|(at, one)| columns[at + 1..].iter().any(|other| one.differs(other)));
        if differ && (clause != GROUP_BY || !may_be_input(rewriter, query, &key)) {
            return Err(Error::new(ErrorCode::AmbiguousColumn, format!("{clause} \"{key}\" is ambiguous")));
        }
    }
    Ok(())
}

const GROUP_BY: &str = "GROUP BY";

/// The clauses of keys that are names, and the names.
fn keys(query: &Query) -> Vec<(&'static str, String)> {
    let of = |clause: &'static str, expr: &Expr| match expr {
        Expr::Identifier(name) => Some((clause, folded(name))),
        _ => None,
    };
    let mut keys = Vec::new();
    if let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) {
        keys.extend(order.iter().filter_map(|key| of("ORDER BY", &key.expr)));
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return keys };
    if let Some(Distinct::On(on)) = &select.distinct {
        keys.extend(on.iter().filter_map(|key| of("DISTINCT ON", key)));
    }
    if let GroupByExpr::Expressions(groups, _) = &select.group_by {
        keys.extend(groups.iter().filter_map(|key| of(GROUP_BY, key)));
    }
    keys
}

/// Whether a name of GROUP BY may be a column of FROM, which is looked for first.
fn may_be_input(rewriter: &Rewriter<'_>, query: &Query, name: &str) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return true };
    let scope = rows::scope(rewriter, select);
    let tables = select.from.iter().map(|table| 1 + table.joins.len()).sum::<usize>();
    tables != scope.len() || scope.values().any(|row| row.may_have(name))
}

/// The columns of a query's result. `None`: they are not known, or each has a name of its own.
fn of_query(rewriter: &Rewriter<'_>, query: &Query) -> Result<Option<Vec<Listed>>> {
    match query.body.as_ref() {
        SetExpr::Select(select) => of_select(rewriter, select),
        SetExpr::SetOperation { .. } => {
            // Behind a set operation each column is another one.
            let listed = rows::columns(rewriter, query)
                .map(|names| names.into_iter().zip((1..).map(|place| What::Value(Box::new(number(place))))));
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
                listed.extend(
                    columns.iter().map(|column| (column.name.clone(), What::Value(Box::new(column.value.clone())))),
                );
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

/// An expression by the tables that its columns are of.
fn meant(expr: &Expr, merged: &Merged, scope: &Scope) -> What {
    match expr {
        Expr::Nested(inner) => meant(inner, merged, scope),
        Expr::Identifier(name) => {
            let name = folded(name);
            if let Some(value) = merged.get(&name) {
                return What::Value(Box::new(value.clone()));
            }
            let mut tables = scope.iter().filter(|(_, row)| row.may_have(&name));
            match (tables.next(), tables.next()) {
                (Some((alias, _)), None) => of_table(alias, &name, scope),
                (Some(_), Some(_)) | (None, _) => What::Unknown,
            }
        }
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, name] => of_table(&folded(table), &folded(name), scope),
            _ => What::Unknown,
        },
        Expr::Value(value) if matches!(value.value, Value::Number(..) | Value::Placeholder(_)) => {
            What::Value(Box::new(expr.clone()))
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => What::Call(Call {
            name: "-".to_owned(),
            arguments: vec![meant(inner, merged, scope)],
            distinct: false,
            window: false,
        }),
        Expr::BinaryOp {
            left,
            op: op @ (BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide),
            right,
        } => What::Operator(op.clone(), Box::new([meant(left, merged, scope), meant(right, merged, scope)])),
        Expr::Function(call) => called(call, merged, scope),
        Expr::Subquery(_) => What::Query,
        Expr::Case { .. } => What::Case,
        _ => What::Unknown,
    }
}

/// A call. A type's name is a cast, and a function of a row may be the name of its column.
fn called(call: &Function, merged: &Merged, scope: &Scope) -> What {
    let (Some(name), FunctionArguments::List(list)) = (unqualified(&call.name), &call.args) else {
        return What::Unknown;
    };
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        arguments.push(match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(row))) if scope.contains_key(&folded(row)) => {
                return What::Unknown;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => meant(expr, merged, scope),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => What::Rows,
            _ => return What::Unknown,
        });
    }
    if PgType::from_name(&name).is_some() {
        return What::Unknown;
    }
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    What::Call(Call { name, arguments, distinct, window: call.over.is_some() })
}

/// The one column of a table with that name.
fn of_table(alias: &str, name: &str, scope: &Scope) -> What {
    let columns = scope.get(alias).and_then(|row| row.columns.as_ref());
    match columns.map(|columns| columns.iter().filter(|column| *column == name).count()) {
        Some(1) => What::Value(Box::new(Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)]))),
        Some(_) | None => What::Unknown,
    }
}
