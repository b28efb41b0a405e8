//! Reads Parquet footers: schema check against the declared columns, statistics, and the readers that prune by them. Knows no plan.

use crate::column_names::ColumnNames;
use crate::compat::readable_as;
use crate::error::Names;
use crate::layout::Layout;
use crate::store::PinnedStore;
use crate::store::listing::same_file;
use arrow::datatypes::{Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::Result as PlanResult;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;
use querygate_types::Result;
use std::sync::Arc;

/// Bytes read from the end of a file in the first request: most footers fit.
pub(crate) const FOOTER_HINT: usize = 64 * 1024;

/// Unit that legacy INT96 timestamps are read in: nanoseconds do not reach the years 1 and 9999.
pub(crate) const INT96_UNIT: TimeUnit = TimeUnit::Microsecond;

/// Where footers come from: the store, with what was read kept per source (paths of two sources may be equal).
#[derive(Debug, Clone)]
pub(crate) struct FooterReader {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) cache: Arc<FileMetadataCache>,
    pub(crate) local: bool,
}

impl FooterReader {
    /// The footer of exactly this version of the file.
    pub(crate) async fn footer(&self, meta: &ObjectMeta, names: &Names) -> Result<Arc<ParquetMetaData>> {
        self.forget_others(meta);
        let store = PinnedStore::new(Arc::clone(&self.store), meta, self.local);
        DFParquetMetadata::new(&store, meta)
            .with_metadata_size_hint(Some(FOOTER_HINT))
            .with_file_metadata_cache(Some(Arc::clone(&self.cache)))
            .fetch_metadata()
            .await
            .map_err(|e| {
                let cause = format!("{}: {e}", meta.location);
                names.reading(&e).map_or_else(|| names.broken(&cause), |error| error.with_cause(&cause))
            })
    }
}

impl FooterReader {
    /// Forgets the footer of another version of this file: the cache tells versions by size and time alone, which a copy may keep.
    fn forget_others(&self, meta: &ObjectMeta) {
        if self.cache.get(&meta.location).is_some_and(|kept| !same_file(&kept.meta, meta)) {
            self.cache.remove(&meta.location);
        }
    }
}

impl ParquetFileReaderFactory for FooterReader {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> PlanResult<Box<dyn AsyncFileReader + Send>> {
        self.forget_others(&file.object_meta);
        let store = Arc::new(PinnedStore::new(Arc::clone(&self.store), &file.object_meta, self.local));
        let hint = metadata_size_hint.or(Some(FOOTER_HINT));
        CachedParquetFileReaderFactory::new(store, Arc::clone(&self.cache)).create_reader(
            partition_index,
            file,
            hint,
            metrics,
        )
    }
}

/// Arrow schema of a file as it will be read.
pub(crate) fn file_schema(footer: &ParquetMetaData) -> Result<Schema, String> {
    let file = footer.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()).map_err(|e| e.to_string())?;
    // INT96 has no annotation of its own; Arrow shows it as nanoseconds.
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| {
            let int96 = file
                .schema_descr()
                .root_schema()
                .get_fields()
                .get(i)
                .is_some_and(|t| t.is_primitive() && t.get_physical_type() == parquet::basic::Type::INT96);
            let field = field.as_ref().clone().with_metadata(Default::default());
            if int96 { field.with_data_type(arrow::datatypes::DataType::Timestamp(INT96_UNIT, None)) } else { field }
        })
        .collect();
    Ok(Schema::new(fields))
}

/// Checks that the file can stand for the table: the error names the column and both types.
pub(crate) fn check(schema: &Schema, layout: &Layout, ignored: Option<&[String]>) -> Result<(), String> {
    let names = ColumnNames::of(schema);
    if let Some(text) = names.renamed(&layout.file_names, ignored) {
        return Err(text);
    }
    for (declared, name) in layout.file_schema.fields().iter().zip(layout.file_names.iter()) {
        let Some(found) = names.position(name).map(|at| schema.field(at)) else { continue };
        if !readable_as(found.data_type(), declared.data_type()) {
            return Err(format!("column \"{name}\" is {}, declared {}", found.data_type(), declared.data_type()));
        }
    }
    Ok(())
}

/// Statistics of one file in the order and types of the layout's file columns.
pub(crate) fn statistics(footer: &ParquetMetaData, schema: &Schema, layout: &Layout) -> Result<Statistics, String> {
    // Ask under the names and types of the file, then cast: the converter knows neither renames nor widening.
    let names = ColumnNames::of(schema);
    let fields: Vec<Field> = layout
        .file_schema
        .fields()
        .iter()
        .zip(layout.file_names.iter())
        .map(|(declared, name)| match names.position(name) {
            Some(at) => schema.field(at).clone(),
            None => declared.as_ref().clone().with_name(name),
        })
        .collect();
    let as_found: SchemaRef = Arc::new(Schema::new(fields));
    let mut statistics =
        DFParquetMetadata::statistics_from_parquet_metadata(footer, &as_found).map_err(|e| e.to_string())?;
    for ((column, found), declared) in
        statistics.column_statistics.iter_mut().zip(as_found.fields()).zip(layout.file_schema.fields())
    {
        if found.data_type().is_floating() {
            // Beside the greatest number there may be a NaN, which is greater; were it exact and the least one too, each row of
            // the file would be given it.
            column.max_value = std::mem::take(&mut column.max_value).to_inexact();
        }
        if found.data_type() != declared.data_type() {
            recast(column, found, declared);
        }
    }
    Ok(statistics)
}

/// Every cast that `readable_as` allows keeps the order of values, so the least stays the least; integers as text do not.
fn recast(column: &mut ColumnStatistics, found: &Field, declared: &Field) {
    let ordered = !found.data_type().is_integer() || declared.data_type().is_numeric();
    let cast = |value: &Precision<ScalarValue>| {
        let cast = value.get_value().filter(|_| ordered).and_then(|v| v.cast_to(declared.data_type()).ok());
        match (cast.filter(|v| !v.is_null()), value) {
            (Some(cast), Precision::Exact(_)) => Precision::Exact(cast),
            (Some(cast), _) => Precision::Inexact(cast),
            (None, _) => Precision::Absent,
        }
    };
    column.min_value = cast(&column.min_value);
    column.max_value = cast(&column.max_value);
    column.sum_value = Precision::Absent;
    column.byte_size = column.byte_size.to_inexact();
}
