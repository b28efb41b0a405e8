//! The table of a recursive query has the types of its first term: its second one gives the same ones, under the same names of types.
//! Knows no row.

use super::fault::external;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery};
use querygate_query_api::pg_type_of;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The plan with such second terms.
///
/// # Errors
/// 42804 where a number would become a numeric, or one of more digits.
pub(super) fn aligned(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) => Ok(match align(&query)? {
            Some(term) => {
                let query = RecursiveQuery { recursive_term: Arc::new(term), ..query };
                Transformed::yes(LogicalPlan::RecursiveQuery(query))
            }
            None => Transformed::no(LogicalPlan::RecursiveQuery(query)),
        }),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

fn align(query: &RecursiveQuery) -> Result<Option<LogicalPlan>> {
    let (first, second) = (query.static_term.schema(), query.recursive_term.schema());
    for (place, (own, other)) in first.fields().iter().zip(second.fields()).enumerate() {
        let numeric = matches!(other.data_type(), DataType::Decimal128(..)) && own.data_type().is_numeric();
        if numeric && own.data_type() != other.data_type() && !own.data_type().is_floating() {
            return Err(external(mismatch(query, place, own, other)));
        }
    }
    let alike = |(own, other): (&FieldRef, &FieldRef)| {
        own.data_type() != other.data_type() || own.metadata() == other.metadata()
    };
    if first.fields().iter().zip(second.fields()).all(alike) {
        return Ok(None);
    }
    let columns = first.fields().iter().zip(second.iter()).map(|(own, (qualifier, field))| {
        let metadata = FieldMetadata::from(own.metadata().clone());
        Expr::from((qualifier, field)).alias_with_metadata(field.name(), Some(metadata))
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(Arc::clone(&query.recursive_term)).project(columns)?.build().map(Some)
}

fn mismatch(query: &RecursiveQuery, place: usize, own: &FieldRef, other: &FieldRef) -> Error {
    let message = format!(
        "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
        query.name,
        place + 1,
        pg_type_of(own).sql_name(),
        pg_type_of(other).sql_name(),
    );
    Error::new(ErrorCode::DatatypeMismatch, message)
        .with_hint("Cast the output of the non-recursive term to the correct type.")
}
