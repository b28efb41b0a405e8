//! Sources without a database: folders, buckets, and tables in memory.

use crate::config::{FileStore, S3Store};
use crate::wiring::changes::{columns, wanted};
use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use querygate_catalog::Rescan;
use querygate_catalog::deployment::SourceTable;
use querygate_catalog::object_schema;
use querygate_catalog::remote::{DriverTable, RemoteField};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_files::{AppendTarget, CsvOptions, FileFormat, FileTable, FilesConfig, FilesSource, S3Config, TableSpec};
use querygate_memory::{MemoryColumn, MemoryConfig, MemorySource, MemoryTableSpec, load_ndjson};
use querygate_metadata::load::RowFile;
use querygate_metadata::model::{Field, FileKind, FileText, Object, Snapshot, Uniqueness};
use querygate_rules::opener::RemoteColumn;
use querygate_types::{Error, ErrorCode, Result};
use std::io::BufReader;
use std::sync::Arc;

/// The source of a folder or bucket.
pub(super) fn files_source(name: &str, store: &FileStore) -> Result<FilesSource> {
    FilesSource::new(match store {
        FileStore::Local(path) => FilesConfig::local(name, path),
        FileStore::S3(store) => FilesConfig::s3(name, s3(store)),
    })
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

/// `external.remoteName` names a file, folder or glob; without it the object's own name is looked for.
async fn file_spec(files: &FilesSource, object: &Object) -> Result<TableSpec> {
    let name = object.table_name();
    let schema = Some(object_schema(object));
    let mut spec = match format_of(name, object.file.as_ref())? {
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
        spec.ignored = external.ignore_columns.clone();
        spec.column_map = external.column_map.iter().map(|(remote, local)| (local.clone(), remote.clone())).collect();
    }
    Ok(spec)
}

/// A table that is read by its provider; what changes it is a matter of the provider's driver, if it has one.
pub(super) fn read_only(object: &Object, provider: Arc<dyn TableProvider>) -> SourceTable {
    SourceTable::new(object.datasource.as_str(), provider)
}

/// The object's files; with who adds rows to them, where they take any.
pub(super) async fn files_table(files: &FilesSource, object: &Object, writes: bool) -> Result<SourceTable> {
    let table = files.table(&file_spec(files, object).await?).await?;
    let appends = if writes {
        appends(&table, object)
            .inspect_err(|error| tracing::warn!(object = object.name, %error, "files take no new rows"))
            .ok()
    } else {
        None
    };
    let rescan = Rescan::new(table.scans_again());
    Ok(SourceTable { appends, ..read_only(object, table) }.with_rescan(rescan))
}

fn appends(table: &Arc<FileTable>, object: &Object) -> Result<DriverTable> {
    let named: Vec<_> = columns(object).map(|(name, field)| (name.to_owned(), wanted(field))).collect();
    // What metadata says is unique is kept so as in tables in memory.
    let MemoryTableSpec { primary_key, unique, .. } = changing_table(object);
    let unique: Vec<_> = std::iter::once(primary_key).chain(unique).collect();
    let target = AppendTarget::new(Arc::clone(table), &object.name, &named, &unique)?;
    let field = |(name, field): (&str, &Field)| {
        let column = RemoteColumn {
            name: Identifier::new(name)?,
            value_type: wanted(field),
            nullable: true,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        Ok(RemoteField { field: field.name.clone(), column })
    };
    let fields = columns(object).map(field).collect::<Result<Vec<RemoteField>>>()?;
    let place = |key: &Field| fields.iter().position(|field| field.field == key.name);
    let key = object.key().into_iter().map(place).collect::<Option<Vec<_>>>().filter(|key| !key.is_empty());
    let table = TableRef::new([object.name.as_str()])?;
    Ok(DriverTable::new(Arc::new(target), object.datasource.as_str().into(), table, fields, key))
}

/// How files are written: as the metadata says, else as their name promises.
fn format_of(name: &str, told: Option<&FileText>) -> Result<Option<FileFormat>> {
    let promised = FileFormat::promised(name);
    let Some(told) = told else { return Ok(promised) };
    let options = match &promised {
        Some(FileFormat::Csv(options)) => options.clone(),
        Some(FileFormat::Parquet | FileFormat::Ndjson | FileFormat::Json) | None => CsvOptions::default(),
    };
    let format = match (told.format, promised) {
        (Some(FileKind::Parquet), _) => FileFormat::Parquet,
        (Some(FileKind::Ndjson), _) => FileFormat::Ndjson,
        (Some(FileKind::Json), _) => FileFormat::Json,
        (Some(FileKind::Csv), _) | (None, Some(FileFormat::Csv(_))) => FileFormat::Csv(csv_of(told, options)?),
        (None, promised) => return Ok(promised),
    };
    Ok(Some(format))
}

fn csv_of(told: &FileText, promised: CsvOptions) -> Result<CsvOptions> {
    let byte = |mark: Option<char>, other: u8| mark.and_then(|mark| u8::try_from(mark).ok()).unwrap_or(other);
    Ok(CsvOptions {
        delimiter: byte(told.delimiter, promised.delimiter),
        quote: byte(told.quote, promised.quote),
        header: told.header.unwrap_or(promised.header),
        null: told.null.clone().unwrap_or(promised.null),
        encoding: told.encoding.as_deref().map_or(Ok(promised.encoding), encoding_of)?,
    })
}

/// The encoding of this name.
pub(in crate::wiring) fn encoding_of(name: &str) -> Result<&'static encoding_rs::Encoding> {
    let unknown = || Error::new(ErrorCode::MetadataInvalid, format!("unknown encoding \"{name}\""));
    encoding_rs::Encoding::for_label(name.as_bytes()).ok_or_else(unknown)
}

/// The rows of a table in memory. Errors name the place of the row.
pub(crate) fn memory_rows(
    object: &Object,
    snapshot: &Snapshot,
    row_files: &[RowFile],
    max: usize,
) -> Result<Vec<RecordBatch>> {
    let schema = object_schema(object);
    let mut batches = Vec::new();
    let (mut lines, mut places) = (String::new(), Vec::new());
    for seed in snapshot.seed.iter().filter(|seed| seed.object == object.name) {
        for (at, record) in seed.records.iter().enumerate() {
            lines.push_str(&serde_json::to_string(record).map_err(Error::internal)?);
            lines.push('\n');
            places.push(seed.places.get(at).unwrap_or(&seed.location));
        }
    }
    if !lines.is_empty() {
        let place = |line: usize| places.get(line.checked_sub(1)?).map(ToString::to_string);
        batches.push(load_ndjson(lines.as_bytes(), &schema, max).map_err(|error| placed(error, place))?);
    }
    for file in row_files.iter().filter(|file| file.object == object.name) {
        let open = std::fs::File::open(&file.path)
            .map_err(|e| Error::new(ErrorCode::SourceUnavailable, "a file of rows cannot be read").with_cause(e))?;
        let place = |line: usize| Some(format!("{}:{line}:1", file.path.display()));
        batches.push(load_ndjson(BufReader::new(open), &schema, max).map_err(|error| placed(error, place))?);
    }
    Ok(batches)
}

/// An error of a row, which says its line, with the row's place instead: in the detail.
fn placed(error: Error, place: impl Fn(usize) -> Option<String>) -> Error {
    let row = error.message().strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    let Some((place, reason)) = row.and_then(|(line, reason)| Some((place(line.parse().ok()?)?, reason))) else {
        return error;
    };
    Error::new(error.code(), reason).with_detail(place)
}

/// Rows of the metadata's seed data, then of `<object>.ndjson` beside it.
pub(super) fn memory_table(
    object: &Object,
    snapshot: &Snapshot,
    row_files: &[RowFile],
    max: usize,
) -> Result<SourceTable> {
    let schema = object_schema(object);
    let batches = memory_rows(object, snapshot, row_files, max)?;
    let source = MemorySource::new(MemoryConfig { name: object.datasource.clone(), bytes_max: max });
    source.put(&object.name, schema, batches)?;
    Ok(read_only(object, source.table(&object.name)?).with_rescan(Rescan::of_fixed_rows()))
}

/// The table in memory behind an object that may be changed. What metadata says is unique, and numbers that are given by themselves,
/// are kept apart by the table itself.
pub(super) fn changing_table(object: &Object) -> MemoryTableSpec {
    let name = |field: &str| object.column_name(field).to_owned();
    let tenant: Vec<String> = object.tenant_field().map(|field| name(&field.name)).into_iter().collect();
    let within = |uniqueness: Uniqueness, fields: Vec<String>| match uniqueness {
        Uniqueness::No => None,
        Uniqueness::Organization => Some(tenant.iter().cloned().chain(fields).collect()),
        Uniqueness::Global => Some(fields),
    };
    let own = |field: &Field| {
        let is_numbered = field.autonumber_format.is_some();
        let uniqueness =
            if is_numbered && field.unique == Uniqueness::No { Uniqueness::Organization } else { field.unique };
        within(uniqueness, vec![name(&field.name)])
    };
    let unique = object.fields.values().filter(|field| field.stored()).filter_map(own);
    let indexes = object.indexes.iter().filter_map(|index| {
        let fields = index.fields.iter().map(|field| name(field)).collect();
        within(index.unique, fields)
    });
    MemoryTableSpec {
        name: object.name.clone(),
        columns: columns(object)
            .map(|(name, field)| MemoryColumn { name: name.to_owned(), value_type: wanted(field) })
            .collect(),
        primary_key: object.key().into_iter().map(|field| name(&field.name)).collect(),
        unique: unique.chain(indexes).collect(),
    }
}
