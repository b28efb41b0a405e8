//! Changes as server-sent events. The id of an event is where its client goes on: only the last event of a transaction has one, so that
//! a client which leaves within a transaction is given the whole of it again.

use super::credential::Credential;
use super::following::{BEAT, Following, Next};
use super::live::{Live, error_message};
use crate::answer::EVENTS;
use crate::refusal::Refusal;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use querygate_query_api::requests::events::Followed;
use serde_json::json;
use std::fmt::Write as _;

/// How long a browser waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// The answer, which goes on until the client leaves. A client that reads slowly is waited for, and nothing is kept for it meanwhile.
pub(super) fn answer(following: Following) -> Response {
    streamed(stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        let (text, goes_on) = text(following.next().await);
        Some((text, goes_on.then_some(following)))
    }))
}

/// An answer that is kept up to date: its messages, as long as who asks is known.
pub(super) fn live(live: Live, credential: Credential) -> Response {
    streamed(stream::unfold(Some((live.messages(), credential)), |state| async move {
        let (mut messages, mut credential) = state?;
        let next = tokio::select! {
            next = tokio::time::timeout(BEAT, messages.next()) => next,
            () = credential.over() => Ok(None),
        };
        let next = if credential.holds().await { next } else { Ok(Some(Err(Refusal::unauthenticated()))) };
        match next {
            Err(_) => Some((":\n\n".to_owned(), Some((messages, credential)))),
            Ok(None) => None,
            Ok(Some(Ok(message))) => {
                let message = message.replace(['\n', '\r'], " ");
                Some((format!("data: {message}\n\n"), Some((messages, credential))))
            }
            Ok(Some(Err(refusal))) => {
                Some((format!("event: error\ndata: {}\n\n", error_message(None, &refusal)), None))
            }
        }
    }))
}

fn streamed(rest: impl Stream<Item = String> + Send + 'static) -> Response {
    let first = format!("retry: {RETRY_MS}\n\n");
    let whole = stream::iter([first]).chain(rest).map(|text| Ok::<_, std::io::Error>(Bytes::from(text)));
    let mut answer = ([(header::CONTENT_TYPE, EVENTS)], Body::from_stream(whole)).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // A proxy that collects an answer before it passes it on would pass nothing on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

/// The lines, and whether there are more.
fn text(next: Next) -> (String, bool) {
    match next {
        Next::Beat => (":\n\n".to_owned(), true),
        Next::Followed(Followed::Reached(sequence)) => (format!("id: {sequence}\n\n"), true),
        Next::Followed(Followed::Event(event)) => {
            let mut text = if event.is_last { format!("id: {}\n", event.sequence) } else { String::new() };
            // JSON of a source may have line breaks, between values only.
            let json = event.to_json().replace(['\n', '\r'], " ");
            let _ = write!(text, "data: {json}\n\n");
            (text, true)
        }
        Next::End(refusal) => {
            let body = json!({"code": refusal.code().name(), "message": refusal.message()});
            (format!("event: error\ndata: {body}\n\n"), false)
        }
    }
}
