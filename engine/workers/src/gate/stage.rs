//! What workers do above a leaf, in the place of the operators that would do it here. Those stay below it, as what the final walk goes
//! through and EXPLAIN shows, and are run where no worker answers.

use super::exec::WorkersExec;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr, PlanProperties,
};
use querygate_catalog::leaf::part_after_part;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Whether workers may do what is at and below a node, so that leaves below it are not read here.
pub fn is_stage(plan: &Arc<dyn ExecutionPlan>) -> bool {
    (plan.as_ref() as &dyn Any).is::<StageExec>()
}

/// Streams of workers that stand for operators above a leaf.
#[derive(Debug, Clone)]
pub(super) struct StageExec {
    /// The operators, over their leaf.
    operators: Arc<dyn ExecutionPlan>,
    streams: Arc<dyn ExecutionPlan>,
    /// How many streams are read at once, where the leaf hides rows: how they are divided depends on hidden ones, so they are given
    /// one after the other.
    at_once: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl StageExec {
    /// `rows`: what is given is rows and no states, of which another thing is true in each part.
    pub(super) fn new(
        operators: Arc<dyn ExecutionPlan>,
        streams: WorkersExec,
        at_once: Option<usize>,
        rows: bool,
    ) -> Self {
        let mut known = if rows {
            operators.equivalence_properties().clone()
        } else {
            EquivalenceProperties::new(streams.schema())
        };
        if at_once.is_some() {
            known.clear_orderings();
            known.clear_per_partition_constants();
        }
        let count = if at_once.is_some() { 1 } else { streams.properties().output_partitioning().partition_count() };
        let properties = PlanProperties::new(
            known,
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { operators, streams: Arc::new(streams), at_once, properties: Arc::new(properties) }
    }
}

impl DisplayAs for StageExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkersStage: what follows runs on workers")
    }
}

impl ExecutionPlan for StageExec {
    fn name(&self) -> &'static str {
        "WorkersStage"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.operators]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(operators), true) if operators.schema() == self.schema() => {
                Ok(Arc::new(Self { operators, ..self.as_ref().clone() }))
            }
            _ => internal_err!("workers would do something else than what is shown"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(at_once) = self.at_once else { return self.streams.execute(partition, context) };
        if partition != 0 {
            return internal_err!("what workers make of hidden rows' neighbours is one stream");
        }
        Ok(part_after_part(&self.streams, at_once, &context))
    }
}
