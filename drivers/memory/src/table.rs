//! One immutable table of record batches as a DataFusion provider. Knows no policy; whoever scans it filters.

use crate::one_nan::with_one_nan;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::Arc;

/// Rows in memory with their statistics.
#[derive(Debug)]
pub struct MemoryTable {
    schema: SchemaRef,
    partition: Vec<RecordBatch>,
    statistics: Statistics,
    bytes: usize,
}

impl MemoryTable {
    /// A table of `batches`, each of exactly `schema`. Large batches are sliced, without copying, so that a scan can spread.
    pub fn new(name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        if let Some(batch) = batches.iter().find(|b| b.schema_ref() != &schema) {
            return Err(Error::new(
                ErrorCode::MetadataInvalid,
                format!("rows of table \"{name}\" do not have its schema"),
            )
            .with_cause(format!("declared {schema:?}, got {:?}", batch.schema_ref())));
        }
        let batches: Vec<RecordBatch> =
            batches.into_iter().map(with_one_nan).collect::<std::result::Result<_, _>>().map_err(Error::internal)?;
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let statistics = statistics(&schema, &batches, bytes);
        let partition = batches.into_iter().flat_map(|batch| slices(&batch)).collect();
        Ok(Self { schema, partition, statistics, bytes })
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.partition.iter().map(RecordBatch::num_rows).sum()
    }

    /// Bytes of Arrow buffers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.partition
    }
}

fn slices(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    (0..rows)
        .step_by(limits::BATCH_ROWS)
        .map(|start| batch.slice(start, limits::BATCH_ROWS.min(rows - start)))
        .collect()
}

fn statistics(schema: &SchemaRef, batches: &[RecordBatch], bytes: usize) -> Statistics {
    let column_statistics = (0..schema.fields().len())
        .map(|i| {
            let nulls = batches.iter().map(|b| b.column(i).logical_null_count()).sum();
            let bytes = batches.iter().map(|b| b.column(i).get_array_memory_size()).sum();
            let mut column = ColumnStatistics::new_unknown().with_null_count(Precision::Exact(nulls));
            column.byte_size = Precision::Inexact(bytes);
            column
        })
        .collect();
    Statistics {
        num_rows: Precision::Exact(batches.iter().map(RecordBatch::num_rows).sum()),
        total_byte_size: Precision::Inexact(bytes),
        column_statistics,
    }
}

#[async_trait]
impl TableProvider for MemoryTable {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let partitions = spread(&self.partition, state.config().target_partitions());
        let source = MemorySourceConfig::try_new(&partitions, SchemaRef::clone(&self.schema), projection.cloned())?;
        Ok(DataSourceExec::from_data_source(source.with_limit(limit)))
    }
}

/// Batches dealt out in runs, so that each partition keeps their order.
fn spread(batches: &[RecordBatch], partitions: usize) -> Vec<Vec<RecordBatch>> {
    let run = batches.len().div_ceil(partitions.max(1)).max(1);
    let mut spread: Vec<Vec<RecordBatch>> = batches.chunks(run).map(<[RecordBatch]>::to_vec).collect();
    if spread.is_empty() {
        spread.push(Vec::new());
    }
    spread
}
