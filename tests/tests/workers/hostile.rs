//! Somebody who speaks to a worker directly, with whatever could be stolen, against one that runs parts of the gate's key only.

use super::world::{World, free_port};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use datafusion::prelude::{col, lit};
use futures::TryStreamExt;
use querygate_catalog::leaf::{FileFormat, LeafRecipe, RecipeColumn, RecipeOrigin, TableFiles};
use querygate_policy::Mask;
use querygate_tests::server::runtime;
use querygate_workers::part::{FileVersion, LIFETIME_MS, Leaf, Part, RELEASE, SigningKey};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

struct Attacker {
    world: World,
    port: u16,
    /// Of the process that answers at the port.
    start: [u8; 16],
}

impl Attacker {
    /// Nations of a tenant, without their comments' letters.
    fn recipe(&self) -> LeafRecipe {
        let text = |name: &str| Field::new(name, DataType::Utf8View, true);
        let files = Schema::new(vec![text("n_name"), text("n_comment"), text("tenant")]);
        let column = |index: usize, mask| RecipeColumn {
            field: files.field(index).clone(),
            origin: RecipeOrigin::Raw(index),
            mask,
        };
        LeafRecipe {
            table: "nation".into(),
            source: "lake".into(),
            files: TableFiles {
                pattern: "nation".to_owned(),
                format: FileFormat::Parquet,
                schema: Arc::new(files.clone()),
                column_map: std::collections::BTreeMap::new(),
            },
            columns: vec![column(0, None), column(1, Some(Mask::Full))],
            policy: vec![col("tenant").eq(lit(datafusion::common::ScalarValue::Utf8View(Some("theirs".to_owned()))))],
            restricts: true,
            filters: Vec::new(),
            open: std::collections::BTreeSet::new(),
            limit: None,
        }
    }

    fn file(&self, path: &str) -> FileVersion {
        let found = std::fs::metadata(self.world.at("data").join(path)).unwrap();
        let since = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let modified_ns = i64::try_from(since.as_nanos()).unwrap();
        FileVersion { path: path.to_owned(), bytes: found.len(), modified_ns, range: None }
    }

    fn part(&self, nonce: u8) -> Part {
        let now = now_ms();
        Part {
            release: RELEASE.to_owned(),
            gate: [7; 16],
            nonce: [nonce; 16],
            worker: format!("localhost:{}", self.port),
            start: self.start,
            deployment: 1,
            issued_ms: now,
            expires_ms: now + LIFETIME_MS,
            leaf: Arc::new(Leaf::closed(&self.recipe()).unwrap()),
            steps: None,
            sides: Arc::new([]),
            files: [self.file("nation/0.parquet")].into(),
        }
    }

    fn key(&self, name: &str) -> SigningKey {
        SigningKey::from_pem(&std::fs::read(self.world.at(name)).unwrap()).unwrap()
    }

    async fn client(&self, with_certificate: bool) -> Result<FlightServiceClient<Channel>, tonic::transport::Error> {
        let read = |name: &str| std::fs::read(self.world.at(name)).unwrap();
        let mut tls =
            ClientTlsConfig::new().domain_name("localhost").ca_certificate(Certificate::from_pem(read("ca.pem")));
        if with_certificate {
            tls = tls.identity(Identity::from_pem(read("gatetls.pem"), read("gatetls.key")));
        }
        let endpoint = Channel::from_shared(format!("https://localhost:{}", self.port)).unwrap();
        Ok(FlightServiceClient::new(endpoint.tls_config(tls)?.connect().await?))
    }

    /// Asks the worker which process it is, as the gate does.
    async fn ask_start(&mut self) {
        let mut client = self.client(true).await.unwrap();
        let answer = client.do_action(arrow_flight::Action::new("start", "")).await.unwrap();
        let told: Vec<_> = answer.into_inner().try_collect().await.unwrap();
        self.start = told[0].body.as_ref().try_into().unwrap();
    }

    /// The texts of all rows, or the code and text of the refusal.
    async fn get(&self, sealed: Vec<u8>) -> Result<Vec<String>, (Code, String)> {
        let told = |status: tonic::Status| {
            (status.code(), format!("{} {}", status.message(), String::from_utf8_lossy(status.details())))
        };
        let mut client = self.client(true).await.unwrap();
        let answer = client.do_get(Ticket { ticket: sealed.into() }).await.map_err(told)?.into_inner();
        let messages = answer.map_err(|status| arrow_flight::error::FlightError::Tonic(Box::new(status)));
        let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.map_err(
            |error| match error {
                arrow_flight::error::FlightError::Tonic(status) => told(*status),
                other => panic!("{other}"),
            },
        )?;
        let texts = batches.iter().flat_map(|batch| {
            let texts = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
            texts.lines().filter(|line| line.starts_with("| ")).skip(1).map(ToOwned::to_owned).collect::<Vec<_>>()
        });
        Ok(texts.collect())
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_worker_gives_nothing_that_the_gate_did_not_seal() {
    let world = World::new();
    let port = free_port();
    let secret = world.at("secret.parquet");
    std::fs::copy(world.at("data/nation/0.parquet"), &secret).unwrap();
    std::os::unix::fs::symlink(&secret, world.at("data/nation/9.parquet")).unwrap();
    let worker = world.worker(port);
    let mut attacker = Attacker { world, port, start: [0; 16] };
    runtime().block_on(attacker.ask_start());
    let (gate, other) = (attacker.key("gate.key"), attacker.key("other.key"));
    runtime().block_on(async {
        // What the gate would get: the rows that the policy leaves, masked.
        let stolen = gate.seal(&attacker.part(1)).unwrap();
        let rows = attacker.get(stolen.clone()).await.unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| row.contains("**")), "{rows:#?}");
        let refused = async |sealed: Vec<u8>, why: &str| {
            let (code, text) = attacker.get(sealed).await.unwrap_err();
            assert!(code == Code::PermissionDenied && text.contains(why), "{why}: {code:?} {text}");
        };
        refused(stolen.clone(), "run before").await;
        refused(Vec::new(), "not signed").await;
        refused(b"SELECT * FROM nation".to_vec(), "not signed").await;
        refused(other.seal(&attacker.part(2)).unwrap(), "not signed").await;
        // Widened: the signature is of another part.
        let open = LeafRecipe { policy: Vec::new(), restricts: false, ..attacker.recipe() };
        let wide = Part { leaf: Arc::new(Leaf::closed(&open).unwrap()), ..attacker.part(3) };
        let forged = [&stolen[..64], &other.seal(&wide).unwrap()[64..]].concat();
        refused(forged, "not signed").await;
        let late = Part { issued_ms: now_ms() - 120_000, expires_ms: now_ms() - 60_000, ..attacker.part(4) };
        refused(gate.seal(&late).unwrap(), "expired").await;
        let early = Part { issued_ms: now_ms() + 60_000, expires_ms: now_ms() + 90_000, ..attacker.part(5) };
        refused(gate.seal(&early).unwrap(), "clocks").await;
        refused(gate.seal(&Part { worker: "localhost:1".to_owned(), ..attacker.part(6) }).unwrap(), "another worker")
            .await;
        refused(gate.seal(&Part { release: "0.0.1".to_owned(), ..attacker.part(7) }).unwrap(), "another release").await;
        // Signed, and still not what a worker does.
        let failed = async |part: Part, code: &str| {
            let (status, text) = attacker.get(gate.seal(&part).unwrap()).await.unwrap_err();
            assert!(status == Code::Aborted && text.contains(code), "{code}: {status:?} {text}");
            assert!(!text.contains("secret") && !text.contains(".parquet"), "{text}");
        };
        let reading = |nonce, file| Part { files: [file].into(), ..attacker.part(nonce) };
        let link = FileVersion { path: "nation/9.parquet".to_owned(), ..attacker.file("nation/9.parquet") };
        failed(reading(8, link), "InsufficientPrivilege").await;
        let up = FileVersion { path: "../secret.parquet".to_owned(), ..attacker.file("nation/0.parquet") };
        failed(reading(9, up), "InsufficientPrivilege").await;
        let passwd = FileVersion { path: "/etc/passwd".to_owned(), ..attacker.file("nation/0.parquet") };
        assert!(attacker.get(gate.seal(&reading(10, passwd)).unwrap()).await.is_err());
        let older = FileVersion { modified_ns: 5, ..attacker.file("nation/0.parquet") };
        failed(reading(11, older), "SourceError").await;
        let elsewhere = LeafRecipe { source: "vault".into(), ..attacker.recipe() };
        failed(Part { leaf: Arc::new(Leaf::closed(&elsewhere).unwrap()), ..attacker.part(12) }, "SourceUnavailable")
            .await;
        let lost = LeafRecipe { policy: Vec::new(), ..attacker.recipe() };
        failed(Part { leaf: Arc::new(Leaf::closed(&lost).unwrap()), ..attacker.part(13) }, "Internal").await;
        // A condition on what the reader sees masked, as a stolen key would have it.
        let masked = LeafRecipe {
            filters: vec![col("n_comment").gt(lit("a"))],
            open: ["n_comment".to_owned()].into(),
            ..attacker.recipe()
        };
        failed(Part { leaf: Arc::new(Leaf::closed(&masked).unwrap()), ..attacker.part(16) }, "Internal").await;
        let unsafe_filter = LeafRecipe {
            filters: vec![datafusion::prelude::starts_with(col("n_name"), lit("A"))],
            open: ["n_name".to_owned()].into(),
            ..attacker.recipe()
        };
        failed(Part { leaf: Arc::new(Leaf::closed(&unsafe_filter).unwrap()), ..attacker.part(14) }, "Internal").await;
        // No other call does anything, and nobody speaks to it without a certificate of the authority.
        let mut client = attacker.client(true).await.unwrap();
        let action = client.do_action(arrow_flight::Action::new("anything", "")).await.unwrap_err();
        assert_eq!(action.code(), Code::Unimplemented);
        match attacker.client(false).await {
            Err(_) => {}
            Ok(mut nobody) => assert!(nobody.do_get(Ticket { ticket: stolen.into() }).await.is_err()),
        }
        // It still serves.
        assert_eq!(attacker.get(gate.seal(&attacker.part(15)).unwrap()).await.unwrap(), rows);
    });
    assert_eq!(worker.stop(), Some(0));
}

/// What was stolen is worth nothing to the next process at the address, which does not know what was run.
#[test]
fn a_stolen_part_is_refused_after_a_restart() {
    let world = World::new();
    let port = free_port();
    let worker = world.worker(port);
    let mut attacker = Attacker { world, port, start: [0; 16] };
    let gate = attacker.key("gate.key");
    runtime().block_on(attacker.ask_start());
    let before = attacker.start;
    let (run, kept) = (gate.seal(&attacker.part(1)).unwrap(), gate.seal(&attacker.part(2)).unwrap());
    let rows = runtime().block_on(attacker.get(run.clone())).unwrap();
    worker.kill();
    let worker = attacker.world.worker(port);
    runtime().block_on(async {
        for stolen in [run, kept] {
            let (code, text) = attacker.get(stolen).await.unwrap_err();
            assert!(code == Code::FailedPrecondition && text.contains("before a restart"), "{code:?} {text}");
        }
        attacker.ask_start().await;
        assert_ne!(attacker.start, before);
        let own = gate.seal(&attacker.part(2)).unwrap();
        assert_eq!(attacker.get(own.clone()).await.unwrap(), rows);
        assert_eq!(attacker.get(own).await.unwrap_err().0, Code::PermissionDenied);
    });
    assert_eq!(worker.stop(), Some(0));
}

/// Connections that begin TLS with the longest message that there is, and send no more than most of it.
#[test]
fn half_handshakes_hold_little_and_keep_no_gate_out() {
    let world = World::new();
    let port = free_port();
    let worker = world.worker(port);
    let mut attacker = Attacker { world, port, start: [0; 16] };
    runtime().block_on(attacker.ask_start());
    let before = worker.resident_bytes();
    // Records of a ClientHello of 65,535 bytes.
    let record = |body: &[u8]| [&[22, 3, 1, 0x40, 0][..], body].concat();
    let first = [&[1, 0, 0xff, 0xff][..], &[3; 16_380]].concat();
    let half = [record(&first), record(&[3; 16_384]), record(&[3; 16_384])].concat();
    let (mut held, mut most, mut longest) = (Vec::new(), 0, Duration::ZERO);
    for _ in 0..8 {
        for _ in 0..100 {
            let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            tcp.set_nonblocking(true).unwrap();
            // Closed, or not read on: either is well.
            let _written = tcp.write(&half);
            held.push(tcp);
            most = most.max(worker.resident_bytes());
        }
        let began = Instant::now();
        runtime().block_on(attacker.ask_start());
        longest = longest.max(began.elapsed());
    }
    let grown = most.saturating_sub(before) >> 20;
    println!("{} half handshakes: grown by {grown} MB, a gate waited {longest:?} at most", held.len());
    assert!(grown < 72, "grown by {grown} MB");
    assert!(longest < Duration::from_secs(10), "{longest:?}");
}
