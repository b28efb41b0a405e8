//! Opens the configured sources and finds the table of each object in them. What cannot be opened becomes a table that
//! says why when it is read.

mod files;
mod looks;
pub(crate) mod mongodb;
pub(crate) mod mysql;
pub(crate) mod postgres;
mod refusal;

pub(super) use files::encoding_of;
pub(crate) use files::memory_rows;

use super::changes::{Changes, Fitted};
use super::numbers::Numbers;
use crate::config::{BadValues, Config, OnChange, PerObject, Source, SourceKind};
use datafusion::catalog::TableProvider;
use files::{changing_table, files_source, files_table, memory_table, read_only};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt, stream};
use looks::Looks;
use querygate_catalog::deployment::{SchemaEvent, SourceStatus, SourceTable, UnavailableTable};
use querygate_catalog::object_schema;
use querygate_catalog::remote::DriverTable;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::pool::{BreakerState, Budget};
use querygate_driver_api::remote::{LookedFor, RemoteTable};
use querygate_files::FilesSource;
use querygate_memory::ChangingMemory;
use querygate_metadata::load::RowFile;
use querygate_metadata::model::{Object, Snapshot};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::{Error, ErrorCode, Result};
use refusal::refusal;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Memory that one memory source may hold.
pub(crate) const MEMORY_SOURCE_BYTES_MAX: usize = 1 << 30;
/// Tables of one source that are asked about at a time.
const TABLES_AT_ONCE: usize = 8;

#[derive(Clone)]
enum Opened {
    Driver(Arc<dyn Driver>),
    Files {
        files: Arc<FilesSource>,
        /// Whether its tables take new rows.
        writes: bool,
    },
    Memory,
    /// Memory whose tables may be changed, and keep what they are changed to.
    ChangingMemory(Arc<ChangingMemory>),
}

/// The configured sources by name.
pub(super) struct Sources {
    /// As the configuration has them.
    of: Vec<Source>,
    /// Connections of all of them.
    budget: Budget,
    opened: BTreeMap<String, Opened>,
    /// Schema of tables that the metadata names without one, by source; none where the source knows by itself.
    schemas: BTreeMap<String, String>,
    memory_max: usize,
    /// What is done when tables change, by source.
    policies: BTreeMap<String, (PerObject<OnChange>, PerObject<BadValues>)>,
    changes: Arc<Changes>,
    numbers: Arc<Numbers>,
    looks: Mutex<BTreeMap<String, Looks>>,
    /// Folders whose files may be written anew, until what an earlier process left there is removed.
    untidy: Mutex<Vec<Arc<FilesSource>>>,
    /// Folders that take new rows, until what transactions of an earlier process left there is removed.
    unswept: Mutex<Vec<Arc<FilesSource>>>,
}

impl Sources {
    /// Opens nothing that could be down: drivers connect when they are first asked.
    pub(super) fn open(config: &Config) -> Result<Self> {
        Self::none(Budget::new(config.limits.source_connections_max)).next(config)
    }

    fn none(budget: Budget) -> Self {
        Self {
            of: Vec::new(),
            budget,
            opened: BTreeMap::new(),
            schemas: BTreeMap::new(),
            memory_max: MEMORY_SOURCE_BYTES_MAX,
            policies: BTreeMap::new(),
            changes: Arc::default(),
            numbers: Arc::default(),
            looks: Mutex::default(),
            untidy: Mutex::default(),
            unswept: Mutex::default(),
        }
    }

    /// Whether these are a configuration's.
    pub(super) fn are_of(&self, config: &Config) -> bool {
        let is_same = |(own, other): (&Source, &Source)| own.is_like(other);
        self.of.len() == config.sources.len() && self.of.iter().zip(&config.sources).all(is_same)
    }

    /// The sources of another configuration. Those that are as they were go on, with their connections.
    ///
    /// # Errors
    /// One of which no driver can be made.
    pub(super) fn next(&self, config: &Config) -> Result<Self> {
        let mut next = Self { of: config.sources.clone(), ..Self::none(self.budget.clone()) };
        next.numbers = Arc::clone(&self.numbers);
        let stays = |own: &Source| config.sources.iter().any(|other| own.is_like(other));
        next.changes = match self.of.iter().all(stays) {
            true => Arc::clone(&self.changes),
            // What is known of tables is known of those of another source.
            false => Arc::new(self.changes.without_tables()),
        };
        for source in &config.sources {
            next.policies.insert(source.name.clone(), (source.schema_change.clone(), source.bad_values.clone()));
            if let SourceKind::Postgres(server) = &source.kind {
                next.schemas.insert(source.name.clone(), server.schema.clone());
            }
            let is_known = self.of.iter().any(|own| own.is_like(source));
            let opened = match self.opened.get(&source.name).filter(|_| is_known) {
                Some(opened) => opened.clone(),
                None => next.made(config, source)?,
            };
            next.opened.insert(source.name.clone(), opened);
        }
        Ok(next)
    }

    fn made(&mut self, config: &Config, source: &Source) -> Result<Opened> {
        let budget = &self.budget;
        // A source says for itself that it may be changed; nothing is where changes are not enabled at all.
        let may = |own: bool| config.writes && own;
        Ok(match &source.kind {
            SourceKind::Sqlite { path, pool_size, fixed_text, writes, distributed } => {
                let readers = usize::try_from(*pool_size).unwrap_or(1);
                let (sqlite, writes, distributed) = (SqliteOptions::new(path), may(*writes), *distributed);
                let options = SqliteOptions { readers, fixed_text: *fixed_text, writes, distributed, ..sqlite };
                Opened::Driver(Arc::new(SqliteDriver::new(options)))
            }
            SourceKind::Mongodb(server) => Opened::Driver(Arc::new(mongodb::driver(server, config.writes, budget))),
            SourceKind::Mysql(server) => Opened::Driver(Arc::new(mysql::driver(server, config.writes, budget))),
            SourceKind::Postgres(server) => {
                Opened::Driver(Arc::new(postgres::driver(&source.name, server, config.writes, budget)?))
            }
            SourceKind::Files { store, writes } => {
                let (files, writes) = (Arc::new(files_source(&source.name, store)?), may(*writes));
                if source.apply_layouts {
                    self.untidy.get_mut().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&files));
                }
                if writes {
                    self.unswept.get_mut().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&files));
                }
                Opened::Files { files, writes }
            }
            SourceKind::Memory { writes } if may(*writes) => {
                Opened::ChangingMemory(Arc::new(ChangingMemory::new(MEMORY_SOURCE_BYTES_MAX)))
            }
            SourceKind::Memory { .. } => Opened::Memory,
            SourceKind::Native(native) => Opened::Driver(super::extensions::driver(config, &source.name, native)?),
        })
    }

    /// Keeps in a file which autonumbers were given. Before tables are made.
    pub(super) fn keep_numbers(&self, file: &Path) -> Result<()> {
        self.numbers.keep_in(file)
    }

    /// The driver of a source that is a database.
    pub(super) fn driver(&self, source: &str) -> Option<&Arc<dyn Driver>> {
        match self.opened.get(source)? {
            Opened::Driver(driver) => Some(driver),
            Opened::Files { .. } | Opened::Memory | Opened::ChangingMemory(_) => None,
        }
    }

    /// What changes sources, by their names.
    pub(super) fn drivers(&self) -> Vec<(Arc<str>, Arc<dyn Driver>)> {
        let of = |(name, source): (&String, &Opened)| {
            let driver: Arc<dyn Driver> = match source {
                Opened::Driver(driver) => Arc::clone(driver),
                Opened::ChangingMemory(memory) => Arc::<ChangingMemory>::clone(memory),
                Opened::Files { .. } | Opened::Memory => return None,
            };
            Some((name.as_str().into(), driver))
        };
        self.opened.iter().filter_map(of).collect()
    }

    /// Whether a source's server answers; files and memory are looked at by a reload alone.
    pub(super) async fn answers(&self, source: &str) -> bool {
        match self.opened.get(source) {
            Some(Opened::Driver(driver)) => driver.health().await.is_ok(),
            Some(Opened::Files { .. } | Opened::Memory | Opened::ChangingMemory(_)) | None => false,
        }
    }

    /// Asks servers that could not be reached whether they answer, where their pause is over: no statement may ask for a long time,
    /// and until then they count as away. It is the attempt that the next statement would have made.
    pub(super) async fn ask_again(&self) {
        let away = self.opened.values().filter_map(|source| match source {
            Opened::Driver(driver) => {
                driver.pool().filter(|pool| pool.breaker == BreakerState::HalfOpen).map(|_| driver)
            }
            Opened::Files { .. } | Opened::Memory | Opened::ChangingMemory(_) => None,
        });
        join_all(away.map(|driver| driver.health())).await;
    }

    /// The table of every object, and how each source is.
    pub(super) async fn tables(
        &self,
        snapshot: &Snapshot,
        row_files: &[RowFile],
    ) -> (HashMap<String, SourceTable>, Vec<SourceStatus>) {
        self.tidy().await;
        let mut by_source: BTreeMap<&str, Asked<'_, SourceTable>> = BTreeMap::new();
        for object in snapshot.objects.values() {
            let Some(source) = self.opened.get(&object.datasource) else { continue };
            let asked = self.table(source, object, snapshot, row_files).boxed();
            by_source.entry(&object.datasource).or_default().push((object, asked));
        }
        let found: Vec<_> = by_source.into_values().map(one_source).collect();
        let mut tables = HashMap::new();
        let mut errors: BTreeMap<&str, Error> = BTreeMap::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (object, outcome) in join_all(found).await.into_iter().flatten() {
            let table = outcome.unwrap_or_else(|error| {
                tracing::warn!(
                    object = object.name,
                    source = object.datasource,
                    %error,
                    cause = error.cause(),
                    "a table is not available"
                );
                let unavailable = UnavailableTable::new(object_schema(object), refusal(&object.datasource, &error));
                errors.insert(&object.datasource, error);
                read_only(object, Arc::new(unavailable))
            });
            *counts.entry(&object.datasource).or_default() += 1;
            tables.insert(object.name.clone(), table);
        }
        let status = self.opened.iter().map(|(name, source)| SourceStatus {
            name: name.clone(),
            kind: kind(source).to_owned(),
            error: errors.get(name.as_str()).cloned(),
            tables: counts.get(name.as_str()).copied().unwrap_or(0),
            driver: match source {
                Opened::Driver(driver) => Some(Arc::clone(driver)),
                Opened::Files { .. } | Opened::Memory | Opened::ChangingMemory(_) => None,
            },
        });
        (tables, status.collect())
    }

    /// Whether each object of a source has a table that can be served. Changes nothing there.
    pub(super) async fn look(
        &self,
        source: &str,
        snapshot: &Snapshot,
        row_files: &[RowFile],
    ) -> Vec<(String, Result<()>)> {
        let Some(opened) = self.opened.get(source) else { return Vec::new() };
        let objects = snapshot.objects.values().filter(|object| object.datasource == source);
        let asked = objects.map(|object| {
            let table = self.table(opened, object, snapshot, row_files);
            (object.as_ref(), async move { table.await.map(drop) }.boxed())
        });
        one_source(asked.collect()).await.into_iter().map(|(object, looked)| (object.name.clone(), looked)).collect()
    }

    /// Once: what a process that was killed left where it wrote files anew. The tables are whole in any case.
    async fn tidy(&self) {
        let untidy = std::mem::take(&mut *self.untidy.lock().unwrap_or_else(PoisonError::into_inner));
        for files in untidy {
            if let Err(error) = files.tidy(querygate_files::SPARED).await {
                tracing::warn!(source = files.name(), %error, "what is left of files written anew is not removed now");
            }
        }
        let unswept = std::mem::take(&mut *self.unswept.lock().unwrap_or_else(PoisonError::into_inner));
        for files in unswept {
            if let Err(error) = files.sweep().await {
                tracing::warn!(source = files.name(), %error, "what is left of transactions is not removed now");
            }
        }
    }

    async fn table(
        &self,
        source: &Opened,
        object: &Object,
        snapshot: &Snapshot,
        row_files: &[RowFile],
    ) -> Result<SourceTable> {
        let provider: Arc<dyn TableProvider> = match source {
            Opened::Driver(driver) => Arc::new(self.driver_table(driver, object).await?),
            Opened::Files { files, writes } => return files_table(files, object, *writes).await,
            Opened::Memory => return memory_table(object, snapshot, row_files, self.memory_max),
            Opened::ChangingMemory(memory) => {
                let rows = || memory_rows(object, snapshot, row_files, self.memory_max);
                match memory.put(&changing_table(object), rows) {
                    // Lists of numbers are only read.
                    Err(error) if error.code() == ErrorCode::FeatureNotSupported => {
                        return memory_table(object, snapshot, row_files, self.memory_max);
                    }
                    Err(error) => return Err(error),
                    Ok(()) => {
                        let driver: Arc<dyn Driver> = Arc::<ChangingMemory>::clone(memory);
                        Arc::new(self.driver_table(&driver, object).await?)
                    }
                }
            }
        };
        Ok(read_only(object, provider))
    }

    /// The object's table as what adds rows to its files; `None`: it is not in files that take any.
    pub(super) async fn appends(&self, object: &Object) -> Option<Result<DriverTable>> {
        let Opened::Files { files, writes: true } = self.opened.get(&object.datasource)? else { return None };
        files_table(files, object, true).await.map(|table| table.appends).transpose()
    }

    /// The object's table in a database, with the columns that both have.
    async fn driver_table(&self, driver: &Arc<dyn Driver>, object: &Object) -> Result<DriverTable> {
        let table = self.reference(object)?;
        let described = match self.described(driver, object, &table).await {
            Err(error) if error.code() == ErrorCode::UndefinedTable => {
                self.changes.missing(object);
                return Err(error);
            }
            described => described?,
        };
        let policies = self.policies.get(&object.datasource);
        let policy = policies.map(|(on_change, bad_values)| (on_change.of(&object.name), bad_values.of(&object.name)));
        let Fitted { fields, lost, widened } =
            self.changes.fitted(driver.as_ref(), object, &described, policy.unwrap_or_default());
        let key = described
            .primary_key
            .iter()
            .map(|name| fields.iter().position(|f| f.column.name == *name && !f.column.nullable))
            .collect::<Option<Vec<_>>>()
            .filter(|key| !key.is_empty());
        let source = object.datasource.as_str().into();
        let numbers = self.numbers.of(&object.datasource, &table);
        let served = DriverTable::without(Arc::clone(driver), source, table, fields, lost, widened, key);
        let is_given = |name| super::changes::find(&described.columns, name).is_some_and(|column| column.has_default);
        let gives_key = described.primary_key.iter().all(|name| is_given(name.as_str()));
        Ok(served.giving_key(gives_key).declared(&object_schema(object)).numbered(numbers))
    }

    /// An object's table as its source describes it now. Of a source that shows what some rows hold, fields that these have not
    /// are looked for in others; while it cannot say that there are none, a field stays as it was.
    async fn described(&self, driver: &Arc<dyn Driver>, object: &Object, table: &TableRef) -> Result<RemoteTable> {
        let mut described = driver.describe(table).await?;
        if !driver.samples() {
            return Ok(described);
        }
        let names = super::changes::columns(object).map(|(name, _)| name.to_owned());
        let is_missing = |name: &String| !described.columns.iter().any(|column| column.name.as_str() == name);
        let missing: Vec<String> = names.filter(is_missing).collect();
        if !missing.is_empty() {
            let LookedFor { columns, complete } = driver.look_for(table, &missing).await?;
            described.columns.extend(columns);
            if !complete {
                self.changes.keep(object, &mut described);
            }
        }
        Ok(described)
    }

    /// What a source calls an object's table.
    pub(super) fn reference(&self, object: &Object) -> Result<TableRef> {
        if let Some(Opened::ChangingMemory(_)) = self.opened.get(&object.datasource) {
            return TableRef::new([object.name.as_str()]);
        }
        let own = object.external.as_ref().and_then(|e| e.remote_schema.as_ref());
        let schema = own.or_else(|| self.schemas.get(&object.datasource)).cloned();
        TableRef::new(schema.into_iter().chain([object.table_name().to_owned()]))
    }

    /// What sources changed since the gate began.
    pub(super) fn schema_events(&self) -> Vec<SchemaEvent> {
        self.changes.events()
    }

    /// Whether some source has other tables than those that the deployment's were made of. Looks where statements failed as
    /// if it were so, and everywhere now and then.
    pub(super) async fn changed(&self, snapshot: &Snapshot) -> bool {
        let drivers = self.opened.iter().filter_map(|(name, source)| match source {
            Opened::Driver(driver) => Some((name, driver)),
            Opened::Files { .. } | Opened::Memory | Opened::ChangingMemory(_) => None,
        });
        for (name, driver) in drivers {
            let Some(notice) = driver.schema_notice() else { continue };
            let began = Instant::now();
            let looks = self.looks(name, began);
            let is_asked = began >= looks.asked && notice.take();
            if !is_asked && began < looks.regular {
                continue;
            }
            if self.differs(driver, name, snapshot).await {
                return true;
            }
            let now = Instant::now();
            self.lock_looks().insert(name.clone(), Looks::after(now, now - began));
        }
        false
    }

    fn looks(&self, source: &str, now: Instant) -> Looks {
        *self.lock_looks().entry(source.to_owned()).or_insert_with(|| Looks::fresh(now))
    }

    fn lock_looks(&self) -> MutexGuard<'_, BTreeMap<String, Looks>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn differs(&self, driver: &Arc<dyn Driver>, source: &str, snapshot: &Snapshot) -> bool {
        let mut asked: Asked<'_, RemoteTable> = Vec::new();
        for object in snapshot.objects.values().filter(|object| object.datasource == source) {
            let table = self.reference(object);
            asked.push((object, async move { self.described(driver, object, &table?).await }.boxed()));
        }
        one_source(asked).await.into_iter().any(|(object, described)| match described {
            Ok(described) => self.changes.differs(driver.as_ref(), object, Some(&described)),
            Err(error) if error.code() == ErrorCode::UndefinedTable => {
                self.changes.differs(driver.as_ref(), object, None)
            }
            // It says nothing of its tables now.
            Err(_) => false,
        })
    }
}

/// A question about each object of one source.
type Asked<'a, T> = Vec<(&'a Object, BoxFuture<'a, Result<T>>)>;

/// Asks a few at a time. When the source cannot be reached, the rest hear so at once.
async fn one_source<T: Send>(asked: Asked<'_, T>) -> Vec<(&Object, Result<T>)> {
    let away: OnceLock<Error> = OnceLock::new();
    let mut answers: Vec<BoxFuture<'_, _>> = Vec::with_capacity(asked.len());
    for (object, asked) in asked {
        let away = &away;
        let answer = async move {
            if let Some(error) = away.get() {
                return (object, Err(error.clone()));
            }
            let answer = asked.await;
            if let Err(error) = &answer
                && matches!(error.code(), ErrorCode::SourceUnavailable | ErrorCode::SourceLost)
            {
                away.get_or_init(|| error.clone());
            }
            (object, answer)
        };
        answers.push(answer.boxed());
    }
    stream::iter(answers).buffer_unordered(TABLES_AT_ONCE).collect().await
}

fn kind(source: &Opened) -> &'static str {
    match source {
        Opened::Driver(driver) => driver.kind(),
        Opened::Files { .. } => "files",
        Opened::Memory | Opened::ChangingMemory(_) => "memory",
    }
}
