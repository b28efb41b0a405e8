//! NULL, or a literal, without a type in a branch of UNION takes the type of the other branches, as in PostgreSQL. Knows no set operation
//! but UNION: the others are joins that compare such columns already typed.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union};
use querygate_query_api::column::{arrow_type_of, pg_type_of};
use std::sync::Arc;

/// The plan with such columns cast, subqueries included.
pub(in crate::dialect) fn with_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => {
            let typed = types(&union);
            if typed.iter().all(Option::is_none) {
                // One among its inputs may have other types than it was planned with.
                let renewed = if changed { Union::try_new_with_loose_types(union.inputs)? } else { union };
                return Ok(Transformed::new_transformed(LogicalPlan::Union(renewed), changed));
            }
            changed = true;
            let inputs = union.inputs.iter().map(|input| cast(input, &typed)).collect::<Result<Vec<_>>>()?;
            Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
        }
        // What is above a changed union has its old types.
        other if changed => other.recompute_schema().map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// For each column that has no type in one branch, the field of the first branch that gives it one.
fn types(union: &Union) -> Vec<Option<FieldRef>> {
    let Some(first) = union.inputs.first() else { return Vec::new() };
    let field = |input: &Arc<LogicalPlan>, column: usize| input.schema().fields().get(column).cloned();
    (0..first.schema().fields().len())
        .map(|column| {
            let fields: Vec<FieldRef> = union.inputs.iter().filter_map(|input| field(input, column)).collect();
            let waits: Vec<bool> = union.inputs.iter().map(|input| waits(input, column)).collect();
            let mut typed = fields.iter().zip(&waits).filter(|(_, waits)| !**waits).map(|(field, _)| field);
            let first = typed.next().filter(|_| waits.contains(&true))?;
            // A literal is read as the others' type only where that is no text.
            let null = fields.iter().any(|f| f.data_type() == &DataType::Null);
            let all_small = union.inputs.iter().zip(&waits).all(|(input, waits)| *waits || is_small(input, column));
            let takes = null || !first.data_type().is_string();
            takes.then(
                || if *first.data_type() == DataType::Int64 && all_small { integer() } else { of_own_type(first) },
            )
        })
        .collect()
}

/// A field without the name of a type that is not its own: a union has what any of its inputs is called.
fn of_own_type(field: &FieldRef) -> FieldRef {
    let integers = field.data_type().is_integer();
    if integers && arrow_type_of(pg_type_of(field)).as_ref() != Some(field.data_type()) {
        return Arc::new(Field::new(field.name(), field.data_type().clone(), true));
    }
    Arc::clone(field)
}

fn integer() -> FieldRef {
    Arc::new(Field::new("", DataType::Int32, true))
}

/// Whether a branch's column is an integer, or a whole number as it was written, which will be one.
fn is_small(input: &LogicalPlan, column: usize) -> bool {
    let field = input.schema().fields().get(column);
    if field.is_some_and(|field| matches!(field.data_type(), DataType::Int16 | DataType::Int32)) {
        return true;
    }
    match input {
        LogicalPlan::Projection(projection) => {
            let item = projection.expr.get(column).cloned().map(Expr::unalias);
            matches!(item, Some(Expr::Literal(ScalarValue::Int64(Some(value)), None)) if i32::try_from(value).is_ok())
        }
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_small(input, column)),
        _ => false,
    }
}

/// Whether a branch's column has no type of its own: NULL, or a literal in quotes.
fn waits(input: &LogicalPlan, column: usize) -> bool {
    let Some(field) = input.schema().fields().get(column) else { return false };
    let literal = || match input {
        LogicalPlan::Projection(projection) => {
            let item = projection.expr.get(column).cloned().map(Expr::unalias);
            matches!(item, Some(Expr::Literal(ScalarValue::Utf8(Some(_)), None)))
        }
        _ => false,
    };
    field.data_type() == &DataType::Null || literal()
}

fn cast(input: &Arc<LogicalPlan>, typed: &[Option<FieldRef>]) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema();
    let columns = schema.iter().zip(typed).enumerate().map(|(place, ((qualifier, field), typed))| {
        let column = Expr::from((qualifier, field));
        match typed.as_ref().filter(|_| waits(input, place)) {
            Some(typed) => {
                let metadata = Some(FieldMetadata::from(typed.metadata().clone()));
                let cast = column.cast_to(typed.data_type(), schema.as_ref())?;
                Ok(cast.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata))
            }
            None => Ok(column),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build()?))
}
