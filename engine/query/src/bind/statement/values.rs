//! Values of parameters as a bound plan and fragments of sources take them.

use arrow::datatypes::DataType;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use querygate_driver_api::value::Value;
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_types::PgType;
use querygate_types::wire_rows::Given;
use std::collections::HashMap;

/// Values of parameters, doubles under the name of their type: without it they would be taken for numbers that were written with a point,
/// which are exact beside a decimal. In a statement with rows of VALUES they have none, since all of its rows are to be alike.
pub(super) fn named(values: Vec<ScalarValue>, plan: &LogicalPlan) -> ParamValues {
    let is_double = |value: &ScalarValue| matches!(value, ScalarValue::Float64(Some(_)));
    let names = values.iter().any(is_double) && !has_rows_of_values(plan);
    let name = || FieldMetadata::from(HashMap::from([(PG_TYPE_KEY.to_owned(), PgType::Float8.name().to_owned())]));
    let named = |value: ScalarValue| {
        let name = (names && is_double(&value)).then(name);
        ScalarAndMetadata::new(value, name)
    };
    ParamValues::List(values.into_iter().map(named).collect())
}

fn has_rows_of_values(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Values(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// A value as fragments take it, where it stands as it is in the type that the plan wants.
pub(super) fn as_it_stands(given: Given<'_>, planned: &DataType) -> Option<Value> {
    match (given, planned) {
        (Given::Boolean(value), DataType::Boolean) => Some(Value::Boolean(value)),
        (Given::Int16(value), DataType::Int16) => Some(Value::Int16(value)),
        (Given::Int32(value), DataType::Int32) => Some(Value::Int32(value)),
        (Given::Int64(value), DataType::Int64) => Some(Value::Int64(value)),
        (Given::Decimal { value, scale }, DataType::Decimal128(precision, wanted)) => {
            let scale = i8::try_from(scale).ok().filter(|scale| scale == wanted)?;
            let fits = value.unsigned_abs() < 10_u128.checked_pow(u32::from(*precision))?;
            fits.then_some(Value::Decimal128 { value, precision: *precision, scale })
        }
        (Given::Text(text), DataType::Utf8) => Some(Value::text(text)),
        _ => None,
    }
}
