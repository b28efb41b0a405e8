//! `x op ANY (SELECT …)`, `x op ALL (SELECT …)` and `(a, b) IN (SELECT …)` as one value of a scalar subquery, with
//! PostgreSQL's three answers. Knows no names and no types.

use super::ast::{aliased, call, derived, number, plain_arguments, quoted, select, table_alias};
use super::calls::unqualified;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{BinaryOperator, CaseWhen, Expr, Query, UnaryOperator, Value};
use querygate_types::{Error, ErrorCode, Result};

/// Name of the subquery's rows. No identifier holds it.
const ROWS: &str = "\u{1}rows";

/// Whether any (or `all`) of the subquery's rows compare so: false or true as soon as one decides, NULL when a comparison
/// without an answer might have.
pub(super) fn compared(left: &Expr, op: &BinaryOperator, subquery: &Query, all: bool) -> Result<Expr> {
    let values = match left {
        Expr::Tuple(values) => values.clone(),
        Expr::Nested(inner) => return compared(inner, op, subquery, all),
        Expr::Function(row) if unqualified(&row.name).as_deref() == Some("row") => {
            plain_arguments(&row.args).unwrap_or_default().into_iter().cloned().collect()
        }
        single => vec![single.clone()],
    };
    let names: Vec<String> = (1..=values.len()).map(|place| format!("\u{1}{place}")).collect();
    let pairs = values.into_iter().zip(&names).map(|(value, name)| {
        let column = Expr::CompoundIdentifier(vec![quoted(ROWS), quoted(name)]);
        nested(binary(value, op.clone(), column))
    });
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
    let rows = derived(subquery.clone(), false, Some(table_alias(ROWS, &names)));
    Ok(Expr::Subquery(Box::new(select(vec![aliased(case, "compared")], Some(rows))?)))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
