//! Extraction through Flight, measured from outside. Prints rows of a markdown table.
//!
//! - `flight make FILE ROWS`: a Parquet file of ten columns.
//! - `flight gate FOLDER`: a Flight door over the folder's files as one governed table. Prints its address, ends when its
//!   standard input does.
//! - `flight bare FOLDER`: arrow-flight's own encoder over the same batches in memory, nothing else.
//! - `flight fetch NAME ADDRESS STREAMS RUNS PID`: the time to read everything from either. PID is the server's.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use arrow::array::RecordBatch;
use arrow::ipc::root_as_message;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use datafusion::catalog::TableProvider as _;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use querygate_bench::{door, extract, gate, process};
use querygate_catalog::deployment::SourceTable;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use querygate_query::GateService;
use std::collections::HashMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ALL: &str = "SELECT * FROM wide";
/// Bytes that arrow-flight's encoder counts before it cuts: it counts shared buffers often, so the default cuts crumbs.
const BARE_MESSAGE_BYTES: usize = 64 << 20;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", file, rows] => Ok(extract::write(Path::new(file), rows.parse()?)?),
        ["gate", folder] => serve_gate(Path::new(folder)),
        ["bare", folder] => serve_bare(Path::new(folder)),
        ["fetch", name, address, streams, runs, pid] => {
            let runtime = gate::runtime()?;
            runtime.block_on(fetch(name, address.parse()?, streams.parse()?, runs.parse()?, pid.parse()?))
        }
        _ => Err("flight make FILE ROWS | gate FOLDER | bare FOLDER | fetch NAME ADDRESS STREAMS RUNS PID".into()),
    }
}

/// One table over all files, under a row policy that all rows pass and the engine cannot know that they do.
fn serve_gate(folder: &Path) -> Result<(), Failure> {
    let (query, wire) = (gate::runtime()?, gate::runtime()?);
    let source =
        FilesSource::new(FilesConfig { refresh: Duration::from_secs(3_600), ..FilesConfig::local("files", folder) })?;
    let spec = TableSpec::new("wide", "*.parquet", FileFormat::Parquet, None);
    let provider = query.block_on(source.table(&spec))?;
    let schema = provider.schema();
    let object = gate::object("b_wide", schema.fields().iter().map(|field| field.name().as_str()));
    let stack = gate::stack("b", vec![object], &[("b_wide", "color != 'black'")]);
    let tables =
        HashMap::from([("b_wide".to_owned(), SourceTable { source: "files".into(), provider, appends: None })]);
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

fn serve_bare(folder: &Path) -> Result<(), Failure> {
    let runtime = gate::runtime()?;
    let bare = Bare(extract::read(folder)?.into());
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        println!("{}", listener.local_addr()?);
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let stop = CancellationToken::new();
        let service = FlightServiceServer::new(bare).max_encoding_message_size(usize::MAX);
        let ended = stop.clone().cancelled_owned();
        let served = tokio::spawn(Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, ended));
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        stop.cancel();
        served.await??;
        Ok(())
    })
}

/// Batches in memory. A ticket is `K/N`: the K-th of N equal shares.
#[derive(Clone)]
struct Bare(Arc<[RecordBatch]>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this server only streams"))
}

#[tonic::async_trait]
impl FlightService for Bare {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let mut response = Response::new(stream::empty().boxed());
        response.metadata_mut().insert("authorization", tonic::metadata::MetadataValue::from_static("Bearer none"));
        Ok(response)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let asked = request.metadata().get("querygate-endpoints").and_then(|header| header.to_str().ok());
        let of: usize = asked.and_then(|text| text.parse().ok()).unwrap_or(1);
        let endpoint = |share: usize| FlightEndpoint::new().with_ticket(Ticket::new(format!("{share}/{of}")));
        let info = FlightInfo { endpoint: (0..of).map(endpoint).collect(), ..FlightInfo::new() };
        Ok(Response::new(info))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ticket = String::from_utf8_lossy(&request.get_ref().ticket).into_owned();
        let wrong = || Status::invalid_argument("no such ticket");
        let (share, of) = ticket.split_once('/').ok_or_else(wrong)?;
        let (share, of): (usize, usize) = (share.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        let (from, to) = (self.0.len() * share / of.max(1), self.0.len() * (share + 1) / of.max(1));
        let batches: Vec<RecordBatch> = self.0.get(from..to).ok_or_else(wrong)?.to_vec();
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(extract::schema())
            .with_max_flight_data_size(BARE_MESSAGE_BYTES)
            .build(stream::iter(batches.into_iter().map(Ok)))
            .map_err(|error| Status::internal(error.to_string()));
        Ok(Response::new(messages.boxed()))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        no()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        no()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        no()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        no()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        no()
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        no()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        no()
    }
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
