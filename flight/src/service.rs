//! The gRPC service: finds the caller's session, hands the call on, and turns what comes back into gRPC. Panics end the
//! call, not the connection. Decides nothing itself.

use crate::calls::{actions, get, handshake, info, puts};
use crate::door_state::DoorState;
use crate::observe;
use crate::sessions::session::FlightSession;
use crate::status::status;
use crate::transport::Caller;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use querygate_query_api::trace::TraceContext;
use querygate_types::{Error, ErrorCode, Result};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Response, Status, Streaming};

/// The service of one door.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<DoorState>);

type Answers<T> = BoxStream<'static, std::result::Result<T, Status>>;

/// Runs a call; an error becomes its status, a panic an internal error.
async fn call<T>(method: &'static str, work: impl Future<Output = Result<T>>) -> std::result::Result<T, Status> {
    observe::called(method);
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome.map_err(|error| status(&error)),
        Err(_panic) => Err(status(&Error::internal(format!("{method} panicked")))),
    }
}

fn answers<T: Send + 'static>(items: Vec<T>) -> Answers<T> {
    stream::iter(items.into_iter().map(Ok)).boxed()
}

/// The client's connection, where the transport tells it.
fn connection<T>(request: &Request<T>) -> Option<&Caller> {
    request.extensions().get::<Caller>()
}

/// The client's span, where the call carries one.
fn trace_context(metadata: &MetadataMap) -> Option<TraceContext> {
    metadata.get("traceparent")?.to_str().ok().and_then(TraceContext::parse)
}

/// What a call shows of its caller, apart from the call: a stream of messages is not for two threads.
struct Shown {
    token: Option<String>,
    application: Option<String>,
    trace: Option<TraceContext>,
    connection: Option<Caller>,
}

/// The token is in either of the headers that clients use for it.
fn shown<T>(request: &Request<T>) -> Shown {
    let metadata = request.metadata();
    let text = |value: &AsciiMetadataValue| value.to_str().ok().map(str::to_owned);
    let bearer = metadata.get("authorization").and_then(text).and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let token = bearer.or_else(|| {
        let bytes = metadata.get_bin("auth-token-bin")?.to_bytes().ok()?;
        String::from_utf8(bytes.to_vec()).ok()
    });
    Shown {
        token,
        application: handshake::application(metadata),
        trace: trace_context(metadata),
        connection: connection(request).cloned(),
    }
}

impl Service {
    /// The session that a call belongs to.
    async fn caller(&self, shown: Shown) -> Result<Arc<FlightSession>> {
        let Shown { token, application, trace, connection } = shown;
        if self.0.shutdown.is_cancelled() {
            return Err(Error::new(ErrorCode::AdminShutdown, "the server is shutting down"));
        }
        let token = token.ok_or_else(|| {
            Error::new(ErrorCode::InvalidAuthorization, "the call carries no session token")
                .with_hint("Log in with Handshake and send its token as \"authorization: Bearer …\".")
        })?;
        let peer = connection.as_ref().map(|connection| connection.peer);
        let session = match self.0.sessions.find(&token, &self.0.seal) {
            Ok(session) => session,
            Err(error) => handshake::by_token(&self.0, &token, application, peer).await?.ok_or(error)?,
        };
        connection.as_ref().map_or(Ok(()), Caller::is_known)?;
        session.follow_trace(trace);
        Ok(session)
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> std::result::Result<Response<Self::HandshakeStream>, Status> {
        let connection = connection(&request).cloned();
        let (metadata, _, messages) = request.into_parts();
        let token = call("handshake", handshake::login(&self.0, &metadata, messages, connection)).await?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let mut response = Response::new(answers(vec![answer]));
        if let Ok(header) = format!("Bearer {token}").parse() {
            response.metadata_mut().insert("authorization", header);
        }
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> std::result::Result<Response<Self::ListFlightsStream>, Status> {
        call("list_flights", async {
            self.caller(shown(&request)).await?;
            Err(crate::command::unsupported("listing flights").with_hint("Ask for tables with GetTables."))
        })
        .await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> std::result::Result<Response<FlightInfo>, Status> {
        call("get_flight_info", async {
            let session = self.caller(shown(&request)).await?;
            let split = info::split(&self.0, request.metadata(), &session)?;
            session.during(info::flight_info(&self.0, &session, request.into_inner(), split)).await.map(Response::new)
        })
        .await
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> std::result::Result<Response<PollInfo>, Status> {
        call("poll_flight_info", async {
            let session = self.caller(shown(&request)).await?;
            let split = info::split(&self.0, request.metadata(), &session)?;
            session.during(info::poll_info(&self.0, &session, request.into_inner(), split)).await.map(Response::new)
        })
        .await
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> std::result::Result<Response<SchemaResult>, Status> {
        call("get_schema", async {
            let session = self.caller(shown(&request)).await?;
            session.during(info::schema(&session, request.get_ref())).await.map(Response::new)
        })
        .await
    }

    async fn do_get(&self, request: Request<Ticket>) -> std::result::Result<Response<Self::DoGetStream>, Status> {
        call("do_get", async {
            let session = self.caller(shown(&request)).await?;
            let compression = get::compression(request.metadata(), &session)?;
            let messages = get::fetch(&self.0, session, request.get_ref(), compression).await?;
            Ok(Response::new(messages.boxed()))
        })
        .await
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoPutStream>, Status> {
        call("do_put", async {
            let session = self.caller(shown(&request)).await?;
            let result = session.during(puts::put(&self.0, &session, request.into_inner())).await?;
            Ok(Response::new(answers(vec![result])))
        })
        .await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoExchangeStream>, Status> {
        call("do_exchange", async {
            self.caller(shown(&request)).await?;
            Err(crate::command::unsupported("DoExchange"))
        })
        .await
    }

    async fn do_action(&self, request: Request<Action>) -> std::result::Result<Response<Self::DoActionStream>, Status> {
        call("do_action", async {
            let session = self.caller(shown(&request)).await?;
            let results = session.during(actions::act(&self.0, &session, request.into_inner())).await?;
            Ok(Response::new(answers(results)))
        })
        .await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> std::result::Result<Response<Self::ListActionsStream>, Status> {
        call("list_actions", async {
            self.caller(shown(&request)).await?;
            Ok(Response::new(answers(actions::list())))
        })
        .await
    }
}
