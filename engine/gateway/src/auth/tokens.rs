//! What programs show in place of a password: whose it is, and why not. What was wrong goes to the log, and no value with it.

use crate::auth::claimed::{Makers, made_by};
use crate::config::Config;
use crate::platform::KeyFile;
use async_trait::async_trait;
use querygate_issuers::{Issuers, Refusal};
use querygate_query_api::tokens::{Proven, Standing, TOKEN_BYTES_MAX, TokenRefusal, Tokens};
use querygate_types::Result as Outcome;
use querygate_types::principal::Principal;
use querygate_web::{Attempt, Attempts, Peer, TokenHash};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What every key begins with, as ObjectStack's do.
const KEY_PREFIX: &str = "osk_";
/// Characters of a token's hash that stand for it in counts and in the log.
const KNOWN_BY: usize = 16;

/// The tokens of a gate.
pub(crate) struct GateTokens {
    /// Who may log in by a key, by name.
    owners: HashMap<String, Arc<Principal>>,
    keys: Option<KeyFile>,
    issuers: Option<(Issuers, Makers)>,
    attempts: Attempts,
}

/// Why a token is refused, with words for the log.
enum Failed {
    Wrong(&'static str),
    Unavailable,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(why) => Self::Wrong(why),
            Refusal::Unavailable => Self::Unavailable,
        }
    }
}

impl GateTokens {
    /// `None` where no token is taken.
    ///
    /// # Errors
    /// Issuers cannot be asked.
    pub(crate) fn new(config: &Config, keys: Option<KeyFile>) -> Outcome<Option<Self>> {
        if keys.is_none() && config.issuers.is_empty() {
            return Ok(None);
        }
        let owners = config.users.iter().filter(|user| user.verifier.is_some());
        let owners = owners.map(|user| (user.name.clone(), Arc::clone(&user.principal))).collect();
        let issuers = if config.issuers.is_empty() {
            None
        } else {
            let known = config.issuers.iter().map(|issuer| issuer.oidc.clone()).collect();
            Some((Issuers::new(known)?, Makers::new(config)))
        };
        Ok(Some(Self { owners, keys, issuers, attempts: Attempts::default() }))
    }

    fn prove_key(&self, key: &str) -> Result<Proven, Failed> {
        let keys = self.keys.as_ref().ok_or(Failed::Wrong("no API keys are kept here"))?;
        let hash = TokenHash::of(key).hex();
        let held = keys.held(&hash, now_ms()).ok_or(Failed::Wrong("no such API key holds"))?;
        let owner = self.owners.get(&held.login);
        let owner = owner.ok_or(Failed::Wrong("the owner of the API key may not log in"))?;
        let principal = match held.scope {
            None => Arc::clone(owner),
            Some(scope) => Arc::new(owner.as_ref().clone().narrowed(scope)),
        };
        let standing = Arc::new(KeyStanding { keys: keys.clone(), hash });
        Ok(Proven { principal, id: held.id.into(), standing })
    }

    async fn prove_issued(&self, token: &str) -> Result<Proven, Failed> {
        let (issuers, makers) = self.issuers.as_ref().ok_or(Failed::Wrong("no issuer's tokens are taken here"))?;
        let claimed = issuers.check(token).await?;
        let standing = Arc::new(IssuedStanding { ends: claimed.ends });
        let id = format!("{} {}", claimed.issuer, claimed.login).into();
        let principal = made_by(makers, claimed).map_err(Failed::Wrong)?;
        Ok(Proven { principal, id, standing })
    }

    /// Tells the log, and counts what was wrong. What holds is never kept out by what others show from the same address.
    fn refused(&self, token: &str, peer: Option<SocketAddr>, failed: Failed) -> TokenRefusal {
        let known_by: String = TokenHash::of(token).hex().chars().take(KNOWN_BY).collect();
        let why = match failed {
            Failed::Wrong(why) => why,
            Failed::Unavailable => {
                tracing::warn!(?peer, token = known_by, "a token cannot be checked: its issuer never answered");
                return TokenRefusal::Unavailable;
            }
        };
        tracing::info!(?peer, token = known_by, why, "a token or API key was refused");
        let Some(peer) = peer else { return TokenRefusal::Wrong };
        match self.attempts.begin(&Attempt::new(Peer(peer), &known_by), Instant::now()) {
            Ok(()) => TokenRefusal::Wrong,
            Err(wait) => TokenRefusal::TooOften(wait),
        }
    }
}

#[async_trait]
impl Tokens for GateTokens {
    fn has_form(&self, text: &str) -> bool {
        text.starts_with(KEY_PREFIX) || Issuers::has_form(text)
    }

    async fn prove(&self, token: &str, peer: Option<SocketAddr>) -> Result<Proven, TokenRefusal> {
        let proven = if token.len() > TOKEN_BYTES_MAX {
            Err(Failed::Wrong("it is too long"))
        } else if token.starts_with(KEY_PREFIX) {
            self.prove_key(token)
        } else if Issuers::has_form(token) {
            self.prove_issued(token).await
        } else {
            Err(Failed::Wrong("it has the form of no token"))
        };
        proven.map_err(|failed| self.refused(token, peer, failed))
    }
}

/// A key that opened a session.
struct KeyStanding {
    keys: KeyFile,
    hash: String,
}

impl Standing for KeyStanding {
    fn holds(&self) -> bool {
        self.keys.held(&self.hash, now_ms()).is_some()
    }
}

/// An issuer's token that opened a session.
struct IssuedStanding {
    /// In seconds since 1970.
    ends: u64,
}

impl Standing for IssuedStanding {
    fn holds(&self) -> bool {
        u64::try_from(now_ms() / 1_000).is_ok_and(|now| now < self.ends)
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
