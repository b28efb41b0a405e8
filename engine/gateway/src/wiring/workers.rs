//! Workers of a gate: which tables they can read, who they are, what operators see of them. And a worker's own folders.

use crate::config::{Config, Workers};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use querygate_catalog::leaf::{self, FilesOf, TableFiles};
use querygate_files::{CsvOptions, FileFormat, FileTable, FilesConfig, FilesSource, PinnedFile, TableSpec};
use querygate_query::{EngineOptions, EngineWorkers};
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::{PoolOptions, TlsIdentity, WorkerPool};
use querygate_workers::part::SigningKey;
use querygate_workers::worker::{OpenFiles, PartFiles};
use std::any::Any;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

const RELATION: SystemRelation = SystemRelation {
    name: "workers",
    columns: &[
        ("address", CellKind::Text),
        ("answers", CellKind::Flag),
        ("running", CellKind::Integer),
        ("parts", CellKind::Integer),
        ("rows", CellKind::Integer),
        ("bytes", CellKind::Integer),
        ("failures", CellKind::Integer),
    ],
};

/// How often a file of workers is read again.
const LIST_INTERVAL: Duration = Duration::from_secs(2);

/// Bytes of such a file.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Gives the engine its workers, where the configuration has any.
pub(super) fn attach(mut options: EngineOptions, config: &Config, runtime: &Handle) -> Result<EngineOptions> {
    let Some(workers) = &config.workers else { return Ok(options) };
    let tls = TlsIdentity {
        certificate: read(&workers.tls.certificate)?,
        key: read(&workers.tls.key)?,
        authorities: read(&workers.authorities)?,
    };
    let key = SigningKey::from_pem(&read(&workers.signing_key)?)?;
    let pool = WorkerPool::new(PoolOptions { addresses: addresses(workers)?, key, tls, bytes_min: workers.bytes_min })?;
    if workers.list.is_some() {
        runtime.spawn(follow(Arc::downgrade(&pool), workers.clone()));
    }
    options.extensions.push(Arc::new(Shown(Arc::clone(&pool))));
    options.workers = Some(EngineWorkers { pool, files: FilesOf(Arc::new(files_of)) });
    Ok(options)
}

/// A file that gate or worker cannot do without.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| crate::cli::file_error("read", path, &error))
}

fn addresses(workers: &Workers) -> Result<Vec<String>> {
    let mut all = workers.addresses.clone();
    if let Some(list) = &workers.list {
        all.extend(listed(list)?);
    }
    Ok(all)
}

/// An address in each line; `#` begins a comment.
fn listed(path: &Path) -> Result<Vec<String>> {
    let bad = |what: String| Error::new(ErrorCode::ConfigInvalid, format!("{}: {what}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| crate::cli::file_error("read", path, &error))?.len();
    if length > LIST_BYTES_MAX {
        return Err(bad("a list of workers is not that long".to_owned()));
    }
    let text = String::from_utf8(read(path)?).map_err(|_| bad("it is no text".to_owned()))?;
    let lines =
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
    let address = |line: &str| {
        if crate::config::is_worker_address(line) {
            Ok(line.to_owned())
        } else {
            Err(bad(format!("`{line}` is no address")))
        }
    };
    lines.map(address).collect()
}

/// Takes the workers of a file as they come and go, as long as there is a gate.
async fn follow(pool: Weak<WorkerPool>, workers: Workers) {
    let mut known = None;
    loop {
        tokio::time::sleep(LIST_INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        let workers = workers.clone();
        let found = tokio::task::spawn_blocking(move || addresses(&workers)).await;
        let replaced = match found {
            Ok(Ok(found)) if known.as_ref() != Some(&found) => pool.replace(&found).map(|()| known = Some(found)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(Error::internal(error)),
        };
        if let Err(error) = replaced {
            tracing::warn!(%error, detail = error.detail(), "the list of workers was not taken, the one before stays");
        }
    }
}

fn files_of(provider: &dyn TableProvider) -> std::result::Result<TableFiles, &'static str> {
    let any: &dyn Any = provider;
    let table = any.downcast_ref::<FileTable>().ok_or("it is no table over files")?;
    let spec = table.spec().ok_or("its files are in a bucket")?;
    Ok(TableFiles {
        pattern: spec.pattern,
        format: match spec.format {
            FileFormat::Parquet => leaf::FileFormat::Parquet,
            FileFormat::Csv(CsvOptions { delimiter, quote, header, null }) => {
                leaf::FileFormat::Csv { delimiter, quote, header, null }
            }
            FileFormat::Ndjson => leaf::FileFormat::Ndjson,
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
                leaf::FileFormat::Csv { delimiter, quote, header, null } => FileFormat::Csv(CsvOptions {
                    delimiter: *delimiter,
                    quote: *quote,
                    header: *header,
                    null: null.clone(),
                }),
                leaf::FileFormat::Ndjson => FileFormat::Ndjson,
            },
            schema: Some(Arc::clone(&part.files.schema)),
            column_map: part.files.column_map.clone(),
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
