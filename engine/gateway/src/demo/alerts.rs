//! The receiver of the demo's alerts: a webhook on this machine that says what came. Keeps nothing and checks no signature.

use crate::config::{Secret, Webhook};
use querygate_types::{Error, Result};
use std::net::{Ipv4Addr, TcpListener as Bound};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Largest request that is read.
const REQUEST_MAX: usize = 64 << 10;
/// How long a sender may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open port.
#[derive(Debug)]
pub(crate) struct Alerts(Bound);

impl Alerts {
    /// Takes any free port of 127.0.0.1.
    ///
    /// # Errors
    /// Internal: there is none.
    pub(crate) fn open() -> Result<Self> {
        let bound = Bound::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::internal)?;
        bound.set_nonblocking(true).map_err(Error::internal)?;
        Ok(Self(bound))
    }

    /// Where alerts are to be sent.
    ///
    /// # Errors
    /// Internal: the port has no address.
    pub(crate) fn webhook(&self) -> Result<Webhook> {
        let address = self.0.local_addr().map_err(Error::internal)?;
        let url = Secret::plain(format!("http://{address}/alerts"));
        // Nobody else knows of the port, and nothing follows from what comes.
        Ok(Webhook { url, secret: Secret::plain("the demo's alerts are for nobody else".to_owned()) })
    }

    /// Takes alerts for as long as it is polled.
    pub(crate) async fn serve(self) {
        let listener = match TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "the demo takes no alerts"),
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match tokio::time::timeout(PATIENCE, take(stream)).await {
                    Ok(Ok(alert)) => tracing::warn!(alert, "the demo's webhook took an alert"),
                    Ok(Err(error)) => tracing::warn!(%error, "the demo's webhook took half an alert"),
                    Err(_) => tracing::warn!("the demo's webhook was sent nothing in time"),
                },
                Err(error) => {
                    tracing::warn!(%error, "the demo's webhook cannot be reached");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Reads one request, answers, and gives its body.
async fn take(mut stream: TcpStream) -> std::io::Result<String> {
    let mut came = Vec::new();
    let body = loop {
        if let Some(body) = body_of(&came) {
            break body;
        }
        if came.len() > REQUEST_MAX || stream.read_buf(&mut came).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await?;
    Ok(body)
}

/// The body of a request that came to its end.
fn body_of(came: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(came).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    body.get(..length).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_or_not_there() {
        let whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(body_of(whole).as_deref(), Some("hello"));
        for cut in 0..whole.len() {
            assert_eq!(body_of(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(body_of(b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\nhello"), None);
    }

    #[tokio::test]
    async fn an_alert_is_taken_and_answered() {
        let alerts = Alerts::open().unwrap();
        let webhook = alerts.webhook().unwrap();
        let host = webhook.url.expose().trim_start_matches("http://").trim_end_matches("/alerts").to_owned();
        let served = tokio::spawn(alerts.serve());
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(b"POST /alerts HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        served.abort();
    }
}
