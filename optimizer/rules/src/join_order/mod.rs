//! The order of inner joins, by estimated rows: which input is read first, and whose keys narrow which. Changes no answer;
//! knows no source.
//!
//! A hash join reads its left side first and tells its right side which keys can meet a row there; a fragment on the right
//! then fetches no other rows. So the dearest input, the one that crosses a wire, belongs to the right of whatever is small.

mod build;
mod group;
mod search;

use crate::estimate::{Estimator, count, of};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::Join;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use group::Group;
use querygate_types::limits::KEY_LIST_MAX;
use std::sync::Arc;

/// The rule. Belongs after DataFusion's own: one of those joins in the order in which tables are written.
#[derive(Debug)]
pub struct JoinOrder {
    estimator: Arc<dyn Estimator>,
}

impl JoinOrder {
    #[must_use]
    pub fn new(estimator: Arc<dyn Estimator>) -> Self {
        Self { estimator }
    }

    fn ordered(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let plan = plan.map_uncorrelated_subqueries(|subquery| self.ordered(subquery))?;
        plan.transform_sibling(|plan| match Group::of(&plan) {
            Some(group) => self.group(plan, group),
            None => plan.map_children(|input| self.ordered(input))?.transform_data(|plan| self.semi(plan)),
        })
    }

    fn group(&self, plan: LogicalPlan, mut group: Group) -> Result<Transformed<LogicalPlan>> {
        let sizes: Vec<_> = group.leaves.iter().map(|leaf| of(leaf, self.estimator.as_ref())).collect();
        // Where nothing crosses a wire, the order that was written stays.
        let order = if sizes.iter().any(|size| size.remote) { search::search(&group, &sizes) } else { None };
        let Some(order) = order else { return plan.map_children(|input| self.ordered(input)) };
        for leaf in &mut group.leaves {
            *leaf = self.ordered(std::mem::take(leaf))?.data;
        }
        Ok(Transformed::yes(build::build(&group, &order, &sizes, plan.schema())?))
    }

    /// A semi join whose kept side crosses a wire is better told the keys of the other side.
    fn semi(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
        if join.join_type != JoinType::LeftSemi || join.on.is_empty() || join.null_aware {
            return Ok(Transformed::no(plan));
        }
        let (kept, keys) = (of(&join.left, self.estimator.as_ref()), of(&join.right, self.estimator.as_ref()));
        let few = keys.rows <= count(KEY_LIST_MAX) && keys.rows < kept.rows;
        if !kept.remote || keys.remote || !few {
            return Ok(Transformed::no(plan));
        }
        let swapped = Join::try_new(
            Arc::clone(&join.right),
            Arc::clone(&join.left),
            join.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect(),
            join.filter.clone(),
            JoinType::RightSemi,
            join.join_constraint,
            join.null_equality,
            false,
        )?;
        Ok(Transformed::yes(LogicalPlan::Join(swapped)))
    }
}

impl OptimizerRule for JoinOrder {
    fn name(&self) -> &'static str {
        "join_order"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.ordered(plan)
    }
}
