//! The query of INSERT … ON CONFLICT DO UPDATE: each new row beside the row that has its key, as the principal reads it, and the values
//! that the update computes of the two.

use super::intent::EXCLUDED;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use crate::write::find::{
    Find, Finds, Untyped, call, computed, names, no_skeleton, refuse_unseen, resolved, seen, skeleton, untyped_items,
};
use crate::write::intent::{RowSource, WriteIntent, cells, folded, quoted, unsupported};
use crate::write::values::rows::Row;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, JoinConstraint, JoinOperator, Query, SelectItem, SetExpr,
    TableAliasColumnDef, TableFactor,
};
use querygate_catalog::VisibleObject;
use querygate_catalog::write::WriteTarget;
use querygate_types::{Error, ErrorCode, Result};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Rows whose keys are listed, so that the source need not give all of its rows.
const LISTED_MAX: usize = 1_000;

/// New rows, and the update of those that are there already.
pub(in crate::write) struct Upsert<'a> {
    pub(in crate::write) key: &'a [String],
    pub(in crate::write) update: &'a WriteIntent,
    pub(in crate::write) rows: Query,
    /// Fields of the columns of `rows`.
    pub(in crate::write) given: Vec<String>,
}

/// `SELECT wanted, seen…, new values…, computed values… FROM (new rows) AS excluded LEFT JOIN table ON keys`. What the update computes
/// is computed of rows that it is for, and of no other.
pub(in crate::write) fn taken(
    upsert: Upsert<'_>,
    target: &WriteTarget,
    defaults: &Row,
    untyped: &mut Vec<Untyped>,
) -> Result<Finds> {
    let Upsert { key, update, mut rows, given } = upsert;
    let object = update.object();
    let RowSource::Found { name, selection, values, .. } = update.rows() else { return Err(no_skeleton()) };
    let values = &resolved(object, values, defaults)?;
    refuse_unseen(object, name, selection.as_deref(), values)?;
    refuse_unnamed(object, &given, values.iter().map(|(_, value)| value).chain(selection.as_deref()))?;
    refuse_ambiguous(object, values.iter().map(|(_, value)| value).chain(selection.as_deref()))?;
    if key.iter().any(|field| !given.contains(field)) {
        return Err(unsupported("ON CONFLICT DO UPDATE without a value for each column of the key"));
    }
    if selection.as_deref().is_some_and(is_volatile) {
        return Err(unsupported("a condition of DO UPDATE that is not the same each time"));
    }
    let is_there = there(object, target, name)?;
    let condition = match selection {
        Some(selection) => both(is_there, Expr::Nested(selection.clone())),
        None => is_there,
    };
    let (seen, seen_items) = seen(object, name);
    let new = |field: &String| Expr::CompoundIdentifier(vec![Ident::new(EXCLUDED), quoted(field)]);
    let item = |(at, field): (usize, &String)| SelectItem::ExprWithAlias {
        expr: new(field),
        alias: quoted(&format!("n{at}")),
    };
    let mut items = vec![SelectItem::ExprWithAlias { expr: condition.clone(), alias: quoted("w") }];
    items.extend(seen_items);
    items.extend(given.iter().enumerate().map(item));
    items.extend(computed(object, target, values, |value| when(condition.clone(), value))?);

    let mut on = None;
    for field in key {
        let own = || Expr::CompoundIdentifier(vec![name.clone(), quoted(field)]);
        let mut same = binary(own(), BinaryOperator::Eq, new(field));
        if let Some(list) = listed(&mut rows, &given, field) {
            same = both(same, Expr::InList { expr: Box::new(own()), list, negated: false });
        }
        on = Some(match on {
            Some(before) => both(before, same),
            None => same,
        });
    }
    let on = on.ok_or_else(no_skeleton)?;
    let (fields, unknown) = untyped_items(object, values)?;
    if !fields.is_empty() {
        let query = joined(rows.clone(), &given, &object.sql_name, name, on.clone(), unknown)?;
        untyped.push(Untyped { query, fields });
    }
    let query = Arc::new(joined(rows, &given, &object.sql_name, name, on, items)?);
    let insert = Find { query: Arc::clone(&query), seen: Vec::new(), assigned: given };
    let update = Find { query, seen, assigned: values.iter().map(|(field, _)| field.clone()).collect() };
    Ok(Finds::Both { insert, update })
}

fn joined(rows: Query, given: &[String], table: &str, name: &Ident, on: Expr, items: Vec<SelectItem>) -> Result<Query> {
    let mut query = skeleton("SELECT 1 FROM (SELECT 1) AS excluded LEFT JOIN t AS a ON true")?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
    let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = &mut from.relation else {
        return Err(no_skeleton());
    };
    **subquery = rows;
    alias.columns = given.iter().map(|field| TableAliasColumnDef { name: quoted(field), data_type: None }).collect();
    let Some(join) = from.joins.first_mut() else { return Err(no_skeleton()) };
    call(&mut join.relation, table, name)?;
    join.join_operator = JoinOperator::Left(JoinConstraint::On(on));
    select.projection = items;
    Ok(query)
}

/// Whether there is a row of the table: a column of its key has a value.
pub(in crate::write) fn there(object: &VisibleObject, target: &WriteTarget, name: &Ident) -> Result<Expr> {
    let columns = object.table.columns();
    let key = target.key().iter().find_map(|place| columns.iter().find(|column| column.is_raw(*place)));
    let key = key.ok_or_else(|| unsupported("a change of rows whose key is not to be seen"))?;
    let column = Expr::CompoundIdentifier(vec![name.clone(), quoted(key.field.name())]);
    Ok(Expr::IsNotNull(Box::new(column)))
}

/// The values of a column in VALUES, where all of them are constants or parameters.
fn listed(rows: &mut Query, given: &[String], field: &String) -> Option<Vec<Expr>> {
    let place = given.iter().position(|own| own == field)?;
    let values = cells(rows)?;
    if values.rows.len() > LISTED_MAX {
        return None;
    }
    let cell = |row: &Vec<Expr>| match row.get(place)? {
        cell @ Expr::Cast { expr, .. } if matches!(expr.as_ref(), Expr::Value(_)) => Some(cell.clone()),
        _ => None,
    };
    values.rows.iter().map(|row| cell(row)).collect()
}

/// What stands for a new row has the values that the statement gives it; its defaults are not known yet.
fn refuse_unnamed<'a>(
    object: &VisibleObject,
    given: &[String],
    mut exprs: impl Iterator<Item = &'a Expr>,
) -> Result<()> {
    let is_field = |word: &str| object.table.columns().iter().any(|column| column.field.name() == word);
    let is_default = |word: &str| is_field(word) && given.iter().all(|field| field != word);
    let is_row = |qualifier: Option<&str>, word: &str| qualifier.is_none() && word == EXCLUDED;
    let unnamed = exprs.any(|expr| {
        names(expr, &|qualifier, word| is_row(qualifier, word) || (qualifier == Some(EXCLUDED) && is_default(word)))
    });
    if unnamed {
        return Err(unsupported("excluded as a whole, or with a column that the INSERT gives no value to,"));
    }
    Ok(())
}

/// A bare name is a column of both rows. What a subquery means by one, binding says.
fn refuse_ambiguous<'a>(object: &VisibleObject, exprs: impl Iterator<Item = &'a Expr>) -> Result<()> {
    struct Queries;
    impl Reader for Queries {
        fn query(&mut self, _: &Query) -> Step {
            ControlFlow::Break(Stop::Found)
        }
    }
    let is_field = |word: &str| object.table.columns().iter().any(|column| column.field.name() == word);
    for expr in exprs.filter(|expr| !finds(*expr, &mut Queries)) {
        if names(expr, &|qualifier, word| qualifier.is_none() && is_field(word)) {
            let text = "a column of the table must be named behind the table, or behind excluded: it is ambiguous";
            return Err(Error::new(ErrorCode::AmbiguousColumn, text));
        }
    }
    Ok(())
}

/// Whether an expression calls a function whose value may be another one the next time.
pub(in crate::write) fn is_volatile(expr: &Expr) -> bool {
    const VOLATILE: [&str; 6] = ["random", "rand", "uuid", "gen_random_uuid", "clock_timestamp", "timeofday"];
    struct Volatile;
    impl Reader for Volatile {
        fn expr(&mut self, expr: &Expr) -> Step {
            let Expr::Function(function) = expr else { return ON };
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(folded);
            match name {
                Some(name) if !VOLATILE.contains(&name.as_str()) => ON,
                Some(_) | None => ControlFlow::Break(Stop::Found),
            }
        }
    }
    finds(expr, &mut Volatile)
}

/// `CASE WHEN condition THEN value END`: the value is computed where the condition holds.
pub(in crate::write) fn when(condition: Expr, value: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: value }],
        else_result: None,
    }
}

fn both(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::And, right)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
