//! What programs show in place of a password: whose it is, and why not. What was wrong goes to the log, and no value with it.

use crate::auth::claimed::made_by;
use crate::platform::KeyFile;
use crate::users::{Tenure, Users};
use async_trait::async_trait;
use querygate_issuers::{Issuers, KeyTenure, Refusal};
use querygate_query_api::tokens::{Proven, Standing, TOKEN_BYTES_MAX, TokenRefusal, Tokens};
use querygate_web::{Attempt, Attempts, Peer, TokenHash};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What every key begins with, as ObjectStack's do.
const KEY_PREFIX: &str = "osk_";
/// Characters of a token's hash that stand for it in counts and in the log.
const KNOWN_BY: usize = 16;

/// The tokens of a gate.
pub(crate) struct GateTokens {
    users: Arc<Users>,
    keys: Option<KeyFile>,
    attempts: Attempts,
}

/// Why a token is refused, with words for the log.
enum Failed {
    Wrong(&'static str),
    Unavailable(&'static str),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(why) => Self::Wrong(why),
            Refusal::Unavailable => Self::Unavailable("its issuer does not answer"),
        }
    }
}

impl GateTokens {
    pub(crate) fn new(users: Arc<Users>, keys: Option<KeyFile>) -> Self {
        Self { users, keys, attempts: Attempts::default() }
    }

    /// Whether any token is taken.
    pub(crate) fn takes_any(&self) -> bool {
        self.keys.is_some() || self.users.now().issued.is_some()
    }

    fn prove_key(&self, key: &str) -> Result<Proven, Failed> {
        let keys = self.keys.as_ref().ok_or(Failed::Wrong("no API keys are kept here"))?;
        let hash = TokenHash::of(key).hex();
        let known = keys.known(&hash, now_ms());
        let known = known.map_err(|_| Failed::Unavailable("the file of API keys cannot be read"))?;
        let held = known.ok_or(Failed::Wrong("no such API key holds"))?;
        let users = self.users.now();
        let owner = users.user(&held.login).filter(|known| known.verifier().is_some());
        let owner = owner.ok_or(Failed::Wrong("the owner of the API key may not log in"))?;
        let principal = match held.scope {
            None => Arc::clone(owner.principal()),
            Some(scope) => Arc::new(owner.principal().as_ref().clone().narrowed(scope)),
        };
        let standing = Arc::new(KeyStanding { keys: keys.clone(), hash, owner: Arc::clone(&owner.tenure) });
        Ok(Proven { principal, id: held.id.into(), standing })
    }

    async fn prove_issued(&self, token: &str) -> Result<Proven, Failed> {
        let users = self.users.now();
        let issued = users.issued.clone().ok_or(Failed::Wrong("no issuer's tokens are taken here"))?;
        let (claimed, key) = issued.issuers.check_signed(token).await?;
        let (ends, id) = (claimed.ends, format!("{} {}", claimed.issuer, claimed.login).into());
        let (principal, user) = made_by(&users, &issued, claimed).map_err(Failed::Wrong)?;
        let standing = Arc::new(IssuedStanding { ends, user, issuer: Arc::clone(&issued.tenure), key });
        Ok(Proven { principal, id, standing })
    }

    /// Tells the log, and counts what was wrong. What holds is never kept out by what others show from the same address.
    fn refused(&self, token: &str, peer: Option<SocketAddr>, failed: Failed) -> TokenRefusal {
        let known_by: String = TokenHash::of(token).hex().chars().take(KNOWN_BY).collect();
        let why = match failed {
            Failed::Wrong(why) => why,
            Failed::Unavailable(why) => {
                tracing::warn!(?peer, token = known_by, why, "a token or API key cannot be checked");
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
    owner: Arc<Tenure>,
}

impl Standing for KeyStanding {
    fn holds(&self) -> bool {
        self.owner.holds() && self.keys.held(&self.hash, now_ms()).is_some()
    }
}

/// An issuer's token that opened a session.
struct IssuedStanding {
    /// In seconds since 1970.
    ends: u64,
    /// Of a configured user.
    user: Option<Arc<Tenure>>,
    issuer: Arc<Tenure>,
    /// That signed it.
    key: KeyTenure,
}

impl Standing for IssuedStanding {
    fn holds(&self) -> bool {
        self.issuer.holds()
            && self.key.holds()
            && self.user.as_ref().is_none_or(|user| user.holds())
            && u64::try_from(now_ms() / 1_000).is_ok_and(|now| now < self.ends)
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
