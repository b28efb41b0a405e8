//! `x op ANY (SELECT …)`, `x op ALL (SELECT …)` and `(a, b) IN (SELECT …)` as one value of a scalar subquery, with
//! PostgreSQL's three answers. Knows no names and no types.

use super::calls::unqualified;
use super::operators::is_row;
use super::widths;
use crate::dialect::ast::{aliased, binary, call, derived, number, plain_arguments, quoted, select, table_alias};
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Query, Select, SelectItem, SetExpr, TableFactor, UnaryOperator, Value,
};
use querygate_query_api::own_names::{ROWS, place};
use querygate_types::{Error, ErrorCode, Result};

/// Whether any (or `all`) of the subquery's rows compare so: false or true as soon as one decides, NULL when a comparison
/// without an answer might have.
pub(in crate::dialect) fn compared(left: &Expr, op: &BinaryOperator, subquery: &Query, all: bool) -> Result<Expr> {
    if let Expr::Nested(inner) = left {
        return compared(inner, op, subquery, all);
    }
    // The left side is written twice, and all that is in it.
    if finds(left, &mut Copies(0)) {
        let message = "comparisons with subqueries are nested too deep on the left of one another";
        return Err(Error::new(ErrorCode::StatementTooComplex, message)
            .with_hint("Compute the inner comparisons in a subquery in FROM."));
    }
    let values = values_of(left);
    widths::check(subquery, values.len())?;
    let names = names(values.len());
    let pairs = values.into_iter().zip(&names).map(|(value, name)| nested(binary(value, op.clone(), column(name))));
    let pairs: Vec<Expr> = pairs.collect();
    let joined = match (op, pairs.len()) {
        (_, 1) | (BinaryOperator::Eq, _) => pairs.into_iter().reduce(|a, b| binary(a, BinaryOperator::And, b)),
        (BinaryOperator::NotEq, _) => pairs.into_iter().reduce(|a, b| binary(a, BinaryOperator::Or, b)),
        _ => None,
    };
    let Some(comparison) = joined.map(nested) else {
        return Err(Error::new(
            ErrorCode::FeatureNotSupported,
            "this comparison of rows with a subquery is not supported",
        ));
    };
    let deciding = if all {
        Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(comparison.clone()) }
    } else {
        comparison.clone()
    };
    let answer = |value: bool| Expr::Value(Value::Boolean(value).with_empty_span());
    let unknown = binary(call("count", vec![number(1)]), BinaryOperator::Gt, call("count", vec![comparison]));
    let case = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![
            CaseWhen { condition: call("bool_or", vec![deciding]), result: answer(!all) },
            CaseWhen { condition: unknown, result: Expr::Value(Value::Null.with_empty_span()) },
        ],
        else_result: Some(Box::new(answer(all))),
    };
    Ok(Expr::Subquery(Box::new(select(vec![aliased(case, COMPARED)], Some(rows(subquery, &names)))?)))
}

/// Name of the one value of such a subquery.
const COMPARED: &str = "compared";
/// Such subqueries on the left side of another one, counted as they are written: each level has twice the copies of the one in it.
const COPIES_MAX: usize = 7;

/// Looks whether there are more.
struct Copies(usize);

impl Reader for Copies {
    fn select(&mut self, select: &Select) -> Step {
        if let [SelectItem::ExprWithAlias { alias, .. }] = select.projection.as_slice()
            && alias.value == COMPARED
        {
            self.0 += 1;
        }
        if self.0 > COPIES_MAX { Step::Break(Stop::Found) } else { ON }
    }
}

pub(in crate::dialect) fn values_of(row: &Expr) -> Vec<Expr> {
    match row {
        Expr::Tuple(values) => values.clone(),
        Expr::Nested(inner) => values_of(inner),
        Expr::Function(row) if unqualified(&row.name).as_deref() == Some("row") => {
            plain_arguments(&row.args).unwrap_or_default().into_iter().cloned().collect()
        }
        single => vec![single.clone()],
    }
}

/// Names of the subquery's columns.
pub(super) fn names(count: usize) -> Vec<String> {
    (1..=count).map(place).collect()
}

fn column(name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted(ROWS), quoted(name)])
}

/// Conditions of WHERE that a row is among a subquery's rows, or not, and that a value is less or greater than any or all of its
/// values. As a condition, what is not known counts as false, so that it is whether there is a certain row, which joins answer;
/// only NULL in rows that are absent needs more.
pub(in crate::dialect) fn conditions(select: &mut Select) -> Result<()> {
    select.selection.as_mut().map_or(Ok(()), condition)
}

fn condition(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::AnyOp { left, compare_op, right, .. } if is_ordering(compare_op) && !is_row(left) => {
            let Expr::Subquery(subquery) = right.as_ref() else { return Ok(()) };
            *expr = deciding(left, compare_op, subquery, |compared| compared, false)?;
            Ok(())
        }
        Expr::AllOp { left, compare_op, right } if is_ordering(compare_op) && !is_row(left) => {
            let Expr::Subquery(subquery) = right.as_ref() else { return Ok(()) };
            *expr = deciding(left, compare_op, subquery, |compared| Expr::IsNotTrue(Box::new(compared)), true)?;
            Ok(())
        }
        other => {
            if let Some((row, subquery, negated)) = membership(other)
                // Both are written several times: one in another would grow without bound.
                && !(negated && (finds(row, &mut Memberships) || finds(subquery, &mut Memberships)))
            {
                let found = exists(row, subquery, negated)?;
                *other = if negated {
                    nested(binary(found, BinaryOperator::And, unless_null(row, subquery)?))
                } else {
                    found
                };
            }
            Ok(())
        }
    }
}

const fn is_ordering(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq)
}

/// Whether there is a row that decides, or none: looking ends at the first one.
fn deciding(
    value: &Expr,
    op: &BinaryOperator,
    subquery: &Query,
    decides: fn(Expr) -> Expr,
    negated: bool,
) -> Result<Expr> {
    widths::check(subquery, 1)?;
    let names = names(1);
    let compared = nested(binary(value.clone(), op.clone(), column(&place(1))));
    Ok(Expr::Exists { subquery: selected(number(1), rows(subquery, &names), decides(compared))?, negated })
}

/// A row, the subquery it is looked for in, and whether it is to be absent.
fn membership(expr: &Expr) -> Option<(&Expr, &Query, bool)> {
    match expr {
        Expr::InSubquery { expr: row, subquery, negated } if is_row(row) => Some((row, subquery.as_ref(), *negated)),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if is_row(left) => match right.as_ref() {
            Expr::Subquery(subquery) => Some((left, subquery.as_ref(), false)),
            _ => None,
        },
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } if is_row(left) => match right.as_ref() {
            Expr::Subquery(subquery) => Some((left, subquery.as_ref(), true)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            membership(expr).map(|(row, subquery, negated)| (row, subquery, !negated))
        }
        Expr::Nested(inner) => membership(inner),
        _ => None,
    }
}

/// Looks for such a condition.
struct Memberships;

impl Reader for Memberships {
    fn expr(&mut self, expr: &Expr) -> Step {
        if membership(expr).is_some() { Step::Break(Stop::Found) } else { ON }
    }
}

fn rows(subquery: &Query, names: &[String]) -> TableFactor {
    derived(subquery.clone(), false, Some(table_alias(ROWS, names)))
}

fn selected(item: Expr, from: TableFactor, condition: Expr) -> Result<Box<Query>> {
    let mut query = select(vec![aliased(item, "selected")], Some(from))?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection = Some(condition);
    }
    Ok(Box::new(query))
}

/// Whether there is an equal row, or none.
fn exists(row: &Expr, subquery: &Query, negated: bool) -> Result<Expr> {
    let values = values_of(row);
    widths::check(subquery, values.len())?;
    let names = names(values.len());
    let pairs = values.into_iter().zip(&names).map(|(value, name)| binary(value, BinaryOperator::Eq, column(name)));
    let Some(equal) = pairs.reduce(|a, b| binary(a, BinaryOperator::And, b)) else {
        return Err(Error::new(ErrorCode::FeatureNotSupported, "a row without columns is not supported"));
    };
    Ok(Expr::Exists { subquery: selected(number(1), rows(subquery, &names), equal)?, negated })
}

/// That a row which no row equals is not among them for sure: it always is where neither holds NULL.
fn unless_null(row: &Expr, subquery: &Query) -> Result<Expr> {
    let values = values_of(row);
    let names = names(values.len());
    let some = |test: fn(Box<Expr>) -> Expr, op: BinaryOperator, exprs: Vec<Expr>| {
        exprs.into_iter().map(|expr| test(Box::new(expr))).reduce(|a, b| binary(a, op.clone(), b))
    };
    let own = some(Expr::IsNotNull, BinaryOperator::And, values);
    let theirs = some(Expr::IsNull, BinaryOperator::Or, names.iter().map(|name| column(name)).collect());
    let (Some(own), Some(theirs)) = (own, theirs) else {
        return Err(Error::new(ErrorCode::FeatureNotSupported, "a row without columns is not supported"));
    };
    let counted = selected(call("count", vec![number(1)]), rows(subquery, &names), theirs)?;
    let none = binary(Expr::Subquery(counted), BinaryOperator::Eq, number(0));
    let otherwise = compared(row, &BinaryOperator::Eq, subquery, false)?;
    Ok(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: binary(own, BinaryOperator::And, none),
            result: Expr::Value(Value::Boolean(true).with_empty_span()),
        }],
        else_result: Some(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(otherwise) })),
    })
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
