//! TLS to a server: what each mode accepts, with certificates made for the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::options;
use common::server::Server;
use querygate_driver_api::driver::Driver;
use querygate_mysql::{MysqlDriver, MysqlTls};
use querygate_types::ErrorCode;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate of it for 127.0.0.1.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:db.example\n").unwrap();
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    openssl(folder, "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=db.example");
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    );
}

#[tokio::test]
async fn each_mode_accepts_what_it_says() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "openssl is absent, and CI must have it");
        eprintln!("SKIPPED: openssl is absent");
        return;
    }
    let settings = |folder: &Path| {
        certificates(folder);
        ["ca=ca.pem", "cert=server.pem", "key=server.key"]
            .map(|setting| setting.split_once('=').unwrap())
            .map(|(name, file)| format!("--ssl-{name}={}", folder.join(file).display()))
            .to_vec()
    };
    let Some(server) = Server::start_with(settings) else { return };
    server.sql("CREATE DATABASE shop; ALTER USER 'gate'@'127.0.0.1' REQUIRE SSL");
    let folder = server.socket().parent().unwrap().to_owned();
    let stranger = TempDir::new().unwrap();
    certificates(stranger.path());
    let (known, unknown) = (folder.join("ca.pem"), stranger.path().join("ca.pem"));
    for (tls, authority, expected) in [
        (MysqlTls::Off, None, false),
        (MysqlTls::Required, None, true),
        (MysqlTls::VerifyCa, Some(&known), true),
        (MysqlTls::VerifyCa, Some(&unknown), false),
        (MysqlTls::VerifyCa, None, false),
        (MysqlTls::VerifyFull, Some(&known), true),
        (MysqlTls::VerifyFull, Some(&unknown), false),
    ] {
        let mut options = options(&server, "shop");
        options.tls = tls;
        options.tls_ca = authority.cloned();
        let health = MysqlDriver::new(&options).health().await;
        assert_eq!(health.is_ok(), expected, "{tls:?} {authority:?}: {health:?}");
        assert!(health.is_ok() || health.unwrap_err().code() == ErrorCode::SourceUnavailable);
    }
    // The same server by a name that its certificate does not have.
    let mut options = options(&server, "shop");
    (options.host, options.tls, options.tls_ca) = ("localhost".to_owned(), MysqlTls::VerifyFull, Some(known));
    assert!(MysqlDriver::new(&options).health().await.is_err());
}
