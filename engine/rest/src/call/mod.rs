//! A request as the routes read it: parameters decoded, the body read when it is asked for, within bounds. Knows no route.

mod digits;

pub(crate) use crate::call::digits::{Digits, Place};
use crate::callers::Sender;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::work::{Held, Work};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::BytesMut;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use querygate_types::Error;
use querygate_types::json::read::Fault;
use querygate_types::json::value::{exact_of_bytes, value_of_bytes};
use querygate_web::{Peer, random_token};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

/// Parameters of one request.
const PARAMETERS_MAX: usize = 256;
/// How deep a body nests; deeper ones are refused.
const DEPTH_MAX: usize = 64;

/// Bytes of one value of a body as it is worked on: itself, its key, and copies of it.
const VALUE_BYTES: usize = 128;

/// Characters of a request's number: as many as no two requests have alike.
const ID_LENGTH: usize = 22;

/// Characters of a number that a proxy gives a request.
const GIVEN_ID_MAX: usize = 64;

/// The number of a request: in its answer, in log lines and in the audit file. A trusted proxy may have given it one; the
/// server below removes those of others.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The one that the request came with, in `x-request-id`, if it is one; else one that is made here.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get("x-request-id").and_then(|given| given.to_str().ok());
        let is_plain = |given: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=GIVEN_ID_MAX).contains(&given.len()) && given.bytes().all(plain)
        };
        given.filter(is_plain).map_or_else(Self::new, |given| Self(given.into()))
    }

    fn new() -> Self {
        // Without randomness of the system no login is had either; such a request goes without a number.
        let token = random_token().unwrap_or_default();
        Self(token.get(..ID_LENGTH).unwrap_or_default().into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: Option<RequestId>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<Peer>,
    pub(crate) sender: Sender,
    query: Option<String>,
    /// In a lock that is never taken: handlers share the call between threads, and a body alone cannot be.
    body: Mutex<Body>,
}

impl<S: Sync> FromRequest<S> for Call {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
        let sender = parts.extensions.get::<Sender>().cloned().unwrap_or(Sender::Unknown);
        Ok(Self {
            id: parts.extensions.get::<RequestId>().cloned(),
            method: parts.method,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            peer,
            sender,
            body: Mutex::new(body),
        })
    }
}

/// The parts of a path that name something.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let unreadable = |_| Refusal::new(Code::InvalidRequest, "The path cannot be read as UTF-8 text.");
        let named = Path::<T>::from_request_parts(parts, state).await.map_err(unreadable);
        named.map(|Path(named)| Self(named)).map_err(|refusal| refusal.into_answer(Envelope::Flat))
    }
}

impl Call {
    /// The text of a header; `None` where it is not there, or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The parameters of the query, in their order.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn parameters(&self) -> Result<Parameters, Refusal> {
        Parameters::read(self.query.as_deref().unwrap_or_default().as_bytes())
    }

    /// The bytes of the body.
    ///
    /// # Errors
    /// It is larger than `most` bytes, or did not arrive whole.
    pub(crate) async fn bytes(self, most: usize) -> Result<Bytes, Refusal> {
        self.read(most, |_| Ok(())).await
    }

    /// The bytes of the body, charged to its user as they arrive and for as long as the second part is kept.
    async fn charged_bytes(self, work: &Work, most: usize) -> Result<(Bytes, Held), Refusal> {
        let mut held = work.held();
        let bytes = self.read(most, |room| held.set(room)).await?;
        held.set(weight(&bytes))?;
        Ok((bytes, held))
    }

    /// `charge`: is given how many bytes the body takes from now on.
    async fn read(self, most: usize, mut charge: impl FnMut(usize) -> Result<(), Error>) -> Result<Bytes, Refusal> {
        let mut body = Limited::new(self.body.into_inner().unwrap_or_else(PoisonError::into_inner), most);
        let whole = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(most);
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => Refusal::new(Code::PayloadTooLarge, format!("A body has at most {most} bytes.")),
                false => Refusal::new(Code::InvalidRequest, "The body did not arrive whole."),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            let needed = bytes.len() + data.len();
            if needed > bytes.capacity() {
                // Doubled, but no larger than it says it is.
                let room = bytes.capacity().saturating_mul(2).min(whole).max(needed);
                // Both are there while the one is copied into the other.
                charge(room.saturating_add(bytes.capacity()))?;
                bytes.reserve(room - bytes.len());
                charge(room)?;
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }

    /// The body as JSON; `None` of a request without one.
    ///
    /// # Errors
    /// It is too large, nests too deep, or is no JSON.
    pub(crate) async fn json_if_any(self, most: usize) -> Result<Option<Value>, Refusal> {
        json_of(&self.bytes(most).await?)
    }

    /// The body as a question, charged to its user for as long as the second part is kept.
    ///
    /// # Errors
    /// As [`json_if_any`](Self::json_if_any); the user has no room for it.
    pub(crate) async fn charged_question(self, work: &Work, most: usize) -> Result<(Option<Value>, Held), Refusal> {
        let (bytes, held) = self.charged_bytes(work, most).await?;
        Ok((question_of(&bytes)?, held))
    }

    /// The body as records of an object, with the texts of it: numbers of its fields keep all their digits.
    ///
    /// # Errors
    /// As [`charged_question`](Self::charged_question).
    pub(crate) async fn charged_records(
        self,
        work: &Work,
        most: usize,
        object: &str,
    ) -> Result<(Option<Value>, Digits, Held), Refusal> {
        let (mut body, digits, held) = self.charged_digits(work, most).await?;
        if let Some(body) = &mut body {
            digits.restore(work, object, body).await?;
        }
        Ok((body, digits, held))
    }

    /// The body with the digits of its numbers.
    ///
    /// # Errors
    /// As [`charged_question`](Self::charged_question).
    pub(crate) async fn charged_digits(
        self,
        work: &Work,
        most: usize,
    ) -> Result<(Option<Value>, Digits, Held), Refusal> {
        let (bytes, mut held) = self.charged_bytes(work, most).await?;
        let body = json_of(&bytes)?;
        Ok((body, Digits::of(&bytes, &mut held)?, held))
    }

    /// The body as an object, charged likewise.
    ///
    /// # Errors
    /// As [`object`](Self::object); the user has no room for it.
    pub(crate) async fn charged_object(
        self,
        work: &Work,
        most: usize,
        object: &str,
    ) -> Result<(Map<String, Value>, Digits, Held), Refusal> {
        let (body, digits, held) = self.charged_records(work, most, object).await?;
        Ok((object_of(body)?, digits, held))
    }

    /// The body as an object. No body is an empty one, and so is null, as ObjectStack has it.
    ///
    /// # Errors
    /// As [`json_if_any`](Self::json_if_any); the body is something else.
    pub(crate) async fn object(self, most: usize) -> Result<Map<String, Value>, Refusal> {
        object_of(self.json_if_any(most).await?)
    }
}

pub(crate) fn object_of(body: Option<Value>) -> Result<Map<String, Value>, Refusal> {
    match body {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(Value::Bool(_)) => Err(no_object("boolean")),
        Some(Value::Number(_)) => Err(no_object("number")),
        Some(Value::String(_)) => Err(no_object("string")),
        Some(Value::Array(_)) => Err(no_object("array")),
    }
}

fn no_object(kind: &str) -> Refusal {
    Refusal::invalid("", "invalid_type", format!("Invalid input: expected object, received {kind}"))
}

/// Bytes that a body takes when it is read: two are enough for a value of its own.
fn weight(text: &[u8]) -> usize {
    let values = text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    values.saturating_add(1).saturating_mul(VALUE_BYTES).saturating_add(text.len())
}

/// A text of JSON; `None` where nothing is said. What cannot be read is never taken for nothing: a filter that stands in it would be gone.
///
/// # Errors
/// It nests too deep, or is no JSON.
pub(crate) fn json_of(bytes: &[u8]) -> Result<Option<Value>, Refusal> {
    read_json(bytes, value_of_bytes)
}

/// As [`json_of`], of what is asked: a number that is another one as a double is the text of its digits, by which records are found.
///
/// # Errors
/// As there.
pub(crate) fn question_of(bytes: &[u8]) -> Result<Option<Value>, Refusal> {
    read_json(bytes, exact_of_bytes)
}

fn read_json(bytes: &[u8], read: fn(&[u8]) -> Result<Value, Fault>) -> Result<Option<Value>, Refusal> {
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    if nests_deep(bytes) {
        let message = format!("A body nests at most {DEPTH_MAX} levels deep.");
        return Err(Refusal::invalid("_body", "too_deep", message));
    }
    let unread =
        |fault: Fault| Refusal::invalid("_body", "invalid_json", format!("The body cannot be read as JSON: {fault}."));
    read(bytes).map(Some).map_err(unread)
}

/// Whether brackets outside of strings nest deeper than the bound.
fn nests_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Whether the sign for what cannot be read stands in a query itself, in its escapes.
fn means_sign(query: &[u8]) -> bool {
    query.windows(9).any(|nine| nine.eq_ignore_ascii_case(b"%EF%BF%BD"))
}

/// Decoded parameters of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Those of a query, in their order.
    ///
    /// # Errors
    /// There are too many; one is not UTF-8.
    pub(crate) fn read(query: &[u8]) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for (name, value) in form_urlencoded::parse(query) {
            // What is no UTF-8 is read as this sign. A client that means the sign itself writes it in three bytes.
            if [&name, &value].into_iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) && !means_sign(query)
            {
                return Err(Refusal::new(Code::InvalidRequest, "The query parameters are not UTF-8."));
            }
            if pairs.len() == PARAMETERS_MAX {
                let message = format!("There are more than {PARAMETERS_MAX} query parameters.");
                return Err(Refusal::new(Code::InvalidRequest, message));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { pairs })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The value of a name that occurs once.
    ///
    /// # Errors
    /// It occurs twice.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.all(name);
        let first = values.next();
        match values.count() {
            0 => Ok(first),
            more => {
                let message = format!(
                    "The '{name}' query parameter was supplied {} times. Supply it at most once — this endpoint will not \
                     choose between conflicting values. It was NOT applied as a list.",
                    more + 1
                );
                Err(Refusal::new(Code::InvalidRequest, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_many_values_weighs_more_than_one_of_a_long_text() {
        let (zeros, text) = (format!("[{}0]", "0,".repeat(1_000)), format!("\"{}\"", "0".repeat(2_000)));
        assert!(weight(zeros.as_bytes()) > 1_000 * VALUE_BYTES && weight(text.as_bytes()) < 3_000);
    }

    #[test]
    fn a_request_keeps_its_number_if_that_is_a_plain_word() {
        let id = |given: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", axum::http::HeaderValue::from_bytes(given).unwrap());
            RequestId::of(&headers).text().to_owned()
        };
        for given in ["a", "4bf92f35-77b3_4da6.1", &"x".repeat(GIVEN_ID_MAX)] {
            assert_eq!(id(given.as_bytes()), given);
        }
        for wrong in [&b""[..], b"a b", b"a\"b", b"a\tb", b"\xc3\xa4", &[b'x'; GIVEN_ID_MAX + 1]] {
            let made = id(wrong);
            assert_eq!(made.len(), ID_LENGTH, "{wrong:?}");
            assert_ne!(made, RequestId::of(&HeaderMap::new()).text());
        }
    }

    #[test]
    fn what_cannot_be_read_never_counts_as_nothing() {
        assert!([&b""[..], b" \n"].iter().all(|blank| json_of(blank).unwrap().is_none()));
        assert_eq!(json_of(b"null").unwrap(), Some(Value::Null));
        for unread in [&b"{"[..], b"{\"a\":1e400}", b"\"\\ud83d\"", b"\"\xe9\"", b"x", b"\0"] {
            assert_eq!(json_of(unread).unwrap_err().status().as_u16(), 400, "{unread:?}");
        }
        for unread in [&b"region=%ff"[..], b"%c3=1", b"where={\"a\":\"%ed%a0%bd\"}"] {
            assert!(Parameters::read(unread).is_err(), "{unread:?}");
        }
        let sign = Parameters::read(b"a=%EF%bf%bd+%C3%A9").unwrap();
        assert_eq!(sign.one("a").unwrap(), Some("\u{fffd} \u{e9}"));
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert!(!nests_deep(br#"{"a": "[[[[[[\"[[[["}"#));
        assert!(!nests_deep("[".repeat(DEPTH_MAX).as_bytes()));
        assert!(nests_deep("[".repeat(DEPTH_MAX + 1).as_bytes()));
        assert!(!nests_deep("[]".repeat(10_000).as_bytes()));
    }
}
