//! What an administrator decides of learning.

use crate::schema_watch::SchemaWatch;
use hyper::header::HeaderValue;
use querygate_types::{Error, ErrorCode, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Places and bounds.
#[derive(Debug, Clone)]
pub struct LearningOptions {
    /// Folder of the store; made if it is not there.
    pub directory: PathBuf,
    /// Age at which records of single statements are forgotten. What was learnt from them stays.
    pub retention: Duration,
    /// Bytes that the store's file may have; the oldest records go first.
    pub size_max: u64,
    /// Records that wait for the thread; more are dropped and counted.
    pub queue_max: usize,
    /// How long records wait for others before they are written together.
    pub batch_every: Duration,
    /// Alerts in a day, at most. Further incidents are recorded without one, critical ones excepted.
    pub alerts_per_day: u32,
    /// Where alerts are sent.
    pub webhook: Option<WebhookOptions>,
    /// Where spans and metrics of statements are sent.
    pub otlp: Option<OtlpOptions>,
    /// Asked about once a second for what sources changed.
    pub schemas: Option<SchemaWatch>,
}

impl LearningOptions {
    /// Defaults, with the store in this folder.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            retention: Duration::from_secs(30 * 86_400),
            size_max: 512 << 20,
            queue_max: 16_384,
            batch_every: Duration::from_secs(1),
            alerts_per_day: 20,
            webhook: None,
            otlp: None,
            schemas: None,
        }
    }
}

/// An HTTP endpoint that takes alerts.
#[derive(Clone)]
pub struct WebhookOptions {
    pub(crate) address: hyper::Uri,
    /// Key of the signature.
    pub(crate) secret: Vec<u8>,
}

/// Fewest bytes of a secret.
const SECRET_MIN: usize = 16;

/// How a collector of OTLP is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtlpProtocol {
    /// Protocol buffers over HTTP/1.1.
    #[default]
    Http,
    Grpc,
}

/// A collector that takes OTLP.
#[derive(Clone)]
pub struct OtlpOptions {
    pub(crate) base: hyper::Uri,
    pub(crate) protocol: OtlpProtocol,
    /// Value of the header `authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

impl OtlpOptions {
    /// The collector's base address, such as `http://127.0.0.1:4318`; over HTTP, `/v1/traces` and `/v1/metrics` follow it.
    ///
    /// # Errors
    /// Something else than such an address, or than the value of a header. The text holds neither.
    pub fn new(base: &str, protocol: OtlpProtocol, authorization: Option<&str>) -> Result<Self> {
        let refused = |what: &str| Error::new(ErrorCode::ConfigInvalid, what.to_owned());
        let base = address(base.trim_end_matches('/'))?;
        if base.query().is_some() {
            return Err(refused("it must end with its path"));
        }
        if protocol == OtlpProtocol::Grpc && base.path() != "/" {
            return Err(refused("over gRPC it must be without a path"));
        }
        let authorization = authorization.map(HeaderValue::from_str).transpose();
        let authorization = authorization.map_err(|_| refused("its authorization is no value of a header"))?;
        Ok(Self { base, protocol, authorization })
    }
}

impl std::fmt::Debug for OtlpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OtlpOptions(…)")
    }
}

/// `http://…` or `https://…` with a host and without a user.
fn address(url: &str) -> Result<hyper::Uri> {
    let refused = |what: &str| Error::new(ErrorCode::ConfigInvalid, what.to_owned());
    let address: hyper::Uri = url.parse().map_err(|_| refused("it is no address"))?;
    if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
        return Err(refused("it must begin with http:// or https:// and name a host"));
    }
    if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused("it must not name a user"));
    }
    Ok(address)
}

impl WebhookOptions {
    /// An `http://…` or `https://…` address, and the key that signs what is sent there.
    ///
    /// # Errors
    /// Something else than such an address, or a key of less than 16 bytes. The text holds neither.
    pub fn new(url: &str, secret: &[u8]) -> Result<Self> {
        let address = address(url)?;
        if secret.len() < SECRET_MIN {
            return Err(Error::new(ErrorCode::ConfigInvalid, "its secret must have at least 16 bytes"));
        }
        Ok(Self { address, secret: secret.to_vec() })
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL of a chat service is itself a secret.
        f.write_str("WebhookOptions(…)")
    }
}
