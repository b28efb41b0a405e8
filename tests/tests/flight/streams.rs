//! Results as streams: whole, in messages of a bounded size, at the reader's pace, and ended when nobody reads.

use crate::client::{Flight, channel, statement, ticket, tickets};
use arrow_flight::CancelFlightInfoRequest;
use futures::future::join_all;
use prost::Message as _;
use querygate_tests::server::{Server, Variant, demo, runtime};
use std::time::{Duration, Instant};
use tonic::Code;

const PATIENCE: Duration = Duration::from_secs(120);
/// Every row of the largest table, wide.
const ALL_EVENTS: &str = "SELECT * FROM events";

/// A metric's value, summed over its labels.
fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics");
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Asks until the metric has the value; each question takes the server's time, so this does not spin.
fn wait_for_metric(server: &Server, name: &str, value: f64) {
    let began = Instant::now();
    while metric(server, name) != value {
        assert!(began.elapsed() < PATIENCE, "{name} stays at {}", metric(server, name));
    }
}

#[test]
fn a_large_result_comes_whole_in_messages_of_about_a_megabyte() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let postgres = demo().server.client("ada").await;
        let expected: i64 = postgres.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0);
        let info = ada.info(&statement(ALL_EVENTS)).await.unwrap();
        let (mut bodies, mut largest, mut bytes) = (0_usize, 0, 0);
        for ticket in tickets(&info) {
            let mut messages = ada.messages(ticket).await.unwrap();
            while let Some(message) = messages.message().await.unwrap() {
                bodies += usize::from(!message.data_body.is_empty());
                largest = largest.max(message.data_body.len());
                bytes += message.data_body.len();
            }
        }
        assert!(bodies > 10 && largest < 3 << 19, "{bodies} messages, the largest {largest} bytes");
        assert!(bytes / bodies > 400_000, "{bytes} bytes in {bodies} messages");
        println!("events: {expected} rows, {bytes} bytes in {bodies} messages, the largest {largest}");
        let rows = ada.all(&info).await.unwrap().rows();
        assert_eq!(i64::try_from(rows).unwrap(), expected);
    });
}

#[test]
fn compressed_bodies_are_smaller_and_hold_the_same_rows() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let info = ada.info(&statement("SELECT * FROM accounts ORDER BY id")).await.unwrap();
        let plain = ada.get(ticket(&info)).await.unwrap();
        let mut sizes = Vec::new();
        for compression in ["none", "lz4", "zstd"] {
            let mut request = ada.request(ticket(&info));
            request.metadata_mut().insert("querygate-compression", compression.parse().unwrap());
            let mut messages = ada.service().do_get(request).await.unwrap().into_inner();
            let mut bytes = 0;
            while let Some(message) = messages.message().await.unwrap() {
                bytes += message.data_body.len();
            }
            sizes.push(bytes);
        }
        assert!(sizes[1] * 10 < sizes[0] * 9 && sizes[2] * 10 < sizes[0] * 9, "{sizes:?}");
        let mut request = ada.request(ticket(&info));
        request.metadata_mut().insert("querygate-compression", "rar".parse().unwrap());
        assert_eq!(ada.service().do_get(request).await.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(ada.get(ticket(&info)).await.unwrap(), plain);
    });
}

#[test]
fn an_abandoned_stream_ends_its_query() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        for _ in 0..3 {
            let info = ada.info(&statement("SELECT a.*, b.id FROM events a, accounts b")).await.unwrap();
            let mut messages = ada.messages(ticket(&info)).await.unwrap();
            assert!(messages.message().await.unwrap().is_some());
        }
    });
    wait_for_metric(&server, "querygate_flight_streams", 0.0);
}

#[test]
fn a_running_stream_is_cancelled_and_says_so() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let info = ada.info(&statement("SELECT a.*, b.id FROM events a, accounts b")).await.unwrap();
        let mut messages = ada.messages(ticket(&info)).await.unwrap();
        assert!(messages.message().await.unwrap().is_some());
        let request = CancelFlightInfoRequest { info: Some(info) };
        ada.act("CancelFlightInfo", request.encode_to_vec()).await.unwrap();
        let status = loop {
            match messages.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a cancelled result looks complete"),
                Err(status) => break status,
            }
        };
        assert_eq!(
            (status.code(), status.metadata().get("querygate-sqlstate").unwrap().to_str().unwrap()),
            (Code::Cancelled, "57014")
        );
    });
}

#[test]
fn an_error_after_rows_ends_the_stream_with_its_code() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let sql = "SELECT 1 / (g - 90000) FROM generate_series(1, 100000) AS t(g)";
        let failure = ada.query(sql).await.unwrap_err();
        assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::OutOfRange, "22012"));
    });
}

/// Two hundred readers that stop after the first message: each costs a bounded piece of memory, others are served.
#[test]
fn slow_readers_cost_little_and_harm_nobody() {
    const READERS: usize = 200;
    let limits = "[limits]\nqueries_max = 400\nqueries_per_user_max = 400\n";
    let variant = Variant::new(|config| config.replace("[limits]\n", limits));
    let server = variant.serve();
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        ada.query("SELECT count(*) FROM accounts").await.unwrap();
        let before = server.resident_bytes();
        // A connection each: on one, HTTP/2 counts what any of its streams has not read against all of them.
        let open = join_all((0..READERS).map(async |_| {
            let reader = Flight { channel: channel(server.flight).await, token: ada.token.clone() };
            let info = reader.info(&statement("SELECT id FROM events")).await.unwrap();
            let first = tickets(&info).swap_remove(0);
            let mut messages = reader.messages(first).await.unwrap();
            assert!(messages.message().await.unwrap().is_some());
            messages
        }))
        .await;
        let began = Instant::now();
        let sam = Flight::login(&server, "sam").await;
        assert!(sam.query("SELECT id FROM accounts").await.unwrap().rows() > 0);
        let (taken, grown) = (began.elapsed(), server.resident_bytes().saturating_sub(before));
        println!("{READERS} slow readers: {} MiB more, another's query in {taken:?}", grown >> 20);
        assert!(grown < 2 << 30 && taken < PATIENCE, "{grown} bytes, {taken:?}");
        assert_eq!(metric(&server, "querygate_flight_streams"), 200.0);
        drop(open);
    });
    wait_for_metric(&server, "querygate_flight_streams", 0.0);
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let variant = Variant::new(|config| config + "\n[flight]\nstream_max = 2\n");
    let server = variant.serve();
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        let info = ada.info(&statement("SELECT a.*, b.id FROM accounts a, accounts b")).await.unwrap();
        let one = ada.messages(ticket(&info)).await.unwrap();
        let two = ada.messages(ticket(&info)).await.unwrap();
        let failure = ada.get(ticket(&info)).await.unwrap_err();
        assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::ResourceExhausted, "53300"));
        drop((one, two));
    });
    wait_for_metric(&server, "querygate_flight_streams", 0.0);
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        assert_eq!(ada.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

/// A result that the end of the server cuts short does not look complete, and the server does end.
#[test]
fn the_end_of_the_server_ends_streams_after_their_time() {
    let variant = Variant::new(|config| config.replace("[server]\n", "[server]\ndrain_timeout = \"1s\"\n"));
    let mut server = variant.serve();
    let (ada, mut messages) = runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        let info = ada.info(&statement("SELECT a.*, b.id FROM events a, accounts b")).await.unwrap();
        let mut messages = ada.messages(ticket(&info)).await.unwrap();
        assert!(messages.message().await.unwrap().is_some());
        (ada, messages)
    });
    let began = Instant::now();
    assert_eq!(server.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    runtime().block_on(async {
        let ended = loop {
            match messages.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a result that was cut short looks complete"),
                Err(status) => break status,
            }
        };
        assert_ne!(ended.code(), Code::Ok);
        assert!(ada.info(&statement("SELECT 1")).await.is_err());
    });
}
