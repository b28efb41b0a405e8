//! One source of files: its store, its footers, its tables. Knows no policy and no plan.

use crate::buffered::Buffered;
use crate::config::{FileFormat, FilesConfig, Location, TableSpec};
use crate::footers::FooterReader;
use crate::infer::{self, Inferred};
use crate::store;
use crate::store::listing::Fresh;
use crate::store::moved_files::Moved;
use crate::table::{FileTable, Files};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use object_store::ObjectStore;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// What all tables of a source share.
pub(crate) struct Shared {
    pub(crate) config: FilesConfig,
    store: OnceLock<Arc<dyn ObjectStore>>,
    footers: Arc<FileMetadataCache>,
    /// Where files are that were replaced.
    pub(crate) moved: Arc<Moved>,
    /// Taken to list files, and alone to replace them: nobody lists half of each.
    pub(crate) replacing: tokio::sync::RwLock<()>,
    /// What no other source has.
    pub(crate) identity: Arc<()>,
    /// Rows that open transactions keep in memory.
    pub(crate) buffered: Buffered,
    /// Listings of all tables, of every version of the metadata that is still in use.
    listings: Mutex<Vec<Weak<Fresh<Files>>>>,
}

impl Shared {
    /// The store; a local folder that was absent is tried again.
    pub(crate) fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        let opened = store::open(&self.config, &self.moved)?;
        Ok(Arc::clone(self.store.get_or_init(|| opened)))
    }

    /// A table's listing, which is read again when files were added here.
    pub(crate) fn listing(&self) -> Arc<Fresh<Files>> {
        let listing = Arc::new(Fresh::new(self.config.refresh));
        let mut all = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&listing));
        listing
    }

    /// No listing of before is trusted any more.
    pub(crate) fn relist(&self) {
        let all = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|listing| listing.invalidate());
    }

    pub(crate) fn footers(&self) -> Result<FooterReader> {
        Ok(FooterReader { store: self.store()?, cache: Arc::clone(&self.footers), local: self.is_local() })
    }

    pub(crate) fn is_local(&self) -> bool {
        match self.config.location {
            Location::Local { .. } => true,
            Location::S3(_) => false,
        }
    }
}

/// A configured source of files.
#[derive(Clone)]
pub struct FilesSource {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for FilesSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesSource").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl FilesSource {
    /// Opens nothing yet for a local folder; settings of a store that cannot be right are refused.
    pub fn new(config: FilesConfig) -> Result<Self> {
        let source = Self::unopened(config);
        match source.shared.store() {
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::SourceUnavailable => {}
            Err(error) => return Err(error),
        }
        Ok(source)
    }

    /// A source over a store that the caller opened. Its reads are those of a remote store unless the location is local.
    #[must_use]
    pub fn with_store(config: FilesConfig, store: Arc<dyn ObjectStore>) -> Self {
        let source = Self::unopened(config);
        source.shared.store.get_or_init(|| store);
        source
    }

    fn unopened(config: FilesConfig) -> Self {
        let footers: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(config.limits.footer_bytes_max));
        let (store, moved, replacing) = (OnceLock::new(), Arc::default(), tokio::sync::RwLock::default());
        Self {
            shared: Arc::new(Shared {
                config,
                store,
                footers,
                moved,
                replacing,
                identity: Arc::default(),
                buffered: Buffered::default(),
                listings: Mutex::default(),
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Name of the source.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// The provider of a table. With declared columns it reads nothing; otherwise it reads what it must to infer them.
    pub async fn table(&self, spec: &TableSpec) -> Result<Arc<FileTable>> {
        let schema = match &spec.schema {
            Some(schema) => Arc::clone(schema),
            None => self.infer(spec).await?.schema,
        };
        Ok(Arc::new(FileTable::new(Arc::clone(&self.shared), spec, &schema)?))
    }

    /// How the first file of a table is written, where its name promises the format of `spec`.
    pub(crate) async fn written(&self, spec: &TableSpec) -> Result<FileFormat> {
        infer::written(&self.shared, spec).await.map_err(in_the_open)
    }

    /// Columns as the files have them, with rows where all of them were counted.
    pub async fn infer(&self, spec: &TableSpec) -> Result<Inferred> {
        infer::infer(&self.shared, spec).await.map_err(in_the_open)
    }

    /// Reads listing and footers of a declared table now; the error's detail names file and column, for an operator.
    pub async fn check(&self, spec: &TableSpec) -> Result<Inferred> {
        let table = self.table(spec).await?;
        let (files, bytes, rows) = table.measure().await.map_err(in_the_open)?;
        let schema = spec.schema.clone().unwrap_or_else(|| datafusion::catalog::TableProvider::schema(table.as_ref()));
        Ok(Inferred { schema, files, bytes, rows, sampled: None, foreign: Vec::new() })
    }
}

/// Moves the cause, which names files and columns, to where an operator reads it.
pub(crate) fn in_the_open(error: Error) -> Error {
    match error.cause().map(str::to_owned) {
        Some(cause) => error.with_detail(cause),
        None => error,
    }
}
