//! One issuer: whether a token is its, for us, and now.

use crate::claims::Claimed;
use crate::config::IssuerConfig;
use crate::fetch::Fetcher;
use crate::key_set::{KeySet, NoKey};
use crate::keys::Keys;
use crate::refusal::Refusal;
use crate::tenure::KeyTenure;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, get_current_timestamp};
use serde_json::{Map, Value};
use std::sync::Arc;

/// An issuer, with its keys.
pub(crate) struct Issuer {
    config: IssuerConfig,
    keys: Arc<Keys>,
}

/// Claims that hold, and how long the key does that signed them.
type Checked = (Map<String, Value>, KeyTenure);

impl Issuer {
    pub(crate) fn new(config: IssuerConfig, fetcher: Fetcher) -> Self {
        let keys = Arc::new(Keys::new(&config, fetcher));
        Self { config, keys }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.issuer
    }

    /// What a token of this issuer says, if it holds.
    pub(crate) async fn check(&self, token: &str, header: &Header) -> Result<(Claimed, KeyTenure), Refusal> {
        if !self.config.algorithms.has(header.alg) {
            return Err(Refusal::Wrong("its algorithm is not allowed"));
        }
        let keys = self.keys.current().await.ok_or(Refusal::Unavailable)?;
        let (claims, tenure) = match self.verified(&keys, token, header) {
            Err(Refusal::Wrong(UNKNOWN_KEY)) => {
                let newer = self.keys.newer(Some(&keys)).await.filter(|newer| !Arc::ptr_eq(newer, &keys));
                let newer = newer.ok_or(Refusal::Wrong(UNKNOWN_KEY))?;
                self.verified(&newer, token, header)?
            }
            checked => checked?,
        };
        let skew = self.config.clock_skew.as_secs();
        let now = get_current_timestamp();
        let second = |name: &str| claims.get(name).and_then(Value::as_f64);
        if claims.contains_key("iat") && second("iat").is_none_or(|made| made > (now + skew) as f64) {
            return Err(Refusal::Wrong("it says that it is made in the future"));
        }
        let ends = claims.get("exp").and_then(Value::as_u64).ok_or(Refusal::Wrong("its end is no whole number"))?;
        let claimed = Claimed::read(&self.config.claims, self.name(), &claims, ends.saturating_add(skew));
        Ok((claimed.map_err(Refusal::Wrong)?, tenure))
    }

    fn verified(&self, keys: &KeySet, token: &str, header: &Header) -> Result<Checked, Refusal> {
        let key = keys.find(header.kid.as_deref(), header.alg).map_err(|none| match none {
            NoKey::Unknown => Refusal::Wrong(UNKNOWN_KEY),
            NoKey::Ambiguous => Refusal::Wrong("it does not say which of several keys it is signed by"),
        })?;
        let decoded = decode::<Map<String, Value>>(token, &key.decoding, &self.validation(header.alg));
        decoded.map(|token| (token.claims, key.tenure.clone())).map_err(|error| Refusal::Wrong(reason(error.kind())))
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.clock_skew.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audiences);
        validation
    }
}

const UNKNOWN_KEY: &str = "its issuer has no such key";

/// In words of ours: those of the library may hold a value.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it does not hold yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "it lacks its end, its issuer or its audience",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "its algorithm is not allowed",
        _ => "it is malformed",
    }
}
