//! One table over files as a DataFusion provider: fresh listing, partition pruning, statistics, scan. Knows no policy; whoever scans it filters.

mod adapter;
mod guard;
pub(crate) mod own_files;
pub(crate) mod pinned;
mod prunable;
mod rescan;
mod study;

use crate::config::{FileFormat, TableSpec};
use crate::error::{Names, external};
use crate::footers::{self, FOOTER_HINT, FooterReader};
use crate::layout::{self, Layout};
use crate::pattern::FilePattern;
use crate::source::Shared;
use crate::store::fetch;
use crate::store::listing::{self, Fresh};
use crate::table::adapter::Renaming;
use crate::table::guard::{Guarded, Watch};
use crate::table::own_files::OwnFiles;
use crate::text::{TextSource, TextTable};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{ColumnStatistics, DFSchema, Statistics, project_schema};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as PlanResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion_datasource::compute_all_files_statistics;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{ObjectMeta, ObjectStoreExt};
use querygate_driver_api::boxed_scan;
use querygate_driver_api::execution::Uncommitted;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Footers read at the same time.
const FOOTERS_AT_ONCE: usize = 16;

/// DataFusion wants a registered store per scan; reads go through the source's own, so one empty store serves all.
const REGISTERED: &str = "querygate-files://source";

/// A provider over the files of one table.
pub struct FileTable {
    pub(crate) shared: Arc<Shared>,
    pub(crate) names: Names,
    /// As it is declared.
    pub(crate) path: String,
    pub(crate) pattern: FilePattern,
    pub(crate) format: FileFormat,
    /// Declared columns, all nullable.
    pub(crate) schema: SchemaRef,
    /// What the files call them.
    pub(crate) file_names: Vec<String>,
    pub(crate) files: Arc<Fresh<Files>>,
    /// [`REGISTERED`].
    registered: ObjectStoreUrl,
    /// What is read whatever is in the store; `None`: what is there.
    pinned: Option<Arc<Files>>,
    /// As [`TableSpec::ignored`].
    ignored: Option<Arc<[String]>>,
}

/// One listing with everything that planning needs.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) listed: Vec<ObjectMeta>,
    pub(crate) layout: Layout,
    /// One row per file.
    pub(crate) partitions: RecordBatch,
    files: Vec<PartitionedFile>,
    /// Of all files together, for the declared columns; inexact, since files may be replaced at any time.
    statistics: Statistics,
}

impl std::fmt::Debug for FileTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTable").field("names", &self.names).finish_non_exhaustive()
    }
}

impl FileTable {
    /// A table of the declared columns. Reads no file: a source that is down keeps its tables.
    pub(crate) fn new(shared: Arc<Shared>, spec: &TableSpec, schema: &SchemaRef) -> Result<Self> {
        let names = Names::new(&shared.config.name, &spec.name);
        let invalid = |what: String| Error::new(ErrorCode::MetadataInvalid, format!("table \"{}\": {what}", spec.name));
        let pattern = FilePattern::parse(&spec.pattern).map_err(&invalid)?;
        if schema.fields().len() > shared.config.limits.columns_max {
            return Err(names.too_big("the number of columns of", schema.fields().len()));
        }
        if let Some(unknown) = spec.column_map.keys().find(|c| schema.field_with_name(c).is_err()) {
            return Err(invalid(format!("the column map names \"{unknown}\", which is no column")));
        }
        let file_names: Vec<String> = schema.fields().iter().map(|f| spec.file_column(f.name()).to_owned()).collect();
        let schema = Layout::nullable(schema);
        let schema = match spec.format {
            FileFormat::Parquet => Layout::viewed(&schema, &file_names),
            FileFormat::Csv(_) | FileFormat::Ndjson | FileFormat::Json => schema,
        };
        Ok(Self {
            files: shared.listing(),
            registered: ObjectStoreUrl::parse(REGISTERED).map_err(|error| invalid(error.to_string()))?,
            pinned: None,
            ignored: spec.ignored.as_deref().map(Arc::from),
            names,
            path: spec.pattern.clone(),
            pattern,
            format: spec.format.clone(),
            schema,
            file_names,
            shared,
        })
    }

    /// The listing, read again when it is no longer fresh.
    pub(crate) async fn files(&self) -> Result<Arc<Files>> {
        if let Some(pinned) = &self.pinned {
            return Ok(Arc::clone(pinned));
        }
        self.files.ask(|last| self.load(last)).await
    }

    /// This table over these files alone, or ranges of them.
    pub(crate) async fn pin(&self, listed: Vec<ObjectMeta>, ranges: &[Option<(i64, i64)>]) -> Result<Self> {
        let mut files = self.of_listed(listed).await?;
        for (file, range) in files.files.iter_mut().zip(ranges) {
            file.range = range.map(|(start, end)| FileRange { start, end });
        }
        Ok(Self {
            shared: Arc::clone(&self.shared),
            names: self.names.clone(),
            path: self.path.clone(),
            pattern: self.pattern.clone(),
            format: self.format.clone(),
            schema: Arc::clone(&self.schema),
            file_names: self.file_names.clone(),
            files: Arc::clone(&self.files),
            registered: self.registered.clone(),
            pinned: Some(Arc::new(files)),
            ignored: self.ignored.clone(),
        })
    }

    /// What the table is made of, for those who read its files elsewhere. `None`: they are in a bucket.
    #[must_use]
    pub fn spec(&self) -> Option<TableSpec> {
        if !self.shared.is_local() {
            return None;
        }
        let renamed = self.schema.fields().iter().zip(&self.file_names).filter(|(field, name)| field.name() != *name);
        Some(TableSpec {
            name: self.names.table.to_string(),
            pattern: self.path.clone(),
            format: self.format.clone(),
            schema: Some(Arc::clone(&self.schema)),
            column_map: renamed.map(|(field, name)| (field.name().clone(), name.clone())).collect(),
            ignored: self.ignored.as_deref().map(<[String]>::to_vec),
        })
    }

    /// Reads listing and footers now: files, bytes, and rows where the footers tell.
    pub(crate) async fn measure(&self) -> Result<(usize, u64, Option<u64>)> {
        let files = self.files().await?;
        let bytes = files.listed.iter().map(|m| m.size).sum();
        let rows: Option<u64> = files
            .files
            .iter()
            .map(|f| {
                let rows = f.statistics.as_ref()?.num_rows;
                rows.is_exact()?.then_some(())?;
                rows.get_value().and_then(|v| u64::try_from(*v).ok())
            })
            .sum();
        Ok((files.listed.len(), bytes, rows))
    }

    async fn load(&self, last: Option<Arc<Files>>) -> Result<Arc<Files>> {
        let store = self.shared.store()?;
        let limits = &self.shared.config.limits;
        let listed = {
            let _whole = self.shared.replacing.read().await;
            listing::list(store.as_ref(), &self.pattern, &self.format, limits, &self.names).await?
        };
        if let Some(last) = last.filter(|last| listing::same(&last.listed, &listed)) {
            return Ok(last);
        }
        self.of_listed(listed).await.map(Arc::new)
    }

    /// What planning needs of these files.
    async fn of_listed(&self, listed: Vec<ObjectMeta>) -> Result<Files> {
        let folders: Vec<_> = listed.iter().map(|m| self.pattern.partitions(&m.location)).collect();
        let keys: Vec<String> = folders.first().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        if let Some(at) = folders.iter().position(|f| !f.iter().map(|(k, _)| k).eq(keys.iter())) {
            let cause =
                format!("{}: its partition folders are not those of {}", listed[at].location, listed[0].location);
            return Err(self.names.unfit(cause));
        }
        let layout = Layout::new(&self.schema, &self.file_names, &keys);
        let partitions = layout
            .partition_rows(&self.file_names, &folders)
            .map_err(|e| self.names.unfit(format!("partition folders: {e}")))?;
        let reader = self.shared.footers()?;
        let reads: Vec<_> =
            listed.iter().enumerate().map(|(row, meta)| self.file(meta, row, &layout, &partitions, &reader)).collect();
        let files: Vec<_> = stream::iter(reads).buffered(FOOTERS_AT_ONCE).try_collect().await?;
        let statistics = together(&files, &layout);
        Ok(Files { listed, layout, partitions, files, statistics })
    }

    /// Whether it is a folder that has none of its files, whatever else is in it.
    pub(crate) async fn has_no_file(&self) -> Result<bool> {
        let folder =
            self.shared.root().map(|root| self.pattern.base().parts().fold(root, |at, part| at.join(part.as_ref())));
        let Some(folder) = folder else { return Ok(false) };
        if !tokio::fs::metadata(folder).await.is_ok_and(|found| found.is_dir()) {
            return Ok(false);
        }
        let (store, limits) = (self.shared.store()?, &self.shared.config.limits);
        let listed = listing::list_any(store.as_ref(), &self.pattern, &self.format, limits, &self.names).await?;
        Ok(listed.is_empty())
    }

    /// One file with its partition values and statistics.
    async fn file(
        &self,
        meta: &ObjectMeta,
        row: usize,
        layout: &Layout,
        partitions: &RecordBatch,
        reader: &FooterReader,
    ) -> Result<PartitionedFile> {
        let values = layout::values(partitions, row).map_err(|e| self.names.unfit(e))?;
        let statistics = match self.format {
            FileFormat::Parquet => self.footer_statistics(reader, meta, layout).await?,
            FileFormat::Csv(_) | FileFormat::Ndjson | FileFormat::Json => Statistics::new_unknown(&layout.file_schema),
        };
        let mut file = PartitionedFile::from(meta.clone()).with_partition_values(values);
        file.metadata_size_hint = Some(FOOTER_HINT);
        Ok(file.with_statistics(Arc::new(statistics)))
    }

    /// What the statement's own transaction adds to this table.
    fn written(&self, state: &dyn Session) -> Option<Arc<OwnFiles>> {
        let written = state.config().get_extension::<Uncommitted>()?.shown::<OwnFiles>()?;
        let place = written.committed();
        let is_below = place.prefix_match(self.pattern.base()).is_some();
        let is_own = written.is_of(&self.shared.identity)
            && self.format == FileFormat::Parquet
            && is_below
            && self.pattern.matches(place, &self.format);
        is_own.then_some(written)
    }

    /// Its files.
    async fn uncommitted(&self, written: &OwnFiles, files: &Files) -> Result<Vec<PartitionedFile>> {
        if !files.layout.partitions.is_empty() {
            return Err(self.names.unfit("rows that are not committed are in none of its partition folders"));
        }
        let (store, reader) = (self.shared.store()?, self.shared.footers()?);
        let mut own = Vec::new();
        for path in written.files().await? {
            let meta = store.head(&path).await.map_err(|error| self.names.store(&error))?;
            let meta = ObjectMeta { location: path, ..meta };
            own.push(self.file(&meta, 0, &files.layout, &files.partitions, &reader).await?);
        }
        Ok(own)
    }

    /// What a statement reads: the listing, and what its own transaction has added.
    async fn files_and_own(&self, state: &dyn Session) -> Result<(Arc<Files>, Vec<PartitionedFile>)> {
        let Some(written) = self.written(state) else { return Ok((self.files().await?, Vec::new())) };
        let error = match self.files().await {
            Ok(files) => {
                let own = self.uncommitted(&written, &files).await?;
                return Ok((files, own));
            }
            Err(error) => error,
        };
        if !self.has_no_file().await? {
            return Err(error);
        }
        let files = self.of_listed(Vec::new()).await?;
        let own = self.uncommitted(&written, &files).await?;
        // Its first rows are those of the transaction.
        if own.is_empty() { Err(error) } else { Ok((Arc::new(files), own)) }
    }

    async fn footer_statistics(&self, reader: &FooterReader, meta: &ObjectMeta, layout: &Layout) -> Result<Statistics> {
        let at = |what: String| format!("{}: {what}", meta.location);
        let footer = reader.footer(meta, &self.names).await?;
        let schema = footers::file_schema(&footer).map_err(|e| self.names.broken(at(e)))?;
        if schema.fields().len() > self.shared.config.limits.columns_max {
            return Err(self
                .names
                .too_big("the number of columns in a file of", at(schema.fields().len().to_string())));
        }
        footers::check(&schema, layout, self.ignored.as_deref()).map_err(|e| self.names.unfit(at(e)))?;
        footers::statistics(&footer, &schema, layout).map_err(|e| self.names.broken(at(e)))
    }

    fn file_source(&self, state: &dyn Session, files: &Arc<Files>) -> PlanResult<Arc<dyn FileSource>> {
        let table_schema = files.layout.table_schema();
        let inner: Arc<dyn FileSource> = match &self.format {
            FileFormat::Parquet => {
                let global = state.config_options().execution.parquet.clone();
                let mut options = TableParquetOptions { global, ..TableParquetOptions::default() };
                options.global.coerce_int96 = Some("us".to_owned());
                options.global.enable_page_index = true;
                options.global.bloom_filter_on_read = true;
                let reader = Arc::new(self.shared.footers().map_err(external)?);
                Arc::new(rescan::parquet_source(table_schema.clone(), options, reader))
            }
            FileFormat::Csv(_) | FileFormat::Ndjson | FileFormat::Json => {
                let limits = &self.shared.config.limits;
                let table = TextTable {
                    format: self.format.clone(),
                    names: self.names.clone(),
                    file_names: Arc::clone(&files.layout.file_names),
                    row_bytes_max: limits.row_bytes_max,
                    columns_max: limits.columns_max,
                    local: self.shared.is_local(),
                    is_compressed: files.listed.iter().any(|meta| fetch::compression_of(&meta.location).is_some()),
                    ignored: self.ignored.clone(),
                };
                Arc::new(TextSource::new(table, table_schema))
            }
        };
        let fresh = Arc::clone(&self.files);
        let watch = Watch {
            names: self.names.clone(),
            files: Arc::clone(files),
            store: self.shared.store().map_err(external)?,
            on_failure: Box::new(move || fresh.invalidate()),
        };
        Ok(Guarded::wrap(inner, Arc::new(watch)))
    }
}

/// Statistics of all files together, one for each declared column.
fn together(files: &[PartitionedFile], layout: &Layout) -> Statistics {
    let each: Option<Vec<&Statistics>> = files.iter().map(|file| file.statistics.as_deref()).collect();
    let merged = each.and_then(|each| Statistics::try_merge_iter(each, &layout.file_schema).ok());
    let merged = merged.unwrap_or_else(|| Statistics::new_unknown(&layout.file_schema)).to_inexact();
    let columns = layout.scan_projection(None).into_iter();
    let columns =
        columns.map(|at| merged.column_statistics.get(at).cloned().unwrap_or_else(ColumnStatistics::new_unknown));
    Statistics { column_statistics: columns.collect(), ..merged }
}

impl Files {
    /// The files that the filters over partition columns leave.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> PlanResult<Vec<PartitionedFile>> {
        let columns: Vec<&str> = self.layout.partitions.iter().map(|f| f.name().as_str()).collect();
        let mut keep = vec![true; self.files.len()];
        if !columns.is_empty() {
            let schema = DFSchema::try_from(self.partitions.schema())?;
            for filter in filters.iter().filter(|f| expr_applicable_for_cols(&columns, f)) {
                // A filter that fails here prunes nothing; it fails again, in its place, above the scan.
                let Some(mask) = self.mask(state, filter, &schema) else { continue };
                for (keep, row) in keep.iter_mut().zip(0..) {
                    *keep &= mask.is_valid(row) && mask.value(row);
                }
            }
        }
        Ok(self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect())
    }

    fn mask(&self, state: &dyn Session, filter: &Expr, schema: &DFSchema) -> Option<BooleanArray> {
        let physical = state.create_physical_expr(unqualified(filter.clone())?, schema).ok()?;
        let mask = physical.evaluate(&self.partitions).ok()?.into_array(self.files.len()).ok()?;
        (mask.data_type() == &DataType::Boolean).then(|| mask.as_boolean().clone())
    }
}

/// The same expression with bare column names: the table's alias means nothing to its files.
fn unqualified(expr: Expr) -> Option<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
    expr.transform(|e| match e {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })
    .data()
    .ok()
}

impl FileTable {
    /// The store that all scans are given, registered where it is not yet.
    fn registered(&self, state: &dyn Session) -> ObjectStoreUrl {
        if state.runtime_env().object_store(&self.registered).is_err() {
            state.runtime_env().register_object_store(self.registered.as_ref(), Arc::new(InMemory::new()));
        }
        self.registered.clone()
    }

    fn scanned<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, PlanResult<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let (files, own) = self.files_and_own(state).await.map_err(external)?;
            let mut kept = files.pruned(state, filters)?;
            kept.extend(own);
            if kept.is_empty() {
                return Ok(
                    Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)) as Arc<dyn ExecutionPlan>
                );
            }
            let source = self.file_source(state, &files)?;
            let table_schema = Arc::clone(source.table_schema().table_schema());
            let groups = FileGroup::new(kept).split_files(state.config().target_partitions().max(1));
            let (groups, statistics) = compute_all_files_statistics(groups, table_schema, true, false)?;
            let config = FileScanConfigBuilder::new(self.registered(state), source)
                .with_file_groups(groups)
                .with_statistics(statistics)
                .with_limit(limit)
                .with_expr_adapter(Some(Arc::new(Renaming::new(&files.layout.file_schema, &files.layout.file_names))))
                .with_projection_indices(Some(files.layout.scan_projection(projection)))?
                .build();
            Ok(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>)
        })
    }
}

impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// What the footers told when they were read last; reads nothing.
    fn statistics(&self) -> Option<Statistics> {
        self.files.last().0.map(|files| files.statistics.clone())
    }

    /// Filters prune files, row groups and pages, and are always evaluated again above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    boxed_scan!(scanned);
}
