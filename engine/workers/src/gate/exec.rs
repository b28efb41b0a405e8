//! The streams of a leaf that workers read, or of a stage above it. Stands in the place of what would read the files here.

use super::members::STREAM_WINDOW;
use super::pool::{Asked, WorkerPool};
use super::reads::PartReads;
use super::sides::Sides;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, reset_plan_states};
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use querygate_catalog::leaf::GovernedExec;
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What is done here where workers give nothing.
#[derive(Debug, Clone)]
pub(super) struct Here {
    /// The leaf as it is read here.
    pub(super) leaf: Arc<dyn ExecutionPlan>,
}

impl Here {
    /// The plan of one part.
    fn part(&self, number: usize, asked: &Asked, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
        let any: &dyn Any = self.leaf.as_ref();
        let Some(leaf) = any.downcast_ref::<GovernedExec>() else { return internal_err!("a part is of no leaf") };
        let rows = leaf.stream_alone(number)?;
        match &asked.steps {
            Some(steps) => steps.over(rows, context.session_config().options(), &asked.sides.all).map_err(outside),
            None => Ok(rows),
        }
    }
}

/// Joins of a stage: what its parts are sent along, and the stage as it is run here if that is too much.
#[derive(Debug)]
pub(super) struct Joins {
    pub(super) sides: Sides,
    pub(super) whole: Arc<dyn ExecutionPlan>,
}

impl Joins {
    /// All of the stage's rows in place of one stream's, and none in that of the others.
    fn here(&self, partition: usize, context: Arc<TaskContext>) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        if partition != 0 {
            return Ok(stream::empty().boxed());
        }
        // The plans of the small sides have run in it, to see how much they give.
        let whole = reset_plan_states(Arc::clone(&self.whole))?;
        let order = whole.properties().output_ordering().cloned();
        let whole: Arc<dyn ExecutionPlan> = match (whole.properties().output_partitioning().partition_count(), order) {
            (1, _) => whole,
            // First rows: what is above merges streams that are sorted.
            (_, Some(order)) => Arc::new(SortPreservingMergeExec::new(order, whole)),
            (_, None) => Arc::new(CoalescePartitionsExec::new(whole)),
        };
        Ok(whole.execute(0, context)?.boxed())
    }
}

/// One stream for each part.
#[derive(Debug)]
pub(super) struct WorkersExec {
    /// What is done here where no worker gives anything.
    here: Option<Here>,
    pool: Arc<WorkerPool>,
    parts: Vec<Asked>,
    joins: Option<Arc<Joins>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl WorkersExec {
    pub(super) fn new(pool: Arc<WorkerPool>, parts: Vec<Asked>, schema: SchemaRef, here: Option<Here>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { here, pool, parts, joins: None, schema, properties: Arc::new(properties) }
    }
}

impl WorkersExec {
    /// These streams with the joins of their stage, whose small sides are sent with each part.
    pub(super) fn joining(self, joins: Option<Joins>) -> Self {
        Self { joins: joins.map(Arc::new), ..self }
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
        let Some(mut asked) = self.parts.get(partition).cloned() else { return internal_err!("there is no such part") };
        let (pool, schema, here) = (Arc::clone(&self.pool), Arc::clone(&self.schema), self.here.clone());
        let reads = context.session_config().get_extension::<PartReads>();
        let joins = self.joins.clone();
        let rows = stream::once(async move {
            if let Some(joins) = joins {
                match joins.sides.rows(&context).await? {
                    Some(sides) => asked.sides = sides,
                    None => return joins.here(partition, context),
                }
            }
            // What has come and is not read yet lies in the connection, up to a window of bytes for each part.
            let window = MemoryConsumer::new("rows from a worker").register(context.memory_pool());
            let error = match window.try_grow(STREAM_WINDOW as usize) {
                Ok(()) => match pool.rows(&asked, &schema, reads.as_ref()).await {
                    Ok(rows) => {
                        // Owns the charge, which ends with the rows.
                        let charged = move |error| {
                            let _charge = &window;
                            outside(error)
                        };
                        return Ok::<_, DataFusionError>(rows.map_err(charged).boxed());
                    }
                    Err(error) => error,
                },
                Err(error) if here.is_none() => return Err(error),
                Err(error) => {
                    Error::new(ErrorCode::SourceUnavailable, "no memory for what workers give").with_cause(error)
                }
            };
            let Some(here) = here.filter(|_| error.code() == ErrorCode::SourceUnavailable) else {
                return Err(outside(error));
            };
            // Nothing of this part was given.
            tracing::warn!(%error, cause = error.cause(), "no worker gives a part, and it is read in the gate");
            let reading = reads.map(|reads| reads.reading(&asked.leaf, None));
            if let Some(reading) = &reading {
                reading.answered();
            }
            let read = here.part(partition, &asked, &context)?.execute(0, context)?;
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
