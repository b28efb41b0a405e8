//! The worker's Flight service: one call that takes a sealed part and answers with its rows. Everything else is refused.

use super::door::{Caller, accept};
use super::files::OpenFiles;
use super::measure::{self, Outcome, PartRun};
use super::run::{Opened, open, state};
use crate::START_ACTION;
use crate::part::{Nonces, Refusal, SEALED_BYTES_MAX, Verified, VerifyingKey};
use crate::pieces::pieces;
use crate::status::of_error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use querygate_arrivals::Strangers;
use querygate_types::{Error, Result};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TlsConnectInfo;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Errors of the engine in the closed list of codes.
pub type Translate = fn(&DataFusionError) -> Error;

/// Batches of a part that wait for the gate.
const BATCHES_IN_FLIGHT: usize = 2;
/// How often a silent gate is asked for a sign of life, and how long it may take: what a gate that died has asked for ends after
/// both.
const ALIVE_INTERVAL: Duration = Duration::from_millis(1_500);
const ALIVE_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How long a part may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection at once.
const CALLS_MAX: u32 = 1_024;

/// What a worker is made of.
pub struct WorkerOptions {
    /// As gates call it: parts for another one are refused.
    pub address: String,
    pub key: VerifyingKey,
    pub files: Arc<dyn OpenFiles>,
    /// Memory and temporary files of all parts.
    pub environment: Arc<RuntimeEnv>,
    /// Where parts run.
    pub runtime: Handle,
    pub translate: Translate,
    /// Parts that run at once; others wait.
    pub parts_max: usize,
    /// PEM texts: the worker's own certificate and key, and whose certificates gates must show.
    pub certificate: Vec<u8>,
    pub private_key: Vec<u8>,
    pub client_authorities: Vec<u8>,
    /// Connections that no gate has called by are among these, of all doors of the process.
    pub strangers: Strangers,
}

/// A worker that listens.
pub struct Worker {
    listener: TcpListener,
    server: Server,
    shared: Arc<Shared>,
}

impl Worker {
    /// Takes the port.
    ///
    /// # Errors
    /// It cannot be taken; certificates that cannot be used.
    pub async fn bind(address: SocketAddr, options: WorkerOptions) -> Result<Self> {
        use querygate_types::ErrorCode::ConfigInvalid;
        let taken = |error: std::io::Error| {
            Error::new(ConfigInvalid, format!("cannot listen on {address}")).with_detail(error.to_string())
        };
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&options.certificate, &options.private_key))
            .client_ca_root(Certificate::from_pem(&options.client_authorities))
            .client_auth_optional(false);
        let server = Server::builder()
            .http2_keepalive_interval(Some(ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(ALIVE_TIMEOUT))
            .max_concurrent_streams(Some(CALLS_MAX))
            .tls_config(tls)
            .map_err(|error| {
                Error::new(ConfigInvalid, "the certificates cannot be used").with_detail(error.to_string())
            })?;
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let turns = Arc::new(Semaphore::new(options.parts_max.clamp(1, Semaphore::MAX_PERMITS)));
        let (state, draining) = (state(&options.environment), CancellationToken::new());
        let shared = Arc::new(Shared { options, state, nonces: Nonces::begin()?, turns, draining });
        Ok(Self { listener, server, shared })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(Error::internal)
    }

    /// Serves until `stop`; then it takes no new part, and ends when those that run are given or after `patience`.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(mut self, stop: CancellationToken, patience: Duration) -> Result<()> {
        let (draining, strangers) = (self.shared.draining.clone(), self.shared.options.strangers.clone());
        let service = Service(Arc::new(PartRunner(self.shared)));
        let service = FlightServiceServer::new(service).max_decoding_message_size(SEALED_BYTES_MAX + 1_024);
        let service = InterceptedService::new(service, called);
        let ended = {
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                draining.cancel();
            }
        };
        let (sender, incoming) = mpsc::channel(1);
        tokio::spawn(accept(self.listener, strangers, sender, stop.clone()));
        let incoming = ReceiverStream::new(incoming);
        let serving = self.server.add_service(service).serve_with_incoming_shutdown(incoming, ended);
        tokio::select! {
            served = serving => served.map_err(Error::internal),
            () = async { stop.cancelled().await; tokio::time::sleep(patience).await } => Ok(()),
        }
    }
}

struct Shared {
    options: WorkerOptions,
    state: SessionState,
    nonces: Nonces,
    turns: Arc<Semaphore>,
    draining: CancellationToken,
}

/// What a worker does for its gates. The service holds an object of it: else each of its methods looks through the types of plans for
/// what may go from thread to thread (`engine/docs/decisions`).
trait Parts: Send + Sync {
    /// The rows of the part that a ticket seals.
    fn rows(&self, ticket: Ticket) -> BoxFuture<'_, std::result::Result<(SchemaRef, Rows), Status>>;

    /// Of this process, which parts are sealed for.
    fn start(&self) -> Vec<u8>;
}

/// Runs parts in this process.
struct PartRunner(Arc<Shared>);

impl Parts for PartRunner {
    fn rows(&self, ticket: Ticket) -> BoxFuture<'_, std::result::Result<(SchemaRef, Rows), Status>> {
        Box::pin(self.begin(ticket))
    }

    fn start(&self) -> Vec<u8> {
        self.0.nonces.start().to_vec()
    }
}

/// Flight's methods, of which a worker has two.
#[derive(Clone)]
struct Service(Arc<dyn Parts>);

/// The rows of a running part; dropping them ends it.
struct Rows {
    batches: ReceiverStream<std::result::Result<RecordBatch, FlightError>>,
    task: AbortHandle,
    /// Tells what computes long that its gate does not wait any more.
    _over: DropGuard,
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl futures::Stream for Rows {
    type Item = std::result::Result<RecordBatch, FlightError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(context)
    }
}

/// Ends a task whose caller is gone.
struct AbortOnDrop(Option<AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl PartRunner {
    fn verified(&self, ticket: &Ticket) -> std::result::Result<Verified, Status> {
        let options = &self.0.options;
        let opened = options.key.open(&ticket.ticket, &options.address, now_ms(), &self.0.nonces);
        opened.map_err(|refusal| {
            tracing::warn!(refusal = refusal.text(), "a part was refused");
            measure::refused();
            match refusal {
                Refusal::Unsigned
                | Refusal::Malformed
                | Refusal::OtherRelease
                | Refusal::OtherWorker
                | Refusal::Expired
                | Refusal::NotYet
                | Refusal::Replayed => Status::permission_denied(refusal.text()),
                // The gate asks who runs here now, and seals anew.
                Refusal::OtherStart => Status::failed_precondition(refusal.text()),
                Refusal::Crowded => Status::unavailable(refusal.text()),
            }
        })
    }

    async fn begin(&self, ticket: Ticket) -> std::result::Result<(SchemaRef, Rows), Status> {
        if self.0.draining.is_cancelled() {
            measure::refused();
            return Err(Status::unavailable("the worker is draining"));
        }
        let verified = self.verified(&ticket)?;
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.0.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            measure::refused();
            return Err(Status::unavailable("the worker is busy"));
        };
        let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
        let (tell, told) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&self.0);
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let task = self.0.options.runtime.spawn(async move {
            let _turn = turn;
            let mut run = PartRun::begin();
            let work = AssertUnwindSafe(give(&shared, &verified, over, tell, &sender)).catch_unwind().await;
            run.outcome = *work.as_ref().unwrap_or(&Outcome::Failed);
            if work.is_err() {
                let error = Error::internal("a part panicked");
                let _ = sender.send(Err(FlightError::Tonic(Box::new(of_error(&error))))).await;
            }
        });
        let mut waits = AbortOnDrop(Some(task.abort_handle()));
        let schema = match told.await {
            Ok(Ok(schema)) => schema,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&Error::internal("a part ended without a word"))),
        };
        waits.0 = None;
        Ok((schema, Rows { batches: ReceiverStream::new(receiver), task: task.abort_handle(), _over: guard }))
    }
}

type Told = tokio::sync::oneshot::Sender<Result<SchemaRef>>;

/// Plans and runs a part; its batches go to the sender.
async fn give(
    shared: &Shared,
    verified: &Verified,
    over: CancellationToken,
    tell: Told,
    sender: &mpsc::Sender<std::result::Result<RecordBatch, FlightError>>,
) -> Outcome {
    let options = &shared.options;
    let opened = open(verified, options.files.as_ref(), &shared.state, options.translate, over).await;
    let Opened { schema, mut rows } = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _ = tell.send(Err(error));
            return Outcome::Failed;
        }
    };
    if tell.send(Ok(schema)).is_err() {
        return Outcome::Left;
    }
    loop {
        match rows.next().await {
            None => return Outcome::Done,
            Some(Ok(batch)) => {
                for piece in pieces(batch) {
                    let piece = match piece {
                        Ok(piece) => piece,
                        Err(error) => return tell_failure(&error, sender).await,
                    };
                    measure::gave_rows(piece.num_rows());
                    if sender.send(Ok(piece)).await.is_err() {
                        return Outcome::Left;
                    }
                }
            }
            Some(Err(error)) => return tell_failure(&(options.translate)(&error), sender).await,
        }
    }
}

/// Whether anybody hears it or not, the part failed.
async fn tell_failure(error: &Error, sender: &mpsc::Sender<std::result::Result<RecordBatch, FlightError>>) -> Outcome {
    let _ = sender.send(Err(FlightError::Tonic(Box::new(failed(error))))).await;
    Outcome::Failed
}

fn failed(error: &Error) -> Status {
    tracing::warn!(%error, cause = error.cause(), "a part failed");
    of_error(error)
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// The connection of a call is a gate's, by its headers: TLS lets no one else call.
fn called(request: Request<()>) -> std::result::Result<Request<()>, Status> {
    request.extensions().get::<TlsConnectInfo<Caller>>().into_iter().for_each(|info| info.get_ref().is_gate());
    Ok(request)
}

fn refused<T>() -> std::result::Result<Response<T>, Status> {
    Err(Status::unimplemented("a worker runs sealed parts"))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, std::result::Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, std::result::Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, std::result::Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, std::result::Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, std::result::Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, std::result::Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, std::result::Result<ActionType, Status>>;

    async fn do_get(&self, request: Request<Ticket>) -> std::result::Result<Response<Self::DoGetStream>, Status> {
        let (schema, rows) = self.0.rows(request.into_inner()).await?;
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_dictionary_handling(arrow_flight::encode::DictionaryHandling::Resend)
            .build(rows)
            .inspect_ok(|message| measure::gave_bytes(message.data_header.len() + message.data_body.len()))
            .map_err(|error| match error {
                FlightError::Tonic(status) => *status,
                other => failed(&Error::internal(other)),
            });
        Ok(Response::new(messages.boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> std::result::Result<Response<Self::HandshakeStream>, Status> {
        refused()
    }

    async fn list_flights(
        &self,
        _: Request<Criteria>,
    ) -> std::result::Result<Response<Self::ListFlightsStream>, Status> {
        refused()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<FlightInfo>, Status> {
        refused()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<PollInfo>, Status> {
        refused()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<SchemaResult>, Status> {
        refused()
    }

    async fn do_put(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoPutStream>, Status> {
        refused()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoExchangeStream>, Status> {
        refused()
    }

    /// Tells for which process parts are to be sealed, and nothing else.
    async fn do_action(&self, asked: Request<Action>) -> std::result::Result<Response<Self::DoActionStream>, Status> {
        if asked.get_ref().r#type != START_ACTION {
            return refused();
        }
        let start = arrow_flight::Result { body: self.0.start().into() };
        Ok(Response::new(futures::stream::iter([Ok(start)]).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> std::result::Result<Response<Self::ListActionsStream>, Status> {
        refused()
    }
}
