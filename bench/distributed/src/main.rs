//! TPC-H over Parquet by datafusion-distributed, each process on one core: `distributed FOLDER WORKERS RUNS STATEMENT.sql …` prints a line for
//! each run as `bench/run workers` writes them. `distributed worker PORT` is a worker.

use async_trait::async_trait;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_distributed::{DistributedExt, SessionStateBuilderExt, Worker, WorkerResolver};
use futures::TryStreamExt;
use std::error::Error;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use url::Url;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TABLES: [&str; 8] = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"];
const FIRST_PORT: u16 = 27_801;

struct Ports(Vec<u16>);

#[async_trait]
impl WorkerResolver for Ports {
    fn get_urls(&self) -> Result<Vec<Url>, DataFusionError> {
        let url = |port: &u16| Url::parse(&format!("http://127.0.0.1:{port}"));
        self.0.iter().map(|port| url(port).map_err(|error| DataFusionError::External(Box::new(error)))).collect()
    }
}

/// Ends the workers with the bench.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

impl Workers {
    /// Worker 0 runs on core 1, worker 1 on core 0.
    fn start(count: u16) -> Result<Self, Box<dyn Error>> {
        let mut workers = Self(Vec::new());
        for number in 0..count {
            let port = FIRST_PORT + number;
            let core = (1 - number % 2).to_string();
            let program = std::env::current_exe()?;
            workers.0.push(
                Command::new("taskset").args(["-c", &core]).arg(program).args(["worker", &port.to_string()]).spawn()?,
            );
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(workers)
    }

    fn ticks(&self) -> u64 {
        self.0.iter().map(|worker| ticks(&worker.id().to_string())).sum()
    }
}

/// Ticks of user and system time of a process.
fn ticks(process: &str) -> u64 {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = line.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Bytes that were sent over the loopback interface, which no one else uses here.
fn sent() -> u64 {
    let text = std::fs::read_to_string("/sys/class/net/lo/statistics/tx_bytes").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

async fn context(folder: &str, ports: Vec<u16>) -> Result<SessionContext, Box<dyn Error>> {
    let partitions = ports.len().max(1);
    let config = SessionConfig::new().with_target_partitions(partitions);
    let mut builder = SessionStateBuilder::new().with_default_features().with_config(config);
    if !ports.is_empty() {
        builder = builder.with_distributed_worker_resolver(Ports(ports)).with_distributed_planner();
    }
    let context = SessionContext::from(builder.build());
    for table in TABLES {
        context.register_parquet(table, format!("{folder}/{table}.parquet"), ParquetReadOptions::default()).await?;
    }
    Ok(context)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, port] = arguments.as_slice()
        && word == "worker"
    {
        let address = ([127, 0, 0, 1], port.parse()?).into();
        let server = tonic::transport::Server::builder().add_service(Worker::default().into_worker_server());
        return Ok(server.serve(address).await?);
    }
    let [folder, count, runs, statements @ ..] = arguments.as_slice() else {
        return Err("distributed FOLDER WORKERS RUNS STATEMENT.sql …".into());
    };
    let (count, runs): (u16, usize) = (count.parse()?, runs.parse()?);
    let workers = Workers::start(count)?;
    let context = context(folder, (0..count).map(|number| FIRST_PORT + number).collect()).await?;
    for path in statements {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let sql = std::fs::read_to_string(path)?;
        for _ in 0..runs {
            let before = (ticks("self"), workers.ticks(), sent());
            let started = Instant::now();
            let rows = async { context.sql(&sql).await?.execute_stream().await?.try_collect::<Vec<_>>().await };
            if let Err(error) = rows.await {
                eprintln!("distributed {count}: {name}: {error}");
                continue;
            }
            let took = started.elapsed().as_nanos();
            let after = (ticks("self"), workers.ticks());
            let moved = sent() - before.2;
            println!(
                "distributed-{count} - bench {name} {took} {} {} {} {} {moved} -",
                before.0, before.1, after.0, after.1
            );
        }
    }
    Ok(())
}
