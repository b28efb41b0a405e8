//! Workers of a gate: which tables they can read, who they are, what operators see of them. And a worker's own folders.

mod follow;

pub(crate) use follow::names;

use super::sources::encoding_of;
use crate::config::Config;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use querygate_catalog::leaf::{self, FilesOf, TableFiles};
use querygate_files::{CsvOptions, FileFormat, FileTable, FilesConfig, FilesSource, PinnedFile, TableSpec};
use querygate_query::{EngineOptions, EngineWorkers};
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::{PoolOptions, TlsIdentity, WorkerPool};
use querygate_workers::part::{SigningKey, VerifyingKey};
use querygate_workers::worker::{OpenFiles, PartFiles};
use std::any::Any;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;

const RELATION: SystemRelation = SystemRelation {
    name: "workers",
    columns: &[
        ("name", CellKind::Text),
        ("address", CellKind::Text),
        ("answers", CellKind::Flag),
        ("running", CellKind::Integer),
        ("parts", CellKind::Integer),
        ("rows", CellKind::Integer),
        ("bytes", CellKind::Integer),
        ("failures", CellKind::Integer),
    ],
};

/// Gives the engine its workers, where the configuration has any.
pub(super) fn attach(mut options: EngineOptions, config: &Config, runtime: &Handle) -> Result<EngineOptions> {
    let Some(workers) = &config.workers else { return Ok(options) };
    let tls = TlsIdentity {
        certificate: read(&workers.tls.certificate)?,
        key: read(&workers.tls.key)?,
        authorities: read(&workers.authorities)?,
    };
    let key = signing_key(&workers.signing_key)?;
    let addresses = follow::named(workers)?;
    let pool = WorkerPool::new(PoolOptions { addresses, key, tls, bytes_min: workers.bytes_min })?;
    if workers.list.is_some() || !workers.names.is_empty() {
        runtime.spawn(follow::follow(Arc::downgrade(&pool), workers.clone()));
    }
    options.extensions.push(Arc::new(Shown(Arc::clone(&pool))));
    options.workers = Some(EngineWorkers { pool, files: FilesOf(Arc::new(files_of)) });
    Ok(options)
}

/// The key that a gate seals parts with.
///
/// # Errors
/// A file that cannot be read or holds no such key; the error names it.
pub(crate) fn signing_key(file: &Path) -> Result<SigningKey> {
    let advice = "Make one with `openssl genpkey -algorithm ed25519 -out gate.key`.";
    SigningKey::from_pem(&read(file)?).map_err(|error| unusable(file, "the private key of a gate", &error, advice))
}

/// The key that a worker verifies parts with.
///
/// # Errors
/// As of [`signing_key`].
pub(crate) fn verification_key(file: &Path) -> Result<VerifyingKey> {
    let advice = "Take it from the gate's key with `openssl pkey -in gate.key -pubout -out gate.pub`.";
    VerifyingKey::from_pem(&read(file)?).map_err(|error| unusable(file, "the public key of a gate", &error, advice))
}

fn unusable(file: &Path, what: &str, error: &Error, advice: &str) -> Error {
    let text = format!("{} is not {what}", file.display());
    Error::new(ErrorCode::ConfigInvalid, text).with_detail(error.detail().unwrap_or_default()).with_hint(advice)
}

/// A file that gate or worker cannot do without.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| crate::cli::file_error("read", path, &error))
}

fn files_of(provider: &dyn TableProvider) -> std::result::Result<TableFiles, &'static str> {
    let any: &dyn Any = provider;
    let table = any.downcast_ref::<FileTable>().ok_or("it is no table over files")?;
    let spec = table.spec().ok_or("its files are in a bucket")?;
    Ok(TableFiles {
        pattern: spec.pattern,
        format: match spec.format {
            FileFormat::Parquet => leaf::FileFormat::Parquet,
            FileFormat::Csv(CsvOptions { delimiter, quote, header, null, encoding }) => {
                leaf::FileFormat::Csv { delimiter, quote, header, null, encoding: encoding.name().to_owned() }
            }
            FileFormat::Ndjson => leaf::FileFormat::Ndjson,
            FileFormat::Json => leaf::FileFormat::Json,
        },
        schema: spec.schema.ok_or("its columns are not known")?,
        column_map: spec.column_map,
    })
}

/// The folders of a worker, by the names of sources.
pub(crate) struct Folders(HashMap<String, FilesSource>);

impl Folders {
    /// Opens each.
    ///
    /// # Errors
    /// A folder that is not there.
    pub(crate) fn open(folders: &[(String, PathBuf)]) -> Result<Self> {
        let open = |(name, path): &(String, PathBuf)| {
            if !path.is_dir() {
                return Err(Error::new(ErrorCode::ConfigInvalid, format!("{} is no folder", path.display())));
            }
            Ok((name.clone(), FilesSource::new(FilesConfig::local(name, path))?))
        };
        folders.iter().map(open).collect::<Result<_>>().map(Self)
    }
}

#[async_trait]
impl OpenFiles for Folders {
    async fn open(&self, part: PartFiles<'_>) -> Result<Arc<dyn TableProvider>> {
        let source = self.0.get(part.source).ok_or_else(|| {
            let text = format!("a worker has no folder for source \"{}\"", part.source);
            Error::new(ErrorCode::SourceUnavailable, text)
                .with_hint("An operator names it in the worker's configuration.")
        })?;
        let spec = TableSpec {
            name: part.table.to_owned(),
            pattern: part.files.pattern.clone(),
            format: match &part.files.format {
                leaf::FileFormat::Parquet => FileFormat::Parquet,
                leaf::FileFormat::Csv { delimiter, quote, header, null, encoding } => FileFormat::Csv(CsvOptions {
                    delimiter: *delimiter,
                    quote: *quote,
                    header: *header,
                    null: null.clone(),
                    encoding: encoding_of(encoding)?,
                }),
                leaf::FileFormat::Ndjson => FileFormat::Ndjson,
                leaf::FileFormat::Json => FileFormat::Json,
            },
            schema: Some(Arc::clone(&part.files.schema)),
            column_map: part.files.column_map.clone(),
            // The gate has looked.
            ignored: None,
        };
        let files = part.versions.iter().map(|version| PinnedFile {
            path: version.path.clone(),
            bytes: version.bytes,
            modified_ns: version.modified_ns,
            range: version.range,
        });
        let files: Vec<PinnedFile> = files.collect();
        Ok(source.pinned(&spec, &files).await?)
    }
}

/// `querygate.workers`, for operators.
#[derive(Debug)]
struct Shown(Arc<WorkerPool>);

impl SystemExtension for Shown {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        let row = |state: querygate_workers::gate::MemberState| {
            vec![
                Cell::Text(state.name),
                Cell::Text(state.address),
                Cell::Flag(state.answers),
                Cell::count(state.running as u64),
                Cell::count(state.parts),
                Cell::count(state.rows),
                Cell::count(state.bytes),
                Cell::count(state.failures),
            ]
        };
        // Rows and bytes that were read tell of hidden ones.
        RELATION.rows_for_operators(relation, reader, || self.0.states().into_iter().map(row).collect())
    }
}
