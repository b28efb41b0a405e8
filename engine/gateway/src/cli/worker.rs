//! `querygate worker`: reads leaves over files for gates, part by part.

use super::args::WorkerArgs;
use super::{Ended, written};
use crate::config::worker::{self, WorkerConfig};
use crate::output::{Output, Stream};
use crate::process::{Signals, Wish};
use crate::wiring::workers::{Folders, read};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::part::VerifyingKey;
use querygate_workers::worker::{Worker, WorkerOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Stack of a thread that plans and runs parts: conditions recurse as deep as they nest. Reserved, not used.
const STACK: usize = 64 << 20;

pub(super) fn run(args: &WorkerArgs, output: &mut Output) -> Result<Ended> {
    let file = args.config.as_path();
    let (config, report) = worker::load(file);
    report.render(output, Stream::Err).map_err(written)?;
    let config = config.ok_or_else(|| {
        let errors = report.diagnostics.len();
        Error::new(ErrorCode::ConfigInvalid, format!("{} is not usable ({errors} findings above)", file.display()))
    })?;
    crate::logging::start(&config.log);
    let (wire, parts) = (runtime("wire", 1)?, runtime("parts", config.threads)?);
    let served = wire.block_on(serve(&config, parts.handle(), output));
    parts.shutdown_timeout(Duration::from_secs(5));
    wire.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| Ended::Well)
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).thread_stack_size(STACK).enable_all();
    builder.build().map_err(Error::internal)
}

async fn serve(config: &WorkerConfig, runtime: &tokio::runtime::Handle, output: &mut Output) -> Result<()> {
    let options = WorkerOptions {
        address: config.address.clone(),
        key: VerifyingKey::from_pem(&read(&config.verification_key)?)?,
        files: Arc::new(Folders::open(&config.folders)?),
        environment: environment(config)?,
        runtime: runtime.clone(),
        translate: querygate_query::translate_part,
        parts_max: config.parts_max,
        certificate: read(&config.tls.certificate)?,
        private_key: read(&config.tls.key)?,
        client_authorities: read(&config.client_authorities)?,
    };
    let mut signals = Signals::listen()?;
    let bound = Worker::bind(config.listen, options).await?;
    let address = bound.address()?;
    tracing::info!(%address, "ready");
    // A closed terminal does not stop a worker.
    let _ = output.note(&format!("querygate worker listens on {address}"));
    let stop = CancellationToken::new();
    let serving = bound.serve(stop.clone(), config.drain_timeout);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            served = &mut serving => return served,
            wish = signals.next(), if !stop.is_cancelled() => match wish {
                Wish::Stop => {
                    tracing::info!(drain_timeout = ?config.drain_timeout, "draining");
                    stop.cancel();
                }
                Wish::Reload => tracing::info!("a worker has nothing to load anew"),
            },
        }
    }
}

fn environment(config: &WorkerConfig) -> Result<Arc<RuntimeEnv>> {
    let disk = match &config.spill_directory {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManagerBuilder::default().with_mode(disk).with_max_temp_directory_size(config.spill_max);
    let memory = usize::try_from(config.memory).unwrap_or(usize::MAX);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(|error| Error::new(ErrorCode::ConfigInvalid, format!("the spill folder cannot be used: {error}")))
}
