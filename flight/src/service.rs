//! The gRPC service: hands a call that was let in on, and turns what comes back into gRPC. Panics end the
//! call, not the connection. Decides nothing itself.

use crate::calls::{actions, get, handshake, info, puts};
use crate::door_state::DoorState;
use crate::observe;
use crate::sessions::let_in::session;
use crate::sessions::session::FlightSession;
use crate::status::status;
use crate::transport::Caller;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use base64::Engine as _;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use querygate_query_api::trace::TraceContext;
use querygate_types::{Error, ErrorCode, Result};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tonic::codegen::http::{HeaderMap, HeaderValue};
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
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get("traceparent")?.to_str().ok().and_then(TraceContext::parse)
}

/// The token is in either of the headers that clients use for it.
fn token_of(headers: &HeaderMap) -> Option<String> {
    let bearer = headers.get("authorization").and_then(|header| header.to_str().ok()).and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.or_else(|| {
        let bytes = handshake::BASE64.decode(headers.get("auth-token-bin")?.as_bytes()).ok()?;
        String::from_utf8(bytes).ok()
    })
}

impl Service {
    /// The session that a call belongs to, by its headers alone.
    pub(crate) async fn caller(&self, headers: &HeaderMap, connection: Option<Caller>) -> Result<Arc<FlightSession>> {
        if self.0.shutdown.is_cancelled() {
            return Err(Error::new(ErrorCode::AdminShutdown, "the server is shutting down"));
        }
        let token = token_of(headers).ok_or_else(|| {
            Error::new(ErrorCode::InvalidAuthorization, "the call carries no session token")
                .with_hint("Log in with Handshake and send its token as \"authorization: Bearer …\".")
        })?;
        let peer = connection.as_ref().map(|connection| connection.peer);
        let session = match self.0.sessions.find(&token, &self.0.seal) {
            Ok(session) => session,
            Err(error) => {
                let application = handshake::application(headers.get("user-agent").map(HeaderValue::as_bytes));
                handshake::by_token(&self.0, &token, application, peer).await?.ok_or(error)?
            }
        };
        connection.as_ref().map_or(Ok(()), Caller::is_known)?;
        session.follow_trace(trace_context(headers));
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
            session(&request)?;
            Err(crate::command::unsupported("listing flights").with_hint("Ask for tables with GetTables."))
        })
        .await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> std::result::Result<Response<FlightInfo>, Status> {
        call("get_flight_info", async {
            let session = session(&request)?;
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
            let session = session(&request)?;
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
            let session = session(&request)?;
            session.during(info::schema(&session, request.get_ref())).await.map(Response::new)
        })
        .await
    }

    async fn do_get(&self, request: Request<Ticket>) -> std::result::Result<Response<Self::DoGetStream>, Status> {
        call("do_get", async {
            let session = session(&request)?;
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
            let session = session(&request)?;
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
            session(&request)?;
            Err(crate::command::unsupported("DoExchange"))
        })
        .await
    }

    async fn do_action(&self, request: Request<Action>) -> std::result::Result<Response<Self::DoActionStream>, Status> {
        call("do_action", async {
            let session = session(&request)?;
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
            session(&request)?;
            Ok(Response::new(answers(actions::list())))
        })
        .await
    }
}
