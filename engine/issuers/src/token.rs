//! A signed token in its compact form, RFC 7515: its three parts, and what its header says. Checks no signature and no claim.

use crate::algorithm::Algorithm;
use crate::refusal::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

/// Kinds of tokens that let somebody in. RFC 8725 asks to keep those of other kinds apart: an issuer signs also what tells that somebody
/// has left.
const TYPES: [&str; 2] = ["at+jwt", "id+jwt"];

/// A token whose signature is not checked yet.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    /// The key that it names.
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

const MALFORMED: Refusal = Refusal::Wrong("it is malformed");

/// Three parts.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (message, signature) = text.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    (!claims.contains('.')).then_some((header, claims, signature))
}

/// Whether a text may be a token, by its form: its first part is the beginning of a JSON object.
pub(crate) fn has_form(text: &str) -> bool {
    let Some((header, _, _)) = parts(text) else { return false };
    BASE64URL.decode(header).is_ok_and(|header| header.trim_ascii_start().starts_with(b"{"))
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// It is none, or not one that can hold here.
    pub(crate) fn read(text: &'a str) -> Result<Self, Refusal> {
        let (header, claims, signature) = parts(text).ok_or(MALFORMED)?;
        let message = text.get(..header.len() + 1 + claims.len()).ok_or(MALFORMED)?.as_bytes();
        let header = object(header)?;
        if header.contains_key("crit") {
            return Err(Refusal::Wrong("it demands what is not known here"));
        }
        let text = |name: &str| match header.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(MALFORMED),
        };
        if text("typ")?.is_some_and(|kind| !lets_in(kind)) {
            return Err(Refusal::Wrong("it is of a kind that lets nobody in"));
        }
        let algorithm = text("alg")?.ok_or(MALFORMED)?;
        let algorithm = Algorithm::named(algorithm).ok_or(Refusal::Wrong(NOT_ALLOWED))?;
        let kid = text("kid")?.map(str::to_owned);
        let signature = BASE64URL.decode(signature).map_err(|_| MALFORMED)?;
        Ok(Self { algorithm, kid, claims: object(claims)?, message, signature })
    }
}

/// Of a token by an algorithm that its issuer may not sign by.
pub(crate) const NOT_ALLOWED: &str = "its algorithm is not allowed";

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = BASE64URL.decode(part).map_err(|_| MALFORMED)?;
    serde_json::from_slice(&bytes).map_err(|_| MALFORMED)
}

/// What does not name a kind of its own, as `JWT`, may let somebody in.
fn lets_in(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    !kind.ends_with("+jwt") || TYPES.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_token_is_that_of_its_header() {
        for header in
            ["{\"alg\":\"ES256\"}", "{\n  \"alg\": \"ES256\"\n}", " \t\r\n{\"alg\":1}", "{\r\n\"alg\":\"none\"}"]
        {
            assert!(has_form(&format!("{}.x.y", BASE64URL.encode(header))), "{header}");
        }
        for text in ["", ".", "..", "a.b.c", "eyJ.x", "eyJ9.x.y.z", "[1].x.y", "pass.word.two", "osk_1.2.3"] {
            assert!(!has_form(text), "{text}");
        }
    }

    #[test]
    fn kinds_that_let_nobody_in_are_told_apart() {
        for kind in ["JWT", "jwt", "at+jwt", "application/at+JWT", "application/jwt", "Bearer", "id+jwt"] {
            assert!(lets_in(kind), "{kind}");
        }
        for kind in ["logout+jwt", "application/logout+jwt", "secevent+jwt", "DPoP+jwt", "oauth-authz-req+jwt"] {
            assert!(!lets_in(kind), "{kind}");
        }
    }
}
