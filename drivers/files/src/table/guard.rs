//! Wraps a file source: reads go to the source's own store, failures become shared errors that name table and source only, and
//! rows have one NaN.

use crate::error::{Names, external};
use crate::table::Files;
use crate::table::prunable::for_pruning;
use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use querygate_memory::with_one_nan;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// What a guarded scan needs beside its source.
pub(crate) struct Watch {
    pub(crate) names: Names,
    /// Those that are read.
    pub(crate) files: Arc<Files>,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Called when a file is not what the listing said.
    pub(crate) on_failure: Box<dyn Fn() + Send + Sync>,
}

impl Watch {
    fn translate(&self, error: DataFusionError) -> DataFusionError {
        match self.names.reading(&error) {
            Some(ours) => {
                (self.on_failure)();
                external(ours)
            }
            None => error,
        }
    }
}

impl Debug for Watch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("names", &self.names).finish_non_exhaustive()
    }
}

/// A file source whose reads are watched.
#[derive(Clone)]
pub(crate) struct Guarded {
    inner: Arc<dyn FileSource>,
    watch: Arc<Watch>,
}

impl Guarded {
    pub(crate) fn wrap(inner: Arc<dyn FileSource>, watch: Arc<Watch>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, watch })
    }

    pub(crate) fn inner(&self) -> &Arc<dyn FileSource> {
        &self.inner
    }

    /// What the scan was planned to read.
    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.watch.files
    }

    /// Another source, of the same files.
    pub(crate) fn again(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Self::wrap(inner, Arc::clone(&self.watch))
    }
}

impl FileSource for Guarded {
    fn create_file_opener(
        &self,
        _registered: Arc<dyn ObjectStore>,
        base: &FileScanConfig,
        partition: usize,
    ) -> PlanResult<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(Arc::clone(&self.watch.store), base, partition)
    }

    fn create_morselizer(
        &self,
        _registered: Arc<dyn ObjectStore>,
        base: &FileScanConfig,
        partition: usize,
    ) -> PlanResult<Box<dyn Morselizer>> {
        let inner = self.inner.create_morselizer(Arc::clone(&self.watch.store), base, partition)?;
        Ok(Box::new(GuardedMorselizer { inner, watch: Arc::clone(&self.watch) }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.again(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, t: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(t, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        repartition_file_min_size: usize,
        output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> PlanResult<Option<FileScanConfig>> {
        self.inner.repartitioned(target_partitions, repartition_file_min_size, output_ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> PlanResult<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let before = self.inner.filter();
        let handed_on = for_pruning(filters, before.as_ref(), self.table_schema().table_schema());
        let may: Vec<bool> = handed_on.iter().map(Option::is_some).collect();
        let answer = self.inner.try_pushdown_filters(handed_on.into_iter().flatten().collect(), config)?;
        let mut said = answer.filters.into_iter();
        let told = |may: &bool| if *may { said.next().unwrap_or(PushedDown::No) } else { PushedDown::No };
        Ok(FilterPushdownPropagation {
            filters: may.iter().map(told).collect(),
            updated_node: answer.updated_node.map(|inner| self.again(inner)),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> PlanResult<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        self.inner.try_pushdown_sort(order, properties)?.try_map(|inner| Ok(self.again(inner)))
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    /// Columns only: what is computed of them is computed above, of rows that have one NaN.
    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> PlanResult<Option<Arc<dyn FileSource>>> {
        if !projection.as_ref().iter().all(|column| column.expr.is::<Column>()) {
            return Ok(None);
        }
        Ok(self.inner.try_pushdown_projection(projection)?.map(|inner| self.again(inner)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}

#[derive(Debug)]
struct GuardedMorselizer {
    inner: Box<dyn Morselizer>,
    watch: Arc<Watch>,
}

impl Morselizer for GuardedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> PlanResult<Box<dyn MorselPlanner>> {
        let inner = self.inner.plan_file(file).map_err(|e| self.watch.translate(e))?;
        Ok(planner(inner, &self.watch))
    }
}

fn planner(inner: Box<dyn MorselPlanner>, watch: &Arc<Watch>) -> Box<dyn MorselPlanner> {
    Box::new(GuardedPlanner { inner, watch: Arc::clone(watch) })
}

#[derive(Debug)]
struct GuardedPlanner {
    inner: Box<dyn MorselPlanner>,
    watch: Arc<Watch>,
}

impl MorselPlanner for GuardedPlanner {
    fn plan(self: Box<Self>) -> PlanResult<Option<MorselPlan>> {
        let Self { inner, watch } = *self;
        let Some(mut plan) = inner.plan().map_err(|e| watch.translate(e))? else { return Ok(None) };
        let morsels = plan
            .take_morsels()
            .into_iter()
            .map(|inner| -> Box<dyn Morsel> { Box::new(GuardedMorsel { inner, watch: Arc::clone(&watch) }) });
        let ready = plan.take_ready_planners().into_iter().map(|inner| planner(inner, &watch));
        let mut guarded = MorselPlan::new().with_morsels(morsels.collect()).with_planners(ready.collect());
        if let Some(pending) = plan.take_pending_planner() {
            let watch = Arc::clone(&watch);
            guarded.set_pending_planner(async move {
                match pending.await {
                    Ok(inner) => Ok(planner(inner, &watch)),
                    Err(error) => Err(watch.translate(error)),
                }
            });
        }
        Ok(Some(guarded))
    }
}

#[derive(Debug)]
struct GuardedMorsel {
    inner: Box<dyn Morsel>,
    watch: Arc<Watch>,
}

impl Morsel for GuardedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, PlanResult<RecordBatch>> {
        let Self { inner, watch } = *self;
        let read = move |batch: PlanResult<RecordBatch>| -> PlanResult<RecordBatch> {
            let batch = batch.map_err(|e| watch.translate(e))?;
            Ok(with_one_nan(batch)?)
        };
        inner.into_stream().map(read).boxed()
    }
}
