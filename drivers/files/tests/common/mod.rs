//! What the file tests share: folders, writers, sessions and printed rows.
#![allow(dead_code, reason = "each test binary uses its part")]

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec, shared_error};
use querygate_types::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn source(root: &Path) -> FilesSource {
    source_with(root, Duration::from_secs(3600))
}

pub(crate) fn source_with(root: &Path, refresh: Duration) -> FilesSource {
    FilesSource::new(FilesConfig { refresh, ..FilesConfig::local("lake", root) }).unwrap()
}

pub(crate) fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

pub(crate) fn base_schema() -> SchemaRef {
    schema(&[("id", DataType::Int64), ("name", DataType::Utf8), ("v", DataType::Float64)])
}

/// Rows `from..to`: every third name and every seventh value is NULL.
pub(crate) fn rows(from: i64, to: i64) -> RecordBatch {
    let ids: Int64Array = (from..to).collect();
    let names: StringArray = (from..to).map(|i| (i % 3 != 0).then(|| format!("n{}", i % 10))).collect();
    let values: Float64Array = (from..to).map(|i| (i % 7 != 0).then_some(i as f64)).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(names), Arc::new(values)];
    RecordBatch::try_new(base_schema(), columns).unwrap()
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch, row_group: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group))
        .set_data_page_row_count_limit(row_group.min(1_000))
        .set_write_batch_size(500)
        .set_bloom_filter_enabled(true)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

pub(crate) fn write_text(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub(crate) fn spec(pattern: &str, format: FileFormat, schema: SchemaRef) -> TableSpec {
    TableSpec::new("t", pattern, format, Some(schema))
}

pub(crate) async fn session(source: &FilesSource, spec: &TableSpec, partitions: usize) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(partitions);
    // Small files are split too, so that ranges are tested.
    config.options_mut().optimizer.repartition_file_min_size = 1;
    let context = SessionContext::new_with_config(config);
    context.register_table("t", source.table(spec).await.unwrap()).unwrap();
    context
}

pub(crate) async fn ask(source: &FilesSource, spec: &TableSpec, sql: &str) -> String {
    let context = session(source, spec, 1).await;
    text(&context.sql(sql).await.unwrap().collect().await.unwrap())
}

/// The error of a statement as the engine unwraps it.
pub(crate) async fn fail(context: &SessionContext, sql: &str) -> Error {
    let error = match context.sql(sql).await {
        Ok(frame) => frame.collect().await.expect_err("the statement must fail"),
        Err(error) => error,
    };
    unwrap(&error)
}

pub(crate) fn unwrap(error: &DataFusionError) -> Error {
    shared_error(error).cloned().unwrap_or_else(|| panic!("no shared error in {error:?}"))
}

/// Cells joined by commas, rows by semicolons.
pub(crate) fn text(batches: &[RecordBatch]) -> String {
    let printed = pretty_format_batches(batches).unwrap().to_string();
    let cells = |l: &str| {
        let inner = l.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")).unwrap_or(l).to_owned();
        inner.split(" | ").map(str::trim).collect::<Vec<_>>().join(",")
    };
    printed.lines().filter(|l| l.starts_with('|')).skip(1).map(cells).collect::<Vec<_>>().join(";")
}

/// Runs a statement and gives the sum of a metric over its plan.
pub(crate) async fn metric(context: &SessionContext, sql: &str, name: &str) -> usize {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    sum_metric(&plan, name)
}

pub(crate) fn sum_metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    use datafusion::physical_plan::metrics::MetricValue;
    let own: usize = plan
        .metrics()
        .into_iter()
        .flat_map(|set| set.iter().cloned().collect::<Vec<_>>())
        .filter(|m| m.value().name() == name)
        .map(|m| match m.value() {
            MetricValue::PruningMetrics { pruning_metrics, .. } => pruning_metrics.pruned(),
            other => other.as_usize(),
        })
        .sum();
    own + plan.children().into_iter().map(|c| sum_metric(c, name)).sum::<usize>()
}
