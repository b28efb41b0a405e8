//! A server around routes: bounds, and an end in time. Knows no route.

use crate::listener::{BoundedListener, Caller, Places};
use crate::proxies::Proxies;
use crate::tie::Connection;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use querygate_arrivals::Strangers;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;

/// Where proxies number requests.
const REQUEST_ID: &str = "x-request-id";

/// What bounds a server's connections.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections served at once; further ones wait in the system's queue, and silent ones make room for them.
    pub connection_max: usize,
    /// Silence after which a connection is closed, and time for a request to arrive whole.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Who those are among that no user has sent a request by.
    pub strangers: Strangers,
}

/// Serves routes until `shutdown` ends, then lets open requests finish within the drain timeout. Handlers may ask for
/// `ConnectInfo<Peer>`: who sent the request, by what `proxies` say of it.
pub async fn serve(
    door: &'static str,
    tcp: TcpListener,
    bounds: Bounds,
    proxies: Proxies,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        // The receiver lives as long as this function.
        let _ = stopping.send(true);
    };
    // The rest of the places is for users, and for who comes: the oldest stranger leaves before they are all taken.
    let arrivals = bounds.strangers.door(bounds.connection_max - bounds.connection_max / 4);
    let listener = BoundedListener::new(tcp, bounds.connection_max, arrivals, bounds.idle_timeout);
    let routes = one_request_when_full(routes, listener.places());
    let routes = told_when_whole(routes, proxies).into_make_service_with_connect_info::<Caller>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown).into_future();
    let deadline = async {
        // An error means that the sender is gone: the server has ended.
        let _ = stopped.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(bounds.drain_timeout).await;
    };
    tokio::select! {
        result = server => {
            if let Err(error) = result {
                tracing::error!(%error, door, "a door ended");
            }
        }
        () = deadline => tracing::warn!(door, "connections did not end in time"),
    }
}

/// While all places are taken, an answer ends its connection: who keeps asking on a kept one does not keep others out.
fn one_request_when_full(routes: Router, places: Places) -> Router {
    routes.layer(map_response(move |mut answer: Response| {
        if places.are_taken() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(answer)
    }))
}

/// Tells each connection when its request has come whole; until then it is its client whom everybody waits for.
/// Its handlers hear who asked, which is not who connected where that is a proxy. A number of a request is taken from a proxy alone.
/// What a stranger is answered is charged before it is sent.
fn told_when_whole(routes: Router, proxies: Proxies) -> Router {
    let proxies = Arc::new(proxies);
    routes.layer(from_fn(move |request: Request, next: Next| answered(Arc::clone(&proxies), request, next)))
}

async fn answered(proxies: Arc<Proxies>, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(caller)) = request.extensions_mut().remove::<ConnectInfo<Caller>>() else {
        return next.run(request).await;
    };
    let client = proxies.client(caller.peer, request.headers());
    if !proxies.has_sent(caller.peer) {
        // Log and audit tell requests apart by it.
        request.headers_mut().remove(REQUEST_ID);
    }
    let connection = caller.connection;
    connection.has_begun();
    request.extensions_mut().insert(ConnectInfo(client));
    request.extensions_mut().insert(connection.clone());
    let told = connection.clone();
    let answer = next.run(request.map(|body| told_at_its_end(body, told))).await;
    // Itself, and as it stands in what is written.
    let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    if connection.charge_answer(bytes.saturating_mul(2)).await {
        return answer;
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, HeaderValue::from_static("close"))]).into_response()
}

fn told_at_its_end(body: Body, connection: Connection) -> Body {
    if body.is_end_stream() {
        connection.is_whole();
        return body;
    }
    let told = stream::poll_fn(move |_| {
        connection.is_whole();
        Poll::Ready(None)
    });
    Body::from_stream(body.into_data_stream().chain(told))
}
