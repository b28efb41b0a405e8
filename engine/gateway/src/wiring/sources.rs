//! Opens the configured sources and finds the table of each object in them. What cannot be opened becomes a table that
//! says why when it is read.

use crate::config::{Config, FileStore, S3Store, SourceKind};
use datafusion::catalog::TableProvider;
use futures::future::join_all;
use querygate_catalog::{DriverTable, RemoteField, SourceStatus, SourceTable, UnavailableTable, object_schema};
use querygate_driver_api::{Driver, TableRef, ValueType};
use querygate_files::{CsvOptions, FileFormat, FilesConfig, FilesSource, S3Config, TableSpec};
use querygate_memory::{MemoryConfig, MemorySource, load_ndjson};
use querygate_metadata::{Field, Object, RowFile, Snapshot, ValueType as Declared};
use querygate_rules::RemoteColumn;
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::sync::Arc;

/// Memory that one memory source may hold.
const MEMORY_SOURCE_BYTES_MAX: usize = 1 << 30;

enum Opened {
    Driver(Arc<dyn Driver>),
    Files(Arc<FilesSource>),
    Memory,
}

/// The configured sources by name.
pub(super) struct Sources {
    opened: BTreeMap<String, Opened>,
    /// Schema of tables that the metadata names without one, by source; none where the source knows by itself.
    schemas: BTreeMap<String, String>,
    memory_max: usize,
}

impl Sources {
    /// Opens nothing that could be down: drivers connect when they are first asked.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let mut opened = BTreeMap::new();
        let mut schemas = BTreeMap::new();
        for source in &config.sources {
            let made = match &source.kind {
                SourceKind::Sqlite { path, pool_size, fixed_text } => {
                    let readers = usize::try_from(*pool_size).unwrap_or(1);
                    let options = SqliteOptions { readers, fixed_text: *fixed_text, ..SqliteOptions::new(path) };
                    Opened::Driver(Arc::new(SqliteDriver::new(options)))
                }
                SourceKind::Mongodb(server) => Opened::Driver(Arc::new(super::mongodb::driver(server))),
                SourceKind::Mysql(server) => Opened::Driver(Arc::new(super::mysql::driver(server))),
                SourceKind::Postgres(server) => {
                    schemas.insert(source.name.clone(), server.schema.clone());
                    Opened::Driver(Arc::new(super::postgres::driver(&source.name, server)?))
                }
                SourceKind::Files(FileStore::Local(path)) => {
                    Opened::Files(Arc::new(FilesSource::new(FilesConfig::local(&source.name, path))?))
                }
                SourceKind::Files(FileStore::S3(store)) => {
                    Opened::Files(Arc::new(FilesSource::new(FilesConfig::s3(&source.name, s3(store)))?))
                }
                SourceKind::Memory => Opened::Memory,
            };
            opened.insert(source.name.clone(), made);
        }
        Ok(Self { opened, schemas, memory_max: MEMORY_SOURCE_BYTES_MAX })
    }

    /// Whether a source's server answers; files and memory are looked at by a reload alone.
    pub(super) async fn answers(&self, source: &str) -> bool {
        match self.opened.get(source) {
            Some(Opened::Driver(driver)) => driver.health().await.is_ok(),
            Some(Opened::Files(_) | Opened::Memory) | None => false,
        }
    }

    /// The table of every object, and how each source is.
    pub(super) async fn tables(
        &self,
        snapshot: &Snapshot,
        row_files: &[RowFile],
    ) -> (HashMap<String, SourceTable>, Vec<SourceStatus>) {
        let found = snapshot.objects.values().filter_map(|object| {
            let source = self.opened.get(&object.datasource)?;
            Some(async move { (object, self.table(source, object, snapshot, row_files).await) })
        });
        let mut tables = HashMap::new();
        let mut errors: BTreeMap<&str, Error> = BTreeMap::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (object, outcome) in join_all(found).await {
            let provider = outcome.unwrap_or_else(|error| {
                tracing::warn!(object = object.name, source = object.datasource, %error, "a table is not available");
                let unavailable = UnavailableTable::new(object_schema(object), told(&object.datasource, &error));
                errors.insert(&object.datasource, error);
                Arc::new(unavailable)
            });
            *counts.entry(&object.datasource).or_default() += 1;
            tables.insert(object.name.clone(), SourceTable { source: object.datasource.as_str().into(), provider });
        }
        let status = self.opened.iter().map(|(name, source)| SourceStatus {
            name: name.clone(),
            kind: kind(source).to_owned(),
            error: errors.get(name.as_str()).cloned(),
            tables: counts.get(name.as_str()).copied().unwrap_or(0),
            driver: match source {
                Opened::Driver(driver) => Some(Arc::clone(driver)),
                Opened::Files(_) | Opened::Memory => None,
            },
        });
        (tables, status.collect())
    }

    async fn table(
        &self,
        source: &Opened,
        object: &Object,
        snapshot: &Snapshot,
        row_files: &[RowFile],
    ) -> Result<Arc<dyn TableProvider>> {
        match source {
            Opened::Driver(driver) => {
                let schema = self.schemas.get(&object.datasource).map(String::as_str);
                Ok(Arc::new(driver_table(driver, object, schema).await?))
            }
            Opened::Files(files) => Ok(files.table(&file_spec(files, object).await?).await?),
            Opened::Memory => memory_table(object, snapshot, row_files, self.memory_max),
        }
    }
}

/// Readers learn the source's name and state, not its paths.
fn told(source: &str, error: &Error) -> Error {
    match error.code() {
        ErrorCode::UndefinedTable => {
            Error::new(ErrorCode::SourceSchemaChanged, format!("source \"{source}\" has no such table"))
                .with_hint("Ask an operator to compare the metadata with the source.")
        }
        ErrorCode::SourceSchemaChanged => error.clone(),
        _ => Error::new(ErrorCode::SourceUnavailable, format!("source \"{source}\" is not available"))
            .with_hint("Other sources answer; try again later.")
            .with_cause(error),
    }
}

fn kind(source: &Opened) -> &'static str {
    match source {
        Opened::Driver(driver) => driver.kind(),
        Opened::Files(_) => "files",
        Opened::Memory => "memory",
    }
}

fn s3(store: &S3Store) -> S3Config {
    let credentials = store.credentials.as_ref();
    S3Config {
        bucket: store.bucket.clone(),
        prefix: store.prefix.clone(),
        region: store.region.clone(),
        endpoint: store.endpoint.clone(),
        access_key_id: credentials.map(|(id, _)| id.expose().to_owned()),
        secret_access_key: credentials.map(|(_, secret)| secret.expose().to_owned()),
        session_token: store.session_token.as_ref().map(|token| token.expose().to_owned()),
        allow_http: store.endpoint.as_deref().is_some_and(|e| e.starts_with("http://")),
    }
}

/// Columns that both the object and the source's table have, in the declared type. A field that the source lacks is
/// absent; one whose stored form does not give its type is an error.
async fn driver_table(driver: &Arc<dyn Driver>, object: &Object, schema: Option<&str>) -> Result<DriverTable> {
    let own = object.external.as_ref().and_then(|e| e.remote_schema.as_deref());
    let schema = own.or(schema).map(str::to_owned);
    let table = TableRef::new(schema.into_iter().chain([object.table_name().to_owned()]))?;
    let described = driver.describe(&table).await?;
    let mut fields = Vec::new();
    for field in object.fields.values().filter(|field| field.stored()) {
        let remote_name = object.column_name(&field.name);
        let Some(column) = described.columns.iter().find(|c| c.name.as_str() == remote_name) else { continue };
        let value_type = wanted(field);
        let encoding = driver.read_as(column, value_type).map_err(|refusal| {
            let message = format!("field \"{}\" of \"{}\" does not fit its source", field.name, object.name);
            Error::new(ErrorCode::SourceSchemaChanged, message).with_detail(refusal.text)
        })?;
        let nullable = column.nullable && !field.not_null;
        let remote = RemoteColumn {
            name: column.name.clone(),
            value_type,
            nullable,
            collation: column.collation.clone(),
            encoding,
        };
        fields.push(RemoteField { field: field.name.clone(), column: remote });
    }
    let key = described
        .primary_key
        .iter()
        .map(|name| fields.iter().position(|f| f.column.name == *name && !f.column.nullable))
        .collect::<Option<Vec<_>>>()
        .filter(|key| !key.is_empty());
    Ok(DriverTable::new(Arc::clone(driver), object.datasource.as_str().into(), table, fields, key))
}

/// The vocabulary's type of a field.
fn wanted(field: &Field) -> ValueType {
    match field.value_type() {
        Declared::Text | Declared::Json => ValueType::Text,
        Declared::TextList | Declared::Float32Vector(_) => ValueType::TextList,
        Declared::Float64 => ValueType::Float64,
        Declared::Int32 => ValueType::Int32,
        Declared::Decimal { precision, scale } => ValueType::Decimal128 { precision, scale },
        Declared::Boolean => ValueType::Boolean,
        Declared::Date => ValueType::Date,
        Declared::TimestampMillisUtc => ValueType::Timestamp { utc: true },
        Declared::TimeMillis => ValueType::Time,
    }
}

/// `external.remoteName` names a file, folder or glob; without it the object's own name is looked for.
async fn file_spec(files: &FilesSource, object: &Object) -> Result<TableSpec> {
    let name = object.table_name();
    let schema = Some(object_schema(object));
    let mut spec = match format_of(name) {
        Some(format) => TableSpec::new(&object.name, name, format, schema),
        None => {
            let found = files.tables().await?.into_iter().find(|table| table.name == name);
            let missing = || {
                Error::new(ErrorCode::UndefinedTable, format!("source \"{}\" has no table \"{name}\"", files.name()))
            };
            let found = found.ok_or_else(missing)?;
            TableSpec::new(&object.name, &found.pattern, found.format, schema)
        }
    };
    if let Some(external) = &object.external {
        spec.column_map = external.column_map.iter().map(|(remote, local)| (local.clone(), remote.clone())).collect();
    }
    Ok(spec)
}

fn format_of(name: &str) -> Option<FileFormat> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "parquet" => Some(FileFormat::Parquet),
        "csv" => Some(FileFormat::Csv(CsvOptions::default())),
        "ndjson" | "jsonl" | "json" => Some(FileFormat::Ndjson),
        _ => None,
    }
}

/// Rows of the metadata's seed data, then of `<object>.ndjson` beside it.
fn memory_table(
    object: &Object,
    snapshot: &Snapshot,
    row_files: &[RowFile],
    max: usize,
) -> Result<Arc<dyn TableProvider>> {
    let schema = object_schema(object);
    let mut batches = Vec::new();
    let mut lines = String::new();
    for seed in snapshot.seed.iter().filter(|seed| seed.object == object.name) {
        for record in &seed.records {
            lines.push_str(&serde_json::to_string(record).map_err(Error::internal)?);
            lines.push('\n');
        }
    }
    if !lines.is_empty() {
        batches.push(load_ndjson(lines.as_bytes(), &schema, max)?);
    }
    for file in row_files.iter().filter(|file| file.object == object.name) {
        let open = std::fs::File::open(&file.path)
            .map_err(|e| Error::new(ErrorCode::SourceUnavailable, "a file of rows cannot be read").with_cause(e))?;
        batches.push(load_ndjson(BufReader::new(open), &schema, max)?);
    }
    let source = MemorySource::new(MemoryConfig { name: object.datasource.clone(), bytes_max: max });
    source.put(&object.name, schema, batches)?;
    Ok(source.table(&object.name)?)
}
