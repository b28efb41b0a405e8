//! What a leaf over Parquet files reads, for learning: its conditions by column, then rows, bytes and row groups
//! of each run. Holds conditions as they were planned until somebody asks, and hands on no value.

use super::conditions::{Uses, conditions_of};
use super::fingerprint::fingerprint;
use crate::expressions::Numbered;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use futures::{Stream, StreamExt};
use querygate_resources::bytes::batch_bytes;
use querygate_telemetry_api::fragment::{
    ColumnPlace, FileReads, FragmentRecord, FragmentShape, FragmentTemplate, OrderShape, TableShape,
};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// A leaf over Parquet files. What its runs have in common is made when the first one is asked for.
#[derive(Debug)]
pub(crate) struct FileLeaf {
    source: Arc<str>,
    table: Arc<str>,
    columns: Vec<String>,
    /// What the files are pruned by.
    conjuncts: Vec<Expr>,
    /// How many of them a policy gave; they come first.
    policy: usize,
    uses: Mutex<Uses>,
    template: OnceLock<Arc<FragmentTemplate>>,
}

/// The scan of Parquet files under nodes of one leaf.
fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    let any: &dyn Any = plan.as_ref();
    let config: Option<&FileScanConfig> =
        any.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref());
    if config.is_some_and(|config| config.file_source.file_type() == "parquet") {
        return Some(plan);
    }
    plan.children().into_iter().find_map(scan_of)
}

impl FileLeaf {
    /// `None`: the scan is not of Parquet files. `policy`: conditions of the row policy, in any place among the conjuncts.
    pub(crate) fn of(
        scan: &Arc<dyn ExecutionPlan>,
        source: &Arc<str>,
        table: &Arc<str>,
        conjuncts: &[Expr],
        policy: &[Expr],
    ) -> Option<Arc<Self>> {
        scan_of(scan)?;
        let (own, asked): (Vec<&Expr>, Vec<&Expr>) = conjuncts.iter().partition(|one| policy.contains(one));
        Some(Arc::new(Self {
            source: Arc::clone(source),
            table: Arc::clone(table),
            columns: scan.schema().fields().iter().map(|field| field.name().clone()).collect(),
            policy: own.len(),
            conjuncts: own.into_iter().chain(asked).cloned().collect(),
            uses: Mutex::default(),
            template: OnceLock::new(),
        }))
    }

    /// How the plan above uses its columns.
    pub(crate) fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn template(&self) -> Arc<FragmentTemplate> {
        Arc::clone(self.template.get_or_init(|| Arc::new(self.make())))
    }

    fn make(&self) -> FragmentTemplate {
        let asked = Numbered::default().template(&self.conjuncts);
        let filter = if asked.is_empty() { String::new() } else { format!(" where {asked}") };
        let text = format!("scan of {}: {}{filter}", self.table, self.columns.join(", "));
        let uses = self.uses();
        let place = |column: &String| ColumnPlace { table: 0, column: column.clone() };
        let order = uses.order.iter();
        let shape = FragmentShape {
            tables: vec![TableShape {
                path: vec![self.table.to_string()],
                conditions: conditions_of(&self.conjuncts, self.policy, &uses),
                columns: self.columns.clone(),
            }],
            group: uses.group.iter().map(place).collect(),
            order: order.map(|(column, down)| OrderShape { place: place(column), descending: *down }).collect(),
            ..FragmentShape::default()
        };
        FragmentTemplate {
            source: Arc::clone(&self.source),
            kind: "files",
            objects: Arc::new([self.table.to_string()]),
            fingerprint: fingerprint([self.source.as_bytes(), text.as_bytes()]),
            text: text.into(),
            passing: Vec::new(),
            shape,
        }
    }
}

/// One run of a leaf, by as many streams as it has partitions.
#[derive(Debug)]
pub(crate) struct FileRun {
    leaf: Arc<FileLeaf>,
    inner: Arc<dyn ExecutionPlan>,
    scan: Arc<dyn ExecutionPlan>,
    began: SystemTime,
    asked: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    streams: usize,
    ended: usize,
    rows: u64,
    bytes: u64,
    first_row: Option<Duration>,
    last: Duration,
    error: Option<ErrorCode>,
}

impl FileRun {
    /// `None`: the leaf lost its scan, which an optimizer may replace by an empty one.
    pub(crate) fn begin(leaf: &Arc<FileLeaf>, inner: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        Some(Self {
            leaf: Arc::clone(leaf),
            scan: Arc::clone(scan_of(inner)?),
            inner: Arc::clone(inner),
            began: SystemTime::now(),
            asked: Instant::now(),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn is_of(&self, leaf: &Arc<FileLeaf>, inner: &Arc<dyn ExecutionPlan>) -> bool {
        Arc::ptr_eq(&self.leaf, leaf) && Arc::ptr_eq(&self.inner, inner)
    }

    /// Batches of one partition, measured.
    pub(crate) fn measured(self: Arc<Self>, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        self.seen().streams += 1;
        Box::pin(Measured { batches, run: self, open: true })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, whole: bool, error: Option<ErrorCode>) {
        let last = self.asked.elapsed();
        let mut seen = self.seen();
        seen.ended += usize::from(whole);
        seen.last = last;
        seen.error = seen.error.or(error);
    }

    /// What it did until now.
    pub(crate) fn record(&self) -> FragmentRecord {
        let seen = self.seen();
        let partitions = self.inner.properties().output_partitioning().partition_count();
        FragmentRecord {
            template: self.leaf.template(),
            began: self.began,
            estimated_rows: None,
            rows: seen.rows,
            bytes: seen.bytes,
            acquire: Duration::ZERO,
            first_row: seen.first_row,
            total: seen.last,
            complete: seen.error.is_none() && seen.ended == seen.streams && seen.ended >= partitions,
            narrowed: false,
            nulls: Vec::new(),
            columns: Box::default(),
            reads: Some(self.scan.metrics().as_ref().map(counted).unwrap_or_default()),
            error: seen.error,
        }
    }
}

/// What the scan counted. A row group that a bloom filter or a limit spares has passed its statistics.
fn counted(metrics: &MetricsSet) -> FileReads {
    let mut reads = FileReads::default();
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut passed = 0;
    let mut spared_later = 0;
    for metric in metrics.iter() {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics } => match name.as_ref() {
                "row_groups_pruned_statistics" => {
                    passed += count(pruning_metrics.matched());
                    reads.groups_spared += count(pruning_metrics.pruned());
                }
                "row_groups_pruned_bloom_filter" | "limit_pruned_row_groups" => {
                    spared_later += count(pruning_metrics.pruned());
                }
                "files_ranges_pruned_statistics" => reads.files_spared += count(pruning_metrics.pruned()),
                _ => {}
            },
            MetricValue::Count { name, count: n } => match name.as_ref() {
                "bytes_scanned" => reads.bytes += count(n.value()),
                "row_groups_pruned_dynamic_filter" => spared_later += count(n.value()),
                _ => {}
            },
            _ => {}
        }
    }
    reads.groups = passed.saturating_sub(spared_later);
    reads.groups_spared += spared_later;
    reads
}

fn code_of(error: &DataFusionError) -> ErrorCode {
    match error.find_root() {
        DataFusionError::External(cause) => cause.downcast_ref::<Error>().map_or(ErrorCode::Internal, Error::code),
        _ => ErrorCode::Internal,
    }
}

struct Measured {
    batches: SendableRecordBatchStream,
    run: Arc<FileRun>,
    open: bool,
}

impl Measured {
    fn end(&mut self, whole: bool, error: Option<ErrorCode>) {
        if std::mem::take(&mut self.open) {
            self.run.ended(whole, error);
        }
    }
}

impl Stream for Measured {
    type Item = PlanResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.batches.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                let elapsed = self.run.asked.elapsed();
                let bytes = batch_bytes(batch);
                let mut seen = self.run.seen();
                seen.rows += batch.num_rows() as u64;
                seen.bytes += bytes;
                seen.first_row.get_or_insert(elapsed);
                seen.last = elapsed;
            }
            Poll::Ready(Some(Err(error))) => {
                let code = code_of(error);
                self.end(false, Some(code));
            }
            Poll::Ready(None) => self.end(true, None),
            Poll::Pending => {}
        }
        next
    }
}

impl RecordBatchStream for Measured {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.end(false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::listing::PartitionedFile;
    use datafusion::datasource::physical_plan::{
        CsvSource, FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
    };
    use datafusion::execution::object_store::ObjectStoreUrl;
    use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::prelude::{col, lit};

    fn scan(parquet: bool) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let source: Arc<dyn FileSource> =
            if parquet { Arc::new(ParquetSource::new(schema)) } else { Arc::new(CsvSource::new(schema)) };
        let files = FileGroup::new(vec![PartitionedFile::new("f", 10)]);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source);
        DataSourceExec::from_data_source(config.with_file_groups(vec![files]).build())
    }

    fn leaf(scan: &Arc<dyn ExecutionPlan>, value: i32) -> Option<Arc<FileLeaf>> {
        let wall = col("tenant").eq(lit("secret"));
        let conjuncts = [col("a").in_list((0..value).map(lit).collect(), false), wall.clone()];
        FileLeaf::of(scan, &"lake".into(), &"events".into(), &conjuncts, &[wall])
    }

    /// Batches of one partition that end, fail or go on.
    fn read(run: &Arc<FileRun>, items: Vec<PlanResult<RecordBatch>>) -> SendableRecordBatchStream {
        let batches = RecordBatchStreamAdapter::new(run.inner.schema(), futures::stream::iter(items));
        Arc::clone(run).measured(Box::pin(batches))
    }

    #[test]
    fn runs_with_other_values_have_one_template_which_holds_none() {
        let parquet = scan(true);
        let template = |value| leaf(&parquet, value).unwrap().template();
        let (one, other) = (template(7), template(9_000));
        assert_eq!(one, other);
        assert_eq!(&*one.text, "scan of events: a where (tenant = $1) AND a IN ([$2])");
        let conditions = &one.shape.tables[0].conditions;
        let told: Vec<_> = conditions.iter().map(|one| format!("{} {:?}", one.column, one.kind)).collect();
        assert_eq!(told, ["tenant PolicyEquality", "a Equality"]);
        assert!(leaf(&scan(false), 1).is_none(), "text has no row groups");
    }

    #[tokio::test]
    async fn a_run_is_complete_when_every_stream_has_ended_by_itself() {
        let parquet = scan(true);
        let leaf = leaf(&parquet, 1).unwrap();
        let batch = RecordBatch::new_empty(parquet.schema());
        let ran = |items: Vec<PlanResult<RecordBatch>>, take: usize| {
            let (leaf, parquet) = (Arc::clone(&leaf), Arc::clone(&parquet));
            async move {
                let run = Arc::new(FileRun::begin(&leaf, &parquet).unwrap());
                let mut batches = read(&run, items);
                for _ in 0..take {
                    let _ = batches.next().await;
                }
                drop(batches);
                run.record()
            }
        };
        let record = ran(vec![Ok(batch.clone())], 2).await;
        assert!(record.complete && record.first_row.is_some() && record.reads == Some(FileReads::default()));
        assert!(!ran(vec![Ok(batch.clone())], 1).await.complete, "the reader left");
        let failed = Error::new(ErrorCode::SourceLost, "gone");
        let record = ran(vec![Err(DataFusionError::External(Box::new(failed)))], 1).await;
        assert!(!record.complete && record.error == Some(ErrorCode::SourceLost));
        assert!(!FileRun::begin(&leaf, &parquet).unwrap().record().complete, "nobody read it");
    }

    /// A scan that counted as one of Parquet does.
    #[test]
    fn what_is_spared_later_was_passed_before() {
        let metrics = ExecutionPlanMetricsSet::new();
        let pruned = |name: &'static str, matched, pruned| {
            let one = MetricBuilder::new(&metrics).pruning_metrics(name, 0);
            one.add_matched(matched);
            one.add_pruned(pruned);
        };
        pruned("row_groups_pruned_statistics", 8, 12);
        pruned("row_groups_pruned_bloom_filter", 3, 5);
        pruned("files_ranges_pruned_statistics", 1, 2);
        MetricBuilder::new(&metrics).counter("bytes_scanned", 0).add(77);
        let reads = counted(&metrics.clone_inner());
        assert_eq!(reads, FileReads { bytes: 77, groups: 3, groups_spared: 17, files_spared: 2 });
    }
}
