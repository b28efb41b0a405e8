//! TLS to a server: what each mode accepts, with certificates made for the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::options;
use common::server::Server;
use querygate_driver_api::driver::Driver;
use querygate_mongodb::{MongoDriver, MongoTls};
use querygate_types::ErrorCode;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate of it for 127.0.0.1 with its key in one file.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:db.example\n").unwrap();
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    openssl(folder, "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=db.example");
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    );
    let both = ["server.pem", "server.key"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    std::fs::write(folder.join("both.pem"), both.concat()).unwrap();
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
        let file = |name: &str| folder.join(name).display().to_string();
        format!(
            "--tlsMode allowTLS --tlsCertificateKeyFile {} --tlsCAFile {} --tlsAllowConnectionsWithoutCertificates",
            file("both.pem"),
            file("ca.pem")
        )
    };
    let Some(server) = Server::start_with(settings).await else { return };
    let stranger = TempDir::new().unwrap();
    certificates(stranger.path());
    let (known, unknown) = (server.folder.join("ca.pem"), stranger.path().join("ca.pem"));
    for (tls, authority, expected) in [
        (Some(MongoTls::Off), None, true),
        (Some(MongoTls::Required), None, true),
        (Some(MongoTls::Verify), Some(&known), true),
        (Some(MongoTls::Verify), Some(&unknown), false),
        (Some(MongoTls::Verify), None, false),
        // An authority is only given to be asked.
        (None, Some(&known), true),
        (None, Some(&unknown), false),
    ] {
        let mut options = options(&server, "shop");
        (options.tls, options.connect_timeout) = (tls, Duration::from_secs(2));
        options.tls_ca = authority.cloned();
        let health = MongoDriver::new(&options).health().await;
        assert_eq!(health.is_ok(), expected, "{tls:?} {authority:?}: {health:?}");
        assert!(health.is_ok() || health.unwrap_err().code() == ErrorCode::SourceUnavailable);
    }
    // The same server by a name that its certificate does not have.
    let mut options = options(&server, "shop");
    options.url = options.url.replace("127.0.0.1", "localhost");
    (options.tls, options.tls_ca, options.connect_timeout) =
        (Some(MongoTls::Verify), Some(known), Duration::from_secs(2));
    assert!(MongoDriver::new(&options).health().await.is_err());
}
