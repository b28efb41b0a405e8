//! The operator around a part that is computed once for several places: the first of them to want a batch makes it for all.

use super::rows::SharedRows;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::TryStreamExt;
use querygate_catalog::one_input;
use std::fmt;
use std::sync::Arc;

/// One of the places where the same rows are read. Its own input is run where it is the first of them to begin, or where the rows are
/// not kept for it. In one stream and without an order: the inputs of two places may be divided and sorted otherwise.
#[derive(Debug, Clone)]
pub(crate) struct SharedExec {
    input: Arc<dyn ExecutionPlan>,
    rows: Arc<SharedRows>,
    reader: usize,
    properties: Arc<PlanProperties>,
    /// Of this place alone.
    metrics: ExecutionPlanMetricsSet,
}

/// The rows of one run in the places of those of a kept plan.
#[derive(Debug, Default)]
pub(crate) struct RenewedRows(Vec<(Arc<SharedRows>, Arc<SharedRows>)>);

impl SharedExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, rows: Arc<SharedRows>, reader: usize) -> Self {
        let properties = properties(&input);
        Self { input, rows, reader, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// What is computed once.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// This node for another run of its plan. `known`: the same for all nodes of one plan.
    pub(crate) fn renewed(&self, input: Arc<dyn ExecutionPlan>, known: &mut RenewedRows) -> Self {
        let found = known.0.iter().find(|(kept, _)| Arc::ptr_eq(kept, &self.rows)).map(|(_, fresh)| Arc::clone(fresh));
        let rows = found.unwrap_or_else(|| {
            let fresh = self.rows.renewed();
            known.0.push((Arc::clone(&self.rows), Arc::clone(&fresh)));
            fresh
        });
        Self::new(input, rows, self.reader)
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input, Arc::clone(&self.rows), self.reader)
    }
}

fn properties(input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(input.schema()),
        Partitioning::UnknownPartitioning(1),
        input.pipeline_behavior(),
        input.boundedness(),
    ))
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedExec: place {} of {}", self.reader + 1, self.rows.readers())
    }
}

impl ExecutionPlan for SharedExec {
    one_input!(with_input);

    fn name(&self) -> &'static str {
        "SharedExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }
    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(inputs.first().map_or_else(|| Arc::new(Statistics::new_unknown(&self.schema())), Arc::clone))
    }
    /// Another run of the same plan has rows of its own, which no other place reads.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(Arc::clone(&self.input), SharedRows::for_readers(0), self.reader)))
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition > 0 || self.input.output_partitioning().partition_count() != 1 {
            return internal_err!("shared rows are in one partition");
        }
        let count = MetricBuilder::new(&self.metrics).output_rows(partition);
        let rows = self.rows.read(self.reader, &self.input, context);
        let rows = rows.inspect_ok(move |batch| count.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
