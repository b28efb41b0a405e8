//! Averages of whole numbers: the quotient of sum and count, with PostgreSQL's places. Sources add up and count; what a double would
//! lose of a large sum, or of an order of adding, is not lost.

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
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use querygate_query_api::values::wide_numeric::{NEAREST_DOUBLE_KEY, WIDE_NUMERIC};
use std::sync::Arc;

/// A node that groups, with the averages in it taken apart.
pub(super) fn taken_apart(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut averages = Vec::with_capacity(aggregate.aggr_expr.len());
    for expr in &aggregate.aggr_expr {
        averages.push(average(expr, &aggregate)?);
    }
    if averages.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let mut aggr_expr: Vec<Expr> = Vec::with_capacity(aggregate.aggr_expr.len() + 1);
    let mut places = Vec::with_capacity(aggregate.aggr_expr.len());
    for (expr, average) in aggregate.aggr_expr.iter().zip(averages) {
        places.push(match average {
            None => (place_of(expr.clone(), &mut aggr_expr), None),
            Some(call) => {
                let of = |func: Arc<AggregateUDF>| {
                    Expr::AggregateFunction(AggregateFunction { func, params: call.params.clone() })
                };
                let sum = place_of(of(sum::function()), &mut aggr_expr);
                (sum, Some(place_of(of(count_udaf()), &mut aggr_expr)))
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
            Some((own, None)) => column(keys + own)?,
            Some((sum, Some(count))) => quotient(column(keys + sum)?, column(keys + count)?)?,
        };
        shown.push(renamed(value, qualifier, field.name()));
    }
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(regrouped)).project(shown)?.build().map(Transformed::yes)
}

/// The call of an average of whole numbers.
fn average(expr: &Expr, aggregate: &Aggregate) -> Result<Option<AggregateFunction>> {
    let call = match expr {
        Expr::AggregateFunction(call) => call,
        Expr::Alias(alias) => return average(&alias.expr, aggregate),
        _ => return Ok(None),
    };
    let [argument] = call.params.args.as_slice() else { return Ok(None) };
    let whole = call.func.name() == "avg" && is_whole(&argument.get_type(aggregate.input.schema())?);
    Ok(whole.then(|| call.clone()))
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
