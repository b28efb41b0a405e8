//! Who sent a request: found before its route, by a session's token, a cookie, an API key or a token of an issuer.

use crate::call::Call;
use crate::callers::{Identity, Sender};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::work::Work;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use chrono::Utc;
use querygate_query_api::tokens::{Proven, TokenRefusal, Tokens};
use querygate_types::vendor::VendorCode;
use querygate_web::Peer;
use std::sync::Arc;

/// The vendor's name of the cookie.
pub(crate) const COOKIE: &str = "better-auth.session_token";
/// What every key begins with.
pub(crate) const KEY_PREFIX: &str = "osk_";

/// What a request shows to be known by.
enum Shown<'a> {
    Nothing,
    Token(&'a str),
    Cookie(&'a str),
    Key(&'a str),
    Unreadable,
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    if let Some(value) = headers.get("x-api-key") {
        return value.to_str().map_or(Shown::Unreadable, Shown::Key);
    }
    if let Some(value) = headers.get(header::AUTHORIZATION) {
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
    cookie(headers).map_or(Shown::Nothing, Shown::Cookie)
}

/// The session's token in a cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    querygate_web::cookie(headers, COOKIE)
}

/// What a request shows to be known by and nothing else of it, for who keeps it for long. `None`: nothing. Headers as they came are parts of the
/// buffer that the request was read into, which stays in memory with any of them.
pub(crate) fn copied_credential(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let names = [HeaderName::from_static("x-api-key"), header::AUTHORIZATION];
    let shown = names.into_iter().find_map(|name| headers.get(&name).map(|value| (name, value.as_bytes().to_vec())));
    let of_cookie = || cookie(headers).map(|token| (header::COOKIE, format!("{COOKIE}={token}").into_bytes()));
    let (name, value) = shown.or_else(of_cookie)?;
    Some((name, HeaderValue::try_from(value).ok()?))
}

/// The session's token that a request shows, in whatever place.
pub(crate) fn token(call: &Call) -> Option<&str> {
    match shown(&call.headers) {
        Shown::Token(token) | Shown::Cookie(token) => Some(token),
        Shown::Nothing | Shown::Key(_) | Shown::Unreadable => None,
    }
}

impl Site {
    /// Looks at what a request shows.
    pub(crate) async fn sender(&self, headers: &HeaderMap, peer: Option<Peer>) -> Sender {
        match shown(headers) {
            Shown::Nothing | Shown::Unreadable => Sender::Unknown,
            Shown::Cookie(token) => self.signed_in(token),
            Shown::Token(token) => match (self.signed_in(token), self.authenticator.tokens()) {
                (Sender::Unknown, Some(tokens)) if tokens.has_form(token) => proven(tokens, token, peer).await,
                (sender, _) => sender,
            },
            Shown::Key(key) => match self.authenticator.tokens() {
                Some(tokens) => proven(tokens, key, peer).await,
                None => Sender::Unknown,
            },
        }
    }

    fn signed_in(&self, token: &str) -> Sender {
        let Some(session) = self.sessions.find(token, Utc::now()) else { return Sender::Unknown };
        // A user whom the configuration no longer lets in is known by nothing.
        match self.authenticator.principal(&session.login) {
            Some(principal) => {
                let standing = Arc::clone(&session.standing);
                Sender::Known(Identity { principal, standing, session: Some(session), credential: None })
            }
            None => Sender::Unknown,
        }
    }

    /// # Errors
    /// The request shows nothing that somebody is known by now.
    pub(crate) fn identify(&self, call: &Call) -> Result<Identity, Refusal> {
        let identity = match &call.sender {
            Sender::Known(identity) => identity.clone(),
            Sender::Unknown => return Err(Refusal::unauthenticated()),
            Sender::Refused(refusal) => return Err(refused(*refusal)),
        };
        refuse_foreign_change(call)?;
        Ok(identity)
    }

    /// As [`identify`](Self::identify), of a request that goes on for long: by a cookie it must come from this origin, whatever its method
    /// is, for what it opens is not held back by what browsers ask of others.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn identify_here(&self, call: &Call) -> Result<Identity, Refusal> {
        let identity = self.identify(call)?;
        if matches!(shown(&call.headers), Shown::Cookie(_)) && comes_from_elsewhere(call) {
            let message = "Changes that are followed by a cookie must be asked for from this origin.";
            return Err(Refusal::new(Code::Vendor(VendorCode::Forbidden), message));
        }
        Ok(identity)
    }

    /// A session with the engine for who sent a request.
    ///
    /// # Errors
    /// The request shows nothing that somebody is known by, or no session is to be had.
    pub(crate) async fn work(&self, call: &Call) -> Result<Work, Refusal> {
        let identity = self.identify(call)?;
        self.open(&identity.principal, call).await
    }
}

async fn proven(tokens: &dyn Tokens, token: &str, peer: Option<Peer>) -> Sender {
    match tokens.prove(token, peer.map(|peer| peer.0)).await {
        Ok(Proven { principal, id, standing }) => {
            Sender::Known(Identity { principal, standing, session: None, credential: Some(id) })
        }
        Err(refusal) => Sender::Refused(refusal),
    }
}

fn refused(refusal: TokenRefusal) -> Refusal {
    match refusal {
        TokenRefusal::Wrong => Refusal::unauthenticated(),
        TokenRefusal::TooOften(wait) => {
            Refusal::new(Code::TooManyRequests, "Too many attempts. Wait a minute.").retry_after(wait)
        }
        TokenRefusal::Unavailable => {
            Refusal::new(Code::ServiceUnavailable, "The API key or token cannot be checked now.")
        }
    }
}

/// # Errors
/// A page of another site sent a change, which a cookie came with.
pub(crate) fn refuse_foreign_change(call: &Call) -> Result<(), Refusal> {
    if matches!(shown(&call.headers), Shown::Cookie(_)) && changes(&call.method) && comes_from_elsewhere(call) {
        let message = "A change by a cookie must come from this origin.";
        return Err(Refusal::new(Code::Vendor(VendorCode::Forbidden), message));
    }
    Ok(())
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the browser says that a page of another site sent the request.
pub(crate) fn comes_from_elsewhere(call: &Call) -> bool {
    querygate_web::comes_from_elsewhere(&call.headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(shown: Shown<'_>) -> String {
        match shown {
            Shown::Nothing => "nothing".to_owned(),
            Shown::Token(token) => format!("token {token}"),
            Shown::Cookie(token) => format!("cookie {token}"),
            Shown::Key(key) => format!("key {key}"),
            Shown::Unreadable => "unreadable".to_owned(),
        }
    }

    #[test]
    fn a_copy_shows_what_the_request_showed_and_has_nothing_else() {
        let bearer = ("authorization", "Bearer t1");
        let cookies = ("cookie", "theme=dark; better-auth.session_token=t2");
        for (headers, expected) in [
            (vec![], "nothing"),
            (vec![("cookie", "theme=dark")], "nothing"),
            (vec![bearer], "token t1"),
            (vec![cookies], "cookie t2"),
            (vec![("cookie", "a=b"), cookies], "cookie t2"),
            (vec![cookies, bearer], "token t1"),
            (vec![bearer, ("x-api-key", "osk_k")], "key osk_k"),
            (vec![("authorization", "Bearer osk_k")], "key osk_k"),
            (vec![("authorization", "Digest x"), cookies], "unreadable"),
            (vec![("x-api-key", "\u{e9}"), bearer], "unreadable"),
        ] {
            let mut given = HeaderMap::new();
            given.insert(header::USER_AGENT, HeaderValue::from_static("a client"));
            for (name, value) in headers {
                given.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let copied: HeaderMap = copied_credential(&given).into_iter().collect();
            assert_eq!(text(shown(&given)), expected);
            assert_eq!(text(shown(&copied)), expected);
        }
    }
}
