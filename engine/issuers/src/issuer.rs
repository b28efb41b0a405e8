//! One issuer: whether a token is its, for us, and now.

use crate::claims::Claimed;
use crate::config::IssuerConfig;
use crate::fetch::Fetcher;
use crate::key_set::tenure::KeyTenure;
use crate::key_set::{KeySet, NoKey};
use crate::keys::Keys;
use crate::refusal::Refusal;
use crate::times;
use crate::token::{NOT_ALLOWED, Token};
use serde_json::{Map, Value};
use std::sync::Arc;

/// An issuer, with its keys.
pub(crate) struct Issuer {
    config: IssuerConfig,
    keys: Arc<Keys>,
}

impl Issuer {
    pub(crate) fn new(config: IssuerConfig, fetcher: Fetcher) -> Self {
        let keys = Arc::new(Keys::new(&config, fetcher));
        Self { config, keys }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.issuer
    }

    /// What a token of this issuer says, if it holds, and how long the key does that signed it.
    pub(crate) async fn check(&self, token: &Token<'_>) -> Result<(Claimed, KeyTenure), Refusal> {
        if !self.config.algorithms.has(token.algorithm) {
            return Err(Refusal::Wrong(NOT_ALLOWED));
        }
        let keys = self.keys.current().await.ok_or(Refusal::Unavailable)?;
        let tenure = match signer(&keys, token) {
            // By a key that there may be by now, also under a name that another one had.
            Err(Refusal::Wrong(why @ (UNKNOWN_KEY | WRONG_SIGNATURE))) => {
                let newer = self.keys.newer(Some(&keys)).await.filter(|newer| !Arc::ptr_eq(newer, &keys));
                let newer = newer.ok_or(Refusal::Wrong(why))?;
                signer(&newer, token)?
            }
            checked => checked?,
        };
        let claimed = self.claimed(&token.claims).map_err(Refusal::Wrong)?;
        Ok((claimed, tenure))
    }

    /// What claims that are signed say.
    fn claimed(&self, claims: &Map<String, Value>) -> Result<Claimed, &'static str> {
        let ends = times::end(claims, times::now(), self.config.clock_skew.as_secs())?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.name()) {
            return Err("it is of another issuer");
        }
        if !self.is_meant(claims.get("aud"))? {
            return Err("it is for another audience");
        }
        // RFC 8417: what happened to somebody, as that they have left. Issuers that do not write the type of such a token write this.
        if claims.contains_key("events") {
            return Err("it tells of events and lets nobody in");
        }
        Claimed::read(&self.config.claims, self.name(), claims, ends)
    }

    fn is_meant(&self, audience: Option<&Value>) -> Result<bool, &'static str> {
        let is_ours = |name: &str| self.config.audiences.iter().any(|own| own == name);
        match audience {
            Some(Value::String(one)) => Ok(is_ours(one)),
            Some(Value::Array(all)) => {
                let names: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
                Ok(names.ok_or("its audience is no text")?.into_iter().any(is_ours))
            }
            Some(_) => Err("its audience is no text"),
            None => Err("it lacks its audience"),
        }
    }
}

const UNKNOWN_KEY: &str = "its issuer has no such key";
const WRONG_SIGNATURE: &str = "its signature is wrong";

/// How long the key holds that signed a token.
fn signer(keys: &KeySet, token: &Token<'_>) -> Result<KeyTenure, Refusal> {
    let meant = keys.find(token.kid.as_deref(), token.algorithm).map_err(|none| match none {
        NoKey::Unknown => Refusal::Wrong(UNKNOWN_KEY),
        NoKey::Ambiguous => Refusal::Wrong("it does not say which of several keys it is signed by"),
    })?;
    let signed = meant.iter().find(|key| key.has_signed(token.algorithm, token.message, &token.signature));
    signed.map(|key| key.tenure.clone()).ok_or(Refusal::Wrong(WRONG_SIGNATURE))
}
