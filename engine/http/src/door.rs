//! The routes and the server around them.

use crate::pages::{self, Pages};
use crate::probes::Probes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use querygate_web::{Bounds, Proxies, Strangers, serve};
use serde_json::json;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Settings of an [`HttpDoor`].
#[derive(Debug, Clone, Copy)]
pub struct HttpConfig {
    pub addr: SocketAddr,
    /// Connections served at once; further ones wait in the system's queue, and silent ones make room for them.
    pub connection_max: usize,
    /// Silence after which a connection is closed, and time for a request to arrive whole.
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
    pages: Option<Pages>,
    proxies: Proxies,
    strangers: Strangers,
}

impl HttpDoor {
    /// Binds the port; port 0 takes a free one. Must run inside the tokio runtime that will serve the door.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: HttpConfig, probes: Probes) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(config.addr).await?,
            config,
            probes,
            pages: None,
            proxies: Proxies::default(),
            strangers: Strangers::default(),
        })
    }

    /// Serves pages below `/ui` too, to users who log in.
    #[must_use]
    pub fn with_pages(mut self, pages: Pages) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Believes these in whose requests they pass on.
    #[must_use]
    pub fn behind(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Counts connections that no user has sent a request by among these, of all doors.
    #[must_use]
    pub fn among(mut self, strangers: Strangers) -> Self {
        self.strangers = strangers;
        self
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
        let within = self.tcp.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let HttpConfig { connection_max, idle_timeout, drain_timeout, .. } = self.config;
        let bounds = Bounds { connection_max, idle_timeout, drain_timeout, strangers: self.strangers };
        serve("http", self.tcp, bounds, self.proxies, routes(self.probes, self.pages, within), shutdown).await;
    }
}

fn routes(probes: Probes, pages: Option<Pages>, within: bool) -> Router {
    let known = match pages {
        Some(_) => "there is /healthz, /readyz, /metrics and /ui",
        None => "there is /healthz, /readyz and /metrics",
    };
    let own = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async move |uri: Uri| not_found(&uri, known))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(probes);
    match pages {
        Some(pages) => own.merge(pages::routes(pages, within)),
        None => own,
    }
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

fn not_found(uri: &Uri, known: &str) -> Response {
    tracing::debug!(path = uri.path(), "no such route");
    error(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", &format!("no such route; {known}"))
}

async fn method_not_allowed() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this route answers GET")
}
