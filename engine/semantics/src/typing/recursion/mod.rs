//! The table of a recursive query has the types of its first term: its second one gives the same ones, under the same names of types.
//! Knows no row.

pub(crate) mod numbers;

use crate::fault::external;
use crate::functions;
use crate::times::zone::Zone;
use crate::typing::binding::is_jsonb;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, RecursiveQuery};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The plan with such second terms.
///
/// # Errors
/// 42P19 where a second term has aggregates; 42804 where a number would become a numeric, or one of more digits.
pub(crate) fn aligned(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) => Ok(match by_value(&query, align(checked(&query)?)?)? {
            Some((first, second)) => {
                changed = true;
                let query = RecursiveQuery::try_new(query.name, first, second, query.is_distinct)?;
                Transformed::yes(LogicalPlan::RecursiveQuery(query))
            }
            None => Transformed::no(LogicalPlan::RecursiveQuery(query)),
        }),
        // What is above has the names that were.
        other if changed => other.recompute_schema().map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The query, unless its second term adds up what it reads: each round would see its own rows only, and there would be no last one.
pub(super) fn checked(query: &RecursiveQuery) -> Result<&RecursiveQuery> {
    let mut term = &query.recursive_term;
    loop {
        term = match term.as_ref() {
            LogicalPlan::Projection(node) => &node.input,
            LogicalPlan::Filter(node) => &node.input,
            LogicalPlan::Sort(node) => &node.input,
            LogicalPlan::Limit(node) => &node.input,
            LogicalPlan::Window(node) => &node.input,
            LogicalPlan::Distinct(node) => node.input(),
            LogicalPlan::Aggregate(node) if !node.aggr_expr.is_empty() => {
                let message = "aggregate functions are not allowed in a recursive query's recursive term";
                return Err(external(Error::new(ErrorCode::InvalidRecursion, message)));
            }
            _ => return Ok(query),
        };
    }
}

/// The first term and the second one.
type Terms = (Arc<LogicalPlan>, Arc<LogicalPlan>);

/// Both terms of a query that leaves out rows that it has, where columns of jsonb are among them: equal values are written alike, since
/// rows are compared as they are stored.
fn by_value(query: &RecursiveQuery, aligned: Option<Terms>) -> Result<Option<Terms>> {
    let terms = || (Arc::clone(&query.static_term), Arc::clone(&query.recursive_term));
    let (first, second) = aligned.clone().unwrap_or_else(terms);
    let is_told: Vec<bool> = first.schema().fields().iter().map(|field| is_jsonb(field)).collect();
    let shortest = functions::in_zone("jsonb_shortest", Zone::UTC);
    let Some(shortest) = shortest.filter(|_| query.is_distinct && is_told.contains(&true)) else { return Ok(aligned) };
    let written = |term: &Arc<LogicalPlan>| {
        let schema = term.schema();
        let columns = schema.iter().zip(&is_told).map(|((qualifier, field), is_told)| {
            let column = Expr::from((qualifier, field));
            let column = if *is_told {
                shortest.call(vec![column]).cast_to(field.data_type(), schema.as_ref())?
            } else {
                column
            };
            Ok(column.alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(Arc::clone(term)).project(columns)?.build().map(Arc::new)
    };
    Ok(Some((written(&first)?, written(&second)?)))
}

/// Both terms with the same names of types, where they differ.
fn align(query: &RecursiveQuery) -> Result<Option<Terms>> {
    let (first, second) = (query.static_term.schema(), query.recursive_term.schema());
    for (place, (own, other)) in first.fields().iter().zip(second.fields()).enumerate() {
        let numeric = matches!(other.data_type(), DataType::Decimal128(..)) && own.data_type().is_numeric();
        if numeric && own.data_type() != other.data_type() && !own.data_type().is_floating() {
            let (own, other) = (pg_type_of(own).sql_name(), pg_type_of(other).sql_name());
            return Err(external(mismatch(&query.name, place, &own, &other)));
        }
    }
    let differs = |(own, other): (&FieldRef, &FieldRef)| {
        own.data_type() == other.data_type() && own.metadata() != other.metadata()
    };
    if !first.fields().iter().zip(second.fields()).any(differs) {
        return Ok(None);
    }
    let targets: Vec<FieldMetadata> =
        first.fields().iter().zip(second.fields()).map(|(own, other)| common(own, other)).collect();
    Ok(Some((with(&query.static_term, &targets)?, with(&query.recursive_term, &targets)?)))
}

/// What both terms say of a column: an alias adds to what is known, and takes nothing away.
fn common(own: &FieldRef, other: &FieldRef) -> FieldMetadata {
    if own.data_type() != other.data_type() {
        return FieldMetadata::from(own.metadata().clone());
    }
    let mut all = other.metadata().clone();
    all.insert(PG_TYPE_KEY.to_owned(), pg_type_of(own).name().to_owned());
    all.extend(own.metadata().iter().map(|(key, value)| (key.clone(), value.clone())));
    FieldMetadata::from(all)
}

fn with(term: &Arc<LogicalPlan>, targets: &[FieldMetadata]) -> Result<Arc<LogicalPlan>> {
    let columns = targets.iter().zip(term.schema().iter()).map(|(metadata, (qualifier, field))| {
        Expr::from((qualifier, field)).alias_with_metadata(field.name(), Some(metadata.clone()))
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(Arc::clone(term)).project(columns)?.build().map(Arc::new)
}

/// That the first term's column is of a type that cannot hold the second one's.
pub(super) fn mismatch(query: &str, place: usize, own: &str, overall: &str) -> Error {
    let message = format!(
        "recursive query \"{query}\" column {} has type {own} in non-recursive term but type {overall} overall",
        place + 1,
    );
    Error::new(ErrorCode::DatatypeMismatch, message)
        .with_hint("Cast the output of the non-recursive term to the correct type.")
}
