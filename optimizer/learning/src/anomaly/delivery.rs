//! Sends one alert: HTTP/1.1 over TCP or TLS, signed, bounded in time and size. Knows no incident.

use crate::options::WebhookOptions;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Connecting, sending and the answer together.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is read and thrown away, up to so many bytes.
const ANSWER_MAX: usize = 64 << 10;

/// Sends the body. The receiver has it when it answers with 2xx.
///
/// # Errors
/// Why not, in words; without the address, which may be a secret.
pub(super) async fn send(webhook: &WebhookOptions, id: u64, seconds: i64, body: Vec<u8>) -> Result<(), String> {
    match tokio::time::timeout(TIMEOUT, exchange(webhook, id, seconds, body)).await {
        Ok(done) => done,
        Err(_) => Err("the receiver took longer than 10 seconds".to_owned()),
    }
}

async fn exchange(webhook: &WebhookOptions, id: u64, seconds: i64, body: Vec<u8>) -> Result<(), String> {
    let address = &webhook.address;
    let tls = address.scheme_str() == Some("https");
    let host = address.host().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
    let port = address.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.kind().to_string())?;
    let request = request(webhook, address, id, seconds, body)?;
    if tls {
        let name = ServerName::try_from(host).map_err(|_| "the host is no name of a certificate")?;
        let stream = connector()?.connect(name, tcp).await.map_err(|error| error.to_string())?;
        answer(stream, request).await
    } else {
        answer(tcp, request).await
    }
}

/// The body's signature covers the time, so that an old alert cannot be sent again as a new one.
fn request(
    webhook: &WebhookOptions,
    address: &Uri,
    id: u64,
    seconds: i64,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, String> {
    let authority = address.authority().ok_or("no host")?.as_str();
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, "querygate")
        .header(CONTENT_TYPE, "application/json")
        .header("x-querygate-delivery", id)
        .header("x-querygate-timestamp", seconds)
        .header("x-querygate-signature", signature(&webhook.secret, seconds, &body))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())
}

/// `sha256=` and the HMAC-SHA256 of timestamp, full stop and body, in hexadecimal.
pub(super) fn signature(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let tag = context.sign();
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn connector() -> Result<tokio_rustls::TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

/// Redirects are not followed: an alert goes where the administrator said.
async fn answer<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        // Read to its end, so that the receiver is not cut off.
        let _ = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {}", status.as_u16())) }
    };
    let (done, _) = tokio::join!(exchange, connection);
    done
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
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2, has the key "Jefe"; here the message begins with the time.
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"Jefe"), b"5.what");
        let hex: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(signature(b"Jefe", 5, b"what"), format!("sha256={hex}"));
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
