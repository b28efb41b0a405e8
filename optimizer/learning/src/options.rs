//! What an administrator decides of learning.

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

impl WebhookOptions {
    /// An `http://…` or `https://…` address, and the key that signs what is sent there.
    ///
    /// # Errors
    /// Something else than such an address, or a key of less than 16 bytes. The text holds neither.
    pub fn new(url: &str, secret: &[u8]) -> Result<Self> {
        let refused = |what: &str| Error::new(ErrorCode::ConfigInvalid, what.to_owned());
        let address: hyper::Uri = url.parse().map_err(|_| refused("it is no address"))?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
            return Err(refused("it must begin with http:// or https:// and name a host"));
        }
        if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused("it must not name a user"));
        }
        if secret.len() < SECRET_MIN {
            return Err(refused("its secret must have at least 16 bytes"));
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
