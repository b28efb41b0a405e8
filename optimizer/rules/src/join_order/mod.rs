//! The order of joins, by estimated rows: which input is read first, and whose keys narrow which. Changes no answer; knows no
//! source.
//!
//! A hash join reads its left side first and tells its right side which keys can meet a row there; a fragment on the right
//! then fetches no other rows. So the dearest input, the one that crosses a wire, belongs to the right of whatever is small.

mod build;
mod group;
mod search;

use crate::estimate::{Estimator, count, of};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use group::Group;
use querygate_types::limits::KEY_LIST_MAX;
use std::sync::Arc;

/// How much smaller the other side of a local join must be to change places: estimates err, and written order is no worse
/// than a wrong guess.
const MUCH: f64 = 2.0;

/// How much wider rows count for as many more: the time of a join goes with rows, its memory with bytes.
const WIDER_MAX: f64 = 4.0;

/// The order of inner joins. Belongs after those rules of DataFusion's that join in the order in which tables are written, and before the one that leaves out
/// columns: joins in another order hand on other ones.
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
            None => plan.map_children(|input| self.ordered(input)),
        })
    }

    fn group(&self, plan: LogicalPlan, mut group: Group) -> Result<Transformed<LogicalPlan>> {
        let sizes: Vec<_> = group.leaves.iter().map(|leaf| of(leaf, self.estimator.as_ref())).collect();
        // Where nothing crosses a wire and sizes are guesses, the order that was written is as good as any.
        let worth = sizes.iter().any(|size| size.remote) || sizes.iter().all(|size| size.known);
        let order = if worth { search::search(&group, &sizes) } else { None };
        let Some(order) = order else { return plan.map_children(|input| self.ordered(input)) };
        for leaf in &mut group.leaves {
            *leaf = self.ordered(std::mem::take(leaf))?.data;
        }
        let built = build::build(&group, &order, &sizes, plan.schema())?;
        // A rule that changes nothing in the second round of all rules spares the third.
        Ok(if build::joins_alike(&built, &plan) { Transformed::no(plan) } else { Transformed::yes(built) })
    }
}

/// The sides of joins that are no inner ones. Belongs after the rule that leaves out columns: how wide their rows are counts.
#[derive(Debug)]
pub struct JoinSides {
    estimator: Arc<dyn Estimator>,
}

impl JoinSides {
    #[must_use]
    pub fn new(estimator: Arc<dyn Estimator>) -> Self {
        Self { estimator }
    }

    fn sided(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let plan = plan.map_uncorrelated_subqueries(|subquery| self.sided(subquery))?;
        let plan = plan.transform_sibling(|plan| plan.map_children(|input| self.sided(input)))?;
        plan.transform_data(|plan| self.sides(plan))
    }

    /// A join that is no inner one, with its sides in the better order: the left one is read first and kept in memory.
    fn sides(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
        if join.on.is_empty() || join.null_aware {
            return Ok(Transformed::no(plan));
        }
        let Some(mirrored) = mirrored(join.join_type) else { return Ok(Transformed::no(plan)) };
        let (left, right) = (of(&join.left, self.estimator.as_ref()), of(&join.right, self.estimator.as_ref()));
        let better = if left.remote || right.remote {
            // A semi join whose kept side crosses a wire is better told the keys of the other side.
            let few = right.rows <= count(KEY_LIST_MAX) && right.rows < left.rows;
            let takes_keys = join.join_type == JoinType::LeftSemi && left.remote && !right.remote && few;
            // No source takes a list of keys beyond that length; the few rows beyond the wire are the side to collect.
            let too_many = !left.remote && left.rows > count(KEY_LIST_MAX) && left.known && right.known;
            takes_keys || (too_many && right.rows * MUCH < left.rows)
        } else {
            left.known && right.known && right.rows * MUCH < left.rows * width_ratio(join)
        };
        if !better {
            return Ok(Transformed::no(plan));
        }
        let swapped = LogicalPlan::Join(Join::try_new(
            Arc::clone(&join.right),
            Arc::clone(&join.left),
            join.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect(),
            join.filter.clone(),
            mirrored,
            join.join_constraint,
            join.null_equality,
            false,
        )?);
        let wanted = plan.schema().columns();
        if swapped.schema().columns() == wanted {
            return Ok(Transformed::yes(swapped));
        }
        let columns = wanted.into_iter().map(Expr::Column);
        Ok(Transformed::yes(LogicalPlanBuilder::from(swapped).project(columns)?.build()?))
    }
}

/// How much wider the rows of the left side are, as they are kept in memory: a semi or anti join needs the keys of its right side alone,
/// and the rows of the other side as they are.
fn width_ratio(join: &Join) -> f64 {
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => {
            let columns = |side: &LogicalPlan| count(side.schema().fields().len().max(1));
            (columns(&join.left) / columns(&join.right)).clamp(1.0, WIDER_MAX)
        }
        JoinType::Inner
        | JoinType::Left
        | JoinType::Right
        | JoinType::Full
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::LeftMark
        | JoinType::RightMark => 1.0,
    }
}

/// The same join with its sides exchanged. `None`: inner joins are ordered with their group, and mark joins know one form.
fn mirrored(kind: JoinType) -> Option<JoinType> {
    match kind {
        JoinType::Left => Some(JoinType::Right),
        JoinType::Right => Some(JoinType::Left),
        JoinType::LeftSemi => Some(JoinType::RightSemi),
        JoinType::RightSemi => Some(JoinType::LeftSemi),
        JoinType::LeftAnti => Some(JoinType::RightAnti),
        JoinType::RightAnti => Some(JoinType::LeftAnti),
        JoinType::Inner | JoinType::Full | JoinType::LeftMark | JoinType::RightMark => None,
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

impl OptimizerRule for JoinSides {
    fn name(&self) -> &'static str {
        "join_sides"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.sided(plan)
    }
}
