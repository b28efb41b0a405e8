//! Workers in process for one gate over Parquet files: real seals, real TLS, a port each. `WORKERS=4` makes four in place of two.

use super::gate::runtime;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::runtime_env::RuntimeEnv;
use querygate_catalog::leaf::{FileFormat as Format, FilesOf, TableFiles};
use querygate_files::{FileFormat, FileTable, FilesConfig, FilesSource, PinnedFile, TableSpec};
use querygate_query::EngineWorkers;
use querygate_types::Result;
use querygate_workers::gate::{PoolOptions, TlsIdentity, WorkerAddress, WorkerPool};
use querygate_workers::part::{SigningKey, VerifyingKey};
use querygate_workers::worker::{OpenFiles, PartFiles, Strangers, Worker, WorkerOptions};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys and certificates of all workers of a test binary.
struct Keys(TempDir);

impl Keys {
    fn of_all() -> &'static Self {
        static KEYS: LazyLock<Keys> = LazyLock::new(Keys::make);
        &KEYS
    }

    fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let openssl = |arguments: &str| {
            let made = Command::new("openssl").current_dir(folder.path()).args(arguments.split(' ')).output().unwrap();
            assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
        };
        std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        openssl("genpkey -algorithm ed25519 -out seal.key");
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        openssl("req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost");
        openssl("x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names");
        Self(folder)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }
}

/// The files of one gate.
struct Folder(FilesSource);

#[async_trait]
impl OpenFiles for Folder {
    async fn open(&self, part: PartFiles<'_>) -> Result<Arc<dyn TableProvider>> {
        assert_eq!(part.files.format, Format::Parquet);
        let schema = Some(Arc::clone(&part.files.schema));
        let mut spec = TableSpec::new(part.table, &part.files.pattern, FileFormat::Parquet, schema);
        spec.column_map = part.files.column_map.clone();
        let files = part.versions.iter().map(|version| PinnedFile {
            path: version.path.clone(),
            bytes: version.bytes,
            modified_ns: version.modified_ns,
            range: version.range,
        });
        let files: Vec<PinnedFile> = files.collect();
        Ok(self.0.pinned(&spec, &files).await?)
    }
}

fn files_of(provider: &dyn TableProvider) -> std::result::Result<TableFiles, &'static str> {
    let any: &dyn Any = provider;
    let spec = any.downcast_ref::<FileTable>().and_then(FileTable::spec).ok_or("it is no table over files")?;
    let (pattern, schema, column_map) = (spec.pattern, spec.schema.unwrap(), spec.column_map);
    Ok(TableFiles { pattern, format: Format::Parquet, schema, column_map })
}

/// How many workers a gate has.
static COUNT: LazyLock<usize> =
    LazyLock::new(|| std::env::var("WORKERS").map_or(2, |count| count.parse().expect("WORKERS is a number")));

/// A worker that listens, and its address.
async fn worker(folder: PathBuf, key: VerifyingKey, stopped: CancellationToken) -> WorkerAddress {
    let keys = Keys::of_all();
    // The address is part of what is sealed, so the port is chosen first.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("localhost:{port}");
    let options = WorkerOptions {
        address: address.clone(),
        key,
        files: Arc::new(Folder(FilesSource::new(FilesConfig::local("parquet", folder)).unwrap())),
        environment: Arc::new(RuntimeEnv::default()),
        runtime: runtime().handle().clone(),
        translate: querygate_query::translate_part,
        parts_max: 64,
        certificate: keys.read("own.pem"),
        private_key: keys.read("own.key"),
        client_authorities: keys.read("ca.pem"),
        strangers: Strangers::default(),
    };
    let worker = Worker::bind(([127, 0, 0, 1], port).into(), options).await.unwrap();
    tokio::spawn(worker.serve(stopped, Duration::ZERO));
    WorkerAddress::fixed(&address)
}

/// Workers over a folder, and what their gate knows of them. Dropping the guard ends them.
pub(super) fn workers(folder: &Path) -> (EngineWorkers, DropGuard) {
    let keys = Keys::of_all();
    let key = SigningKey::from_pem(&keys.read("seal.key")).unwrap();
    let stop = CancellationToken::new();
    let (verifying, stopped, folder) = (key.verifying(), stop.clone(), folder.to_path_buf());
    let pool = runtime().block_on(async move {
        let mut addresses = Vec::with_capacity(*COUNT);
        for _ in 0..*COUNT {
            addresses.push(worker(folder.clone(), verifying.clone(), stopped.clone()).await);
        }
        let tls = TlsIdentity {
            certificate: keys.read("own.pem"),
            key: keys.read("own.key"),
            authorities: keys.read("ca.pem"),
        };
        WorkerPool::new(PoolOptions { addresses, key, tls, bytes_min: 0 }).unwrap()
    });
    (EngineWorkers { pool, files: FilesOf(Arc::new(files_of)) }, stop.drop_guard())
}
