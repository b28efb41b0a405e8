//! HTTP to the addresses that the administrator gave: over TCP or TLS, bounded in time and size. Follows no redirect, so that what is
//! sent goes where the administrator said. Knows not what it sends.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

/// Connecting, sending and the answer together.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is read up to so many bytes.
const ANSWER_MAX: usize = 64 << 10;
/// How long a connection stays for the next request.
const IDLE: Duration = Duration::from_secs(60);

/// A client that keeps one connection to each host.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// Trusts the certificates that the system trusts.
    ///
    /// # Errors
    /// What the TLS library says of its own versions.
    pub(crate) fn new() -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(1).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Ok(Self(client.build(connector)))
    }

    /// Sends a body of JSON. The receiver has it when it answers with 2xx.
    ///
    /// # Errors
    /// Why not, in words; without the address, which may be a secret.
    pub(crate) async fn post(
        &self,
        address: &Uri,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(), String> {
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
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        request.headers_mut().insert(USER_AGENT, hyper::header::HeaderValue::from_static("querygate"));
        let exchange = async {
            let response = self.0.request(request.map(Full::new)).await.map_err(|error| reason(&error))?;
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
            return system.kind().to_string();
        }
        source = cause.source();
    }
    error.to_string()
}
