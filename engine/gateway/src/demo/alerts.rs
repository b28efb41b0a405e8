//! The receiver of the demo's alerts: a webhook on this machine that checks their signature and says what came. Keeps nothing.

use crate::config::{Secret, Webhook};
use querygate_types::{Error, Result};
use ring::hmac;
use std::net::{Ipv4Addr, TcpListener as Bound};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Largest request that is read.
const REQUEST_MAX: usize = 64 << 10;
/// How long a sender may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the demo's alerts are signed with. Printed in the guide, so that anybody can check one; nothing follows from an alert here.
pub(crate) const SECRET: &str = "querygate-demo-alerts";
/// Older alerts are refused, in seconds: somebody may have kept them.
const AGE_MAX: u64 = 300;

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
        Ok(Webhook { url, secret: Secret::plain(SECRET.to_owned()) })
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
                    Ok(Ok(Some(Alert { body, timestamp, signature }))) => {
                        tracing::warn!(
                            alert = body,
                            timestamp,
                            signature,
                            "the demo's webhook took an alert, well signed"
                        );
                    }
                    Ok(Ok(None)) => {
                        tracing::warn!("the demo's webhook refused what was not signed by this gate, or long ago")
                    }
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

/// A request, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Alert {
    body: String,
    timestamp: String,
    signature: String,
}

/// Reads one request, answers, and gives it if it is what the gate signed, lately.
async fn take(mut stream: TcpStream) -> std::io::Result<Option<Alert>> {
    let mut came = Vec::new();
    let alert = loop {
        if let Some(alert) = alert_of(&came) {
            break alert;
        }
        if came.len() > REQUEST_MAX || stream.read_buf(&mut came).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let good = alert.is_signed() && alert.is_new(now);
    let status = if good { "204 No Content" } else { "401 Unauthorized" };
    stream.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    Ok(good.then_some(alert))
}

/// A request that came to its end.
fn alert_of(came: &[u8]) -> Option<Alert> {
    let text = std::str::from_utf8(came).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |wanted: &str| {
        let pairs = head.lines().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length")?.parse::<usize>().ok()?;
    Some(Alert {
        body: body.get(..length)?.to_owned(),
        timestamp: header("x-querygate-timestamp").unwrap_or_default(),
        signature: header("x-querygate-signature").unwrap_or_default(),
    })
}

impl Alert {
    /// Whether the signature is that of the timestamp and the body.
    fn is_signed(&self) -> bool {
        let Some(tag) = self.signature.strip_prefix("sha256=").and_then(bytes_of) else { return false };
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, format!("{}.{}", self.timestamp, self.body).as_bytes(), &tag).is_ok()
    }

    fn is_new(&self, now: u64) -> bool {
        self.timestamp.parse::<u64>().is_ok_and(|sent| now.abs_diff(sent) <= AGE_MAX)
    }
}

/// Bytes from their hexadecimal digits.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_or_not_there() {
        let whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(alert_of(whole).unwrap().body, "hello");
        for cut in 0..whole.len() {
            assert_eq!(alert_of(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(alert_of(b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\nhello"), None);
    }

    /// As the documentation says how to sign.
    fn signature(timestamp: &str, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={digits}")
    }

    #[test]
    fn only_what_the_gate_signed_lately_counts() {
        let signed = |timestamp: &str, body: &str, signature: String| {
            let alert = Alert { body: body.to_owned(), timestamp: timestamp.to_owned(), signature };
            (alert.is_signed(), alert.is_new(1_000))
        };
        let good = signature("1000", "{}");
        assert_eq!(signed("1000", "{}", good.clone()), (true, true));
        assert_eq!(signed("100", "{}", signature("100", "{}")), (true, false), "an old one, sent again");
        for (timestamp, body) in [("1001", "{}"), ("1000", "{ }"), ("", "{}")] {
            assert!(!signed(timestamp, body, good.clone()).0, "{timestamp} {body}");
        }
        for wrong in ["", "sha256=", "sha256=0g", &good[..good.len() - 1], &good["sha256=".len()..]] {
            assert!(!signed("1000", "{}", wrong.to_owned()).0, "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_alert_is_taken_if_it_is_signed_and_answered_in_any_case() {
        let alerts = Alerts::open().unwrap();
        let webhook = alerts.webhook().unwrap();
        assert_eq!(webhook.secret.expose(), SECRET);
        let host = webhook.url.expose().trim_start_matches("http://").trim_end_matches("/alerts").to_owned();
        let served = tokio::spawn(alerts.serve());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        for (signature, status) in [(signature(&now, "{}"), "204"), (String::new(), "401")] {
            let mut stream = TcpStream::connect(&host).await.unwrap();
            let head =
                format!("x-querygate-timestamp: {now}\r\nx-querygate-signature: {signature}\r\ncontent-length: 2");
            stream.write_all(format!("POST /alerts HTTP/1.1\r\n{head}\r\n\r\n{{}}").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        served.abort();
    }
}
