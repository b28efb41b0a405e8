//! psql, which gives up where it cannot bind its login to the channel, against certificates of each algorithm that OpenSSL makes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::fake::{PASSWORD, USER};
use common::{config, serve_with};
use querygate_pgwire_frontend::TlsSettings;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";

/// A self-signed certificate.
fn tls(key: &str, sign: &str) -> TlsSettings {
    let folder = tempfile::tempdir().unwrap();
    let make = "openssl genpkey $KEY -out key.pem && \
                openssl req -x509 -new -key key.pem -days 2 -subj /CN=localhost $SIGN -out certificate.pem";
    let mut shell = Command::new("/bin/sh");
    let made = shell.args(["-ec", make]).env("KEY", key).env("SIGN", sign).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{key} {sign}: {}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| folder.path().join(name);
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    TlsSettings { config: Arc::new(server), certificate }
}

fn psql(addr: SocketAddr, channel_binding: &str) -> Output {
    let conninfo = format!(
        "host=127.0.0.1 port={} user={USER} dbname=demo sslmode=require channel_binding={channel_binding}",
        addr.port()
    );
    let mut psql = Command::new("psql");
    psql.args(["-X", "-At", "-d", &conninfo, "-c", "rows 2"]).env("PGPASSWORD", PASSWORD);
    psql.env("HOME", Path::new("/nonexistent")).output().unwrap()
}

async fn logs_in(key: &str, sign: &str, channel_binding: &'static str) -> Result<(), String> {
    let mut config = config();
    config.tls = Some(tls(key, sign));
    let door = serve_with(config).await;
    let addr = door.addr;
    let ran = tokio::task::spawn_blocking(move || psql(addr, channel_binding)).await.unwrap();
    door.stop().await;
    if ran.status.success() {
        assert_eq!(String::from_utf8_lossy(&ran.stdout).lines().count(), 2);
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).into_owned())
}

#[tokio::test]
async fn psql_binds_its_channel_by_certificates_of_each_algorithm() {
    let pss = |digest: &str| format!("-{digest} -sigopt rsa_padding_mode:pss");
    for digest in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
        for sign in [format!("-{digest}"), pss(digest)] {
            assert_eq!(logs_in(RSA, &sign, "require").await, Ok(()), "RSA {sign}");
        }
    }
    for digest in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
        for key in [P256, P384] {
            assert_eq!(logs_in(key, &format!("-{digest}"), "require").await, Ok(()), "{key} {digest}");
        }
    }
    for digest in ["sha3-224", "sha3-256", "sha3-384", "sha3-512"] {
        assert_eq!(logs_in(RSA, &format!("-{digest}"), "require").await, Ok(()), "RSA {digest}");
    }
}

#[tokio::test]
async fn psql_logs_in_without_a_binding_where_the_signature_names_no_hash() {
    let refused = logs_in("-algorithm ED25519", "", "require").await.unwrap_err();
    assert!(refused.contains("channel binding"), "{refused}");
    assert_eq!(logs_in("-algorithm ED25519", "", "prefer").await, Ok(()));
    for (key, digest) in [(RSA, "sha512-224"), (RSA, "sha512-256"), (P256, "sha3-256"), (P384, "sha3-512")] {
        assert_eq!(logs_in(key, &format!("-{digest}"), "prefer").await, Ok(()), "{key} {digest}");
    }
}
