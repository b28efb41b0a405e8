//! HTTP to the addresses that the administrator gave: over TCP or TLS, bounded in time and size. Follows no redirect, so that what is
//! sent goes where the administrator said. Knows not what it sends.

use crate::public::is_public;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// Connecting, sending and the answer together.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is read up to this number of bytes.
const ANSWER_MAX: usize = 64 << 10;
/// How long a connection stays for the next request.
const IDLE: Duration = Duration::from_secs(60);

/// A client that keeps one connection to each host.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    reaches: Reach,
}

/// Where a client may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    /// To addresses of the public internet alone.
    Public,
}

impl Reach {
    fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public => is_public(address),
        }
    }
}

/// Finds the addresses of a name. What it gives is what is connected to: a name that is asked for again, and answered otherwise, changes
/// nothing about a connection.
#[derive(Debug, Clone)]
struct Resolver(Reach);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reaches = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| reaches.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            Ok(admitted.into_iter())
        })
    }
}

/// What is said of an address that is not connected to.
const REFUSED: &str = "the receiver is at an address of a private network, which is not allowed";

impl HttpClient {
    /// Trusts the certificates that the system trusts.
    ///
    /// # Errors
    /// What the TLS library says of its own versions.
    pub fn new() -> Result<Self, String> {
        Self::reaching(Reach::Anywhere)
    }

    /// As [`new`](Self::new), one that connects to no address of this machine or of a private network, whatever a name stands for.
    ///
    /// # Errors
    /// As there.
    pub fn to_public_addresses() -> Result<Self, String> {
        Self::reaching(Reach::Public)
    }

    fn reaching(reaches: Reach) -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Resolver(reaches));
        http.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(http);
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(1).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Ok(Self { client: client.build(connector), reaches })
    }

    /// Sends a body of JSON. The receiver has it when it answers with 2xx.
    ///
    /// # Errors
    /// Why not, in words; without the address, which may be a secret.
    pub async fn post(&self, address: &Uri, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), String> {
        let mut request = Request::post(address).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Bytes::from(body)).map_err(|error| error.to_string())?;
        let status = self.send(request).await?.status();
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {}", status.as_u16())) }
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// Why there is none, in words; without the address.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        // A host that is an address is not looked up.
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok_and(|address| !self.reaches.admits(address)) {
            return Err(REFUSED.to_owned());
        }
        request.headers_mut().insert(USER_AGENT, hyper::header::HeaderValue::from_static("querygate"));
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| reason(&error))?;
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, ANSWER_MAX).collect().await.map_err(|_| "the answer was cut off or too long")?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err("the receiver took longer than 10 seconds".to_owned()),
        }
    }
}

/// What the system said, if it said something.
fn reason(error: &hyper_util::client::legacy::Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(system) = cause.downcast_ref::<std::io::Error>() {
            if system.kind() == io::ErrorKind::PermissionDenied {
                return REFUSED.to_owned();
            }
            return system.kind().to_string();
        }
        source = cause.source();
    }
    error.to_string()
}
