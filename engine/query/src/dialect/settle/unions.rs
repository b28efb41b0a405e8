//! NULL, or a literal, without a type in a branch of UNION takes the type of the other branches, as in PostgreSQL. Knows no set operation
//! but UNION: the others are joins that compare such columns already typed.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union};
use std::sync::Arc;

/// The plan with such columns cast, subqueries included.
pub(in crate::dialect) fn with_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => {
            let typed = types(&union);
            if typed.iter().all(Option::is_none) {
                return Ok(Transformed::no(LogicalPlan::Union(union)));
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
            (null || !first.data_type().is_string()).then(|| Arc::clone(first))
        })
        .collect()
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
