//! Reads a table's files as they are, sorts their rows in bounded memory, and writes them as wanted, one file at a time.

use super::check::{Sum, Summing};
use super::{Task, blocking, refused, unsupported};
use crate::footers;
use crate::footers::FooterReader;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as Physical;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type, TypePtr};
use querygate_driver_api::layout::Rewrite;
use querygate_types::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

mod output;

use output::Output;

/// Memory for sorting; the rest goes to disk.
const SORT_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of a row group, at most, whatever its rows.
const GROUP_BYTES: usize = 128 * 1024 * 1024;
/// Folders by the values of new columns, of one folder that is there.
const FOLDERS_MAX: usize = 2_000;
/// As hive names the folder of NULL.
pub(super) const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// How the files of a task are written.
pub(super) struct Writing<'a> {
    task: &'a Task<'a>,
    reader: FooterReader,
    /// Of all files as they are.
    schema: SchemaRef,
    /// Columns that become folders, and those of the order.
    folders: Vec<usize>,
    sort: Vec<usize>,
    /// Columns that stay in the files.
    stay: Vec<usize>,
    /// Their types in the files, which stay as they are.
    types: SchemaDescriptor,
    /// Whether files tell their Arrow types.
    tells_arrow: bool,
    properties: WriterProperties,
}

impl<'a> Writing<'a> {
    pub(super) fn new(task: &'a Task<'a>, wanted: &Rewrite) -> Result<Self> {
        let first = task.footers.first().ok_or_else(|| refused("the table has no files"))?;
        let schema = same_schema(&task.footers)?;
        let place = |name: &String| {
            let at = schema.index_of(name);
            at.map_err(|_| refused("the files no longer have a column of the suggestion"))
        };
        let known = |name: &&String| !task.is_folder(name);
        let folders = wanted.partition.iter().filter(known).map(place).collect::<Result<Vec<_>>>()?;
        let sort = wanted.sort.iter().filter(known).map(place).collect::<Result<Vec<_>>>()?;
        for at in &folders {
            names_folders(schema.field(*at).data_type())?;
        }
        if sort.iter().any(|at| schema.field(*at).data_type().is_nested()) {
            return Err(unsupported("a column of the order has no order"));
        }
        Summing::new(&schema).map_err(|_| unsupported("the files have a column that cannot be compared"))?;
        let stay: Vec<usize> = (0..schema.fields().len()).filter(|at| !folders.contains(at)).collect();
        if stay.is_empty() {
            return Err(unsupported("no column would stay in the files"));
        }
        let root = first.file_metadata().schema_descr().root_schema();
        let fields: Vec<TypePtr> = stay.iter().filter_map(|at| root.get_fields().get(*at).cloned()).collect();
        let root = Type::group_type_builder(root.name()).with_fields(fields).build().map_err(Error::internal)?;
        let types = SchemaDescriptor::new(Arc::new(root));
        let tells = first.file_metadata().key_value_metadata();
        let tells_arrow =
            tells.is_some_and(|all| all.iter().any(|one| one.key == parquet::arrow::ARROW_SCHEMA_META_KEY));
        let properties = properties(first, wanted, &types).build();
        let reader = task.table.shared.footers()?;
        Ok(Self { task, reader, schema, folders, sort, stay, types, tells_arrow, properties })
    }

    /// Writes all files. Their paths below the table's own; empty for a file that is one.
    pub(super) async fn write_all(&self) -> Result<Vec<Path>> {
        let data = self.task.kept.data();
        if self.is_file() {
            let mut output = Output::file(self, data.clone())?;
            self.write_folder(&self.task.listed, &mut output).await?;
            output.end().await?;
            return Ok(vec![Path::default()]);
        }
        let mut written = Vec::new();
        for (folder, files) in self.by_folder() {
            let mut output = Output::folder(self, &folder);
            self.write_folder(&files, &mut output).await?;
            written.extend(output.end().await?);
        }
        let (marks, permissions) = (self.task.tree.marks.clone(), self.task.tree.of_folders.clone());
        blocking(move || output::mark_and_sync(&data, &marks, &permissions)).await?;
        Ok(written)
    }

    /// Whether one file becomes one file.
    fn is_file(&self) -> bool {
        self.task.tree.is_file && self.folders.is_empty()
    }

    /// The files of each folder that there is, with its path below the table's own.
    fn by_folder(&self) -> BTreeMap<String, Vec<ObjectMeta>> {
        let mut folders: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
        for meta in &self.task.listed {
            let folder = folder_of(&meta.location, self.task.table.pattern.base());
            folders.entry(folder.join("/")).or_default().push(meta.clone());
        }
        folders
    }

    async fn write_folder(&self, files: &[ObjectMeta], output: &mut Output<'_>) -> Result<()> {
        let mut rows = self.sorted(files)?;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| self.read_error(&error))?;
            output.write(&batch).await?;
        }
        Ok(())
    }

    fn read_error(&self, error: &DataFusionError) -> Error {
        self.task.names.reading(error).unwrap_or_else(|| {
            refused("the rows cannot be sorted in the memory and disk that are there").with_detail(error.to_string())
        })
    }

    /// The rows of files in the wanted order.
    fn sorted(&self, files: &[ObjectMeta]) -> Result<SendableRecordBatchStream> {
        let files: Arc<[ObjectMeta]> = files.into();
        let rows = Rows { schema: Arc::clone(&self.schema), reader: self.reader.clone(), files };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(rows)];
        let scan = StreamingTableExec::try_new(Arc::clone(&self.schema), partitions, None, None, false, None);
        let mut plan: Arc<dyn ExecutionPlan> = Arc::new(scan.map_err(Error::internal)?);
        let key = |at: &usize| PhysicalSortExpr::new_default(Arc::new(Column::new(self.schema.field(*at).name(), *at)));
        if let Some(order) = LexOrdering::new(self.folders.iter().chain(&self.sort).map(key)) {
            plan = Arc::new(SortExec::new(order, plan));
        }
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![self.task.kept.spill()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(SORT_BYTES)))
            .with_disk_manager_builder(disk.with_max_temp_directory_size(u64::MAX))
            .build_arc()
            .map_err(Error::internal)?;
        plan.execute(0, Arc::new(TaskContext::default().with_runtime(runtime))).map_err(Error::internal)
    }

    /// All rows of files that were written.
    pub(super) async fn sum(&self, written: &[ObjectMeta]) -> Result<Sum> {
        let added = self.folders.len();
        self.sum_of(written, &self.task.kept.data_path(), added).await
    }

    /// All rows of files below `top`, where the last `added` folders are columns that were none.
    pub(super) async fn sum_of(&self, files: &[ObjectMeta], top: &Path, added: usize) -> Result<Sum> {
        let mut summing = Summing::new(&self.schema).map_err(Error::internal)?;
        for meta in files {
            let folder = folder_of(&meta.location, top);
            let (known, values) = folder.split_at(folder.len().saturating_sub(added));
            let values = self.values(values)?;
            if added > 0 || top != self.task.table.pattern.base() {
                self.as_written(meta).await?;
            }
            let mut rows = opened(&self.reader, meta);
            while let Some(batch) = rows.try_next().await.map_err(|error| self.read_error(&error))? {
                let columns = self.whole(&batch, &values)?;
                summing.add(&known.join("/"), &columns).map_err(Error::internal)?;
            }
        }
        Ok(summing.sum())
    }

    /// Whether a written file has the types that it should.
    async fn as_written(&self, meta: &ObjectMeta) -> Result<()> {
        let footer = self.reader.footer(meta, self.task.names).await?;
        let found = footer.file_metadata().schema_descr().root_schema();
        if found.get_fields() == self.types.root_schema().get_fields() {
            return Ok(());
        }
        Err(unsupported("the files have a column whose type cannot be written as it is"))
    }

    /// Values of new folders, one for each of [`Writing::folders`].
    fn values(&self, names: &[String]) -> Result<Vec<ScalarValue>> {
        let lost = || Error::internal("a folder that was written has no value");
        let value = |(at, name): (&usize, &String)| {
            let data_type = self.schema.field(*at).data_type();
            let (key, text) = name.split_once('=').ok_or_else(lost)?;
            match text {
                _ if key != self.schema.field(*at).name() => Err(lost()),
                NULL_FOLDER => ScalarValue::try_from(data_type).map_err(Error::internal),
                text => ScalarValue::try_from_string(text.to_owned(), data_type).map_err(Error::internal),
            }
        };
        self.folders.iter().zip(names).map(value).collect()
    }

    /// The columns as the old files have them.
    fn whole(&self, batch: &RecordBatch, values: &[ScalarValue]) -> Result<Vec<ArrayRef>> {
        if values.is_empty() {
            return Ok(batch.columns().to_vec());
        }
        let mut columns = batch.columns().iter();
        let column = |at: usize| match self.folders.iter().position(|folder| *folder == at) {
            Some(number) => {
                let value = values.get(number).ok_or_else(|| Error::internal("a folder has too few values"))?;
                value.to_array_of_size(batch.num_rows()).map_err(Error::internal)
            }
            None => columns.next().cloned().ok_or_else(|| Error::internal("a written file lacks a column")),
        };
        (0..self.schema.fields().len()).map(column).collect()
    }
}

/// The names of the folders above a file.
fn folder_of(location: &Path, top: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        location.prefix_match(top).into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
    parts.pop();
    parts
}

/// The one schema of all files.
fn same_schema(footers: &[Arc<ParquetMetaData>]) -> Result<SchemaRef> {
    let schema_of = |footer: &Arc<ParquetMetaData>| {
        let file = footer.file_metadata();
        let int96 = |column: &parquet::schema::types::ColumnDescPtr| column.physical_type() == Physical::INT96;
        if file.schema_descr().columns().iter().any(int96) {
            return Err(unsupported("the files have instants in the old form INT96, which is not written any more"));
        }
        parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
            .map_err(|error| unsupported("the files have a column that cannot be read").with_detail(error.to_string()))
    };
    let mut all = footers.iter().map(schema_of);
    let first = all.next().unwrap_or_else(|| Err(refused("the table has no files")))?;
    for other in all {
        if other?.fields() != first.fields() {
            return Err(unsupported("the files have different columns"));
        }
    }
    let descriptors = footers.iter().map(|footer| footer.file_metadata().schema_descr().root_schema().get_fields());
    if descriptors.clone().zip(descriptors.skip(1)).any(|(one, next)| one != next) {
        return Err(unsupported("the files have columns of different types"));
    }
    Ok(Arc::new(Schema::new(first.fields().clone())))
}

/// Whether a folder's name says a value of this type exactly.
fn names_folders(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(()),
        _ if data_type.is_integer() => Ok(()),
        _ => Err(unsupported("folders can be named by texts and whole numbers only")),
    }
}

/// As the first file was written, and as is wanted.
fn properties(first: &ParquetMetaData, wanted: &Rewrite, types: &SchemaDescriptor) -> WriterPropertiesBuilder {
    let told = first.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let told = told.into_iter().filter(|one| one.key != parquet::arrow::ARROW_SCHEMA_META_KEY).collect::<Vec<_>>();
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(wanted.group_rows.max(1)))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_key_value_metadata((!told.is_empty()).then_some(told));
    if let Some(column) = first.row_groups().first().and_then(|group| group.columns().first()) {
        properties = properties.set_compression(column.compression());
    }
    for column in first.row_groups().iter().flat_map(|group| group.columns()) {
        if column.bloom_filter_offset().is_some() {
            properties = properties.set_column_bloom_filter_enabled(column.column_path().clone(), true);
        }
    }
    for column in types.columns() {
        if column.path().parts().first().is_some_and(|root| wanted.bloom.contains(root)) {
            let path = ColumnPath::new(column.path().parts().to_vec());
            properties = properties.set_column_bloom_filter_enabled(path, true);
        }
    }
    properties
}

/// The rows of a file as they are.
fn opened(reader: &FooterReader, meta: &ObjectMeta) -> BoxStream<'static, Result<RecordBatch, DataFusionError>> {
    let (reader, file) = (reader.clone(), PartitionedFile::from(meta.clone()));
    let begun = async move {
        let metrics = ExecutionPlanMetricsSet::new();
        let reader: Box<dyn AsyncFileReader> = reader.create_reader(0, file, Some(footers::FOOTER_HINT), &metrics)?;
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        Ok::<_, DataFusionError>(builder.build()?.map_err(DataFusionError::from))
    };
    stream::once(begun).try_flatten().boxed()
}

/// The rows of files, one file after the other.
struct Rows {
    schema: SchemaRef,
    reader: FooterReader,
    files: Arc<[ObjectMeta]>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (reader, schema, files) = (self.reader.clone(), Arc::clone(&self.schema), Arc::clone(&self.files));
        let rows = (0..files.len()).filter_map(move |at| files.get(at).map(|meta| opened(&reader, meta)));
        let typed = move |batch: Result<RecordBatch, DataFusionError>| {
            Ok(RecordBatch::try_new(Arc::clone(&schema), batch?.columns().to_vec())?)
        };
        let rows = stream::iter(rows).flatten().map(typed);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
