//! Extraction through Flight, measured from outside. Prints rows of a markdown table.
//!
//! - `flight make FILE ROWS [none|snappy|lz4|zstd]`: a Parquet file of ten columns.
//! - `flight gate FOLDER [open]`: a Flight door over the folder's files as one governed table, under a row policy or, `open`, under
//!   none. Prints its address, ends when its standard input does.
//! - `flight engine FOLDER [offsets]`: DataFusion and arrow-flight's own encoder over the same files, with no gate; texts with offsets
//!   instead of views.
//! - `flight memory FOLDER`: arrow-flight's own encoder over the same batches in memory, nothing else.
//! - `flight fetch NAME ADDRESS STREAMS RUNS PID`: the time to read everything from either. PID is the server's.
#![allow(clippy::print_stdout, reason = "the table is the result")]

mod bare;

use arrow::ipc::root_as_message;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, HandshakeRequest};
use datafusion::catalog::TableProvider as _;
use futures::stream;
use prost::Message as _;
use querygate_bench::{door, extract, gate, process};
use querygate_catalog::deployment::SourceTable;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use querygate_query::GateService;
use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// As the gate's program and most servers of DataFusion have it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ALL: &str = "SELECT * FROM wide";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", file, rows] => Ok(extract::write(Path::new(file), rows.parse()?, "snappy")?),
        ["make", file, rows, codec] => Ok(extract::write(Path::new(file), rows.parse()?, codec)?),
        ["gate", folder] => serve_gate(Path::new(folder), &[("b_wide", "color != 'black'")]),
        ["gate", folder, "open"] => serve_gate(Path::new(folder), &[]),
        ["engine", folder] => bare::serve_engine(folder, ALL, true),
        ["engine", folder, "offsets"] => bare::serve_engine(folder, ALL, false),
        ["memory", folder] => bare::serve_memory(Path::new(folder)),
        ["fetch", name, address, streams, runs, pid] => {
            let runtime = gate::runtime()?;
            runtime.block_on(fetch(name, address.parse()?, streams.parse()?, runs.parse()?, pid.parse()?))
        }
        _ => Err("flight make FILE ROWS [CODEC] | gate FOLDER [open] | engine FOLDER [offsets] | memory FOLDER | fetch NAME ADDRESS STREAMS RUNS PID".into()),
    }
}

/// One table over all files. The policy, if any, is one that all rows pass and the engine cannot know that they do.
fn serve_gate(folder: &Path, policies: &[(&str, &str)]) -> Result<(), Failure> {
    let (query, wire) = (gate::runtime()?, gate::runtime()?);
    let source =
        FilesSource::new(FilesConfig { refresh: Duration::from_secs(3_600), ..FilesConfig::local("files", folder) })?;
    let spec = TableSpec::new("wide", "*.parquet", FileFormat::Parquet, None);
    let provider = query.block_on(source.table(&spec))?;
    let schema = provider.schema();
    let object = gate::object("b_wide", schema.fields().iter().map(|field| field.name().as_str()));
    let stack = gate::stack("b", vec![object], policies);
    let tables = HashMap::from([("b_wide".to_owned(), SourceTable::new("files", provider))]);
    let gate = gate::gate(query.handle().clone(), gate::deployment(&stack, tables)?)?;
    let (door, address) = wire.block_on(door::bind_flight(Arc::new(GateService::new(gate))))?;
    let stop = CancellationToken::new();
    let served = wire.spawn(door.serve(stop.clone()));
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    stop.cancel();
    wire.block_on(served)?;
    Ok(())
}

/// What one reading of everything took.
struct Taken {
    rows: u64,
    bytes: u64,
    messages: u64,
    /// From the call of GetFlightInfo to the first message with rows.
    first: Duration,
    total: Duration,
    cpu: f64,
}

async fn connect(address: SocketAddr) -> Result<FlightServiceClient<Channel>, Failure> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX))
}

async fn fetch(name: &str, address: SocketAddr, streams: usize, runs: usize, pid: u32) -> Result<(), Failure> {
    use base64::Engine as _;
    let mut client = connect(address).await?;
    let proof = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", door::USER, door::PASSWORD));
    let mut login = Request::new(stream::iter([HandshakeRequest::default()]));
    login.metadata_mut().insert("authorization", format!("Basic {proof}").parse()?);
    let answer = client.handshake(login).await?;
    let token = answer.metadata().get("authorization").ok_or("the server gives no token")?.clone();
    let before = process::memory_kib(pid, "VmRSS");
    let (most, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    // A failure ends the sampling too, for which the runtime would wait.
    let stopped = stop.clone().drop_guard();
    let sampled = tokio::task::spawn_blocking({
        let (most, stop) = (Arc::clone(&most), stop.clone());
        move || {
            while !stop.is_cancelled() {
                most.fetch_max(process::memory_kib(pid, "VmRSS"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let mut best: Option<Taken> = None;
    for _ in 0..runs.max(1) {
        let taken = everything(&mut client, address, &token, streams, pid).await?;
        if best.as_ref().is_none_or(|best| taken.total < best.total) {
            best = Some(taken);
        }
    }
    drop(stopped);
    sampled.await?;
    let best = best.ok_or("nothing was run")?;
    let seconds = best.total.as_secs_f64();
    println!(
        "| {name} | {streams} | {} | {seconds:.2} | {:.0} | {:.2} | {} | {:.1} | {:.2} | {} | {} |",
        best.rows,
        best.rows as f64 / seconds,
        best.bytes as f64 / 1e9 / seconds,
        best.bytes / best.messages.max(1) / 1_024,
        best.first.as_secs_f64() * 1_000.0,
        best.cpu,
        before / 1_024,
        most.load(Ordering::Relaxed) / 1_024,
    );
    Ok(())
}

async fn everything(
    client: &mut FlightServiceClient<Channel>,
    address: SocketAddr,
    token: &tonic::metadata::AsciiMetadataValue,
    streams: usize,
    pid: u32,
) -> Result<Taken, Failure> {
    let cpu = process::cpu_seconds(pid);
    let began = Instant::now();
    let command = CommandStatementQuery { query: ALL.to_owned(), transaction_id: None };
    let mut request = Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    request.metadata_mut().insert("authorization", token.clone());
    request.metadata_mut().insert("querygate-endpoints", streams.to_string().parse()?);
    let info = client.get_flight_info(request).await?.into_inner();
    if info.endpoint.len() != streams {
        return Err(format!("{} endpoints instead of {streams}", info.endpoint.len()).into());
    }
    let mut reading = tokio::task::JoinSet::new();
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        let token = token.clone();
        reading.spawn(async move {
            let mut client = connect(address).await?;
            let mut request = Request::new(ticket);
            request.metadata_mut().insert("authorization", token);
            let mut messages = client.do_get(request).await?.into_inner();
            let (mut rows, mut bytes, mut count, mut first) = (0, 0, 0, None);
            while let Some(message) = messages.message().await? {
                let header = root_as_message(&message.data_header).map_err(|error| error.to_string())?;
                if let Some(batch) = header.header_as_record_batch() {
                    first.get_or_insert_with(|| began.elapsed());
                    rows += u64::try_from(batch.length())?;
                    count += 1;
                }
                bytes += message.data_body.len() as u64;
            }
            Ok::<_, Failure>((rows, bytes, count, first))
        });
    }
    let mut taken = Taken { rows: 0, bytes: 0, messages: 0, first: Duration::MAX, total: Duration::ZERO, cpu: 0.0 };
    while let Some(read) = reading.join_next().await {
        let (rows, bytes, messages, first) = read??;
        taken.rows += rows;
        taken.bytes += bytes;
        taken.messages += messages;
        taken.first = taken.first.min(first.unwrap_or(Duration::MAX));
    }
    taken.total = began.elapsed();
    taken.cpu = process::cpu_seconds(pid) - cpu;
    Ok(taken)
}
