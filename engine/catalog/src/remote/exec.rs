//! The leaf that runs a fragment at its source. Prints native text with numbered parameters, never a value.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::{Driver, ExecuteContext, NativeStatement, Value};
use querygate_types::Error;
use std::fmt;
use std::sync::Arc;

/// A compiled fragment with its values: everything that a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub driver: Arc<dyn Driver>,
    pub source: Arc<str>,
    pub statement: Arc<NativeStatement>,
    pub values: Arc<[Value]>,
    /// For each output column: where it is among the delivered ones, and the type to cast to, if another.
    pub columns: Arc<[(usize, Option<DataType>)]>,
    /// What comes out.
    pub schema: SchemaRef,
}

impl Running {
    /// Runs the fragment. Dropping the stream ends the source's own query.
    ///
    /// # Errors
    /// What the source says, in our codes.
    pub(super) async fn start(
        &self,
        context: ExecuteContext,
    ) -> querygate_types::Result<querygate_driver_api::BatchStream> {
        let batches = self.driver.execute(&self.statement, &self.values, context).await?;
        let (columns, schema) = (Arc::clone(&self.columns), Arc::clone(&self.schema));
        Ok(batches.map(move |batch| shape(&batch?, &columns, &schema)).boxed())
    }
}

fn shape(
    batch: &RecordBatch,
    columns: &[(usize, Option<DataType>)],
    schema: &SchemaRef,
) -> querygate_types::Result<RecordBatch> {
    let arrays = columns
        .iter()
        .map(|(index, cast)| {
            let column = batch.columns().get(*index).ok_or_else(|| Error::internal("a fragment lacks a column"))?;
            match cast {
                None => Ok(Arc::clone(column)),
                Some(target) => arrow::compute::cast_with_options(column, target, &CHECKED).map_err(|_| out_of_range()),
            }
        })
        .collect::<querygate_types::Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(Error::internal)
}

const CHECKED: arrow::compute::CastOptions<'static> =
    arrow::compute::CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

fn out_of_range() -> Error {
    Error::new(querygate_types::ErrorCode::NumericOutOfRange, "value is out of range")
}

/// A fragment as a plan leaf.
#[derive(Debug)]
pub(crate) struct FragmentExec {
    running: Running,
    properties: Arc<PlanProperties>,
}

impl FragmentExec {
    #[must_use]
    pub(super) fn new(running: Running) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&running.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { running, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FragmentExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Fragment: source={}, {}={}",
            self.running.source,
            self.running.driver.kind(),
            self.running.statement.text
        )
    }
}

impl ExecutionPlan for FragmentExec {
    fn name(&self) -> &'static str {
        "Fragment"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a fragment has no children") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a fragment has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a fragment has one partition");
        }
        let running = self.running.clone();
        let execute = ExecuteContext { batch_rows: context.session_config().batch_size(), ..ExecuteContext::default() };
        let started =
            async move { running.start(execute).await.map_err(outside).map(|batches| batches.map_err(outside)) };
        let stream = futures::stream::once(started).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
