//! The plan node: DataFusion's aggregate with another way to run it.

use super::key_column::is_key_type;
use super::stream;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, OrderingRequirements};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::distribution_requirements::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PhysicalExpr, PlanProperties,
};
use querygate_resources::MeteredExec;
use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// An aggregate whose groups are found in an array over all integers between the least key and the greatest. It makes what the aggregate
/// that it holds makes, which takes over in the middle of the input where keys turn out to lie far apart, where memory is short, or
/// where nearly each row is a group of its own, of which DataFusion passes on a state each.
#[derive(Debug)]
pub struct PerfectHashAggregateExec {
    aggregate: Arc<AggregateExec>,
    metrics: ExecutionPlanMetricsSet,
    followers: Followers,
}

/// The aggregates that took over, one for each partition in which one did: they count what they do.
#[derive(Debug, Clone, Default)]
pub(super) struct Followers(Arc<Mutex<Vec<Arc<dyn ExecutionPlan>>>>);

impl Followers {
    pub(super) fn add(&self, aggregate: &Arc<dyn ExecutionPlan>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(aggregate));
    }

    fn metrics(&self) -> Vec<MetricsSet> {
        let followers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followers.iter().filter_map(|aggregate| aggregate.metrics()).collect()
    }
}

impl PerfectHashAggregateExec {
    /// The node in the place of one of DataFusion's: partial and final aggregates by one integer key without an order, a limit, a meter or
    /// a filter that fills while it runs, and of functions that keep what they know of all groups in columns.
    pub(super) fn in_place_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
        // By its own type: `downcast_ref` of a plan finds the aggregate inside of this node, too.
        let any: &dyn Any = plan.as_ref();
        let aggregate = any.downcast_ref::<AggregateExec>()?;
        let is_divided = match aggregate.mode() {
            AggregateMode::Partial | AggregateMode::Final | AggregateMode::FinalPartitioned => true,
            // What is left of rows could not follow states of others into one aggregate.
            AggregateMode::Single | AggregateMode::SinglePartitioned | AggregateMode::PartialReduce => false,
        };
        let by = aggregate.group_expr();
        let ([(key, _)], true) = (by.expr(), by.is_single()) else { return None };
        let fits = is_divided
            && is_key_type(&key.data_type(&aggregate.input().schema()).ok()?)
            && *aggregate.input_order_mode() == InputOrderMode::Linear
            && aggregate.limit_options().is_none()
            && aggregate.dynamic_expressions_produced().is_empty()
            && aggregate.aggr_expr().iter().all(|function| function.groups_accumulator_supported())
            // A sum of intervals may be out of range as a state and its average in range.
            && !aggregate.aggr_expr().iter().any(|function| matches!(function.field().data_type(), DataType::Interval(_)))
            // A meter there paces batches by what each of them makes, so none may wait.
            && !aggregate.input().downcast_ref::<MeteredExec>().is_some_and(MeteredExec::paces);
        fits.then(|| Self::over(Arc::new(aggregate.clone())))
    }

    fn over(aggregate: Arc<AggregateExec>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { aggregate, metrics: ExecutionPlanMetricsSet::new(), followers: Followers::default() })
    }

    fn holding(aggregate: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        match aggregate.downcast_ref::<AggregateExec>() {
            Some(aggregate) => Ok(Self::over(Arc::new(aggregate.clone()))),
            None => internal_err!("an aggregate over another input is none"),
        }
    }
}

impl DisplayAs for PerfectHashAggregateExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            // DataFusion's text begins with its own name.
            DisplayFormatType::Default | DisplayFormatType::Verbose => f.write_str("PerfectHash")?,
            DisplayFormatType::TreeRender => {}
        }
        self.aggregate.fmt_as(format, f)
    }
}

impl ExecutionPlan for PerfectHashAggregateExec {
    fn name(&self) -> &'static str {
        "PerfectHashAggregateExec"
    }

    /// A search for aggregates finds the one that this node stands for.
    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.aggregate.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.aggregate.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.aggregate.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.aggregate.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.aggregate.input()]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregate: Arc<dyn ExecutionPlan> = Arc::clone(&self.aggregate) as _;
        Self::holding(&aggregate.replace_children(children, options)?)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.aggregate.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.aggregate.statistics_from_inputs(inputs, arguments)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        stream::run(&self.aggregate, &self.metrics, &self.followers, partition, context)
    }

    /// Its own, and those of the aggregates that took over.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut all = self.metrics.clone_inner();
        for metric in self.followers.metrics().iter().flat_map(MetricsSet::iter) {
            all.push(Arc::clone(metric));
        }
        Some(all)
    }
}
