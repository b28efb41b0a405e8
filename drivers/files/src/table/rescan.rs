//! A scan that was planned once, for one more run over the same files: its own counters, and the conditions of that run.

use crate::footers::FOOTER_HINT;
use crate::table::FileTable;
use crate::table::guard::Guarded;
use crate::text::TextSource;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::future::BoxFuture;
use std::any::Any;
use std::sync::Arc;

/// The condition of this run in the place of one of the scan. `None`: it is not known.
type Conditions<'a> = dyn Fn(&Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> + Send + Sync + 'a;

/// The scan for one more run, when it is made. `None`: it is to be planned.
type Scan<'a> = BoxFuture<'a, Option<Arc<dyn ExecutionPlan>>>;

/// A source of Parquet files without projection and conditions.
pub(super) fn parquet_source(
    table_schema: TableSchema,
    options: TableParquetOptions,
    reader: Arc<dyn ParquetFileReaderFactory>,
) -> ParquetSource {
    ParquetSource::new(table_schema)
        .with_table_parquet_options(options)
        .with_metadata_size_hint(FOOTER_HINT)
        .with_parquet_file_reader_factory(reader)
}

impl FileTable {
    /// What makes a scan of this table anew, as [`FileTable::again`] does.
    pub fn scans_again(
        self: &Arc<Self>,
    ) -> impl for<'a> Fn(&'a Arc<dyn ExecutionPlan>, &'a Conditions<'a>, bool) -> Scan<'a> + Send + Sync + 'static {
        let table = Arc::clone(self);
        move |kept, conditions, has_values| {
            let table = Arc::clone(&table);
            Box::pin(async move { table.again(kept, conditions, has_values).await })
        }
    }

    /// A scan that this table planned, for another run outside of a transaction with rows of its own. `has_values`: whether conditions that
    /// it was planned with have other values in this run. `None`: it is to be planned, for the files are others, they were chosen by such a
    /// condition on their folders, the scan is none of this table's, or one of its conditions is not known.
    async fn again(
        &self,
        kept: &Arc<dyn ExecutionPlan>,
        conditions: &Conditions<'_>,
        has_values: bool,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let scan: &dyn Any = kept.as_ref();
        let scan: &FileScanConfig = scan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()?;
        let guarded: &Guarded = scan.file_source.downcast_ref()?;
        // A listing that found nothing new is the last one.
        let files = self.files().await.ok()?;
        if !Arc::ptr_eq(&files, guarded.files()) || (has_values && !files.layout.partitions.is_empty()) {
            return None;
        }
        let source = guarded.again(source_again(guarded.inner(), conditions)?);
        let config = FileScanConfigBuilder::from(scan.clone()).with_source(source).build();
        Some(DataSourceExec::from_data_source(config))
    }
}

/// A source that reads and skips as the kept one does. Orders that it was given are not kept: what takes them is planned for each run.
fn source_again(kept: &Arc<dyn FileSource>, conditions: &Conditions<'_>) -> Option<Arc<dyn FileSource>> {
    if let Some(text) = kept.downcast_ref::<TextSource>() {
        return Some(Arc::new(text.with_own_metrics()));
    }
    let parquet: &ParquetSource = kept.downcast_ref()?;
    let reader = Arc::clone(parquet.parquet_file_reader_factory()?);
    let mut source = parquet_source(parquet.table_schema().clone(), parquet.table_parquet_options().clone(), reader);
    if let Some(condition) = parquet.filter() {
        source = source.with_predicate(conditions(&condition)?);
    }
    source.try_pushdown_projection(parquet.projection()?).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFormat, FilesConfig, TableSpec};
    use crate::source::FilesSource;
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::config::ConfigOptions;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
    use datafusion::physical_plan::collect;
    use datafusion::physical_plan::filter_pushdown::{
        ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase,
    };
    use datafusion::prelude::{SessionContext, col, lit as logical_lit};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use std::path::Path;
    use std::time::Duration;

    const GROUP: usize = 10;

    fn write(folder: &Path, rows: i64) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from_iter_values(0..rows))]);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP)).build();
        let file = std::fs::File::create(folder.join("t.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
        writer.write(&batch.unwrap()).unwrap();
        writer.close().unwrap();
    }

    fn at_least(least: i64) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::GtEq, lit(least)))
    }

    async fn table(folder: &Path, spec: &TableSpec) -> Arc<FileTable> {
        let config = FilesConfig { refresh: Duration::ZERO, ..FilesConfig::local("lake", folder) };
        FilesSource::new(config).unwrap().table(spec).await.unwrap()
    }

    /// The rows of all parts.
    async fn rows(context: &SessionContext, plan: &Arc<dyn ExecutionPlan>) -> usize {
        let batches = collect(Arc::clone(plan), context.task_ctx()).await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum()
    }

    #[tokio::test]
    async fn a_scan_of_the_same_files_counts_for_itself_under_the_conditions_of_its_run() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 30);
        let table = table(folder.path(), &TableSpec::new("t", "t.parquet", FileFormat::Parquet, None)).await;
        let context = SessionContext::new();
        let scan = table.scanned(&context.state(), None, &[], None).await.unwrap();
        let offer = ChildFilterPushdownResult { filter: at_least(20), child_results: Vec::new() };
        let offers = ChildPushdownResult { parent_filters: vec![offer], self_filters: Vec::new() };
        let answer = scan.handle_child_pushdown_result(FilterPushdownPhase::Pre, offers, &ConfigOptions::new());
        let kept = answer.unwrap().updated_node.unwrap();
        assert_eq!(rows(&context, &kept).await, GROUP, "two groups of rows are skipped");
        let same = table.again(&kept, &|condition| Some(Arc::clone(condition)), false).await.unwrap();
        assert_eq!(same.metrics().unwrap().output_rows(), None, "it has not run");
        assert_eq!(rows(&context, &same).await, GROUP);
        assert_eq!(kept.metrics().unwrap().output_rows(), Some(GROUP), "of its own run alone");
        let other = table.again(&kept, &|_| Some(at_least(10)), true).await.unwrap();
        assert_eq!(rows(&context, &other).await, 2 * GROUP);
        assert_eq!(other.properties().partitioning.partition_count(), kept.properties().partitioning.partition_count());
        assert!(table.again(&kept, &|_| None, true).await.is_none(), "a condition that is not known");
    }

    #[tokio::test]
    async fn a_scan_of_other_files_is_planned() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 30);
        let spec = TableSpec::new("t", "t.parquet", FileFormat::Parquet, None);
        let (table, other) = (table(folder.path(), &spec).await, table(folder.path(), &spec).await);
        let context = SessionContext::new();
        let kept = table.scanned(&context.state(), None, &[], None).await.unwrap();
        let known: &Conditions<'_> = &|condition| Some(Arc::clone(condition));
        assert!(table.again(&kept, known, false).await.is_some());
        assert!(other.again(&kept, known, false).await.is_none(), "of another table");
        write(folder.path(), 40);
        assert!(table.again(&kept, known, false).await.is_none(), "the file is another one");
        std::fs::remove_file(folder.path().join("t.parquet")).unwrap();
        assert!(table.again(&kept, known, false).await.is_none(), "the file is gone");
    }

    #[tokio::test]
    async fn a_scan_of_texts_counts_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.ndjson"), "{\"a\":1}\n{\"a\":2}\n").unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let table = table(folder.path(), &TableSpec::new("t", "t.ndjson", FileFormat::Ndjson, Some(schema))).await;
        let context = SessionContext::new();
        let kept = table.scanned(&context.state(), None, &[], None).await.unwrap();
        assert_eq!(rows(&context, &kept).await, 2);
        let again = table.again(&kept, &|condition| Some(Arc::clone(condition)), false).await.unwrap();
        assert_eq!(again.metrics().unwrap().output_rows(), None);
        assert_eq!(rows(&context, &again).await, 2);
    }

    #[tokio::test]
    async fn files_that_were_chosen_by_a_value_are_chosen_again() {
        let folder = tempfile::tempdir().unwrap();
        for day in ["day=1", "day=2"] {
            std::fs::create_dir(folder.path().join(day)).unwrap();
            std::fs::write(folder.path().join(day).join("t.ndjson"), "{\"a\":1}\n").unwrap();
        }
        let fields = ["a", "day"].map(|name| Field::new(name, DataType::Int64, true));
        let spec = TableSpec::new("t", "**/*.ndjson", FileFormat::Ndjson, Some(Arc::new(Schema::new(fields.to_vec()))));
        let table = table(folder.path(), &spec).await;
        let context = SessionContext::new();
        let on_first = [col("day").eq(logical_lit(1_i64))];
        let kept = table.scanned(&context.state(), None, &on_first, None).await.unwrap();
        assert_eq!(rows(&context, &kept).await, 1);
        let known: &Conditions<'_> = &|condition| Some(Arc::clone(condition));
        assert!(table.again(&kept, known, true).await.is_none());
        let same = table.again(&kept, known, false).await.unwrap();
        assert_eq!(rows(&context, &same).await, 1);
    }
}
