//! What the nodes of a plan did in one run, as far as its reader may hear it. Rows that come out of a leaf are visible ones, so anybody
//! may hear how many they are, unless hidden rows decide how many of them are read. Times tell of hidden rows too. Of what is inside a
//! leaf nothing is known here.

use crate::bind::statement::Bound;
use crate::dialect::subqueries::apply::ApplyExec;
use crate::rules::share_equal_inputs::SharedExec;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use querygate_catalog::leaf::{CountedRun, GovernedExec};
use querygate_catalog::live::LiveExec;
use querygate_catalog::{GatheringExec, VisibleObject};
use querygate_operators::NullAwareAntiJoinExec;
use querygate_resources::MeteredExec;
use querygate_resources::measured::MeasuredExec;
use querygate_workers::gate::{PartReads, is_stage};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A run of which is kept what its nodes do.
#[derive(Debug)]
pub(crate) struct Observed {
    /// What workers give to it.
    reads: Arc<PartReads>,
    /// Whether the statement reads a table of which rows may be hidden from its reader.
    restricted: bool,
    /// The plan that runs, with its text of before. `None`: a source runs the statement as a whole, with no plan around it.
    plan: Mutex<Option<(String, Arc<dyn ExecutionPlan>)>>,
}

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    pub(crate) rows: u64,
    pub(crate) milliseconds: Option<f64>,
    /// The most bytes that it held.
    pub(crate) memory: Option<u64>,
}

/// What a reader may hear of a run.
#[derive(Debug)]
pub(crate) struct Told {
    /// The plan that ran. `None`: the one that the source was given.
    pub(crate) text: Option<String>,
    /// Of each node, in the order of the text's lines; `None`: it counts nothing, or is not said.
    pub(crate) nodes: Vec<Option<Figures>>,
    /// Whether rows of some node are for operators.
    pub(crate) withholds: bool,
}

impl Observed {
    pub(crate) fn of(bound: &Bound) -> Self {
        let visible = bound.catalog().objects();
        // What is not found is taken for a table that hides rows.
        let hides = |table: &String| {
            visible.iter().find(|object| object.sql_name == *table).is_none_or(VisibleObject::hides_rows)
        };
        let restricted = bound.objects().iter().any(hides);
        Self { reads: Arc::default(), restricted, plan: Mutex::default() }
    }

    pub(crate) fn reads(&self) -> &Arc<PartReads> {
        &self.reads
    }

    /// What leaves are to count.
    pub(crate) fn counted(&self) -> CountedRun {
        CountedRun { restricted: self.restricted }
    }

    /// A plan is about to run. Once it has, conditions that came of its rows are part of its text. Gives the plan that is to run: each node
    /// is measured.
    pub(crate) fn starts(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let text = DisplayableExecutionPlan::new(plan.as_ref()).indent(false).to_string();
        let plan = measured(plan, true)?;
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some((text, Arc::clone(&plan)));
        Ok(plan)
    }

    /// What is said of the run, which has ended. `rows`: of its answer, read to its end.
    pub(crate) fn told(&self, rows: u64, elapsed: Duration, for_operator: bool) -> Told {
        let ran = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((text, plan)) = ran else {
            let is_told = for_operator || !self.restricted;
            let whole = Figures { rows, milliseconds: is_told.then(|| milliseconds(elapsed)), memory: None };
            return Told { text: None, nodes: vec![Some(whole)], withholds: false };
        };
        let restricted = self.restricted;
        let races = races(&plan, restricted);
        let mut walk = Walk { rows, for_operator, restricted, races, nodes: Vec::new(), withholds: false };
        walk.node(&plan, Above { answers: true, narrows: false, elsewhere: false });
        Told { text: Some(text), nodes: walk.nodes, withholds: walk.withholds }
    }
}

/// A plan with each of its nodes measured. `itself`: whether its own root is. What is divided over workers, shared by several places, or run
/// for each row is measured as a whole, and what deals rows out with what gathers them.
fn measured(plan: Arc<dyn ExecutionPlan>, itself: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let any: &dyn Any = plan.as_ref();
    let is_whole = runs_elsewhere(&plan) || any.is::<ApplyExec>() || any.is::<GovernedExec>();
    let gathers = any.is::<GatheringExec>();
    let plan = if is_whole || plan.children().is_empty() {
        plan
    } else {
        let apart = |input: &Arc<dyn ExecutionPlan>| !(gathers && (input.as_ref() as &dyn Any).is::<RepartitionExec>());
        let inputs = plan.children().into_iter().map(|input| measured(Arc::clone(input), apart(input)));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?
    };
    Ok(if itself { MeasuredExec::of(plan) } else { plan })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

struct Walk {
    /// Of the answer.
    rows: u64,
    for_operator: bool,
    restricted: bool,
    /// How much was read of leaves depends on how fast others are that hide rows.
    races: bool,
    nodes: Vec<Option<Figures>>,
    withholds: bool,
}

/// What is above a node.
#[derive(Clone, Copy)]
struct Above {
    /// Each of its rows is one of the answer's.
    answers: bool,
    /// Some node asks for fewer and fewer rows while it runs.
    narrows: bool,
    /// What it gives may be made without running it.
    elsewhere: bool,
}

/// What is at a node and below it.
#[derive(Clone, Copy)]
struct Below {
    /// How many rows there are depends on visible rows alone.
    surely: bool,
    /// No rows are hidden.
    open: bool,
}

impl Walk {
    fn node(&mut self, plan: &Arc<dyn ExecutionPlan>, above: Above) -> Below {
        let measured = (plan.as_ref() as &dyn Any).downcast_ref::<MeasuredExec>();
        let (plan, most) = match measured {
            Some(measured) => (measured.node(), Some(measured.most())),
            None => (plan, None),
        };
        let place = self.nodes.len();
        self.nodes.push(None);
        let inside = Above {
            answers: above.answers && keeps_rows(plan),
            narrows: above.narrows || narrows(plan),
            elsewhere: above.elsewhere || runs_elsewhere(plan),
        };
        let mut below = self.own(plan, above);
        for child in plan.children() {
            let child = self.node(child, inside);
            below = Below { surely: below.surely && child.surely, open: below.open && child.open };
        }
        let figures = self.figures(plan, above, below);
        // How much is held tells of hidden rows, too.
        let most = most.filter(|_| self.for_operator || below.open);
        let figures = figures.map(|figures| Figures { memory: most, ..figures });
        if let Some(told) = self.nodes.get_mut(place) {
            *told = figures;
        }
        below
    }

    /// What is true of a node without its inputs.
    fn own(&self, plan: &Arc<dyn ExecutionPlan>, above: Above) -> Below {
        let any: &dyn Any = plan.as_ref();
        if let Some(leaf) = any.downcast_ref::<GovernedExec>() {
            let hides = leaf.hides() || (self.restricted && leaf.is_fragment());
            // Where reading ended early, batches that were on their way decide how much was read; and where it is narrowed meanwhile,
            // how soon it was does.
            let whole = leaf.was_read_whole().unwrap_or(!above.elsewhere);
            let alone = !hides || (whole && !(above.narrows && takes_keys(leaf)));
            return Below { surely: alone && !self.races, open: !hides };
        }
        // The gate's own tables hold what others did; what subqueries read is not in the plan.
        let hides = any.is::<LiveExec>() || (self.restricted && any.is::<ApplyExec>());
        Below { surely: true, open: !hides }
    }

    fn figures(&mut self, plan: &Arc<dyn ExecutionPlan>, above: Above, below: Below) -> Option<Figures> {
        let metrics = plan.metrics();
        let counted = metrics.as_ref().and_then(MetricsSet::output_rows).map(|rows| rows as u64);
        let rows = if above.answers { self.rows } else { counted? };
        if !(self.for_operator || above.answers || below.surely) {
            self.withholds = true;
            return None;
        }
        let nanos = metrics.as_ref().and_then(MetricsSet::elapsed_compute);
        let nanos = nanos.filter(|_| self.for_operator || below.open);
        let time = nanos.map(|nanos| milliseconds(Duration::from_nanos(nanos as u64)));
        Some(Figures { rows, milliseconds: time, memory: None })
    }
}

/// Whether some node ends as soon as it has its rows, and several leaves are read beside each other for it, of which one hides rows: the
/// others are read until it has enough, which takes as long as the hidden rows do.
fn races(plan: &Arc<dyn ExecutionPlan>, restricted: bool) -> bool {
    fn leaves(plan: &Arc<dyn ExecutionPlan>, restricted: bool, found: &mut (usize, bool)) -> bool {
        let before = *found;
        if let Some(leaf) = (plan.as_ref() as &dyn Any).downcast_ref::<GovernedExec>() {
            found.0 += 1;
            found.1 |= leaf.hides() || (restricted && leaf.is_fragment());
            return false;
        }
        let mut own = (0, false);
        let races = plan.children().into_iter().any(|child| leaves(child, restricted, &mut own));
        *found = (before.0 + own.0, before.1 || own.1);
        let ends_early = plan.fetch().is_some() || (plan.as_ref() as &dyn Any).is::<NullAwareAntiJoinExec>();
        races || (ends_early && own.0 > 1 && own.1)
    }
    leaves(plan, restricted, &mut (0, false))
}

/// Whether a node gives a row for each row of its one input, which it reads to the end.
fn keeps_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let any: &dyn Any = plan.as_ref();
    let keeps = matches!(plan.cardinality_effect(), CardinalityEffect::Equal)
        || any.is::<MeteredExec>()
        || any.is::<GatheringExec>();
    keeps && plan.fetch().is_none() && plan.children().len() == 1
}

/// Whether a node tells its leaves, again and again, which rows it still wants. A join tells them once, before it asks for any.
fn narrows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let any: &dyn Any = plan.as_ref();
    let first_rows = any.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
    let extremes = any.is::<AggregateExec>() && !plan.dynamic_expressions_produced().is_empty();
    first_rows || extremes
}

/// Whether what is below a node need not run here, or not in this place.
fn runs_elsewhere(plan: &Arc<dyn ExecutionPlan>) -> bool {
    is_stage(plan) || (plan.as_ref() as &dyn Any).is::<SharedExec>()
}

/// Whether conditions that come of other rows reach into a leaf.
fn takes_keys(leaf: &GovernedExec) -> bool {
    let mut found = false;
    // The closures never fail, so neither does the walk.
    let _walked = leaf.apply_expressions(&mut |expr| {
        expr.apply(|part| {
            found |= part.downcast_ref::<DynamicFilterPhysicalExpr>().is_some();
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

#[cfg(test)]
mod tests;
