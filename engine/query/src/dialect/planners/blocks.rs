//! What a block of FROM tells of its columns. The engine's binder groups by whatever it takes to be decided by what a
//! statement groups by, and counts by rows where it takes what a window sorts by to be unique. Of groupings, of unnested rows
//! and of outer joins in a block below it often takes it wrongly. PostgreSQL asks primary keys of tables in the same block
//! only, and here the binder gets no other keys. Knows no table.

use datafusion::common::{DFSchemaRef, FunctionalDependencies, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection, SubqueryAlias};
use datafusion::sql::sqlparser::ast::{TableFactor, TableSample, TableSampleKind, TableSampleModifier};
use querygate_query_api::column::TYPE_MODIFIER_KEY;
use std::sync::Arc;

/// Binds subselects, common table expressions and views as the engine does, and forgets what it concluded.
#[derive(Debug)]
pub(crate) struct Blocks;

impl RelationPlanner for Blocks {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let mark = match &mut relation {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample,
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        // The engine asks again for what it is given. Samples are refused before binding, so one is a mark of ours.
        if mark.take().is_some() {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        *mark = Some(seen());
        let plan = untold(context.plan(relation)?)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn seen() -> TableSampleKind {
    TableSampleKind::AfterTableAlias(Box::new(TableSample {
        modifier: TableSampleModifier::TableSample,
        name: None,
        quantity: None,
        seed: None,
        bucket: None,
        offset: None,
    }))
}

/// The plan of a relation, which says nothing of what decides what unless it is a table.
fn untold(plan: LogicalPlan) -> Result<LogicalPlan> {
    if is_table(&plan) || plan.schema().functional_dependencies().is_empty() {
        return Ok(plan);
    }
    Ok(match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let input = untold(Arc::unwrap_or_clone(alias.input))?;
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias)?)
        }
        LogicalPlan::Projection(mut projection) => {
            projection.schema = bare(projection.schema)?;
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::Filter(mut filter) => {
            filter.input = Arc::new(untold(Arc::unwrap_or_clone(filter.input))?);
            LogicalPlan::Filter(filter)
        }
        LogicalPlan::Sort(mut sort) => {
            sort.input = Arc::new(untold(Arc::unwrap_or_clone(sort.input))?);
            LogicalPlan::Sort(sort)
        }
        LogicalPlan::Limit(mut limit) => {
            limit.input = Arc::new(untold(Arc::unwrap_or_clone(limit.input))?);
            LogicalPlan::Limit(limit)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            LogicalPlan::Distinct(Distinct::All(Arc::new(untold(Arc::unwrap_or_clone(input))?)))
        }
        other => {
            let columns = other.schema().iter().map(Expr::from).collect();
            let schema = bare(Arc::clone(other.schema()))?;
            LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(other), schema)?)
        }
    })
}

/// A table, perhaps under another name, with other names of its columns, or with fewer rows.
fn is_table(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_table(&alias.input),
        LogicalPlan::Filter(filter) => is_table(&filter.input),
        LogicalPlan::Projection(renamed) => renamed.expr.iter().all(is_column) && is_table(&renamed.input),
        _ => false,
    }
}

/// A column, perhaps one that is taken for a decimal until the statement is bound.
fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_column(&alias.expr),
        Expr::Cast(cast) => {
            let unnamed = cast.field.metadata().get(TYPE_MODIFIER_KEY).is_some_and(|places| places == "any");
            unnamed && is_column(&cast.expr)
        }
        _ => false,
    }
}

fn bare(schema: DFSchemaRef) -> Result<DFSchemaRef> {
    let schema = Arc::unwrap_or_clone(schema);
    Ok(Arc::new(schema.with_functional_dependencies(FunctionalDependencies::empty())?))
}
