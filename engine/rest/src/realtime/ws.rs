//! WebSockets (RFC 6455): how a request becomes one, and changes over one, each event a text frame, where the client says nothing but
//! pings, pongs and its end.

use super::following::{Following, Next};
use super::frames::{CLOSE, PING, PONG, TEXT, Why, end, frame, send, why_of};
use super::live::Connection;
use crate::call::Call;
use crate::code::Code;
use crate::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use querygate_query_api::requests::events::Followed;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;
use std::future::Future;
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::Mutex;

/// What the protocol adds to a key before it is hashed.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a frame of a client that only follows.
const FRAME_MAX: u64 = 4 << 10;

/// The key of a request for a WebSocket; `None`: it asks for none.
///
/// # Errors
/// It asks for one of another version, or without a key.
pub(super) fn key(call: &Call) -> Result<Option<String>, Refusal> {
    let has = |name: &str, word: &str| {
        call.header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if !has("upgrade", "websocket") {
        return Ok(None);
    }
    let key = call.header("sec-websocket-key").filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    match key {
        Some(key) if has("connection", "upgrade") && call.header("sec-websocket-version") == Some("13") => {
            Ok(Some(key.to_owned()))
        }
        Some(_) | None => Err(Refusal::new(Code::InvalidRequest, "A WebSocket of version 13 is asked for with a key.")),
    }
}

/// Follows changes over a WebSocket.
pub(super) fn follow(following: Following, upgrade: OnUpgrade, key: &str) -> Response {
    answer(upgrade, key, |io| run(io, following))
}

/// Keeps answers up to date over a WebSocket.
pub(super) fn live(connection: Connection, upgrade: OnUpgrade, key: &str) -> Response {
    answer(upgrade, key, |io| connection.run(io))
}

/// The answer that turns the connection into a WebSocket.
fn answer<R>(upgrade: OnUpgrade, key: &str, run: impl FnOnce(TokioIo<Upgraded>) -> R + Send + 'static) -> Response
where
    R: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => run(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
        }
    });
    let mut answer = (StatusCode::SWITCHING_PROTOCOLS, Body::empty()).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accepted(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn accepted(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes()))
}

async fn run(io: impl AsyncRead + AsyncWrite, following: Following) {
    let (reader, writer) = split(io);
    let writer = Mutex::new(writer);
    // Whichever ends first ends both.
    let why = tokio::select! {
        why = listen(reader, &writer) => why,
        why = tell(following, &writer) => Some(why),
    };
    end(&writer, why).await;
}

/// Sends what comes.
async fn tell(mut following: Following, writer: &Mutex<impl AsyncWrite + Unpin>) -> Why {
    loop {
        let (kind, text, end) = match following.next().await {
            Next::Beat => (PING, String::new(), None),
            Next::Followed(Followed::Reached(sequence)) => {
                (TEXT, json!({"reached": sequence.to_string()}).to_string(), None)
            }
            Next::Followed(Followed::Event(event)) => (TEXT, event.to_json(), None),
            Next::End(refusal) => {
                let body = json!({"error": {"code": refusal.code().name(), "message": refusal.message()}});
                (TEXT, body.to_string(), Some(why_of(&refusal)))
            }
        };
        if !send(writer, kind, text.as_bytes()).await {
            // It reads too slowly: it may come again, and goes on where it was.
            return end.unwrap_or(Why::TryAgain);
        }
        if let Some(why) = end {
            return why;
        }
    }
}

/// Answers pings until the client ends, or says what it must not. `None`: it is gone.
async fn listen(mut reader: impl AsyncRead + Unpin, writer: &Mutex<impl AsyncWrite + Unpin>) -> Option<Why> {
    loop {
        let (kind, payload) = match frame(&mut reader, FRAME_MAX).await {
            Ok(frame) => frame,
            Err(why) => return why,
        };
        match kind {
            CLOSE => return Some(Why::GoingAway),
            PING => {
                if !send(writer, PONG, &payload).await {
                    return None;
                }
            }
            PONG => {}
            0..=2 => return Some(Why::Unsupported),
            _ => return Some(Why::Wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_the_protocol_says() {
        assert_eq!(accepted("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
