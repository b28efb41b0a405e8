//! Changes over a WebSocket (RFC 6455): each event is a text frame. The client says nothing but pings, pongs and its end.

use super::following::{Following, Next};
use crate::call::Call;
use crate::code::Code;
use crate::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use querygate_query_api::requests::events::Followed;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::Mutex;

/// What the protocol adds to a key before it is hashed.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a frame that a client sends.
const FRAME_MAX: u64 = 4 << 10;
/// How long a client may take to read one frame.
const PATIENCE: Duration = Duration::from_secs(30);

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why a connection ends, by the protocol's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    GoingAway,
    Wrong,
    Unsupported,
    NotAllowed,
    TryAgain,
}

impl Why {
    const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Wrong => 1002,
            Self::Unsupported => 1003,
            Self::NotAllowed => 1008,
            Self::TryAgain => 1013,
        }
    }
}

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

/// The answer that turns the connection into a WebSocket.
pub(super) fn answer(following: Following, upgrade: OnUpgrade, key: &str) -> Response {
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => run(TokioIo::new(upgraded), following).await,
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
    if let Some(why) = why {
        send(&writer, CLOSE, &why.number().to_be_bytes()).await;
    }
    let _ = tokio::time::timeout(PATIENCE, writer.lock().await.shutdown()).await;
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
                let why = if refusal.status() == StatusCode::UNAUTHORIZED { Why::NotAllowed } else { Why::TryAgain };
                (TEXT, body.to_string(), Some(why))
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
        let (kind, payload) = match frame(&mut reader).await {
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

/// One frame of the client: its kind and its payload.
///
/// # Errors
/// Why the connection ends; `None`: the client is gone.
async fn frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Vec<u8>), Option<Why>> {
    let gone = |_| None;
    let first = reader.read_u8().await.map_err(gone)?;
    let second = reader.read_u8().await.map_err(gone)?;
    // A client masks what it sends, and uses no reserved bits.
    if second & 0x80 == 0 || first & 0x70 != 0 {
        return Err(Some(Why::Wrong));
    }
    let length = match second & 0x7F {
        126 => u64::from(reader.read_u16().await.map_err(gone)?),
        127 => reader.read_u64().await.map_err(gone)?,
        short => u64::from(short),
    };
    if length > FRAME_MAX {
        return Err(Some(Why::Unsupported));
    }
    let mut mask = [0; 4];
    reader.read_exact(&mut mask).await.map_err(gone)?;
    let mut payload = vec![0; usize::try_from(length).map_err(|_| Some(Why::Wrong))?];
    reader.read_exact(&mut payload).await.map_err(gone)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0F, payload))
}

/// Sends one frame. Whether the client took it in time.
async fn send(writer: &Mutex<impl AsyncWrite + Unpin>, kind: u8, payload: &[u8]) -> bool {
    let bytes = framed(kind, payload);
    let mut writer = writer.lock().await;
    let sent = async {
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(())))
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | kind];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => bytes.push(short),
        (_, Ok(length)) => {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_the_protocol_says() {
        assert_eq!(accepted("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lengths_are_written_in_three_ways() {
        assert_eq!(framed(TEXT, b"ab"), [0x81, 2, b'a', b'b']);
        assert_eq!(framed(TEXT, &[0; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(framed(TEXT, &[0; 70_000])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }

    async fn read(bytes: &[u8]) -> Result<(u8, Vec<u8>), Option<Why>> {
        frame(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn frames_of_clients_are_masked_and_short() {
        assert_eq!(read(&[0x89, 0x82, 1, 2, 3, 4, 0x60, 0x60]).await, Ok((PING, b"ab".to_vec())));
        assert_eq!(read(&[0x89, 2, b'a', b'b']).await, Err(Some(Why::Wrong)), "without a mask");
        assert_eq!(read(&[0xC9, 0x80, 1, 2, 3, 4]).await, Err(Some(Why::Wrong)), "a reserved bit");
        assert_eq!(read(&[0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0]).await, Err(Some(Why::Unsupported)), "too long");
        assert_eq!(read(&[0x89, 0x82, 1]).await, Err(None));
    }
}
