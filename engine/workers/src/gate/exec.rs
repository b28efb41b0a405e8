//! The streams of a leaf that workers read. Stands inside the governed leaf, in the place of what would read the files here.

use super::pool::{Asked, WorkerPool};
use super::reads::PartReads;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use querygate_catalog::leaf::GovernedExec;
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// One stream for each part.
#[derive(Debug)]
pub(super) struct WorkersExec {
    /// The leaf as it is read here, where that is to be done when no worker gives anything.
    here: Option<Arc<dyn ExecutionPlan>>,
    pool: Arc<WorkerPool>,
    parts: Vec<Asked>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl WorkersExec {
    pub(super) fn new(
        pool: Arc<WorkerPool>,
        parts: Vec<Asked>,
        schema: SchemaRef,
        here: Option<Arc<dyn ExecutionPlan>>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { here, pool, parts, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for WorkersExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workers")
    }
}

impl ExecutionPlan for WorkersExec {
    fn name(&self) -> &'static str {
        "Workers"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return internal_err!("streams of workers have no children");
        }
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(asked) = self.parts.get(partition).cloned() else { return internal_err!("there is no such part") };
        let (pool, schema, here) = (Arc::clone(&self.pool), Arc::clone(&self.schema), self.here.clone());
        let reads = context.session_config().get_extension::<PartReads>();
        let rows = stream::once(async move {
            let error = match pool.rows(&asked, &schema, reads.as_ref()).await {
                Ok(rows) => return Ok::<_, DataFusionError>(rows.map_err(outside).boxed()),
                Err(error) => error,
            };
            let Some(leaf) = here.filter(|_| error.code() == ErrorCode::SourceUnavailable) else {
                return Err(outside(error));
            };
            // Nothing of this part was given.
            tracing::warn!(%error, cause = error.cause(), "no worker gives a part, and it is read in the gate");
            let any: &dyn Any = leaf.as_ref();
            let Some(leaf) = any.downcast_ref::<GovernedExec>() else { return internal_err!("a part is of no leaf") };
            let reading = reads.map(|reads| reads.reading(&asked.leaf, None));
            if let Some(reading) = &reading {
                reading.answered();
            }
            let read = leaf.stream_alone(partition)?.execute(0, context)?;
            Ok(read
                .inspect_ok(move |batch| reading.iter().for_each(|reading| reading.gave(batch.num_rows() as u64, 0)))
                .boxed())
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.try_flatten().boxed())))
    }
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
