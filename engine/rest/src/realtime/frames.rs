//! Frames of WebSockets (RFC 6455): those of clients read within bounds, the gate's own written within a time.

use crate::refusal::Refusal;
use axum::http::StatusCode;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

/// How long a client may take to read one frame.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Why a connection ends, by the protocol's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    GoingAway,
    Wrong,
    Unsupported,
    NotAllowed,
    TooLarge,
    TryAgain,
}

impl Why {
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Wrong => 1002,
            Self::Unsupported => 1003,
            Self::NotAllowed => 1008,
            Self::TooLarge => 1009,
            Self::TryAgain => 1013,
        }
    }
}

/// One frame of the client: its kind and its payload of at most `most` bytes.
///
/// # Errors
/// Why the connection ends; `None`: the client is gone.
pub(super) async fn frame(reader: &mut (impl AsyncRead + Unpin), most: u64) -> Result<(u8, Vec<u8>), Option<Why>> {
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
    // A message stands in one frame.
    if first & 0x80 == 0 {
        return Err(Some(Why::Unsupported));
    }
    if length > most {
        return Err(Some(Why::TooLarge));
    }
    let mut mask = [0; 4];
    reader.read_exact(&mut mask).await.map_err(gone)?;
    let mut payload = vec![0; usize::try_from(length).map_err(|_| Some(Why::Wrong))?];
    reader.read_exact(&mut payload).await.map_err(gone)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0F, payload))
}

/// Sends one frame. Whether the client took it in time.
pub(super) async fn send(writer: &Mutex<impl AsyncWrite + Unpin>, kind: u8, payload: &[u8]) -> bool {
    let bytes = framed(kind, payload);
    let sent = async {
        let mut writer = writer.lock().await;
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(())))
}

/// Says why a connection ends, and ends it. `None`: its client is gone.
pub(super) async fn end(writer: &Mutex<impl AsyncWrite + Unpin>, why: Option<Why>) {
    if let Some(why) = why {
        send(writer, CLOSE, &why.number().to_be_bytes()).await;
    }
    let _ = tokio::time::timeout(PATIENCE, async { writer.lock().await.shutdown().await }).await;
}

/// What a refusal that ends a connection is by the protocol's numbers.
pub(super) fn why_of(refusal: &Refusal) -> Why {
    if refusal.status() == StatusCode::UNAUTHORIZED { Why::NotAllowed } else { Why::TryAgain }
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    bytes.push(0x80 | kind);
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

    const MOST: u64 = 4 << 10;

    #[test]
    fn lengths_are_written_in_three_ways() {
        assert_eq!(framed(TEXT, b"ab")[..], [0x81, 2, b'a', b'b']);
        assert_eq!(framed(TEXT, &[0; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(framed(TEXT, &[0; 70_000])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }

    async fn read(bytes: &[u8]) -> Result<(u8, Vec<u8>), Option<Why>> {
        frame(&mut &bytes[..], MOST).await
    }

    #[tokio::test]
    async fn frames_of_clients_are_masked_whole_and_short() {
        assert_eq!(read(&[0x89, 0x82, 1, 2, 3, 4, 0x60, 0x60]).await, Ok((PING, b"ab".to_vec())));
        assert_eq!(read(&[0x89, 2, b'a', b'b']).await, Err(Some(Why::Wrong)), "without a mask");
        assert_eq!(read(&[0xC9, 0x80, 1, 2, 3, 4]).await, Err(Some(Why::Wrong)), "a reserved bit");
        assert_eq!(read(&[0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0]).await, Err(Some(Why::TooLarge)), "too long");
        assert_eq!(read(&[0x01, 0x80, 1, 2, 3, 4]).await, Err(Some(Why::Unsupported)), "a part of a message");
        assert_eq!(read(&[0x89, 0x82, 1]).await, Err(None));
    }
}
