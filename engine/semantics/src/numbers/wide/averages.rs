//! Averages of whole numbers: the quotient of sum and count, with PostgreSQL's places. Sources add up and count; what a double would
//! lose of a large sum, or of an order of adding, is not lost. And sums of reals: sums of doubles, as sources add them up, that are
//! reals in the end.

use super::keyed::renamed;
use crate::aggregates::sum;
use crate::functions;
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, plan_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{AggregateUDF, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use querygate_query_api::own_names::at_place;
use querygate_query_api::values::wide_numeric::{NEAREST_DOUBLE_KEY, WIDE_NUMERIC};
use std::sync::Arc;

/// What is computed with other aggregates than it is written with.
enum Part {
    /// The average of whole numbers.
    Average(AggregateFunction),
    /// The sum of reals.
    Reals(AggregateFunction),
}

/// What is shown of an aggregate.
#[derive(Clone, Copy)]
enum Shown {
    Itself,
    /// The quotient of it and of the count at this place.
    Over(usize),
    Real,
}

/// A node that groups, with the averages and the sums of reals in it taken apart.
pub(super) fn taken_apart(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut parts = Vec::with_capacity(aggregate.aggr_expr.len());
    for expr in &aggregate.aggr_expr {
        parts.push(part(expr, &aggregate)?);
    }
    if parts.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let mut aggr_expr: Vec<Expr> = Vec::with_capacity(aggregate.aggr_expr.len() + 1);
    let mut places = Vec::with_capacity(aggregate.aggr_expr.len());
    for (expr, part) in aggregate.aggr_expr.iter().zip(parts) {
        places.push(match part {
            None => (place_of(expr.clone(), &mut aggr_expr), Shown::Itself),
            Some(Part::Reals(call)) => {
                // A cast is not part of a name: without one of its own, it would be taken for another sum.
                aggr_expr.push(of_doubles(call).alias(at_place("real ", aggr_expr.len())));
                (aggr_expr.len() - 1, Shown::Real)
            }
            Some(Part::Average(call)) => {
                let of = |func: Arc<AggregateUDF>| {
                    Expr::AggregateFunction(AggregateFunction { func, params: call.params.clone() })
                };
                let sum = place_of(of(sum::function()), &mut aggr_expr);
                (sum, Shown::Over(place_of(of(count_udaf()), &mut aggr_expr)))
            }
        });
    }
    let regrouped = Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), aggr_expr)?;
    let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let columns = regrouped.schema.columns();
    let column = |place: usize| match columns.get(place) {
        Some(column) => Ok(Expr::Column(Column::clone(column))),
        None => plan_err!("an aggregate has fewer columns than it was made of"),
    };
    let mut shown = Vec::with_capacity(aggregate.schema.fields().len());
    for (place, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        // The number of the grouping set is asked for by calls of `grouping`, which are resolved later.
        if field.name() == Aggregate::INTERNAL_GROUPING_ID {
            continue;
        }
        let value = match place.checked_sub(keys).and_then(|aggregate| places.get(aggregate)) {
            None => column(place)?,
            Some((own, Shown::Itself)) => column(keys + own)?,
            Some((sum, Shown::Over(count))) => quotient(column(keys + sum)?, column(keys + count)?)?,
            Some((sum, Shown::Real)) => cast(column(keys + sum)?, DataType::Float32),
        };
        shown.push(renamed(value, qualifier, field.name()));
    }
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(regrouped)).project(shown)?.build().map(Transformed::yes)
}

/// The call of an average of whole numbers, or of a sum of reals.
fn part(expr: &Expr, aggregate: &Aggregate) -> Result<Option<Part>> {
    let call = match expr {
        Expr::AggregateFunction(call) => call,
        Expr::Alias(alias) => return part(&alias.expr, aggregate),
        _ => return Ok(None),
    };
    let [argument] = call.params.args.as_slice() else { return Ok(None) };
    if !matches!(call.func.name(), "avg" | "sum") {
        return Ok(None);
    }
    let of = argument.get_type(aggregate.input.schema())?;
    Ok(match call.func.name() {
        "avg" if is_whole(&of) => Some(Part::Average(call.clone())),
        "sum" if of == DataType::Float32 => Some(Part::Reals(call.clone())),
        _ => None,
    })
}

/// The sum of the values as doubles.
fn of_doubles(mut call: AggregateFunction) -> Expr {
    for argument in &mut call.params.args {
        *argument = cast(std::mem::take(argument), DataType::Float64);
    }
    Expr::AggregateFunction(call)
}

fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to))
}

/// Whether averages of a type are quotients.
pub(super) fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer()
}

/// The place of an aggregate among others; one that is there already is computed once.
fn place_of(expr: Expr, among: &mut Vec<Expr>) -> usize {
    let name = expr.schema_name().to_string();
    if let Some(place) = among.iter().position(|other| other.schema_name().to_string() == name) {
        return place;
    }
    among.push(expr);
    among.len() - 1
}

fn quotient(sum: Expr, count: Expr) -> Result<Expr> {
    match functions::in_zone("numeric_average", Zone::UTC) {
        Some(function) => Ok(function.call(vec![sum, count])),
        None => plan_err!("averages are not known"),
    }
}

/// The field of a numeric of which Arrow's clients get the nearest double.
pub(crate) fn nearest_double(name: &str) -> Field {
    Field::new(name, WIDE_NUMERIC, true).with_metadata([(NEAREST_DOUBLE_KEY.to_owned(), String::new())].into())
}

/// Whether what is computed of fields is such a numeric, too.
pub(crate) fn is_nearest_double(fields: &[FieldRef]) -> bool {
    fields.iter().any(|field| field.metadata().contains_key(NEAREST_DOUBLE_KEY))
}
