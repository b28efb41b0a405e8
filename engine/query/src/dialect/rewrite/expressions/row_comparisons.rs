//! Comparisons of rows that are written as rows, pair by pair: `(a, b) = (c, d)`, `(a, b) < (c, d)`, `(a, b) IN ((c, d), …)`,
//! `(a, b) = (SELECT c, d …)`; and `(a, b) IS NULL`, value by value. The engine compares whole rows, for which NULL is a value like any
//! other; in SQL a pair with NULL has no answer.

use super::operators::is_row;
use super::quantified::{names, values_of};
use super::widths;
use crate::dialect::ast::{aliased, binary, derived, quoted, select, table_alias};
use crate::dialect::rewrite::grouping::aggregates::is_aggregate;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{BinaryOperator, CaseWhen, Expr, Query, UnaryOperator, Value};
use querygate_query_api::own_names::ONE_ROW;
use querygate_types::{Error, ErrorCode, Result};

/// Expressions in all copies that a comparison is written with.
const COPIES_MAX: usize = 20_000;

/// The comparison pair by pair, if it is one of rows of as many values.
///
/// # Errors
/// 42601 for rows that have not as many values, 54001 where that would take too many copies of what is compared.
pub(in crate::dialect) fn rewrite(expr: &mut Expr) -> Result<()> {
    let pairwise = match expr {
        Expr::BinaryOp { left, op, right } => match subquery_of(right).filter(|_| is_row(left)) {
            Some(subquery) => compared_with_query(left, op, subquery)?,
            None => compared(left, op, right)?,
        },
        Expr::Between { expr: row, negated, low, high } if is_row(row) => {
            let above = compared(row, &BinaryOperator::GtEq, low)?;
            let below = compared(row, &BinaryOperator::LtEq, high)?;
            above.zip(below).map(|(above, below)| negation(*negated, binary(above, BinaryOperator::And, below)))
        }
        Expr::InList { expr: row, list, negated } if is_row(row) => {
            bounded(row, list.len())?;
            let each = list.iter().map(|other| compared(row, &BinaryOperator::Eq, other));
            let each = each.collect::<Result<Option<Vec<Expr>>>>()?;
            each.and_then(any).map(|found| negation(*negated, found))
        }
        Expr::IsNull(row) if is_row(row) => Some(each_is(row, true)),
        Expr::IsNotNull(row) if is_row(row) => Some(each_is(row, false)),
        _ => None,
    };
    if let Some(pairwise) = pairwise {
        *expr = pairwise;
    }
    Ok(())
}

/// Whether each value of a row is NULL, or none is. A row in it is a value that is not NULL, whatever it holds.
fn each_is(row: &Expr, null: bool) -> Expr {
    let one = |value: Expr| match (is_row(&value), null) {
        (true, _) => constant(!null),
        (false, true) => Expr::IsNull(Box::new(value)),
        (false, false) => Expr::IsNotNull(Box::new(value)),
    };
    let all = values_of(row).into_iter().map(one);
    nested(all.reduce(|before, one| binary(before, BinaryOperator::And, one)).unwrap_or_else(|| constant(true)))
}

fn constant(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).with_empty_span())
}

/// `None`: one side is no row, or one of no known values.
fn compared(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>> {
    if !is_row(left) || !is_row(right) {
        return Ok(None);
    }
    let (left, right) = (values_of(left), values_of(right));
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Err(Error::new(ErrorCode::SyntaxError, "unequal number of entries in row expressions"));
    }
    let joined = match op {
        BinaryOperator::Eq => all(&left, op, &right, &BinaryOperator::And)?,
        BinaryOperator::NotEq => all(&left, op, &right, &BinaryOperator::Or)?,
        BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
            // Where NULL stands among the values of a row in a row, the engine and PostgreSQL differ.
            if left.iter().any(is_row) {
                let message = "ordering rows that hold rows is not supported";
                return Err(Error::new(ErrorCode::FeatureNotSupported, message));
            }
            left.iter().chain(&right).try_for_each(|value| bounded(value, 2))?;
            ordered(&left, op, &right)?
        }
        _ => return Ok(None),
    };
    Ok(Some(nested(joined)))
}

fn subquery_of(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(subquery) => Some(subquery),
        Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

/// The comparison as the one value of a subquery: without a row it is NULL, and with several an error.
fn compared_with_query(left: &Expr, op: &BinaryOperator, subquery: &Query) -> Result<Option<Expr>> {
    if adds_up(left) {
        return Err(refused_aggregate());
    }
    let wanted = values_of(left).len();
    widths::check(subquery, wanted)?;
    let names = names(wanted);
    let theirs = names.iter().map(|name| Expr::CompoundIdentifier(vec![quoted(ONE_ROW), quoted(name)]));
    let Some(pairwise) = compared(left, op, &Expr::Tuple(theirs.collect()))? else { return Ok(None) };
    let row = derived(subquery.clone(), false, Some(table_alias(ONE_ROW, &names)));
    Ok(Some(Expr::Subquery(Box::new(select(vec![aliased(pairwise, "compared")], Some(row))?))))
}

/// Whether aggregates or windows stand in a row: written into the subquery, they would be of its rows.
fn adds_up(row: &Expr) -> bool {
    struct Calls;
    impl Reader for Calls {
        fn expr(&mut self, expr: &Expr) -> Step {
            match expr {
                Expr::Function(call) if call.over.is_some() || is_aggregate(call) => Step::Break(Stop::Found),
                _ => ON,
            }
        }
    }
    finds(row, &mut Calls)
}

/// The refusal of aggregates and windows in a row that is compared with a subquery's.
pub(in crate::dialect) fn refused_aggregate() -> Error {
    let message = "aggregates and window functions in a row that is compared with a subquery are not supported";
    Error::new(ErrorCode::FeatureNotSupported, message).with_hint("Compute them in a subquery in FROM.")
}

fn all(left: &[Expr], op: &BinaryOperator, right: &[Expr], joined_by: &BinaryOperator) -> Result<Expr> {
    let pairs = left.iter().zip(right).map(|(a, b)| pair(a, op, b));
    pairs.reduce(|before, one| binary(before, joined_by.clone(), one)).ok_or_else(empty)
}

fn empty() -> Error {
    Error::internal("a row without values was compared")
}

/// The first pair that is not equal decides, and one without an answer leaves the whole without.
fn ordered(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Expr> {
    let ([a, left @ ..], [b, right @ ..]) = (left, right) else {
        return Err(empty());
    };
    if left.is_empty() {
        return Ok(pair(a, op, b));
    }
    let strictly = match op {
        BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::Gt,
        other => other.clone(),
    };
    Ok(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: pair(a, &BinaryOperator::Eq, b), result: ordered(left, op, right)? }],
        else_result: Some(Box::new(pair(a, &strictly, b))),
    })
}

/// Two values. Rows in rows are compared as one value, for which NULL is like any other.
fn pair(left: &Expr, op: &BinaryOperator, right: &Expr) -> Expr {
    nested(binary(nested(left.clone()), op.clone(), nested(right.clone())))
}

/// Whether any holds, as a tree that is not deep.
fn any(mut each: Vec<Expr>) -> Option<Expr> {
    while each.len() > 1 {
        let mut halved = Vec::with_capacity(each.len().div_ceil(2));
        let mut rest = each.into_iter();
        while let Some(one) = rest.next() {
            halved.push(match rest.next() {
                Some(other) => nested(binary(one, BinaryOperator::Or, other)),
                None => one,
            });
        }
        each = halved;
    }
    each.pop()
}

fn bounded(value: &Expr, copies: usize) -> Result<()> {
    if !finds(value, &mut Expressions(COPIES_MAX / copies.max(1))) {
        return Ok(());
    }
    let message = "rows are compared that are too large or too many";
    Err(Error::new(ErrorCode::StatementTooComplex, message).with_hint("Compare with rows of VALUES in a subquery."))
}

/// Whether there are more expressions than a bound.
struct Expressions(usize);

impl Reader for Expressions {
    fn expr(&mut self, _: &Expr) -> Step {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                ON
            }
            None => Step::Break(Stop::Found),
        }
    }
}

fn negation(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) } } else { nested(expr) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
