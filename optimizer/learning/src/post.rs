//! One POST of JSON: HTTP/1.1 over TCP or TLS, bounded in time and size. Knows not what it sends.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
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
pub(crate) async fn post(address: &Uri, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), String> {
    match tokio::time::timeout(TIMEOUT, exchange(address, headers, body)).await {
        Ok(done) => done,
        Err(_) => Err("the receiver took longer than 10 seconds".to_owned()),
    }
}

async fn exchange(address: &Uri, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), String> {
    let tls = address.scheme_str() == Some("https");
    let host = address.host().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
    let port = address.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.kind().to_string())?;
    let request = request(address, headers, body)?;
    if tls {
        let name = ServerName::try_from(host).map_err(|_| "the host is no name of a certificate")?;
        let stream = connector()?.connect(name, tcp).await.map_err(|error| error.to_string())?;
        answer(stream, request).await
    } else {
        answer(tcp, request).await
    }
}

fn request(address: &Uri, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let authority = address.authority().ok_or("no host")?.as_str();
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, "querygate")
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
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

/// Redirects are not followed: what is sent goes where the administrator said.
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
