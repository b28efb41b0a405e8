//! Whose a call is, by its headers, before a byte of its messages is read: a call without a session gets a status at once. A login is
//! passed on; its one message is small. Reads no message itself.

use crate::observe;
use crate::service::Service;
use crate::sessions::let_in::LetIn;
use crate::sessions::session::FlightSession;
use crate::status::status;
use crate::transport::{Caller, charged};
use arrow_flight::flight_service_server::FlightServiceServer;
use futures::FutureExt as _;
use querygate_types::{Error, Result};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as Called, http};
use tonic::server::NamedService;

/// The one call that needs no session.
const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";
/// Largest message of a login: a name and a password, or a token.
const LOGIN_BYTES_MAX: usize = 16 << 10;

/// What all calls of a door pass.
#[derive(Clone)]
pub(crate) struct Entrance {
    service: Service,
    sessions: FlightServiceServer<Service>,
    logins: FlightServiceServer<Service>,
    message_bytes_max: usize,
}

impl Entrance {
    /// In front of a service whose users may send messages of this length.
    pub(crate) fn new(service: Service, message_bytes_max: usize) -> Self {
        let server = FlightServiceServer::new(service.clone()).max_encoding_message_size(usize::MAX);
        Self {
            service,
            logins: server.clone().max_decoding_message_size(LOGIN_BYTES_MAX.min(message_bytes_max)),
            sessions: server.max_decoding_message_size(message_bytes_max),
            message_bytes_max,
        }
    }

    async fn judge(&self, headers: &http::HeaderMap, caller: Option<Caller>) -> Result<Arc<FlightSession>> {
        let _judging = caller.as_ref().map(Caller::judging);
        match AssertUnwindSafe(self.service.caller(headers, caller)).catch_unwind().await {
            Ok(judged) => judged,
            Err(_panic) => Err(Error::internal("a call panicked before it was let in")),
        }
    }
}

impl NamedService for Entrance {
    const NAME: &'static str = <FlightServiceServer<Service> as NamedService>::NAME;
}

impl Called<http::Request<Body>> for Entrance {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut own = self.clone();
        let caller = request.extensions().get::<Caller>().cloned();
        Box::pin(async move {
            if request.uri().path() == HANDSHAKE {
                return own.logins.call(request).await;
            }
            match own.judge(request.headers(), caller).await {
                Ok(session) => {
                    let mut request = request.map(|body| charged(body, session.main(), own.message_bytes_max));
                    request.extensions_mut().insert(LetIn(session));
                    own.sessions.call(request).await
                }
                Err(error) => {
                    observe::refused("session");
                    Ok(status(&error).into_http())
                }
            }
        })
    }
}
