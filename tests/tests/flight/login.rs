//! Who gets in, and how long a token is good.

use crate::client::{Flight, basic, channel, handshake, service, statement, tickets};
use crate::text::cells;
use arrow_flight::{BasicAuth, HandshakeRequest};
use futures::stream;
use prost::Message as _;
use querygate_tests::server::{Variant, demo, runtime};
use std::time::{Duration, Instant};
use tonic::{Code, Request};

#[test]
fn each_user_sees_their_own_rows() {
    runtime().block_on(async {
        let mut counts = Vec::new();
        for user in ["ada", "sam", "iris"] {
            let flight = Flight::login(&demo().server, user).await;
            let table = flight.query("SELECT count(*), current_user FROM accounts").await.unwrap();
            let rows = cells(&table);
            assert_eq!(rows[0][1].as_deref(), Some(user));
            counts.push(rows[0][0].clone());
        }
        assert_eq!(counts[0].as_deref(), Some("20000"));
        assert!(counts[1] != counts[0] && counts[2] != counts[0] && counts[1] != counts[2], "{counts:?}");
    });
}

#[test]
fn a_password_may_be_padded_or_not_and_may_come_as_a_message() {
    let address = demo().server.flight;
    runtime().block_on(async {
        // Lengths of user:password that need two, one and no padding characters.
        for padded in [true, false] {
            for user in ["ada", "sam", "iris"] {
                handshake(address, &basic(user, &format!("demo-{user}"), padded)).await.unwrap();
            }
        }
        let auth = BasicAuth { username: "sam".to_owned(), password: "demo-sam".to_owned() };
        let message = HandshakeRequest { protocol_version: 0, payload: auth.encode_to_vec().into() };
        let mut answer = service(channel(address).await).handshake(stream::iter([message])).await.unwrap();
        let token = String::from_utf8(answer.get_mut().message().await.unwrap().unwrap().payload.to_vec()).unwrap();
        let flight = Flight { channel: channel(address).await, token };
        assert_eq!(flight.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_one_answer() {
    let address = demo().server.flight;
    runtime().block_on(async {
        for (user, password) in [("sam", "demo-ada"), ("nobody", "demo-sam"), ("SAM", "demo-sam"), ("sam", "")] {
            let failure = handshake(address, &basic(user, password, true)).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unauthenticated, "28P01"));
            let expected = format!("password authentication failed for user \"{user}\" (SQLSTATE 28P01)");
            assert_eq!(failure.message, expected);
        }
        for header in ["Basic", "Basic !!!", "Basic c2Ft", "Bearer x", "Digest x", "Basic /////w=="] {
            let failure = handshake(address, header).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unauthenticated, "28000"), "{header}");
        }
    });
}

/// Coarse on purpose: it fails when an unknown user costs no hashing at all.
#[test]
fn an_unknown_user_costs_as_much_as_a_known_one() {
    let address = demo().server.flight;
    runtime().block_on(async {
        let mut times = [Duration::MAX; 2];
        for _ in 0..15 {
            for (best, user) in times.iter_mut().zip(["sam", "nobody"]) {
                let (header, began) = (basic(user, "wrong", true), Instant::now());
                handshake(address, &header).await.unwrap_err();
                *best = (*best).min(began.elapsed());
            }
        }
        assert!(times[1] > times[0] / 3 && times[0] > times[1] / 3, "{times:?}");
    });
}

#[test]
fn without_a_good_token_nothing_is_told() {
    let address = demo().server.flight;
    runtime().block_on(async {
        let good = Flight::login(&demo().server, "sam").await;
        let mut altered = good.token.clone();
        let last = altered.pop().unwrap();
        altered.push(if last == 'A' { 'B' } else { 'A' });
        let cut = good.token[..good.token.len() - 8].to_owned();
        for token in ["", "x", &altered, &cut, "AAAA", &"A".repeat(5_000)] {
            let flight = Flight { channel: good.channel.clone(), token: token.to_owned() };
            let failure = flight.info(&statement("SELECT 1")).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unauthenticated, "28000"), "{token}");
        }
        let mut plain = service(channel(address).await);
        let status = plain.list_actions(Request::new(arrow_flight::Empty {})).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(good.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn a_closed_session_and_an_expired_token_end() {
    runtime().block_on(async {
        let flight = Flight::login(&demo().server, "sam").await;
        flight.act("CloseSession", Vec::new()).await.unwrap();
        assert_eq!(flight.query("SELECT 1").await.unwrap_err().sqlstate, "28000");
    });
    let variant = Variant::new(|config| config + "\n[flight]\ntoken_lifetime = \"1ms\"\n");
    let server = variant.serve();
    runtime().block_on(async {
        let flight = Flight::login(&server, "sam").await;
        assert_eq!(flight.query("SELECT 1").await.unwrap_err().sqlstate, "28000");
    });
}

#[test]
fn an_idle_session_ends_and_one_that_streams_does_not() {
    let variant = Variant::new(|config| config + "\n[flight]\nsession_idle_timeout = \"100ms\"\n");
    let server = variant.serve();
    runtime().block_on(async {
        let postgres = server.client("ada").await;
        let sessions = async || -> i64 {
            let sql = "SELECT count(*) FROM querygate.sessions WHERE door = 'flight'";
            postgres.query_one(sql, &[]).await.unwrap().get(0)
        };
        let (idle, busy) = (Flight::login(&server, "sam").await, Flight::login(&server, "ada").await);
        let info = busy.info(&statement("SELECT * FROM events")).await.unwrap();
        let mut messages = busy.messages(tickets(&info).swap_remove(0)).await.unwrap();
        assert!(messages.message().await.unwrap().is_some());
        let began = Instant::now();
        while sessions().await != 1 {
            assert!(began.elapsed() < Duration::from_secs(60), "{} sessions", sessions().await);
        }
        assert_eq!(idle.query("SELECT 1").await.unwrap_err().sqlstate, "28000");
        assert!(messages.message().await.unwrap().is_some());
        drop(messages);
        while sessions().await != 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "{} sessions", sessions().await);
        }
    });
}
