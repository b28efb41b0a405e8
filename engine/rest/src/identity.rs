//! Who sent a request: a session's token, a cookie, or an API key. Knows no route.

use crate::call::Call;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::sessions::SignedIn;
use crate::site::Site;
use crate::work::Work;
use axum::http::{Method, header};
use chrono::{DateTime, Utc};
use querygate_types::principal::Principal;
use querygate_types::vendor::VendorCode;
use querygate_web::TokenHash;
use std::sync::Arc;

/// The vendor's name of the cookie.
pub(crate) const COOKIE: &str = "better-auth.session_token";
/// What every key begins with.
pub(crate) const KEY_PREFIX: &str = "osk_";

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) principal: Arc<Principal>,
    /// `None` of a key: it has no session.
    pub(crate) session: Option<SignedIn>,
}

/// What a request shows to be known by.
enum Shown<'a> {
    Nothing,
    Token(&'a str),
    Cookie(&'a str),
    Key(&'a str),
    Unreadable,
}

fn shown(call: &Call) -> Shown<'_> {
    if let Some(value) = call.headers.get("x-api-key") {
        return value.to_str().map_or(Shown::Unreadable, Shown::Key);
    }
    if let Some(value) = call.headers.get(header::AUTHORIZATION) {
        let Ok(value) = value.to_str() else { return Shown::Unreadable };
        let (scheme, credential) = value.trim().split_once(' ').unwrap_or((value, ""));
        let credential = credential.trim();
        return match scheme.to_ascii_lowercase().as_str() {
            "bearer" if credential.starts_with(KEY_PREFIX) => Shown::Key(credential),
            "bearer" => Shown::Token(credential),
            "apikey" => Shown::Key(credential),
            _ => Shown::Unreadable,
        };
    }
    cookie(call).map_or(Shown::Nothing, Shown::Cookie)
}

/// The session's token in a cookie.
pub(crate) fn cookie(call: &Call) -> Option<&str> {
    let lines = call.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}

/// The session's token that a request shows, in whatever place.
pub(crate) fn token(call: &Call) -> Option<&str> {
    match shown(call) {
        Shown::Token(token) | Shown::Cookie(token) => Some(token),
        Shown::Nothing | Shown::Key(_) | Shown::Unreadable => None,
    }
}

impl Site {
    /// # Errors
    /// The request shows nothing that somebody is known by now.
    pub(crate) fn identify(&self, call: &Call) -> Result<Identity, Refusal> {
        let identity = self.known(call).ok_or_else(Refusal::unauthenticated)?;
        if matches!(shown(call), Shown::Cookie(_)) && changes(&call.method) && comes_from_elsewhere(call) {
            let message = "A change by a cookie must come from this origin.";
            return Err(Refusal::new(Code::Vendor(VendorCode::Forbidden), message));
        }
        Ok(identity)
    }

    /// Who sent a request that anyone may send.
    pub(crate) fn known(&self, call: &Call) -> Option<Identity> {
        let now = Utc::now();
        let (login, session) = match shown(call) {
            Shown::Token(token) | Shown::Cookie(token) => {
                let session = self.sessions.find(token, now)?;
                (session.login.to_string(), Some(session))
            }
            Shown::Key(key) => (self.key_owner(key, now)?, None),
            Shown::Nothing | Shown::Unreadable => return None,
        };
        // A user whom the configuration no longer lets in is known by nothing.
        Some(Identity { principal: self.authenticator.principal(&login)?, session })
    }

    /// A session with the engine for who sent a request.
    ///
    /// # Errors
    /// The request shows nothing that somebody is known by, or no session is to be had.
    pub(crate) async fn work(&self, call: &Call) -> Result<Work, Refusal> {
        let identity = self.identify(call)?;
        self.open(&identity.principal, call).await
    }

    fn key_owner(&self, key: &str, now: DateTime<Utc>) -> Option<String> {
        self.platform.key_owner(&TokenHash::of(key).hex(), now.timestamp_millis())
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the browser says that a page of another site sent the request.
fn comes_from_elsewhere(call: &Call) -> bool {
    if let Some(site) = call.header("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let (Some(origin), Some(host)) = (call.header("origin"), call.header("host")) else { return false };
    !origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
}
