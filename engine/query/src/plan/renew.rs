//! A physical plan for one more run of a statement, from one that is kept and never run. Every node is made anew, over leaves of the
//! run's own: no row, count or filter of one run is seen by another. The nodes that this is known of are a closed list.

mod run_values;

use crate::dialect::subqueries::apply::ApplyExec;
use crate::plan::renew::run_values::{RunValues, is_rewritable};
use crate::rules::open_parameters::OpenParameter;
use crate::rules::repairs::drop_unsound_equivalences::UnorderedExec;
use crate::rules::share_equal_inputs::{RenewedRows, SharedExec};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_catalog::GatheringExec;
use querygate_catalog::leaf::{GovernedExec, RenewedSides};
use querygate_catalog::remote::Arguments;
use querygate_operators::{NullAwareAntiJoinExec, PerfectHashAggregateExec, PlainSortExec};
use querygate_pg_catalog::SystemTableExec;
use querygate_resources::MeteredExec;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// How a node is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A governed leaf, which makes its own next one.
    Leaf,
    /// A leaf that holds nothing.
    Empty,
    /// Its properties stay, and what a run leaves in it is made anew with its inputs.
    Inputs,
    HashJoin,
    Sort,
    Gathering,
    /// One of several places that read the same rows.
    Shared,
    /// Runs subqueries of one value, which its first input reads.
    Subqueries,
}

fn kind(node: &Arc<dyn ExecutionPlan>) -> Option<Kind> {
    let any: &dyn Any = node.as_ref();
    let inputs = any.is::<ProjectionExec>()
        || any.is::<FilterExec>()
        || any.is::<AggregateExec>()
        || any.is::<NullAwareAntiJoinExec>()
        || any.is::<PerfectHashAggregateExec>()
        || any.is::<CoalescePartitionsExec>()
        || any.is::<RepartitionExec>()
        || any.is::<CrossJoinExec>()
        || any.is::<NestedLoopJoinExec>()
        || any.is::<SortPreservingMergeExec>()
        || any.is::<GlobalLimitExec>()
        || any.is::<LocalLimitExec>()
        || any.is::<UnionExec>()
        || any.is::<CooperativeExec>()
        || any.is::<UnnestExec>()
        || any.is::<UnorderedExec>()
        || any.is::<MeteredExec>()
        || any.is::<PlainSortExec>()
        || any.downcast_ref::<ApplyExec>().is_some_and(ApplyExec::is_of_catalog);
    if inputs {
        return Some(Kind::Inputs);
    }
    if any.is::<HashJoinExec>() {
        return Some(Kind::HashJoin);
    }
    if any.is::<SortExec>() {
        return Some(Kind::Sort);
    }
    if any.is::<GatheringExec>() {
        return Some(Kind::Gathering);
    }
    if any.is::<SharedExec>() {
        return Some(Kind::Shared);
    }
    if any.is::<ScalarSubqueryExec>() {
        return Some(Kind::Subqueries);
    }
    if let Some(leaf) = any.downcast_ref::<GovernedExec>() {
        return leaf.is_renewable().then_some(Kind::Leaf);
    }
    // A relation of the catalog gives each run the rows that it has then.
    let holds_nothing = any.is::<EmptyExec>() || any.is::<PlaceholderRowExec>() || any.is::<SystemTableExec>();
    holds_nothing.then_some(Kind::Empty)
}

/// A plan that can be made anew. It is never run itself.
#[derive(Debug)]
pub(crate) struct Renewable {
    plan: Arc<dyn ExecutionPlan>,
    leaves: Vec<Arc<dyn ExecutionPlan>>,
    /// The columns of each filter that a join or a sort fills while it runs, by the filter's number.
    filters: Vec<(u64, Vec<Arc<dyn PhysicalExpr>>)>,
    nodes: usize,
    /// How many applies keep what they found for the next run.
    applies: usize,
}

impl Renewable {
    /// `None`: some node is not on the list, or fills a filter in a way that is not known.
    pub(crate) fn of(plan: Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let mut renewable =
            Self { plan: Arc::clone(&plan), leaves: Vec::new(), filters: Vec::new(), nodes: 0, applies: 0 };
        Ok(renewable.admits(&plan)?.then_some(renewable))
    }

    /// Its governed leaves, in order.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &GovernedExec> {
        self.leaves.iter().filter_map(|leaf| (leaf.as_ref() as &dyn Any).downcast_ref())
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(crate) fn applies(&self) -> usize {
        self.applies
    }

    fn admits(&mut self, node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
        self.nodes += 1;
        self.applies += usize::from(node.is::<ApplyExec>());
        let Some(kind) = kind(node) else { return Ok(false) };
        if is_of_run(node)? && !is_rewritable(node) {
            return Ok(false);
        }
        let admitted = match kind {
            Kind::Leaf => {
                self.leaves.push(Arc::clone(node));
                true
            }
            Kind::Empty => true,
            Kind::Inputs | Kind::Gathering | Kind::Shared | Kind::Subqueries => {
                node.dynamic_expressions_produced().is_empty() && !holds::<DynamicFilterPhysicalExpr>(node)?
            }
            Kind::HashJoin | Kind::Sort => self.admits_filter(node)?,
        };
        if !admitted {
            return Ok(false);
        }
        for child in node.children() {
            if !self.admits(child)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the filter that a join or a sort fills, if any, reads the columns that one made anew would.
    fn admits_filter(&mut self, node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
        let produced = node.dynamic_expressions_produced();
        let Some((filter, [])) = produced.split_first() else { return Ok(produced.is_empty()) };
        let any: &dyn Any = node.as_ref();
        let columns: Vec<Arc<dyn PhysicalExpr>> = if let Some(join) = any.downcast_ref::<HashJoinExec>() {
            join.on().iter().map(|(_, probe)| Arc::clone(probe)).collect()
        } else if let Some(sort) = any.downcast_ref::<SortExec>() {
            sort.expr().iter().map(|key| Arc::clone(&key.expr)).collect()
        } else {
            return Ok(false);
        };
        let same = filter.children().into_iter().eq(columns.iter());
        let Some(number) = filter.expression_id().filter(|_| same) else { return Ok(false) };
        self.filters.push((number, columns));
        Ok(true)
    }

    /// Filters for one run.
    pub(crate) fn fresh_filters(&self) -> FreshFilters {
        let fresh = |(number, columns): &(u64, Vec<Arc<dyn PhysicalExpr>>)| {
            (*number, Arc::new(DynamicFilterPhysicalExpr::new(columns.clone(), lit(true))))
        };
        FreshFilters(self.filters.iter().map(fresh).collect())
    }

    /// The plan for one run with its values, over leaves of its own in the order of [`Renewable::leaves`].
    pub(crate) fn over(
        &self,
        leaves: Vec<Arc<dyn ExecutionPlan>>,
        filters: &FreshFilters,
        arguments: &Arguments,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut renewal = Renewal {
            leaves: leaves.into_iter(),
            filters,
            sides: RenewedSides::default(),
            rows: RenewedRows::default(),
            values: RunValues::new(arguments),
        };
        let plan = renewal.node(&self.plan)?;
        if renewal.leaves.next().is_some() { internal_err!("a plan was renewed without its leaves") } else { Ok(plan) }
    }
}

/// Whether an expression of this kind is part of one of a node's.
fn holds<E: PhysicalExpr>(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    has_part(node, |part| part.is::<E>())
}

/// Whether a part of a node's expressions is another one in each run: what a subquery finds, or a value of the client's.
fn is_of_run(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    has_part(node, |part| part.is::<ScalarSubqueryExpr>() || OpenParameter::of(part.as_ref()).is_some())
}

fn has_part(node: &Arc<dyn ExecutionPlan>, is_it: impl Fn(&Arc<dyn PhysicalExpr>) -> bool) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(&mut |expr| {
        expr.apply(|part| {
            found |= is_it(part);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// The filters that joins and sorts of one run fill, by the numbers of those of the kept plan.
pub(crate) struct FreshFilters(HashMap<u64, Arc<DynamicFilterPhysicalExpr>>);

impl FreshFilters {
    /// The filter of this run in the place of one of the kept plan, over the same columns.
    pub(crate) fn of(&self, kept: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        kept.downcast_ref::<DynamicFilterPhysicalExpr>()?;
        let fresh = Arc::clone(self.0.get(&kept.expression_id()?)?);
        let columns = kept.children().into_iter().cloned().collect();
        fresh.with_new_children(columns).ok()
    }

    fn produced_by(&self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<DynamicFilterPhysicalExpr>>> {
        let produced = node.dynamic_expressions_produced();
        let Some(kept) = produced.first() else { return Ok(None) };
        match kept.expression_id().and_then(|number| self.0.get(&number)) {
            Some(fresh) => Ok(Some(Arc::clone(fresh))),
            None => internal_err!("a filter of a kept plan is not known"),
        }
    }
}

struct Renewal<'a> {
    leaves: std::vec::IntoIter<Arc<dyn ExecutionPlan>>,
    filters: &'a FreshFilters,
    sides: RenewedSides,
    rows: RenewedRows,
    values: RunValues<'a>,
}

impl Renewal<'_> {
    fn node(&mut self, node: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(kind) = kind(node) else { return internal_err!("a plan was kept that cannot be made anew") };
        if kind == Kind::Leaf {
            return match self.leaves.next() {
                Some(leaf) => Ok(leaf),
                None => internal_err!("a plan was renewed without all of its leaves"),
            };
        }
        if kind == Kind::Subqueries {
            self.values.open(node)?;
        }
        let mut children = node.children().into_iter().map(|child| self.node(child)).collect::<Result<Vec<_>>>()?;
        if is_rewritable(node) && is_of_run(node)? {
            return match children.pop() {
                Some(input) => self.values.reader(node, input),
                None => internal_err!("a node of one input has none"),
            };
        }
        let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        match kind {
            Kind::Leaf | Kind::Empty => Ok(Arc::clone(node)),
            Kind::Inputs => Arc::clone(node).replace_children(children, keep),
            Kind::Subqueries => self.values.node(node, children),
            Kind::HashJoin => self.join(node, children),
            Kind::Sort => self.sort(node, Arc::clone(node).replace_children(children, keep)?),
            Kind::Gathering => match (node.downcast_ref::<GatheringExec>(), children.into_iter().next()) {
                (Some(gathering), Some(input)) => Ok(Arc::new(gathering.renewed(input, &mut self.sides))),
                _ => internal_err!("a node of one input has none"),
            },
            Kind::Shared => match (node.downcast_ref::<SharedExec>(), children.into_iter().next()) {
                (Some(shared), Some(input)) => Ok(Arc::new(shared.renewed(input, &mut self.rows))),
                _ => internal_err!("a node of one input has none"),
            },
        }
    }

    fn join(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(join) = node.downcast_ref::<HashJoinExec>() else { return internal_err!("a join is none") };
        let fresh = join.builder().with_new_children(children)?.reset_state().build()?;
        Ok(Arc::new(match self.filters.produced_by(node)? {
            Some(filter) => fresh.with_dynamic_filter_expr(filter)?,
            None => fresh,
        }))
    }

    /// `over`: the sort over its new input, which still shares with the kept one what it fills and counts.
    fn sort(&self, node: &Arc<dyn ExecutionPlan>, over: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let fresh = over.reset_state()?;
        let Some(filter) = self.filters.produced_by(node)? else { return Ok(fresh) };
        let Some(sort) = fresh.downcast_ref::<SortExec>() else { return internal_err!("a sort is none") };
        Ok(Arc::new(sort.clone().with_dynamic_filter_expr(filter)?))
    }
}
