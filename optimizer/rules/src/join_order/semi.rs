//! Puts a semi join over inner joins onto the one input whose rows it keeps, where it keeps few: what that input is joined with
//! is then read by fewer keys. Changes no answer: rows of one input are kept or not by their own columns alone, so it does not
//! matter when.

use super::MUCH;
use super::group::{below, is_inner};
use crate::estimate::{Estimator, of};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::sync::Arc;

/// The same plan with its topmost semi join lower. `None`: it is none, or it is as well where it is.
pub(super) fn lowered(plan: &LogicalPlan, estimator: &dyn Estimator) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Join(join) = plan else { return Ok(None) };
    if join.join_type != JoinType::LeftSemi || join.null_aware || join.filter.is_some() || !below(&join.left) {
        return Ok(None);
    }
    let Some(keys) = join.on.iter().map(|(left, _)| column(left)).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut way = Vec::new();
    let kept = keeps(&join.left, &keys, &mut way);
    if keys.is_empty() || way.is_empty() || !is_worth_it(join, kept, estimator) {
        return Ok(None);
    }
    replaced(join.left.as_ref().clone(), &way, &|kept| {
        let (right, on) = (Arc::clone(&join.right), join.on.clone());
        let (kind, constraint, nulls) = (join.join_type, join.join_constraint, join.null_equality);
        Ok(LogicalPlan::Join(Join::try_new(Arc::new(kept), right, on, None, kind, constraint, nulls, false)?))
    })
    .map(Some)
}

fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// The lowest input of inner joins that has all columns, and the way to it: which input of each node.
fn keeps<'a>(plan: &'a Arc<LogicalPlan>, keys: &[&Column], way: &mut Vec<usize>) -> &'a Arc<LogicalPlan> {
    let inputs: Vec<&Arc<LogicalPlan>> = match plan.as_ref() {
        LogicalPlan::Join(join) if is_inner(plan) => vec![&join.left, &join.right],
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) if !below(plan) => return plan,
        LogicalPlan::Projection(projection) => vec![&projection.input],
        LogicalPlan::Filter(filter) => vec![&filter.input],
        _ => return plan,
    };
    let has = |input: &LogicalPlan| keys.iter().all(|key| input.schema().has_column(key));
    let Some(place) = inputs.iter().position(|input| has(input)) else { return plan };
    way.push(place);
    keeps(inputs[place], keys, way)
}

/// The plan with the node at the end of a way exchanged for one of the same schema.
fn replaced(plan: LogicalPlan, way: &[usize], by: &dyn Fn(LogicalPlan) -> Result<LogicalPlan>) -> Result<LogicalPlan> {
    let Some((next, rest)) = way.split_first() else { return by(plan) };
    let mut place = 0;
    let replaced = plan.map_children(|input| {
        let here = place == *next;
        place += 1;
        if here { replaced(input, rest, by).map(Transformed::yes) } else { Ok(Transformed::no(input)) }
    })?;
    Ok(replaced.data)
}

/// Whether the other side has few keys beside the input's rows, of which the joins leave most. Not across a wire: there keys
/// are told to a source, which is decided by what it takes.
fn is_worth_it(join: &Join, kept: &LogicalPlan, estimator: &dyn Estimator) -> bool {
    let (whole, own, other) = (of(&join.left, estimator), of(kept, estimator), of(&join.right, estimator));
    let sure = whole.known && other.known && !whole.remote && !other.remote;
    sure && other.rows * MUCH < own.rows && own.rows < whole.rows * MUCH
}
