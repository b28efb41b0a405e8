//! The DataFusion file source of CSV and NDJSON: projection, partition columns, one batch at a time. Knows no dialect.

pub(crate) mod csv;
pub(crate) mod header;
pub(crate) mod json;

use crate::config::FileFormat;
use crate::error::{Names, external};
use crate::store::fetch::{self, Fetch, FetchError, LineError};
use crate::text::csv::CsvRows;
use crate::text::json::JsonRows;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{self, StreamExt};
use object_store::ObjectStore;
use querygate_memory::{RowDecoder, RowError, UnknownKeys};
use querygate_types::{Error, Result, limits};
use std::sync::Arc;

/// Source text of one batch: wide rows make short batches.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What all files of a text table share.
#[derive(Debug, Clone)]
pub(crate) struct TextTable {
    pub(crate) format: FileFormat,
    pub(crate) names: Names,
    /// What the files call each file column of the table schema.
    pub(crate) file_names: Arc<[String]>,
    pub(crate) row_bytes_max: usize,
    pub(crate) columns_max: usize,
    pub(crate) local: bool,
    /// Some of the files are.
    pub(crate) is_compressed: bool,
    /// As [`crate::config::TableSpec::ignored`].
    pub(crate) ignored: Option<Arc<[String]>>,
}

/// CSV or NDJSON as a DataFusion file source.
#[derive(Clone)]
pub(crate) struct TextSource {
    table: Arc<TextTable>,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    pub(crate) fn new(table: TextTable, table_schema: TableSchema) -> Self {
        Self {
            table: Arc::new(table),
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_size: limits::BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl TextSource {
    /// This source with counters of its own.
    pub(crate) fn with_own_metrics(&self) -> Self {
        Self { metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _base: &FileScanConfig,
        _partition: usize,
    ) -> PlanResult<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let columns = self.projection.file_indices.clone();
        let opener = Arc::new(TextOpener {
            table: Arc::clone(&self.table),
            schema: Arc::new(file_schema.project(&columns)?),
            columns,
            store,
            batch_size: self.batch_size,
        });
        ProjectionOpener::try_new(self.projection.clone(), opener, file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.table.format {
            FileFormat::Csv(_) => "csv",
            FileFormat::Ndjson => "ndjson",
            FileFormat::Json => "json",
            FileFormat::Parquet => "parquet",
        }
    }

    /// A quoted CSV field may hold line ends, so only NDJSON can start in the middle of a file, and of none that is packed.
    fn supports_repartitioning(&self) -> bool {
        matches!(self.table.format, FileFormat::Ndjson) && !self.table.is_compressed
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> PlanResult<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        let mut next = TreeNodeRecursion::Continue;
        for projected in self.projection.source.iter() {
            next = f(&projected.expr)?;
            if matches!(next, TreeNodeRecursion::Stop) {
                break;
            }
        }
        Ok(next)
    }
}

struct TextOpener {
    table: Arc<TextTable>,
    /// Projected file columns.
    schema: SchemaRef,
    /// Their positions among the file columns.
    columns: Vec<usize>,
    store: Arc<dyn ObjectStore>,
    batch_size: usize,
}

/// Rows of one format, on their way into a decoder.
pub(crate) enum Rows {
    Csv(Box<CsvRows>),
    Json(Box<JsonRows>),
}

impl Rows {
    async fn push_next(&mut self, decoder: &mut RowDecoder) -> Result<bool, RowFailure> {
        match self {
            Self::Csv(rows) => rows.push_next(decoder).await,
            Self::Json(rows) => rows.push_next(decoder).await,
        }
    }
}

/// Why a row did not come.
#[derive(Debug)]
pub(crate) enum RowFailure {
    Store(object_store::Error),
    /// The header does not go with the columns.
    Header(String),
    Row(RowError),
    /// The row is longer, or wider, than allowed.
    TooLong,
    /// The text is not of the format.
    Format(String),
}

impl From<FetchError> for RowFailure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => Self::Store(error),
            FetchError::Text(text) => Self::Format(text),
        }
    }
}

impl From<LineError> for RowFailure {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Fetch(error) => error.into(),
            LineError::TooLong => Self::TooLong,
        }
    }
}

impl TextTable {
    /// The shared error of a failure in row `row` (from 1) of the file.
    fn failure(&self, failure: &RowFailure, file: &str, row: usize) -> Error {
        match failure {
            RowFailure::Store(error) => self.names.store(error).with_cause(format!("{file}: {error}")),
            RowFailure::Header(text) => self.names.unfit(format!("{file}: {text}")),
            RowFailure::Row(error) => self.names.unfit(format!("{file}: row {row}: {error}")),
            RowFailure::TooLong => self.names.too_big("a row of", format!("{file}: row {row}")),
            RowFailure::Format(text) => self.names.broken(format!("{file}: row {row}: {text}")),
        }
    }
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> PlanResult<FileOpenFuture> {
        let table = Arc::clone(&self.table);
        let keys: Vec<String> = self.columns.iter().map(|&c| table.file_names[c].clone()).collect();
        let decoder = RowDecoder::new(Arc::clone(&self.schema), &keys, UnknownKeys::Ignore)
            .map_err(|e| external(table.names.unfit(e)))?;
        let meta = &file.object_meta;
        let range =
            file.range.as_ref().map(|r| (u64::try_from(r.start).unwrap_or(0), u64::try_from(r.end).unwrap_or(0)));
        let (start, end) = range.unwrap_or((0, meta.size));
        let fetch = |from| Fetch::new(Arc::clone(&self.store), meta, table.local, from);
        let rows = match &table.format {
            FileFormat::Csv(options) => Rows::Csv(Box::new(CsvRows::new(fetch(0), options, &table, &self.columns))),
            FileFormat::Ndjson if fetch::compression_of(&meta.location).is_some() => {
                Rows::Json(Box::new(JsonRows::lines(fetch(0), 0..u64::MAX, table.row_bytes_max)))
            }
            FileFormat::Ndjson => {
                let from = fetch(start.saturating_sub(1));
                Rows::Json(Box::new(JsonRows::lines(from, start..end, table.row_bytes_max)))
            }
            FileFormat::Json => Rows::Json(Box::new(JsonRows::objects(fetch(0), table.row_bytes_max))),
            FileFormat::Parquet => {
                return Err(DataFusionError::Internal("parquet is not read as text".to_owned()));
            }
        };
        let state = Reading {
            table,
            decoder,
            rows,
            file: meta.location.to_string(),
            batch_size: self.batch_size,
            row: 0,
            done: false,
        };
        let batches = stream::try_unfold(state, |mut state| async move {
            let batch = state.next_batch().await.map_err(external)?;
            Ok(batch.map(|batch| (batch, state)))
        });
        Ok(Box::pin(async move { Ok(batches.boxed()) }))
    }
}

struct Reading {
    table: Arc<TextTable>,
    decoder: RowDecoder,
    rows: Rows,
    file: String,
    batch_size: usize,
    row: usize,
    done: bool,
}

impl Reading {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.done {
            return Ok(None);
        }
        while self.decoder.rows() < self.batch_size && self.decoder.bytes() < BATCH_BYTES {
            self.row += 1;
            match self.rows.push_next(&mut self.decoder).await {
                Ok(true) => {}
                Ok(false) => {
                    self.done = true;
                    break;
                }
                Err(failure) => return Err(self.table.failure(&failure, &self.file, self.row)),
            }
        }
        if self.decoder.rows() == 0 {
            return Ok(None);
        }
        let batch = self.decoder.flush().map_err(|e| self.table.names.broken(format!("{}: {e}", self.file)))?;
        Ok(Some(batch))
    }
}
