//! All issuers: which of them a token is of.

use crate::claims::Claimed;
use crate::config::IssuerConfig;
use crate::fetch::Fetcher;
use crate::issuer::Issuer;
use crate::provider;
use crate::refusal::Refusal;
use crate::tenure::KeyTenure;
use jsonwebtoken::{dangerous, decode_header};
use querygate_types::{Error, Result};
use serde::Deserialize;

/// The issuers whose tokens are taken.
pub struct Issuers {
    all: Vec<Issuer>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|issuer| issuer.name())).finish()
    }
}

/// What is looked at before it is known whether it is true, to find out whose keys say so.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

impl Issuers {
    /// # Errors
    /// Internal: no TLS is to be had.
    pub fn new(configs: Vec<IssuerConfig>) -> Result<Self> {
        provider::install();
        let fetcher = Fetcher::new().map_err(Error::internal)?;
        let all = configs.into_iter().map(|config| Issuer::new(config, fetcher.clone()));
        Ok(Self { all: all.collect() })
    }

    /// Whether a text may be a token, by its form.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        // The header is a JSON object in base64: it begins with a brace.
        text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// What a token says, if it holds.
    ///
    /// # Errors
    /// It does not, or it cannot be known now.
    pub async fn check(&self, token: &str) -> Result<Claimed, Refusal> {
        self.check_signed(token).await.map(|(claimed, _)| claimed)
    }

    /// What a token says, if it holds, and how long the key holds that signed it: what the token opened ends with either.
    ///
    /// # Errors
    /// It does not, or it cannot be known now.
    pub async fn check_signed(&self, token: &str) -> Result<(Claimed, KeyTenure), Refusal> {
        let malformed = |_| Refusal::Wrong("it is malformed");
        let header = decode_header(token).map_err(malformed)?;
        if header.crit.is_some() {
            return Err(Refusal::Wrong("it demands what is not known here"));
        }
        let said: Unverified = dangerous::insecure_decode(token).map_err(malformed)?.claims;
        let issuer = self.all.iter().find(|issuer| issuer.name() == said.iss);
        issuer.ok_or(Refusal::Wrong("its issuer is not known"))?.check(token, &header).await
    }
}
