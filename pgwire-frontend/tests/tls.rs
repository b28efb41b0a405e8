//! Encryption over a real port: SSLRequest, direct TLS, channel binding, and what must be refused. The certificate and
//! its key in `data/` are for these tests only.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{Client, error_field, packet, query, script, startup};
use common::fake::{PASSWORD, USER};
use common::{Served, config, serve_with};
use querygate_pgwire_frontend::{DoorConfig, TlsSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const SSL_REQUEST: u32 = 80_877_103;

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("data/test-only.crt")).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn tls_config() -> DoorConfig {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/test-only.key")).unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .unwrap();
    let mut config = config();
    config.tls = Some(TlsSettings { config: Arc::new(server), certificate: certificate() });
    config
}

fn connector(alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(client))
}

async fn encrypt(tcp: TcpStream, alpn: &[&[u8]]) -> std::io::Result<Client> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector(alpn).connect(name, tcp).await?;
    Ok(Client { stream: Box::new(stream), process_id: 0, secret: Vec::new() })
}

/// SSLRequest, the server's answer, TLS.
async fn by_request(addr: SocketAddr) -> Client {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(&packet(&SSL_REQUEST.to_be_bytes())).await.unwrap();
    let mut answer = [0; 1];
    tcp.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, *b"S");
    encrypt(tcp, &[]).await.unwrap()
}

fn bound() -> Vec<u8> {
    let hash = ring::digest::digest(&ring::digest::SHA256, &certificate());
    [b"p=tls-server-end-point,,", hash.as_ref()].concat()
}

async fn offered(client: &mut Client) -> String {
    client.send(&startup(3 << 16, &[("user", USER)])).await;
    String::from_utf8_lossy(&client.read().await.body[4..]).into_owned()
}

async fn check_query(client: &mut Client) {
    assert_eq!(client.talk(&query("rows 2")).await, "T(id,name) D(0|~) D(1|n1) C(SELECT 2) Z(I)");
}

#[tokio::test]
async fn requested_and_direct_tls_serve_queries_with_channel_binding() {
    let door = serve_with(tls_config()).await;
    let mut requested = by_request(door.addr).await;
    let mut direct = encrypt(TcpStream::connect(door.addr).await.unwrap(), &[b"postgresql"]).await.unwrap();
    for client in [&mut requested, &mut direct] {
        assert_eq!(offered(client).await, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let frames = client.scram(PASSWORD, "p=tls-server-end-point,,", &bound(), "SCRAM-SHA-256-PLUS").await;
        assert_eq!(frames.last().unwrap().tag, 'Z', "{frames:?}");
        check_query(client).await;
        // A result much larger than one TLS record.
        client.send(&query("rows 50000")).await;
        assert_eq!(client.until_ready().await.len(), 50_003);
    }
    let mut unbound = by_request(door.addr).await;
    let frames = unbound.login(3 << 16, &[("user", USER)], PASSWORD).await;
    assert_eq!(frames.last().unwrap().tag, 'Z');
    door.stop().await;
}

async fn refused_scram(door: &Served, header: &str, binding: &[u8], mechanism: &str) -> String {
    let mut client = by_request(door.addr).await;
    offered(&mut client).await;
    error_field(client.scram(PASSWORD, header, binding, mechanism).await.last().unwrap(), 'C')
}

#[tokio::test]
async fn another_channel_and_a_downgrade_are_refused() {
    let door = serve_with(tls_config()).await;
    let mut foreign = bound();
    *foreign.last_mut().unwrap() ^= 1;
    let header = "p=tls-server-end-point,,";
    assert_eq!(refused_scram(&door, header, &foreign, "SCRAM-SHA-256-PLUS").await, "28000");
    assert_eq!(refused_scram(&door, "y,,", b"y,,", "SCRAM-SHA-256").await, "28000");
    assert_eq!(refused_scram(&door, header, &bound(), "SCRAM-SHA-256").await, "08P01");
    assert_eq!(refused_scram(&door, "n,,", b"n,,", "SCRAM-SHA-256-PLUS").await, "08P01");
    door.stop().await;
}

#[tokio::test]
async fn plain_connections_are_refused_where_tls_is_required() {
    let mut config = tls_config();
    config.require_tls = true;
    let door = serve_with(config).await;
    let mut plain = Client::raw(door.addr).await;
    plain.send(&startup(3 << 16, &[("user", USER)])).await;
    assert_eq!(script(&plain.until_end().await), "E(28000)");
    let mut encrypted = by_request(door.addr).await;
    encrypted.login(3 << 16, &[("user", USER)], PASSWORD).await;
    check_query(&mut encrypted).await;
    door.stop().await;
}

#[tokio::test]
async fn half_a_handshake_gives_way_to_a_whole_one() {
    let mut config = tls_config();
    config.arrival_max = 4;
    let door = serve_with(config).await;
    let mut half = Vec::new();
    for direct in [false, true] {
        for _ in 0..40 {
            let mut tcp = TcpStream::connect(door.addr).await.unwrap();
            if !direct {
                tcp.write_all(&packet(&SSL_REQUEST.to_be_bytes())).await.unwrap();
                let mut answer = [0; 1];
                tcp.read_exact(&mut answer).await.unwrap();
            }
            // The head of a ClientHello of 512 bytes, and some of it.
            tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.unwrap();
            half.push(tcp);
        }
        let mut client = by_request(door.addr).await;
        client.login(3 << 16, &[("user", USER)], PASSWORD).await;
        check_query(&mut client).await;
    }
    // All but the last ones are closed.
    for mut gone in half.drain(..70) {
        let mut rest = Vec::new();
        // At its end or reset.
        let _ended =
            tokio::time::timeout(Duration::from_secs(5), gone.read_to_end(&mut rest)).await.expect("still open");
    }
    door.stop().await;
}

#[tokio::test]
async fn bytes_behind_an_ssl_request_never_become_a_session() {
    let door = serve_with(tls_config()).await;
    let mut client = Client::raw(door.addr).await;
    client.send(&[packet(&SSL_REQUEST.to_be_bytes()), startup(3 << 16, &[("user", USER)])].concat()).await;
    let mut answer = Vec::new();
    // Either the explicit refusal or, when the bytes came later, an answer and a failed handshake; never a login.
    let _closed = client.stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("received unencrypted data after SSL request") || answer.first() == Some(&b'S'), "{text}");
    assert!(!text.contains("SCRAM"), "{text}");
    door.stop().await;
}

#[tokio::test]
async fn direct_tls_needs_the_protocols_own_alpn() {
    let door = serve_with(tls_config()).await;
    assert!(encrypt(TcpStream::connect(door.addr).await.unwrap(), &[b"h2"]).await.is_err());
    if let Ok(mut client) = encrypt(TcpStream::connect(door.addr).await.unwrap(), &[]).await {
        // TLS 1.3 may tell the client only after its own handshake is done.
        let _gone = client.stream.write_all(&startup(3 << 16, &[("user", USER)])).await;
        let mut answer = Vec::new();
        let _closed = client.stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    door.stop().await;
}
