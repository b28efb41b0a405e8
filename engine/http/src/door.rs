//! The routes and the server around them.

use crate::listener::BoundedListener;
use crate::probes::Probes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Settings of an [`HttpDoor`].
#[derive(Debug, Clone, Copy)]
pub struct HttpConfig {
    pub addr: SocketAddr,
    /// Connections served at once; further ones wait in the system's queue.
    pub connection_max: usize,
    /// Silence after which a connection is closed.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown began.
    pub drain_timeout: Duration,
}

impl HttpConfig {
    /// Defaults for an address.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, connection_max: 256, idle_timeout: Duration::from_secs(30), drain_timeout: Duration::from_secs(5) }
    }
}

/// A bound HTTP port.
#[derive(Debug)]
pub struct HttpDoor {
    tcp: TcpListener,
    config: HttpConfig,
    probes: Probes,
}

impl HttpDoor {
    /// Binds the port; port 0 takes a free one. Must run inside the tokio runtime that will serve the door.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: HttpConfig, probes: Probes) -> io::Result<Self> {
        Ok(Self { tcp: TcpListener::bind(config.addr).await?, config, probes })
    }

    /// The address clients connect to.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `shutdown` ends, then lets open requests finish within the drain timeout.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let shutdown = async move {
            shutdown.await;
            // The receiver lives as long as this function.
            let _ = stopping.send(true);
        };
        let listener = BoundedListener::new(self.tcp, self.config.connection_max, self.config.idle_timeout);
        let server = axum::serve(listener, routes(self.probes)).with_graceful_shutdown(shutdown).into_future();
        let deadline = async {
            // An error means that the sender is gone: the server has ended.
            let _ = stopped.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(self.config.drain_timeout).await;
        };
        tokio::select! {
            result = server => {
                if let Err(error) = result {
                    tracing::error!(%error, "the http door ended");
                }
            }
            () = deadline => tracing::warn!("http connections did not end in time"),
        }
    }
}

fn routes(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(probes)
}

async fn healthz() -> Response {
    Json(json!({"status": "alive", "version": env!("CARGO_PKG_VERSION")})).into_response()
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let readiness = (probes.readiness)();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.to_json())).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (probes.metrics)()).into_response()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": message, "code": code}))).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let known = "there is /healthz, /readyz and /metrics";
    tracing::debug!(path = uri.path(), "no such route");
    error(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", &format!("no such route; {known}"))
}

async fn method_not_allowed() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this route answers GET")
}
