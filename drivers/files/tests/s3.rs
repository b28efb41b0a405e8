//! The driver against an S3-compatible server (moto). Skipped loudly where moto is absent.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod common;
#[path = "common/remote.rs"]
mod remote;

use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use querygate_files::{FileFormat, FilesConfig, FilesSource, S3Config};
use querygate_types::ErrorCode;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Moto {
    process: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Moto {
    /// Starts the server on a free port; `None` where it is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut moto = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !moto.request("GET /moto-api/").is_some_and(|answer| answer.contains(" 200 ")) {
            if moto.process.try_wait().unwrap().is_some() || Instant::now() > deadline {
                return None;
            }
            std::thread::yield_now();
        }
        Some(moto)
    }

    fn request(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let credential =
            "AWS4-HMAC-SHA256 Credential=key/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        write!(
            stream,
            "{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {credential}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

fn settings(endpoint: &str) -> S3Config {
    S3Config {
        bucket: "bucket".to_owned(),
        prefix: "lake/one".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: Some("key".to_owned()),
        secret_access_key: Some("secret".to_owned()),
        allow_http: true,
        ..S3Config::default()
    }
}

#[tokio::test]
async fn an_s3_store_answers_like_a_folder() {
    let Some(moto) = Moto::start() else {
        eprintln!("SKIPPED: moto_server absent");
        return;
    };
    assert!(moto.request("PUT /bucket").unwrap().contains(" 200 "));
    let endpoint = format!("http://127.0.0.1:{}", moto.port);
    let direct = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .build()
        .unwrap();
    let config = FilesConfig { refresh: Duration::from_secs(3600), ..FilesConfig::s3("lake", settings(&endpoint)) };
    let source = FilesSource::new(config).unwrap();
    remote::check(&source, &PrefixStore::new(direct, "lake/one")).await;
    drop(moto);
    let table = common::spec("t.csv", FileFormat::Ndjson, common::base_schema());
    let context = common::session(&source, &table, 1).await;
    assert_eq!(common::fail(&context, "SELECT id FROM t").await.code(), ErrorCode::SourceUnavailable);
}

#[test]
fn half_a_key_is_refused_and_no_secret_is_printed() {
    let whole = settings("http://127.0.0.1:1");
    assert!(!format!("{whole:?}").contains("secret"));
    let half = S3Config { secret_access_key: None, ..whole };
    let error = FilesSource::new(FilesConfig::s3("lake", half)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigInvalid);
}
