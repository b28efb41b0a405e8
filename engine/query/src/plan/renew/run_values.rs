//! What expressions of a plan that is made anew read of its run: what subqueries of one value find, in a place of its own, and the
//! client's values.

use crate::rules::open_parameters::OpenParameter;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::physical_planning_context::ScalarSubqueryResults;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::scalar_subquery::{ScalarSubqueryExec, ScalarSubqueryLink};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_catalog::remote::Arguments;
use std::any::Any;
use std::sync::Arc;

/// Whether a node's expressions can be made anew.
pub(super) fn is_rewritable(node: &Arc<dyn ExecutionPlan>) -> bool {
    let any: &dyn Any = node.as_ref();
    any.is::<FilterExec>() || any.is::<ProjectionExec>()
}

/// What expressions of one run read.
pub(super) struct RunValues<'a> {
    /// What its subqueries found, beside the place of the kept plan that it stands for.
    found: Vec<(ScalarSubqueryResults, ScalarSubqueryResults)>,
    arguments: &'a Arguments,
}

impl<'a> RunValues<'a> {
    pub(super) const fn new(arguments: &'a Arguments) -> Self {
        Self { found: Vec::new(), arguments }
    }

    /// A place for what the subqueries of this node find, for all that is below it.
    pub(super) fn open(&mut self, node: &Arc<dyn ExecutionPlan>) -> Result<()> {
        let Some(node) = node.downcast_ref::<ScalarSubqueryExec>() else {
            return internal_err!("no subquery is run here");
        };
        let fresh = ScalarSubqueryResults::new(node.subqueries().len());
        self.found.push((node.results().clone(), fresh));
        Ok(())
    }

    /// The node over its new inputs: the plan that reads what subqueries find, and the plans of these in their order.
    pub(super) fn node(
        &self,
        kept: &Arc<dyn ExecutionPlan>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(kept) = kept.downcast_ref::<ScalarSubqueryExec>() else {
            return internal_err!("no subquery is run here");
        };
        let mut children = children.into_iter();
        let (Some(input), Some(results)) = (children.next(), self.of(kept.results())) else {
            return internal_err!("a plan with subqueries has no input");
        };
        let links = kept.subqueries().iter().zip(children);
        let links = links.map(|(link, plan)| ScalarSubqueryLink { plan, index: link.index }).collect();
        Ok(Arc::new(ScalarSubqueryExec::new(input, links, results.clone())))
    }

    /// A node of [`is_rewritable`] over its new input, which reads what the subqueries of this run find, and its values.
    pub(super) fn reader(
        &self,
        kept: &Arc<dyn ExecutionPlan>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(filter) = kept.downcast_ref::<FilterExec>() {
            let condition = self.expression(filter.predicate())?;
            let builder = FilterExecBuilder::from(filter).with_input(input).with_predicate(condition);
            return Ok(Arc::new(builder.build()?));
        }
        let Some(projection) = kept.downcast_ref::<ProjectionExec>() else {
            return internal_err!("a node reads a subquery that cannot be made anew");
        };
        let columns = projection
            .expr()
            .iter()
            .map(|column| Ok(ProjectionExpr { expr: self.expression(&column.expr)?, alias: column.alias.clone() }));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        // What the planner knows of columns beside their Arrow type is in the schema alone.
        let renewed = ProjectionExec::try_new_with_schema_metadata(columns, input, projection.schema().as_ref())?;
        Ok(Arc::new(renewed))
    }

    fn of(&self, kept: &ScalarSubqueryResults) -> Option<&ScalarSubqueryResults> {
        self.found.iter().find(|(other, _)| ScalarSubqueryResults::ptr_eq(other, kept)).map(|(_, fresh)| fresh)
    }

    fn expression(&self, kept: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let fresh = Arc::clone(kept).transform_up(|part| {
            if let Some(parameter) = OpenParameter::of(part.as_ref()) {
                return Ok(Transformed::yes(parameter.filled(self.arguments)?));
            }
            let Some(value) = part.downcast_ref::<ScalarSubqueryExpr>() else { return Ok(Transformed::no(part)) };
            let Some(results) = self.of(value.results()) else {
                return internal_err!("a subquery of a kept plan is not known");
            };
            let results = results.clone();
            Ok(Transformed::yes(Arc::new(with_results(value, results)?) as _))
        })?;
        Ok(fresh.data)
    }
}

#[expect(deprecated, reason = "nothing else tells which of several subqueries an expression reads")]
fn with_results(kept: &ScalarSubqueryExpr, results: ScalarSubqueryResults) -> Result<ScalarSubqueryExpr> {
    Ok(ScalarSubqueryExpr::new(kept.data_type().clone(), kept.nullable(), kept.index(), results))
}

#[cfg(test)]
mod tests;
