//! Tables whose policy asks rows of other tables: a fragment decides it in the source, a governed leaf only above the rows that
//! it reads. So each such scan becomes a fragment, with what conditions above it a source may be given.

use crate::leak_proof::becomes_leak_proof;
use crate::opener::LeafOpener;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Filter, LogicalPlan, TableScan};

/// Whether the policy of this scan's table asks rows of others.
pub(crate) fn is_related(scan: &TableScan, opener: &dyn LeafOpener) -> bool {
    opener.open(scan).is_ok_and(|leaf| leaf.policy.is_some_and(|policy| policy.is_related()))
}

/// Parts the conditions directly above such scans: those that no row makes fail come first, so that they are in the scan's
/// fragment even where the others stay in the gate.
pub(crate) fn part_conditions(plan: LogicalPlan, opener: &dyn LeafOpener) -> Result<LogicalPlan> {
    let parted = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) if is_above_related(&filter.input, opener) => part(filter),
        other => Ok::<_, DataFusionError>(Transformed::no(other)),
    })?;
    Ok(parted.data)
}

fn is_above_related(input: &LogicalPlan, opener: &dyn LeafOpener) -> bool {
    match input {
        LogicalPlan::TableScan(scan) => is_related(scan, opener),
        LogicalPlan::SubqueryAlias(alias) => is_above_related(&alias.input, opener),
        _ => false,
    }
}

fn part(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let (first, rest): (Vec<_>, Vec<_>) = split_conjunction_owned(filter.predicate.clone())
        .into_iter()
        .partition(|one| becomes_leak_proof(one, filter.input.schema()));
    match (conjunction(first), conjunction(rest)) {
        (Some(first), Some(rest)) => {
            let below = LogicalPlan::Filter(Filter::try_new(first, filter.input)?);
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(rest, below.into())?)))
        }
        _ => Ok(Transformed::no(LogicalPlan::Filter(filter))),
    }
}
