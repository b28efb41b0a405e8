//! Input that no well-behaved client sends: each gets a status, and the server lives on.

use crate::client::{Flight, channel, packed, statement};
use arrow::array::{ArrayRef, Int64Array, NullArray, RecordBatch};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{Any, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Criteria, FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use querygate_tests::harness::Rng;
use querygate_tests::server::{Variant, demo, runtime};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::Code;

#[test]
fn malformed_messages_get_a_status_and_no_panic() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let good = packed(&statement("SELECT 1"));
        let mut rng = Rng::new(20_241_120);
        let mut codes = std::collections::BTreeMap::new();
        for round in 0..600 {
            let mut bytes = good.to_vec();
            match round % 4 {
                0 => bytes.truncate(rng.below(bytes.len())),
                1 => {
                    let at = rng.below(bytes.len());
                    bytes[at] ^= 1 << rng.below(8);
                }
                2 => bytes = (0..rng.below(80)).map(|_| u8::try_from(rng.below(256)).unwrap()).collect(),
                _ => bytes.extend((0..rng.below(20)).map(|_| u8::try_from(rng.below(256)).unwrap())),
            }
            if let Err(failure) = ada.info_of(bytes.clone().into()).await {
                *codes.entry(failure.sqlstate.clone()).or_insert(0) += 1;
                let known = ["08P01", "0A000", "42601", "42703", "22021"].contains(&failure.sqlstate.as_str());
                assert!(known && failure.grpc != Code::Internal, "{bytes:?}: {failure:?}");
            }
            if round % 3 == 0
                && let Err(failure) = ada.act("CreatePreparedStatement", bytes.clone()).await
            {
                assert!(!failure.sqlstate.is_empty() && failure.grpc != Code::Internal, "{bytes:?}: {failure:?}");
            }
        }
        println!("malformed commands by SQLSTATE: {codes:?}");
        assert_eq!(ada.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn calls_that_are_not_served_are_refused() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let status = ada.service().list_flights(ada.request(Criteria::default())).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        let exchange = stream::iter(vec![FlightData::default()]);
        let status = ada.service().do_exchange(ada.request(exchange)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        let path = ada.request(FlightDescriptor::new_path(vec!["accounts".to_owned()]));
        assert_eq!(ada.service().get_flight_info(path).await.unwrap_err().code(), Code::Unimplemented);
        let none = ada.request(FlightDescriptor::default());
        assert_eq!(ada.service().get_flight_info(none).await.unwrap_err().code(), Code::InvalidArgument);
        let actions = ada.service().list_actions(ada.request(arrow_flight::Empty {})).await.unwrap().into_inner();
        assert_eq!(actions.try_collect::<Vec<_>>().await.unwrap().len(), 10);
    });
}

async fn put_batch(command: &impl ProstMessageExt, batch: &RecordBatch, options: IpcWriteOptions) -> Vec<FlightData> {
    let descriptor = FlightDescriptor::new_cmd(packed(command));
    let builder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).with_options(options);
    builder.build(stream::iter([Ok(batch.clone())])).try_collect().await.unwrap()
}

#[test]
fn parameters_are_bounded_and_checked_before_they_are_decoded() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let handle = ada.prepare("SELECT $1::bigint").await.unwrap().prepared_statement_handle;
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
        let column = |rows: i64| Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
        let batch = |rows| RecordBatch::try_from_iter([("a", column(rows))]).unwrap();
        let refused = async |messages: Vec<FlightData>| ada.put(messages).await.unwrap_err().sqlstate;

        // An upload of no rows may send nothing.
        assert!(ada.put(Vec::new()).await.unwrap().is_empty());
        assert_eq!(refused(vec![FlightData::default()]).await, "08P01");
        // Nulls take no room in a message, and each would be a run.
        let nulls = RecordBatch::try_from_iter([("a", Arc::new(NullArray::new(5_000_000)) as ArrayRef)]).unwrap();
        assert_eq!(refused(put_batch(&command, &nulls, IpcWriteOptions::default()).await).await, "54000");
        // 80 MB in messages of 1 MB, each of them fine.
        let mut large = put_batch(&command, &batch(1), IpcWriteOptions::default()).await;
        let body = FlightData { data_body: vec![0; 1 << 20].into(), ..large[1].clone() };
        large.extend((0..80).map(|_| body.clone()));
        assert_eq!(refused(large).await, "54000");
        let huge = FlightData { data_body: vec![0; 40 << 20].into(), ..FlightData::default() };
        let first = put_batch(&command, &batch(1), IpcWriteOptions::default()).await.swap_remove(0);
        assert_eq!(refused(vec![first, huge]).await, "54000");
        let zstd = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        assert_eq!(refused(put_batch(&command, &batch(1_000), zstd).await).await, "0A000");

        let good = put_batch(&command, &batch(3), IpcWriteOptions::default()).await;
        let mut rng = Rng::new(7);
        for _ in 0..300 {
            let mut messages = good.clone();
            let message = &mut messages[rng.below(2)];
            let part = if rng.below(3) == 0 { &mut message.data_body } else { &mut message.data_header };
            let mut bytes = part.to_vec();
            if !bytes.is_empty() {
                let at = rng.below(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
            *part = Bytes::from(bytes);
            if let Err(failure) = ada.put(messages).await {
                assert!(!failure.sqlstate.is_empty(), "{failure:?}");
            }
        }
        ada.put(good).await.unwrap();
        assert_eq!(ada.run(&command).await.unwrap().rows(), 3);
    });
}

#[test]
fn a_long_statement_and_a_deep_one_are_refused() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let long = format!("SELECT '{}'", "x".repeat(20 << 20));
        let failure = ada.info(&statement(&long)).await.unwrap_err();
        assert!(
            matches!(failure.grpc, Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument),
            "{failure:?}"
        );
        let deep = format!("SELECT {}1{}", "(".repeat(50_000), ")".repeat(50_000));
        let failure = ada.info(&statement(&deep)).await.unwrap_err();
        assert_eq!(failure.sqlstate, "54001");
        let nested = Any { type_url: "x".repeat(1 << 20), value: packed(&CommandStatementQuery::default()) };
        assert_eq!(ada.info_of(nested.encode_to_vec().into()).await.unwrap_err().sqlstate, "0A000");
        assert_eq!(ada.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn bytes_that_are_no_http_close_their_connection_only() {
    let address = demo().server.flight;
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense", b"\x16\x03\x01"]
    {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(garbage).unwrap();
        drop(tcp);
    }
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        assert_eq!(ada.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

/// Sockets that say nothing, or speak HTTP/2 and never log in, beside who does.
#[test]
fn connections_of_nobody_give_way_to_users() {
    let variant = Variant::new(|config| config.replace("[server]\n", "[server]\nconnection_max = 20\n"));
    let server = variant.serve();
    runtime().block_on(async {
        let before = Flight::login(&server, "iris").await;
        // The preface and empty settings.
        for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
            let mut held = Vec::new();
            for _ in 0..3 {
                for _ in 0..100 {
                    let mut tcp = TcpStream::connect(server.flight).unwrap();
                    tcp.write_all(said).unwrap();
                    held.push(tcp);
                }
                let began = Instant::now();
                let sam = Flight::login(&server, "sam").await;
                assert_eq!(sam.query("SELECT 1").await.unwrap().rows(), 1);
                assert_eq!(before.query("SELECT 1").await.unwrap().rows(), 1);
                let took = began.elapsed();
                println!("{took:?} beside {} connections of nobody", held.len());
                assert!(took < Duration::from_secs(5), "{took:?}");
            }
        }
    });
}

/// Users have no more connections than there are places.
#[test]
fn connections_of_users_are_bounded() {
    let variant = Variant::new(|config| config.replace("[server]\n", "[server]\nconnection_max = 6\n"));
    let server = variant.serve();
    runtime().block_on(async {
        let first = Flight::login(&server, "ada").await;
        let mut held = Vec::new();
        let refused = loop {
            assert!(held.len() < 20, "no bound");
            let flight = Flight { channel: channel(server.flight).await, token: first.token.clone() };
            match flight.query("SELECT 1").await {
                Ok(_) => held.push(flight),
                Err(failure) => break failure,
            }
        };
        // The login went over a connection of its own, which has ended.
        assert_eq!((refused.grpc, refused.sqlstate.as_str(), held.len()), (Code::ResourceExhausted, "53300", 6));
        held.pop();
        let mut came_in = false;
        for _ in 0..100 {
            let flight = Flight { channel: channel(server.flight).await, token: first.token.clone() };
            came_in |= flight.query("SELECT 1").await.is_ok();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(came_in, "a place is free when a connection ends");
    });
}
