//! `querygate worker`: reads leaves over files for gates, part by part.

use super::args::WorkerArgs;
use super::{Ended, unusable, written};
use crate::config::worker::{self, WorkerConfig};
use crate::output::{Output, Stream};
use crate::process::{Signals, Wish, keep_up, measure, start_metrics};
use crate::wiring::workers::{Folders, read, verification_key};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use metrics_exporter_prometheus::PrometheusHandle;
use querygate_arrivals::Strangers;
use querygate_http::{HttpConfig, HttpDoor, Probes, Readiness};
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::worker::{Worker, WorkerOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Stack of a thread that plans and runs parts: conditions recurse as deep as they nest. Reserved, not used.
const STACK: usize = 64 << 20;

pub(super) fn run(args: &WorkerArgs, output: &mut Output) -> Result<Ended> {
    let file = args.config.as_path();
    let (config, report) = worker::load(file);
    report.render(output, Stream::Err).map_err(written)?;
    let config = config.ok_or_else(|| unusable(file, &report))?;
    crate::logging::start(&config.log);
    let metrics = start_metrics();
    let (wire, parts) = (runtime("wire", 1)?, runtime("parts", config.threads)?);
    let upkeep = wire.spawn(keep_up(metrics.clone()));
    let served = wire.block_on(serve(&config, parts.handle(), metrics, output));
    upkeep.abort();
    parts.shutdown_timeout(Duration::from_secs(5));
    wire.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| Ended::Well)
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).thread_stack_size(STACK).enable_all();
    builder.build().map_err(Error::internal)
}

async fn serve(
    config: &WorkerConfig,
    runtime: &tokio::runtime::Handle,
    metrics: PrometheusHandle,
    output: &mut Output,
) -> Result<()> {
    let (environment, strangers) = (environment(config)?, Strangers::default());
    let options = WorkerOptions {
        address: config.address.clone(),
        key: verification_key(&config.verification_key)?,
        files: Arc::new(Folders::open(&config.folders)?),
        environment: Arc::clone(&environment),
        runtime: runtime.clone(),
        translate: querygate_query::translate_part,
        parts_max: config.parts_max,
        certificate: read(&config.tls.certificate)?,
        private_key: read(&config.tls.key)?,
        client_authorities: read(&config.client_authorities)?,
        strangers: strangers.clone(),
    };
    let mut signals = Signals::listen()?;
    let bound = Worker::bind(config.listen, options).await?;
    let address = bound.address()?;
    let stop = CancellationToken::new();
    let _probed = probes(config, &environment, (metrics, strangers), &stop).await?;
    tracing::info!(%address, "ready");
    // A closed terminal does not stop a worker.
    let _ = output.note(&format!("querygate worker listens on {address}"));
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

/// Answers probes and gives metrics until the worker ends, where its file names a port for that. A worker that drains is not ready.
async fn probes(
    config: &WorkerConfig,
    environment: &Arc<RuntimeEnv>,
    (metrics, strangers): (PrometheusHandle, Strangers),
    stop: &CancellationToken,
) -> Result<Option<DropGuard>> {
    let Some(http) = config.http else { return Ok(None) };
    let (memory, most) = (Arc::clone(&environment.memory_pool), config.memory);
    let render = move || {
        metrics::gauge!("querygate_memory_reserved_bytes").set(memory.reserved() as f64);
        metrics::gauge!("querygate_memory_max_bytes").set(most as f64);
        measure();
        metrics.render()
    };
    let (draining, folders) = (stop.clone(), config.folders.len());
    let readiness = move || Readiness {
        // It has no metadata of its own: it is as new as the parts that it takes.
        metadata_version: Some(0),
        objects: 0,
        reload_refused: false,
        reloads: 0,
        restart_needed: Vec::new(),
        sources_up: folders,
        sources_down: 0,
        stopping: draining.is_cancelled(),
    };
    let probes = Probes { readiness: Arc::new(readiness), metrics: Arc::new(render) };
    let door = HttpDoor::bind(HttpConfig::new(http), probes).await.map_err(|error| {
        Error::new(ErrorCode::ConfigInvalid, format!("cannot listen on {http}")).with_detail(error.to_string())
    })?;
    let ended = CancellationToken::new();
    tokio::spawn(door.among(strangers).serve(ended.clone().cancelled_owned()));
    Ok(Some(ended.drop_guard()))
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
