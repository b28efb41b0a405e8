//! Sends one alert: signed, so that its receiver can tell it from what others send. Knows no incident.

use crate::options::WebhookOptions;
use querygate_outbound::{HttpClient, signature};

/// Sends the body. The receiver has it when it answers with 2xx.
///
/// # Errors
/// Why not, in words; without the address, which may be a secret.
pub(in crate::anomaly) async fn send(
    webhook: &WebhookOptions,
    id: u64,
    seconds: i64,
    body: Vec<u8>,
) -> Result<(), String> {
    // The signature covers the time, so that an old alert cannot be sent again as a new one.
    let headers = [
        ("x-querygate-delivery", id.to_string()),
        ("x-querygate-timestamp", seconds.to_string()),
        ("x-querygate-signature", signature(&webhook.secret, seconds, &body)),
    ];
    // Alerts are rare: no connection is kept from one to the next.
    HttpClient::new()?.post(&webhook.address, &headers, body).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one request with a status; gives what came.
    async fn receive(listener: TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).ends_with("{\"id\":7}") {
            let mut part = [0; 1024];
            let n = stream.read(&mut part).await.unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&came));
            came.extend(&part[..n]);
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(came).unwrap()
    }

    async fn check(status: &str, expected: Result<(), String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?k=v", listener.local_addr().unwrap());
        let webhook = WebhookOptions::new(&url, b"0123456789abcdef").unwrap();
        let (came, done) = tokio::join!(receive(listener, status), send(&webhook, 7, 1_000, b"{\"id\":7}".to_vec()));
        assert_eq!(done, expected, "{status}");
        came
    }

    #[tokio::test]
    async fn an_alert_is_signed_and_taken_with_2xx_only() {
        let came = check("204 No Content", Ok(())).await.to_lowercase();
        let signature = signature(b"0123456789abcdef", 1_000, b"{\"id\":7}");
        for line in ["post /hook?k=v http/1.1", "x-querygate-timestamp: 1000", "x-querygate-delivery: 7"] {
            assert!(came.contains(line), "{came}");
        }
        assert!(came.contains(&format!("x-querygate-signature: {signature}")), "{came}");
        check("500 Oops", Err("the receiver answered 500".to_owned())).await;
        check("302 Found", Err("the receiver answered 302".to_owned())).await;
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in ["ftp://host/", "host/path", "http://", "http://user@host/", "https:///x"] {
            assert!(WebhookOptions::new(url, b"0123456789abcdef").is_err(), "{url}");
        }
        assert!(WebhookOptions::new("https://host/x", b"short").is_err());
        assert!(WebhookOptions::new("https://host:8443/x", b"0123456789abcdef").is_ok());
    }
}
