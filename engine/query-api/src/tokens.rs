//! What programs show in place of a password: API keys, and tokens of issuers; and whether what let somebody in still holds. Knows no
//! door, and no form of a token.

use crate::scram::ScramVerifier;
use async_trait::async_trait;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The name that is given for a user where a token says who it is. No user has it.
pub const TOKEN_USER: &str = "__token__";
/// Bytes of a token; what is longer is none.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// A token that holds, and whose it is.
#[derive(Clone)]
pub struct Proven {
    /// Whom it lets in, with what it is good for.
    pub principal: Arc<Principal>,
    /// Names the key or the token where its use is counted; opens nothing.
    pub id: Arc<str>,
    /// Whether it still holds.
    pub standing: Arc<dyn Standing>,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven").field("login", &self.principal.login).finish_non_exhaustive()
    }
}

/// What somebody was let in by: a password, a key, a token. Sessions that it opened last as long as it.
pub trait Standing: Send + Sync {
    /// Whether it has neither ended nor been revoked, and its user is who it was. Cheap: it is asked before each message of a client.
    fn holds(&self) -> bool;
}

/// How often a door looks whether what its sessions were opened by still holds, while their clients wait or statements of theirs run.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Of users who never change.
#[derive(Debug, Clone, Copy)]
pub struct Lasting;

impl Standing for Lasting {
    fn holds(&self) -> bool {
        true
    }
}

/// Who is let in, for as long as it holds.
#[derive(Clone)]
pub struct Admitted {
    /// Whom its sessions act for.
    pub principal: Arc<Principal>,
    /// Whether it still holds.
    pub standing: Arc<dyn Standing>,
}

impl std::fmt::Debug for Admitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admitted").field("login", &self.principal.login).finish_non_exhaustive()
    }
}

impl From<Proven> for Admitted {
    fn from(proven: Proven) -> Self {
        Self { principal: proven.principal, standing: proven.standing }
    }
}

/// Who wants to log in by a password: what the password must prove, and who is let in then. Both are of one moment, so that a password that
/// is changed meanwhile lets no one in for longer than its time.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As [`Authenticator::scram_verifier`](crate::service::Authenticator::scram_verifier) gives it.
    pub verifier: ScramVerifier,
    /// `None` of a user who is not known.
    pub admitted: Option<Admitted>,
}

/// What a client hears whose session ended with what it was opened by.
#[must_use]
pub fn no_longer_holds() -> Error {
    Error::new(ErrorCode::InvalidAuthorization, "what this session was opened with no longer holds")
        .with_detail("Its API key or token ended or was revoked, or its user was changed.")
        .with_hint("Connect again.")
}

/// Why a token is refused. Clients hear no more than this; what was wrong is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It is no token, or it does not hold, or not here.
    Wrong,
    /// Too many were wrong: how long to wait before the next one.
    TooOften(Duration),
    /// Nothing is known to check it by: its issuer cannot be reached, or the file of keys not read.
    Unavailable,
}

impl From<TokenRefusal> for Error {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Wrong => Self::new(ErrorCode::InvalidPassword, "the API key or token is not valid"),
            TokenRefusal::TooOften(wait) => {
                Self::new(ErrorCode::TooManyConnections, "too many logins failed from this address")
                    .with_hint(format!("Wait {} seconds.", wait.as_secs() + 1))
            }
            TokenRefusal::Unavailable => {
                Self::new(ErrorCode::SourceUnavailable, "the API key or token cannot be checked now")
                    .with_hint("Try again later.")
            }
        }
    }
}

/// Knows the tokens of a gate.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Whether a text may be one, by its form.
    fn has_form(&self, text: &str) -> bool;

    /// Whose token it is. `peer`: who shows it.
    ///
    /// # Errors
    /// It is refused.
    async fn prove(&self, token: &str, peer: Option<SocketAddr>) -> Result<Proven, TokenRefusal>;
}
