//! Aggregates over an empty input, and HAVING above them: whether it is true of the one row that they give then. Where it is not, that
//! row is never asked for, and rows that are equal to the row around can be grouped by what they are equal to: a group without rows is
//! not there.

use super::joinable::is_local;
use super::keyed::equality;
use super::references::free_references;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, LogicalPlan, Operator};

/// Aggregates that are NULL where there is no row.
const NULL_OF_NO_ROWS: [&str; 4] = ["min", "max", "sum", "avg"];

/// Whether a plan is aggregates of rows that are equal to the row around, without the row that they give of no rows.
pub(super) fn groups_by_row(plan: &LogicalPlan) -> Result<bool> {
    match below_having(plan) {
        Some(rows) => are_equal_to_row(rows),
        None => Ok(false),
    }
}

/// Whether HAVING above aggregates without groups may be true of no rows. The engine drops it from a subquery that it joins for its value.
pub(super) fn may_hold_of_no_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => may_hold_of_no_rows(&node.input),
        LogicalPlan::SubqueryAlias(node) => may_hold_of_no_rows(&node.input),
        LogicalPlan::Sort(node) => may_hold_of_no_rows(&node.input),
        LogicalPlan::Limit(node) => may_hold_of_no_rows(&node.input),
        LogicalPlan::Filter(node) => {
            let holds = match of_no_rows(&node.predicate, &node.input) {
                OfNoRows::Null | OfNoRows::NotTrue | OfNoRows::Truth(false) => false,
                OfNoRows::Truth(true) | OfNoRows::Number(_) | OfNoRows::Unknown => is_ungrouped(&node.input),
            };
            holds || may_hold_of_no_rows(&node.input)
        }
        _ => false,
    }
}

/// Whether a plan is one row of aggregates, computed of and chosen as may be.
fn is_ungrouped(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => is_ungrouped(&node.input),
        LogicalPlan::SubqueryAlias(node) => is_ungrouped(&node.input),
        LogicalPlan::Filter(node) => is_ungrouped(&node.input),
        LogicalPlan::Aggregate(node) => node.group_expr.is_empty(),
        _ => false,
    }
}

/// The rows of such aggregates.
fn below_having(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let (mut node, mut dropped) = (plan, false);
    loop {
        node = match node {
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_local) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) if is_local(&filter.predicate) => {
                dropped |= matches!(
                    of_no_rows(&filter.predicate, &filter.input),
                    OfNoRows::Null | OfNoRows::NotTrue | OfNoRows::Truth(false)
                );
                &filter.input
            }
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && aggregate.aggr_expr.iter().all(is_local) =>
            {
                return Some(aggregate.input.as_ref()).filter(|_| dropped);
            }
            _ => return None,
        };
    }
}

/// Whether all that is asked of the row around is that columns are equal to it, so that the rows of one group are the rows of one row.
fn are_equal_to_row(rows: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Filter(filter) = rows else { return Ok(false) };
    let outer = free_references(rows)?;
    let equal = |condition: &Expr| {
        // Zero is two floats.
        equality(condition, filter, &outer).is_some_and(|(_, _, data_type)| !data_type.is_floating())
    };
    let conditions = split_conjunction(&filter.predicate).into_iter().all(|each| is_local(each) || equal(each));
    Ok(conditions && free_references(&filter.input)?.is_empty())
}

/// Whether an expression is an aggregate that is NULL of no rows.
pub(super) fn is_null_of_no_rows(expr: &Expr) -> bool {
    matches!(of_aggregate(expr), OfNoRows::Null) && is_local(expr)
}

/// What an expression over aggregates is where there are no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfNoRows {
    Null,
    Truth(bool),
    /// NULL or false.
    NotTrue,
    Number(i128),
    Unknown,
}

/// An expression over the columns of a plan.
fn of_no_rows(expr: &Expr, rows: &LogicalPlan) -> OfNoRows {
    match expr {
        Expr::Column(column) => of_column(column, rows),
        Expr::Alias(alias) => of_no_rows(&alias.expr, rows),
        Expr::Literal(value, _) => of_literal(value),
        Expr::BinaryExpr(binary) => of_operator(binary, rows),
        Expr::Not(inner) => match of_no_rows(inner, rows) {
            OfNoRows::Null => OfNoRows::Null,
            OfNoRows::Truth(truth) => OfNoRows::Truth(!truth),
            OfNoRows::NotTrue | OfNoRows::Number(_) | OfNoRows::Unknown => OfNoRows::Unknown,
        },
        Expr::IsNull(inner) => is_null(of_no_rows(inner, rows), true),
        Expr::IsNotNull(inner) => is_null(of_no_rows(inner, rows), false),
        Expr::Cast(Cast { expr, field }) => match of_no_rows(expr, rows) {
            OfNoRows::Null => OfNoRows::Null,
            OfNoRows::Number(number) if field.data_type().is_numeric() => OfNoRows::Number(number),
            OfNoRows::Number(_) | OfNoRows::Truth(_) | OfNoRows::NotTrue | OfNoRows::Unknown => OfNoRows::Unknown,
        },
        _ => OfNoRows::Unknown,
    }
}

fn is_null(value: OfNoRows, wanted: bool) -> OfNoRows {
    match value {
        OfNoRows::Null => OfNoRows::Truth(wanted),
        OfNoRows::Truth(_) | OfNoRows::Number(_) => OfNoRows::Truth(!wanted),
        OfNoRows::NotTrue | OfNoRows::Unknown => OfNoRows::Unknown,
    }
}

fn of_column(column: &Column, rows: &LogicalPlan) -> OfNoRows {
    match rows.schema().index_of_column(column) {
        Ok(at) => of_output(at, rows),
        Err(_) => OfNoRows::Unknown,
    }
}

fn of_output(at: usize, rows: &LogicalPlan) -> OfNoRows {
    let found = match rows {
        LogicalPlan::Projection(node) => node.expr.get(at).map(|expr| of_no_rows(expr, &node.input)),
        LogicalPlan::SubqueryAlias(node) => Some(of_output(at, &node.input)),
        LogicalPlan::Filter(node) => Some(of_output(at, &node.input)),
        LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => node.aggr_expr.get(at).map(of_aggregate),
        _ => None,
    };
    found.unwrap_or(OfNoRows::Unknown)
}

fn of_aggregate(expr: &Expr) -> OfNoRows {
    match expr {
        Expr::Alias(alias) => of_aggregate(&alias.expr),
        Expr::AggregateFunction(call) if call.func.name() == "count" => OfNoRows::Number(0),
        Expr::AggregateFunction(call) if NULL_OF_NO_ROWS.contains(&call.func.name()) => OfNoRows::Null,
        _ => OfNoRows::Unknown,
    }
}

fn of_literal(value: &ScalarValue) -> OfNoRows {
    match value {
        _ if value.is_null() => OfNoRows::Null,
        ScalarValue::Boolean(Some(truth)) => OfNoRows::Truth(*truth),
        ScalarValue::Int16(Some(number)) => OfNoRows::Number(i128::from(*number)),
        ScalarValue::Int32(Some(number)) => OfNoRows::Number(i128::from(*number)),
        ScalarValue::Int64(Some(number)) => OfNoRows::Number(i128::from(*number)),
        _ => OfNoRows::Unknown,
    }
}

fn of_operator(BinaryExpr { left, op, right }: &BinaryExpr, rows: &LogicalPlan) -> OfNoRows {
    use OfNoRows::{NotTrue, Null, Number, Truth, Unknown};
    let (left, right) = (of_no_rows(left, rows), of_no_rows(right, rows));
    match op {
        Operator::And => match (left, right) {
            (Truth(false), _) | (_, Truth(false)) => Truth(false),
            (Truth(true), other) | (other, Truth(true)) => other,
            (Null, Null) => Null,
            (Null | NotTrue, _) | (_, Null | NotTrue) => NotTrue,
            (Number(_) | Unknown, Number(_) | Unknown) => Unknown,
        },
        Operator::Or => match (left, right) {
            (Truth(true), _) | (_, Truth(true)) => Truth(true),
            (Truth(false), other) | (other, Truth(false)) => other,
            (Null, Null) => Null,
            (Null | NotTrue, Null | NotTrue) => NotTrue,
            (Number(_) | Unknown, _) | (_, Number(_) | Unknown) => Unknown,
        },
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            match (left, right) {
                (Null, _) | (_, Null) => Null,
                (Number(left), Number(right)) => Truth(match op {
                    Operator::Eq => left == right,
                    Operator::NotEq => left != right,
                    Operator::Lt => left < right,
                    Operator::LtEq => left <= right,
                    Operator::Gt => left > right,
                    _ => left >= right,
                }),
                _ => Unknown,
            }
        }
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            match (left, right) {
                (Null, _) | (_, Null) => Null,
                _ => Unknown,
            }
        }
        _ => Unknown,
    }
}
