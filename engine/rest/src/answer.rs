//! Answers: JSON at once, or rows as they come, whose first part decides about the status. Knows no route.

use crate::call::Call;
use crate::callers::over;
use crate::refusal::Refusal;
use crate::work::Held;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use querygate_query_api::tokens::{Standing, no_longer_holds};
use querygate_web::TokenHash;
use serde_json::Value;
use std::sync::Arc;

/// Bytes of an answer that are made before its status is sent: an error within them is answered as one. Later ones end the connection.
const HEAD_BYTES: usize = 256 << 10;

pub(crate) const JSON: &str = "application/json";
/// Server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";

pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    text(status, JSON, body.to_string())
}

pub(crate) fn ok(body: &Value) -> Response {
    json(StatusCode::OK, body)
}

/// `{success, data}`.
pub(crate) fn wrapped(status: StatusCode, data: &Value) -> Response {
    json(status, &serde_json::json!({"success": true, "data": data}))
}

pub(crate) fn text(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// A text, with memory that is given back when it was sent.
struct ChargedText {
    text: String,
    _held: Held,
}

impl AsRef<[u8]> for ChargedText {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// As [`text`], of a text that is charged to `held` until it was sent.
pub(crate) fn charged(content_type: &'static str, text: String, held: Held) -> Response {
    let body = Bytes::from_owner(ChargedText { text, _held: held });
    (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// JSON with its entity tag, or 304 where the client has it. What a principal does not see is not in the text, so it is not in the
/// tag.
pub(crate) fn tagged(call: &Call, body: String) -> Response {
    let tag = format!("\"{}\"", TokenHash::of(&body).hex());
    let has = call.header("if-none-match").is_some_and(|given| {
        let given = given.trim();
        let given = given.strip_prefix("W/").unwrap_or(given);
        given == tag || given == tag.trim_matches('"')
    });
    let mut answer = if has { StatusCode::NOT_MODIFIED.into_response() } else { text(StatusCode::OK, JSON, body) };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// This answer, broken off where what its request showed no longer holds. Who follows changes learns of it from what is sent.
pub(crate) fn as_long_as(standing: Arc<dyn Standing>, answer: Response) -> Response {
    let follows = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
    if follows || answer.body().size_hint().exact().is_some() {
        return answer;
    }
    answer.map(|body| {
        let pieces = stream::unfold(Some((body.into_data_stream(), standing)), |state| async move {
            let (mut pieces, standing) = state?;
            let piece = tokio::select! {
                piece = pieces.next() => piece?,
                () = over(&*standing) => Err(axum::Error::new(no_longer_holds())),
            };
            if !standing.holds() {
                return Some((Err(axum::Error::new(no_longer_holds())), None));
            }
            Some((piece, Some((pieces, standing))))
        });
        Body::from_stream(pieces)
    })
}

/// What makes an answer piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// The next piece; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<String>, Refusal>> + Send;
}

/// An answer of pieces. A client that reads slowly is waited for: no piece is made before the one before is taken.
///
/// # Errors
/// What happened before the head of the answer was made.
pub(crate) async fn of_pieces(content_type: &'static str, mut pieces: impl Pieces) -> Result<Response, Refusal> {
    let mut head = String::new();
    while let Some(piece) = pieces.next().await? {
        head.push_str(&piece);
        if head.len() > HEAD_BYTES {
            let rest = stream::try_unfold(pieces, |mut pieces| async move {
                match pieces.next().await {
                    Ok(piece) => Ok(piece.map(|piece| (Bytes::from(piece), pieces))),
                    Err(refusal) => {
                        tracing::warn!(code = refusal.code().name(), "an answer was broken off");
                        Err(std::io::Error::other(refusal.code().name()))
                    }
                }
            });
            let whole = futures::StreamExt::chain(stream::iter([Ok(Bytes::from(head))]), rest);
            return Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(whole)).into_response());
        }
    }
    Ok(text(StatusCode::OK, content_type, head))
}
