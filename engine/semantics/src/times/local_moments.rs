//! Local times that stand for moments: PostgreSQL's `date_trunc` of a date is a moment at a midnight of the session's zone. Sources truncate
//! dates without a zone, and what groups, sorts and compares them does so alike by their local times, so they become moments only where
//! one sees it: in a statement's result, and where they are cast. Such a field has the type of a local time and a moment's name.

use super::zone::Zone;
use crate::casts::conversions::{conversion, named as name_of};
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use querygate_query_api::column::PG_TYPE_KEY;

const NAME: &str = "timestamptz";

/// A field of local times that is one.
pub(crate) fn named(field: Field) -> Field {
    field.with_metadata([(PG_TYPE_KEY.to_owned(), NAME.to_owned())].into())
}

pub(crate) fn is_one(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Timestamp(_, None)) && name_of(field) == Some(NAME)
}

/// An expression of such local times as moments.
pub(crate) fn moment(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Expr> {
    let (_, from) = expr.to_field(schema)?;
    let to = Field::new("", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Ok(match conversion(&from, &to, zone).filter(|_| is_one(&from)) {
        Some(function) => function.call(vec![expr]),
        None => expr,
    })
}

/// A call that gives such local times, or takes them for moments. Whether it was changed.
pub(crate) fn called(call: &mut ScalarFunction, schema: &DFSchema, zone: Zone) -> Result<bool> {
    let mut changed = false;
    match (call.name(), call.args.as_slice()) {
        ("date_trunc", [_, of]) if of.get_type(schema).is_ok_and(|of| of == DataType::Date32) => {
            let function = super::date_trunc::of_date();
            changed = call.func != function;
            call.func = function;
        }
        // These tell a moment from a local time.
        ("to_char" | "timezone", _) => {
            for arg in &mut call.args {
                if arg.to_field(schema).is_ok_and(|(_, field)| is_one(&field)) {
                    *arg = moment(std::mem::take(arg), schema, zone)?;
                    changed = true;
                }
            }
        }
        _ => {}
    }
    Ok(changed)
}

/// A statement whose result has the moments that are meant.
pub(crate) fn shown(plan: LogicalPlan, zone: Zone) -> Result<LogicalPlan> {
    let schema = plan.schema();
    if !schema.fields().iter().any(|field| is_one(field)) {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(qualifier, field)| {
        let column = Expr::from((qualifier, field));
        if !is_one(field) {
            return Ok(column);
        }
        Ok(moment(column, schema, zone)?.alias_qualified(qualifier.cloned(), field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
