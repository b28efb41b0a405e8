//! All issuers: which of them a token is of.

use crate::claims::Claimed;
use crate::config::IssuerConfig;
use crate::fetch::Fetcher;
use crate::issuer::Issuer;
use crate::key_set::tenure::KeyTenure;
use crate::refusal::Refusal;
use crate::token::{self, Token};
use querygate_types::{Error, Result};
use serde_json::Value;

/// The issuers whose tokens are taken.
pub struct Issuers {
    all: Vec<Issuer>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|issuer| issuer.name())).finish()
    }
}

impl Issuers {
    /// # Errors
    /// Internal: no TLS is to be had.
    pub fn new(configs: Vec<IssuerConfig>) -> Result<Self> {
        let fetcher = Fetcher::new().map_err(Error::internal)?;
        let all = configs.into_iter().map(|config| Issuer::new(config, fetcher.clone()));
        Ok(Self { all: all.collect() })
    }

    /// Whether a text may be a token, by its form.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        token::has_form(text)
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
        let token = Token::read(token)?;
        // Looked at before it is known whether it is true, to find out whose keys say so.
        let said = token.claims.get("iss").and_then(Value::as_str);
        let said = said.ok_or(Refusal::Wrong("it does not name its issuer"))?;
        let issuer = self.all.iter().find(|issuer| issuer.name() == said);
        issuer.ok_or(Refusal::Wrong("its issuer is not known"))?.check(&token).await
    }
}
