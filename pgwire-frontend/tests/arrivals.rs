//! Clients that have not logged in: they have a share and a time of their own, and take no place from anybody.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{Client, error_field, packet, query, script, startup};
use common::fake::{PASSWORD, USER};
use common::{config, serve_with};
use std::time::Duration;

#[tokio::test]
async fn who_does_not_log_in_gives_way_to_who_comes() {
    let mut config = config();
    (config.arrival_max, config.authentication_timeout) = (4, Duration::from_secs(60));
    let door = serve_with(config).await;
    let half = [0, 0, 0, 60, 0, 3];
    let asked = startup(3 << 16, &[("user", USER)]);
    for (said, expected) in [(&b""[..], ""), (&half[..], ""), (&asked[..], "R E(53300)")] {
        let mut waiting = Vec::new();
        for _ in 0..40 {
            let mut client = Client::raw(door.addr).await;
            client.send(said).await;
            waiting.push(client);
        }
        let mut client = Client::connect(door.addr).await;
        assert_eq!(client.talk(&query("select a")).await, "T(value) D(a) C(SELECT 1) Z(I)");
        // The last three were there beside the one who logged in.
        let kept = waiting.split_off(37);
        for mut gone in waiting.drain(30..) {
            assert_eq!(script(&gone.until_end().await), expected);
        }
        drop(waiting);
        if said.is_empty() {
            for mut kept in kept {
                let frames = kept.login(3 << 16, &[("user", USER), ("database", "demo")], PASSWORD).await;
                assert_eq!(frames.last().unwrap().tag, 'Z', "{frames:?}");
            }
        }
    }
    door.stop().await;
}

#[tokio::test]
async fn who_logs_in_has_a_time_for_it() {
    let mut config = config();
    config.authentication_timeout = Duration::from_millis(150);
    let door = serve_with(config).await;
    let mut idle = Client::connect(door.addr).await;
    for (said, expected) in
        [(Vec::new(), ""), (vec![0, 0, 0, 60], ""), (startup(3 << 16, &[("user", USER)]), "R E(57014)")]
    {
        let mut client = Client::raw(door.addr).await;
        client.send(&said).await;
        assert_eq!(script(&client.until_end().await), expected);
    }
    assert_eq!(idle.talk(&query("select a")).await, "T(value) D(a) C(SELECT 1) Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn a_cancel_comes_through_where_all_places_are_taken() {
    let mut config = config();
    config.connection_max = 1;
    let door = serve_with(config).await;
    let mut client = Client::connect(door.addr).await;
    client.send(&query("endless")).await;
    assert_eq!(client.read().await.tag, 'T');
    let mut other = Client::raw(door.addr).await;
    let body = [&80_877_102_u32.to_be_bytes()[..], &client.process_id.to_be_bytes(), &client.secret].concat();
    other.send(&packet(&body)).await;
    assert!(other.until_end().await.is_empty());
    assert_eq!(error_field(client.until_ready().await.iter().find(|frame| frame.tag == 'E').unwrap(), 'C'), "57014");
    door.stop().await;
}
