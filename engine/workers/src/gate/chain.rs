//! The operators right above a governed leaf that could be worked where its rows are read: conditions and columns, up to a partial
//! aggregate or first rows.

use crate::part::{Link, is_sent};
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use querygate_catalog::GatheringExec;
use querygate_catalog::leaf::GovernedExec;
use querygate_resources::MeteredExec;
use querygate_resources::memory::Constants;
use std::sync::Arc;

/// A leaf with what is above it.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) leaf: Arc<dyn ExecutionPlan>,
    /// From the lowest up.
    pub(super) links: Vec<Link>,
    pub(super) top: Top,
}

/// What comes out at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// Some of the rows.
    Rows,
    /// States of aggregates, which another operator adds up.
    States,
    /// Aggregates: their states are to be added up above.
    Aggregates,
    /// First rows of an order.
    First,
}

/// The chain whose topmost operator a node is. `None`: it is none that gives less than its leaf.
pub(super) fn chain_of(node: &Arc<dyn ExecutionPlan>) -> Option<Chain> {
    // What deals rows out stays, and is visited again with what is below it.
    if passes_on(node, false) {
        return None;
    }
    let (mut links, mut metered, mut dealt, mut at) = (Vec::new(), false, false, Arc::clone(node));
    while at.downcast_ref::<GovernedExec>().is_none() {
        if let Some(join) = at.downcast_ref::<HashJoinExec>() {
            let below = Arc::clone(join.right());
            // Its rows may be more than the leaf's.
            let side = if links.is_empty() { None } else { small_side(join) };
            dealt = *join.partition_mode() == PartitionMode::Partitioned;
            links.push(Link { side: Some(side?), operator: at, metered });
            (metered, at) = (false, below);
            continue;
        }
        let below = match at.children().as_slice() {
            [below] => Arc::clone(below),
            _ => return None,
        };
        if at.downcast_ref::<MeteredExec>().is_some() {
            metered = true;
        } else if !passes_on(&at, dealt) {
            if !is_step(&at, links.is_empty()) {
                return None;
            }
            links.push(Link { operator: at, metered, side: None });
            (metered, dealt) = (false, false);
        }
        at = below;
    }
    let top = top_of(&links)?;
    links.reverse();
    // The first rows that the leaf gives are those of all its streams together.
    let whole = at.downcast_ref::<GovernedExec>().is_some_and(|leaf| leaf.fetch().is_none());
    whole.then_some(Chain { leaf: at, links, top })
}

/// Whether an operator gives what it is given. `dealt`: its rows are dealt out for a join, which needs them all in one place here.
fn passes_on(node: &Arc<dyn ExecutionPlan>, dealt: bool) -> bool {
    let repartition = node.downcast_ref::<RepartitionExec>();
    repartition.is_some_and(|one| dealt || matches!(one.partitioning(), Partitioning::RoundRobinBatch(_)))
        || node.downcast_ref::<GatheringExec>().is_some()
        || node.downcast_ref::<CooperativeExec>().is_some()
}

fn is_step(node: &Arc<dyn ExecutionPlan>, topmost: bool) -> bool {
    if node.downcast_ref::<FilterExec>().is_some() || node.downcast_ref::<ProjectionExec>().is_some() {
        return true;
    }
    let first = node.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
    topmost && (first || node.downcast_ref::<AggregateExec>().is_some())
}

/// `links`: from the topmost down.
fn top_of(links: &[Link]) -> Option<Top> {
    let top = links.first()?;
    if let Some(aggregate) = top.operator.downcast_ref::<AggregateExec>() {
        return match aggregate.mode() {
            AggregateMode::Partial => Some(Top::States),
            AggregateMode::Single => Some(Top::Aggregates),
            AggregateMode::Final
            | AggregateMode::FinalPartitioned
            | AggregateMode::SinglePartitioned
            | AggregateMode::PartialReduce => None,
        };
    }
    if top.operator.downcast_ref::<SortExec>().is_some() {
        return Some(Top::First);
    }
    // What it makes may be longer than what it is made of.
    let grows = top.metered && top.operator.downcast_ref::<ProjectionExec>().is_some();
    if links.iter().any(|link| link.side.is_some()) {
        return None;
    }
    let narrows = links.iter().any(|link| link.operator.downcast_ref::<FilterExec>().is_some());
    (narrows && !grows).then_some(Top::Rows)
}

/// Bytes of files that the small side of a join may read: what is made of them is sent with each part.
const SIDE_FILES_MAX: u64 = 8 << 20;

/// The side of a join that could be sent along, as one stream. `None`: it is not known to be small, or is another one in each round of
/// a recursion.
fn small_side(join: &HashJoinExec) -> Option<Arc<dyn ExecutionPlan>> {
    if !is_sent(join) {
        return None;
    }
    let mut side = Arc::clone(join.left());
    while *join.partition_mode() == PartitionMode::Partitioned {
        let is_dealt =
            side.downcast_ref::<RepartitionExec>().is_some() || side.downcast_ref::<GatheringExec>().is_some();
        match side.children().as_slice() {
            [below] if is_dealt => side = Arc::clone(below),
            _ => break,
        }
    }
    let bytes = file_bytes(&side)?;
    if bytes > SIDE_FILES_MAX {
        return None;
    }
    Some(match side.output_partitioning().partition_count() {
        1 => side,
        _ => Arc::new(CoalescePartitionsExec::new(side)),
    })
}

/// Bytes of a file that are read.
pub(super) fn read_bytes(file: &PartitionedFile) -> u64 {
    match &file.range {
        Some(range) => u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0),
        None => file.object_meta.size,
    }
}

/// Bytes of the files under a plan. `None`: something else is under it.
fn file_bytes(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    if let Some(leaf) = plan.downcast_ref::<GovernedExec>() {
        let groups = leaf.file_groups()?;
        return Some(groups.iter().flat_map(|group| group.files()).map(read_bytes).sum());
    }
    if plan.downcast_ref::<WorkTableExec>().is_some() || plan.children().is_empty() {
        return None;
    }
    plan.children().into_iter().map(file_bytes).sum()
}

/// The operators over another leaf, each join with the whole of its other side.
pub(super) fn over(links: &[Link], leaf: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    links.iter().try_fold(leaf, |below, link| {
        let operator = match (&link.side, link.operator.downcast_ref::<HashJoinExec>()) {
            (Some(side), Some(join)) => {
                let columns = join.projection.as_ref().map(|columns| columns.to_vec());
                let (on, filter, nulls) = (join.on().to_vec(), join.filter().cloned(), join.null_equality());
                let (side, mode) = (Arc::clone(side), PartitionMode::CollectLeft);
                let kind = join.join_type();
                let joined = HashJoinExec::try_new(side, below, on, filter, kind, columns, mode, nulls, false)?;
                Arc::new(joined) as Arc<dyn ExecutionPlan>
            }
            _ => replace_children_if_necessary(Arc::clone(&link.operator), vec![below])?,
        };
        if link.metered { MeteredExec::around(operator, Constants::default()) } else { Ok(operator) }
    })
}
