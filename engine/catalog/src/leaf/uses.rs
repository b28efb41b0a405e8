//! How a plan uses the columns of a leaf over files in joins, groups and orders above it. Knows names, and no value.

use super::exec::GovernedExec;
use crate::metrics::{FileLeaf, MOST, Uses};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_operators::PlainSortExec;
use std::any::Any;
use std::sync::Arc;

/// Tells the leaves over files of a plan what is done above them with their columns. A column is known by its name; one that
/// several leaves have belongs to none.
pub fn tell_uses(plan: &Arc<dyn ExecutionPlan>) {
    let mut leaves = Vec::new();
    walk(plan, &mut leaves);
}

/// A leaf over files, with the columns that it shows as they are stored.
type Leaf<'a> = (&'a Arc<FileLeaf>, &'a GovernedExec);

/// Adds the leaves below a node.
fn walk<'a>(plan: &'a Arc<dyn ExecutionPlan>, leaves: &mut Vec<Leaf<'a>>) {
    let any: &dyn Any = plan.as_ref();
    if let Some(governed) = any.downcast_ref::<GovernedExec>() {
        leaves.extend(governed.reads().map(|leaf| (leaf, governed)));
        return;
    }
    let begin = leaves.len();
    let mut starts = Vec::new();
    for child in plan.children() {
        starts.push(leaves.len());
        walk(child, leaves);
    }
    if leaves.len() == begin {
        return;
    }
    let leaves: &[Leaf<'_>] = leaves;
    let below = |child: usize| {
        let from = starts.get(child).copied().unwrap_or(leaves.len());
        let to = starts.get(child + 1).copied().unwrap_or(leaves.len());
        leaves.get(from..to).unwrap_or_default()
    };
    let joined = if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        join.on()
    } else if let Some(join) = any.downcast_ref::<SortMergeJoinExec>() {
        join.on()
    } else {
        &[]
    };
    for (left, right) in joined {
        for (child, expr) in [left, right].into_iter().enumerate() {
            record_use(below(child), expr, |uses, name| push(&mut uses.join, name));
        }
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        for (expr, _) in aggregate.group_expr().expr() {
            record_use(below(0), expr, |uses, name| push(&mut uses.group, name));
        }
    }
    let plain = any.downcast_ref::<PlainSortExec>().map(PlainSortExec::planned);
    if let Some(sort) = any.downcast_ref::<SortExec>().or(plain) {
        for key in sort.expr() {
            record_use(below(0), &key.expr, |uses, name| push(&mut uses.order, (name, key.options.descending)));
        }
    }
}

fn record_use(leaves: &[Leaf<'_>], expr: &Arc<dyn PhysicalExpr>, tell: impl Fn(&mut Uses, String)) {
    let Some(column) = expr.downcast_ref::<Column>() else { return };
    let mut of = leaves.iter().filter(|(_, governed)| governed.is_open_column(column.name()));
    if let (Some((leaf, _)), None) = (of.next(), of.next()) {
        tell(&mut leaf.uses(), column.name().to_owned());
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST && !list.contains(&item) {
        list.push(item);
    }
}
