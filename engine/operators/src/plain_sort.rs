//! Sorts of texts in views, in the memory that a sort may hold. A sorted batch of views keeps the texts of all the batches that it was taken
//! from: a merge counts them once for each batch that it reads, and a sort that fits into its memory many times over ends without any
//! left. Here the sort sees texts one behind the other; the rows above and below it are as they were.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::expressions::CastExpr;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Puts sorts of whole inputs by columns on plain texts, where their rows have views. Sorts for some first rows keep few.
#[derive(Debug)]
pub struct SortPlainTexts;

impl PhysicalOptimizerRule for SortPlainTexts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plain = plan.transform_up(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
            let by_columns = sort.expr().iter().all(|key| key.expr.downcast_ref::<Column>().is_some());
            if sort.fetch().is_some() || !by_columns || !has_views(&sort.schema()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(PlainSortExec::of(sort)?) as Arc<dyn ExecutionPlan>))
        });
        plain.map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "sort_plain_texts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The type of texts one behind the other, whatever their length together; `None`: no type of views.
fn plain(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Utf8View => Some(DataType::LargeUtf8),
        DataType::BinaryView => Some(DataType::LargeBinary),
        _ => None,
    }
}

fn has_views(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| plain(field.data_type()).is_some())
}

/// A sort whose work is done on plain texts.
#[derive(Debug)]
pub struct PlainSortExec {
    /// As it is planned.
    sort: SortExec,
    /// As it runs.
    inner: SortExec,
}

impl PlainSortExec {
    /// The sort as it is planned, for those who ask what a plan does with columns.
    #[must_use]
    pub const fn planned(&self) -> &SortExec {
        &self.sort
    }

    /// # Errors
    /// A column cannot be cast.
    fn of(sort: &SortExec) -> Result<Self> {
        let schema = sort.schema();
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let column = match plain(field.data_type()) {
                Some(plain) => Arc::new(CastExpr::new(column, plain, None)),
                None => column,
            };
            (column, field.name().clone())
        });
        let input = ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::clone(sort.input()))?;
        let inner = SortExec::new(sort.expr().clone(), Arc::new(input));
        let inner = inner.with_preserve_partitioning(sort.preserve_partitioning());
        Ok(Self { sort: sort.clone(), inner })
    }

    fn over(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return internal_err!("a sort has one input");
        };
        let sort = SortExec::new(self.sort.expr().clone(), input);
        Ok(Arc::new(Self::of(&sort.with_preserve_partitioning(self.sort.preserve_partitioning()))?))
    }
}

/// The rows with the views of this schema.
fn viewed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let cast = |(column, field): (&arrow::array::ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => arrow::compute::cast(column, field.data_type()),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(cast).collect::<std::result::Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

impl DisplayAs for PlainSortExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sort.fmt_as(form, f)
    }
}

impl ExecutionPlan for PlainSortExec {
    fn name(&self) -> &'static str {
        "SortExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.sort.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.sort.input()]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.sort.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.sort.cardinality_effect()
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.sort.schema();
        let (sorted, told) = (self.inner.execute(partition, context)?, Arc::clone(&schema));
        let batches = sorted.map(move |batch| batch.and_then(|batch| viewed(&batch, &schema)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(told, batches)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, StringViewArray};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionConfig;

    const BATCHES: usize = 40;
    const ROWS: usize = 4_096;

    /// 33 MB of texts of 200 letters, shuffled.
    fn sort_of_views() -> Arc<dyn ExecutionPlan> {
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("t", DataType::Utf8View, true)];
        let schema = Arc::new(Schema::new(fields));
        let batch = |batch: usize| {
            let keys = (0..ROWS).map(|row| (batch * ROWS + row) * 7_919 % (BATCHES * ROWS));
            let texts = keys.clone().map(|key| (key % 1_000 != 0).then(|| format!("{key:0200}")));
            let columns: [arrow::array::ArrayRef; 2] = [
                Arc::new(keys.map(|key| i64::try_from(key).unwrap()).collect::<Int64Array>()),
                Arc::new(texts.collect::<StringViewArray>()),
            ];
            RecordBatch::try_new(Arc::clone(&schema), columns.into()).unwrap()
        };
        let batches: Vec<RecordBatch> = (0..BATCHES).map(batch).collect();
        let input = MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&schema), None).unwrap();
        let key = PhysicalSortExpr::new_default(Arc::new(Column::new("t", 1)));
        Arc::new(SortExec::new(LexOrdering::new([key]).unwrap(), input))
    }

    fn context(memory: usize) -> Arc<TaskContext> {
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)));
        let config = SessionConfig::new().with_sort_spill_reservation_bytes(1 << 20);
        Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime.build_arc().unwrap()))
    }

    #[tokio::test]
    async fn rows_are_the_same_in_less_memory() {
        let sort = sort_of_views();
        let plain = SortPlainTexts.optimize(Arc::clone(&sort), &ConfigOptions::new()).unwrap();
        assert!(plain.downcast_ref::<PlainSortExec>().is_some());
        let expected = collect(Arc::clone(&sort), context(1 << 30)).await.unwrap();
        let found = collect(Arc::clone(&plain), context(12 << 20)).await.unwrap();
        let texts = |batches: &[RecordBatch]| -> Vec<Option<String>> {
            let columns = batches.iter().map(|batch| batch.column(1).as_string_view().clone());
            columns.flat_map(|column| column.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()).collect()
        };
        assert_eq!(texts(&found), texts(&expected));
        assert!(plain.metrics().unwrap().spill_count().unwrap() > 0);
        let again = SortPlainTexts.optimize(Arc::clone(&plain), &ConfigOptions::new()).unwrap();
        assert_eq!(again.children().len(), 1);
    }
}
