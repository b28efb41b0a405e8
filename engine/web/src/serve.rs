//! A server around routes: bounds, and an end in time. Knows no route.

use crate::listener::{Arrival, BoundedListener, Caller, Places};
use crate::proxies::Proxies;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{map_request, map_response};
use axum::response::Response;
use futures::{StreamExt, stream};
use std::future::{Future, IntoFuture};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;

/// Where proxies number requests.
const REQUEST_ID: &str = "x-request-id";

/// What bounds a server's connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections served at once; further ones wait in the system's queue, and silent ones make room for them.
    pub connection_max: usize,
    /// Silence after which a connection is closed, and time for a request to arrive whole.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown began.
    pub drain_timeout: Duration,
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
    let listener = BoundedListener::new(tcp, bounds.connection_max, bounds.idle_timeout);
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
fn told_when_whole(routes: Router, proxies: Proxies) -> Router {
    routes.layer(map_request(move |mut request: Request| {
        let Some(ConnectInfo(caller)) = request.extensions_mut().remove::<ConnectInfo<Caller>>() else {
            return std::future::ready(request);
        };
        let client = proxies.client(caller.peer, request.headers());
        if !proxies.has_sent(caller.peer) {
            // Log and audit tell requests apart by it.
            request.headers_mut().remove(REQUEST_ID);
        }
        request.extensions_mut().insert(ConnectInfo(client));
        std::future::ready(request.map(|body| told_at_its_end(body, caller.arrival)))
    }))
}

fn told_at_its_end(body: Body, arrival: Arrival) -> Body {
    if body.is_end_stream() {
        arrival.is_whole();
        return body;
    }
    let told = stream::poll_fn(move |_| {
        arrival.is_whole();
        Poll::Ready(None)
    });
    Body::from_stream(body.into_data_stream().chain(told))
}
