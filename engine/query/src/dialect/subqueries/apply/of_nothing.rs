//! Whether HAVING is true of the row that aggregates give of no rows. Where it is not, that row is never asked for, and rows that are equal
//! to the row around can be grouped by what they are equal to: a group without rows is not there.

use super::joinable::is_local;
use super::keyed::equality;
use super::references::free_references;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, LogicalPlan, Operator};

/// Aggregates that are NULL where there is no row.
const NULL_OF_NOTHING: [&str; 4] = ["min", "max", "sum", "avg"];

/// Whether a plan is aggregates of rows that are equal to the row around, without the row that they give of no rows.
pub(super) fn groups_by_row(plan: &LogicalPlan) -> Result<bool> {
    match below_having(plan) {
        Some(rows) => are_equal_to_row(rows),
        None => Ok(false),
    }
}

/// Whether HAVING above aggregates without groups may be true of no rows. The engine drops it from a subquery that it joins for its value.
pub(super) fn may_hold_of_nothing(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => may_hold_of_nothing(&node.input),
        LogicalPlan::SubqueryAlias(node) => may_hold_of_nothing(&node.input),
        LogicalPlan::Sort(node) => may_hold_of_nothing(&node.input),
        LogicalPlan::Limit(node) => may_hold_of_nothing(&node.input),
        LogicalPlan::Filter(node) => {
            let holds = match of_nothing(&node.predicate, &node.input) {
                OfNothing::Null | OfNothing::NotTrue | OfNothing::Truth(false) => false,
                OfNothing::Truth(true) | OfNothing::Number(_) | OfNothing::Unknown => is_ungrouped(&node.input),
            };
            holds || may_hold_of_nothing(&node.input)
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
                    of_nothing(&filter.predicate, &filter.input),
                    OfNothing::Null | OfNothing::NotTrue | OfNothing::Truth(false)
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
pub(super) fn is_null_of_nothing(expr: &Expr) -> bool {
    matches!(of_aggregate(expr), OfNothing::Null) && is_local(expr)
}

/// What an expression over aggregates is where there are no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfNothing {
    Null,
    Truth(bool),
    /// NULL or false.
    NotTrue,
    Number(i128),
    Unknown,
}

/// An expression over the columns of a plan.
fn of_nothing(expr: &Expr, rows: &LogicalPlan) -> OfNothing {
    match expr {
        Expr::Column(column) => of_column(column, rows),
        Expr::Alias(alias) => of_nothing(&alias.expr, rows),
        Expr::Literal(value, _) => of_literal(value),
        Expr::BinaryExpr(binary) => of_operator(binary, rows),
        Expr::Not(inner) => match of_nothing(inner, rows) {
            OfNothing::Null => OfNothing::Null,
            OfNothing::Truth(truth) => OfNothing::Truth(!truth),
            OfNothing::NotTrue | OfNothing::Number(_) | OfNothing::Unknown => OfNothing::Unknown,
        },
        Expr::IsNull(inner) => is_null(of_nothing(inner, rows), true),
        Expr::IsNotNull(inner) => is_null(of_nothing(inner, rows), false),
        Expr::Cast(Cast { expr, field }) => match of_nothing(expr, rows) {
            OfNothing::Null => OfNothing::Null,
            OfNothing::Number(number) if field.data_type().is_numeric() => OfNothing::Number(number),
            OfNothing::Number(_) | OfNothing::Truth(_) | OfNothing::NotTrue | OfNothing::Unknown => OfNothing::Unknown,
        },
        _ => OfNothing::Unknown,
    }
}

fn is_null(value: OfNothing, wanted: bool) -> OfNothing {
    match value {
        OfNothing::Null => OfNothing::Truth(wanted),
        OfNothing::Truth(_) | OfNothing::Number(_) => OfNothing::Truth(!wanted),
        OfNothing::NotTrue | OfNothing::Unknown => OfNothing::Unknown,
    }
}

fn of_column(column: &Column, rows: &LogicalPlan) -> OfNothing {
    match rows.schema().index_of_column(column) {
        Ok(at) => of_output(at, rows),
        Err(_) => OfNothing::Unknown,
    }
}

fn of_output(at: usize, rows: &LogicalPlan) -> OfNothing {
    let found = match rows {
        LogicalPlan::Projection(node) => node.expr.get(at).map(|expr| of_nothing(expr, &node.input)),
        LogicalPlan::SubqueryAlias(node) => Some(of_output(at, &node.input)),
        LogicalPlan::Filter(node) => Some(of_output(at, &node.input)),
        LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => node.aggr_expr.get(at).map(of_aggregate),
        _ => None,
    };
    found.unwrap_or(OfNothing::Unknown)
}

fn of_aggregate(expr: &Expr) -> OfNothing {
    match expr {
        Expr::Alias(alias) => of_aggregate(&alias.expr),
        Expr::AggregateFunction(call) if call.func.name() == "count" => OfNothing::Number(0),
        Expr::AggregateFunction(call) if NULL_OF_NOTHING.contains(&call.func.name()) => OfNothing::Null,
        _ => OfNothing::Unknown,
    }
}

fn of_literal(value: &ScalarValue) -> OfNothing {
    match value {
        _ if value.is_null() => OfNothing::Null,
        ScalarValue::Boolean(Some(truth)) => OfNothing::Truth(*truth),
        ScalarValue::Int16(Some(number)) => OfNothing::Number(i128::from(*number)),
        ScalarValue::Int32(Some(number)) => OfNothing::Number(i128::from(*number)),
        ScalarValue::Int64(Some(number)) => OfNothing::Number(i128::from(*number)),
        _ => OfNothing::Unknown,
    }
}

fn of_operator(BinaryExpr { left, op, right }: &BinaryExpr, rows: &LogicalPlan) -> OfNothing {
    use OfNothing::{NotTrue, Null, Number, Truth, Unknown};
    let (left, right) = (of_nothing(left, rows), of_nothing(right, rows));
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
