//! Servers to compare the door with: arrow-flight's own encoder over what is in memory, and over a statement of DataFusion.

use crate::Failure;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use querygate_bench::{extract, gate};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Bytes that arrow-flight's encoder counts before it cuts: it counts shared buffers often, so the default cuts crumbs.
const MESSAGE_BYTES: usize = 64 << 20;

/// The batches of all files, which a ticket `K/N` deals out: the K-th of N equal shares.
pub(crate) fn serve_memory(folder: &Path) -> Result<(), Failure> {
    gate::runtime()?.block_on(serve(Bare::Memory(extract::read(folder)?.into())))
}

/// A statement over the table `wide` of all files, with the settings of the engine as they are, but for texts: as views, which the engine
/// reads files as, or with offsets, which the gate sends.
pub(crate) fn serve_engine(folder: &str, sql: &'static str, texts_as_views: bool) -> Result<(), Failure> {
    gate::runtime()?.block_on(async {
        let settings = SessionConfig::new();
        let views = "datafusion.execution.parquet.schema_force_view_types";
        let engine = SessionContext::new_with_config(settings.set_bool(views, texts_as_views));
        engine.register_parquet("wide", folder, ParquetReadOptions::default()).await?;
        serve(Bare::Engine(engine, sql)).await
    })
}

async fn serve(bare: Bare) -> Result<(), Failure> {
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
}

/// What the server streams.
#[derive(Clone)]
enum Bare {
    Memory(Arc<[RecordBatch]>),
    Engine(SessionContext, &'static str),
}

impl Bare {
    /// One of equal shares of the rows.
    async fn rows(&self, share: usize, of: usize) -> Result<Rows, Failure> {
        match self {
            Self::Memory(batches) => {
                let (from, to) = (batches.len() * share / of.max(1), batches.len() * (share + 1) / of.max(1));
                let own = batches.get(from..to).ok_or("no such share")?.to_vec();
                Ok((extract::schema(), stream::iter(own.into_iter().map(Ok)).boxed()))
            }
            Self::Engine(engine, sql) if of == 1 => {
                let rows = engine.sql(sql).await?.execute_stream().await?;
                Ok((rows.schema(), rows.map_err(|error| FlightError::ExternalError(error.into())).boxed()))
            }
            Self::Engine(..) => Err("a statement is one stream".into()),
        }
    }
}

type Rows = (SchemaRef, BoxStream<'static, Result<RecordBatch, FlightError>>);

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
        let (schema, rows) = self.rows(share, of).await.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_max_flight_data_size(MESSAGE_BYTES)
            .build(rows)
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
