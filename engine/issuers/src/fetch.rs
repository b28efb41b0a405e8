//! Gets a document of an issuer: over TLS or from this machine, bounded in time and size. Follows no redirect, so that keys come from
//! where the configuration said.

use crate::address;
use crate::config::KeySource;
use crate::key_set::KeySet;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// For each document, connecting included.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a document.
const DOCUMENT_MAX: usize = 256 << 10;

/// What issuers are asked by.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The certificates that the system trusts. The log names those that cannot be read: issuers below them are not reached.
fn trusted_roots() -> rustls::RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificates that the system trusts cannot be read");
    }
    let mut roots = rustls::RootCertStore::empty();
    let (_, unreadable) = roots.add_parsable_certificates(found.certs);
    if unreadable > 0 {
        tracing::warn!(unreadable, "certificates that the system trusts are left out: they are malformed");
    }
    if roots.is_empty() {
        tracing::error!("the system trusts no certificate: no issuer is reached over https");
    }
    roots
}

impl Fetcher {
    /// Trusts the certificates that the system trusts.
    ///
    /// # Errors
    /// What the TLS library says of its own versions.
    pub(crate) fn new() -> Result<Self, String> {
        let roots = trusted_roots();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Addresses were checked: http is there for this machine only.
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(0);
        Ok(Self(client.build(connector)))
    }

    /// The keys of an issuer as they are now.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub(crate) async fn keys(&self, issuer: &str, source: &KeySource) -> Result<KeySet, String> {
        let keys = match source {
            KeySource::Keys(address) => address.clone(),
            KeySource::Discovery(address) => self.discover(issuer, address).await?,
        };
        let document = self.get(&keys).await.map_err(|why| format!("its keys at {keys}: {why}"))?;
        KeySet::read(&document).map_err(|why| format!("its keys at {keys}: {why}"))
    }

    async fn discover(&self, issuer: &str, address: &Uri) -> Result<Uri, String> {
        let document = self.get(address).await.map_err(|why| format!("{address}: {why}"))?;
        let found: Discovery = serde_json::from_slice(&document)
            .map_err(|_| format!("{address}: it does not say `issuer` and `jwks_uri`"))?;
        if found.issuer != issuer {
            return Err(format!("{address}: it is of another issuer"));
        }
        address::checked_address(&found.jwks_uri).map_err(|why| format!("`jwks_uri` of {address}: {why}"))
    }

    async fn get(&self, address: &Uri) -> Result<Bytes, String> {
        let mut request = Request::get(address).body(Empty::new()).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("querygate"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            if !head.status.is_success() {
                return Err(format!("it answered {}", head.status.as_u16()));
            }
            let body = Limited::new(body, DOCUMENT_MAX).collect().await;
            Ok(body.map_err(|_| "the answer was cut off or too long")?.to_bytes())
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
        }
    }
}
