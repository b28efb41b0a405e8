//! Transcripts of whole sessions over a real port: startup, simple and extended protocol, portals, bounds.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{
    Client, bind, close, describe, error_field, execute, frame, packet, parse, query, script, startup, sync,
};
use common::fake::{PASSWORD, USER};
use common::{config, serve, serve_with};

#[tokio::test]
async fn login_reports_settings_and_a_key() {
    let door = serve().await;
    let mut client = Client::raw(door.addr).await;
    let frames = client.login(3 << 16, &[("user", USER), ("database", "demo")], PASSWORD).await;
    assert_eq!(script(&frames), "R R S(server_version 15.18) S(client_encoding UTF8) K Z(I)");
    assert_eq!(client.secret.len(), 4);
    assert_eq!(client.talk(&query("select user")).await, "T(value) D(ada) C(SELECT 1) Z(I)");
    client.send(&frame(b'X', &[])).await;
    assert!(client.until_end().await.is_empty());
    door.stop().await;
}

#[tokio::test]
async fn refused_logins_say_why_and_close() {
    let door = serve().await;
    let check = async |parameters: &[(&str, &str)], password: &str, sqlstate: &str, message: &str| {
        let mut client = Client::raw(door.addr).await;
        let frames = client.login(3 << 16, parameters, password).await;
        let last = frames.last().unwrap();
        assert_eq!(error_field(last, 'C'), sqlstate, "{parameters:?}");
        assert_eq!(error_field(last, 'S'), "FATAL");
        assert_eq!(error_field(last, 'M'), message);
        assert!(client.try_read().await.is_none());
    };
    check(&[("user", USER)], "wrong", "28P01", "password authentication failed for user \"ada\"").await;
    check(&[("user", "nobody")], PASSWORD, "28P01", "password authentication failed for user \"nobody\"").await;
    check(&[("user", USER), ("database", "x")], PASSWORD, "3D000", "database \"x\" does not exist").await;
    check(
        &[("user", USER), ("work_memory", "1")],
        PASSWORD,
        "42704",
        "unrecognized configuration parameter \"work_memory\"",
    )
    .await;
    check(&[("user", USER), ("replication", "true")], PASSWORD, "0A000", "replication connections are not supported")
        .await;
    check(&[], PASSWORD, "28000", "no PostgreSQL user name specified in startup packet").await;
    door.stop().await;
}

#[tokio::test]
async fn newer_protocols_are_negotiated() {
    let door = serve().await;
    let check = async |version: u32, negotiated: bool, secret_bytes: usize| {
        let mut client = Client::raw(door.addr).await;
        let options = if negotiated { vec![("user", USER), ("_pq_.wish", "1")] } else { vec![("user", USER)] };
        client.send(&startup(version, &options)).await;
        let first = client.read().await;
        if negotiated {
            let expected =
                [&(3_u32 << 16 | (version & 0xffff).min(2)).to_be_bytes()[..], &1_u32.to_be_bytes(), b"_pq_.wish\0"];
            assert_eq!((first.tag, first.body), ('v', expected.concat()));
            client.read().await;
        } else {
            assert_eq!(first.tag, 'R');
        }
        client.scram(PASSWORD, "n,,", b"n,,", "SCRAM-SHA-256").await;
        assert_eq!(client.secret.len(), secret_bytes);
    };
    check(3 << 16, false, 4).await;
    check(3 << 16 | 2, false, 32).await;
    check(3 << 16 | 2, true, 32).await;
    check(3 << 16 | 9999, true, 32).await;
    let mut client = Client::raw(door.addr).await;
    client.send(&startup(4 << 16, &[("user", USER)])).await;
    assert_eq!(error_field(&client.read().await, 'C'), "0A000");
    door.stop().await;
}

#[tokio::test]
async fn encryption_requests_without_tls_are_answered_no() {
    let door = serve().await;
    let mut client = Client::raw(door.addr).await;
    for code in [80_877_104_u32, 80_877_103] {
        client.send(&packet(&code.to_be_bytes())).await;
        let mut answer = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut answer).await.unwrap();
        assert_eq!(answer, *b"N");
    }
    let frames = client.login(3 << 16, &[("user", USER)], PASSWORD).await;
    assert_eq!(frames.last().unwrap().tag, 'Z');
    door.stop().await;
}

#[tokio::test]
async fn simple_queries_run_statement_by_statement() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let mut check = async |sql: &str, expected: &str| assert_eq!(client.talk(&query(sql)).await, expected, "{sql}");
    check("", "I Z(I)").await;
    check(" ; ", "I Z(I)").await;
    check("rows 3", "T(id,name) D(0|~) D(1|n1) D(2|n2) C(SELECT 3) Z(I)").await;
    check("rows 0", "T(id,name) C(SELECT 0) Z(I)").await;
    check("select a; select b", "T(value) D(a) C(SELECT 1) T(value) D(b) C(SELECT 1) Z(I)").await;
    check("select a; nonsense; select b", "T(value) D(a) C(SELECT 1) E(22012) Z(I)").await;
    check("begin", "C(BEGIN) Z(T)").await;
    check("nonsense", "E(22012) Z(E)").await;
    check("select a", "E(25P02) Z(E)").await;
    check("rollback", "C(ROLLBACK) Z(I)").await;
    check("set TimeZone = Asia/Tokyo", "C(SET) S(TimeZone Asia/Tokyo) Z(I)").await;
    check("notice hello", "N(00000) C(DO) Z(I)").await;
    check("echo int4", "E(42P02) Z(I)").await;
    door.stop().await;
}

#[tokio::test]
async fn errors_carry_their_place_in_the_whole_text() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let mut position = async |sql: &str| {
        client.send(&query(sql)).await;
        let frames = client.until_ready().await;
        error_field(frames.iter().find(|frame| frame.tag == 'E').unwrap(), 'P')
    };
    assert_eq!(position("missing x").await, "9");
    assert_eq!(position("select 'ä'; missing x").await, "21");
    assert_eq!(position("select ä syntax!").await, "10");
    door.stop().await;
}

#[tokio::test]
async fn internal_errors_and_panics_hide_their_cause() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let mut other = Client::connect(door.addr).await;
    client.send(&query("boom")).await;
    let frames = client.until_ready().await;
    assert_eq!(error_field(&frames[0], 'M'), "internal error");
    assert!(error_field(&frames[0], 'D').starts_with("Incident "));
    assert!(!String::from_utf8_lossy(&frames[0].body).contains("secret"));
    client.send(&query("select a; panic")).await;
    let frames = client.until_end().await;
    assert_eq!(script(&frames), "T(value) D(a) C(SELECT 1) E(XX000)");
    assert_eq!(error_field(frames.last().unwrap(), 'S'), "FATAL");
    assert_eq!(other.talk(&query("select b")).await, "T(value) D(b) C(SELECT 1) Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn the_extended_protocol_parses_binds_describes_and_executes() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let batch = [
        parse("", "echo int4,text", &[]),
        describe(b'S', ""),
        bind("", "", &[1, 0], &[Some(&[0, 0, 0, 7]), Some(b"x")], &[]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let expected = "1 t(23,25) T(p1,p2) 2 T(p1,p2) D(7|x) C(SELECT 1) Z(I)";
    assert_eq!(client.talk(&batch.concat()).await, expected);
    let batch = [
        parse("s", "echo int4", &[]),
        bind("", "s", &[0], &[Some(b"258")], &[1]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    assert_eq!(
        client.talk(&batch.concat()).await,
        "1 2 T(p1:b) D(\u{0}\u{0}\u{1}\u{2}) C(SELECT 1) Z(I)".replace('\u{0}', " ")
    );
    let check = [
        (parse("s", "select a", &[]), "E(42P05) Z(I)"),
        (parse("t", "select a; select b", &[]), "E(42601) Z(I)"),
        (parse("t", "echo x", &[4_000_000]), "E(42704) Z(I)"),
        (bind("", "none", &[], &[], &[]), "E(26000) Z(I)"),
        (bind("", "s", &[], &[], &[]), "E(08P01) Z(I)"),
        (bind("", "s", &[0, 0], &[Some(b"1")], &[]), "E(08P01) Z(I)"),
        (bind("", "s", &[0], &[Some(b"1")], &[0, 0]), "E(08P01) Z(I)"),
        (bind("", "s", &[7], &[Some(b"1")], &[]), "E(22023) Z(I)"),
        (bind("", "s", &[0], &[Some(b"one")], &[]), "E(22P02) Z(I)"),
        (bind("", "s", &[1], &[Some(b"1")], &[]), "E(22P03) Z(I)"),
        (describe(b'S', "none"), "E(26000) Z(I)"),
        (describe(b'P', "none"), "E(34000) Z(I)"),
        (execute("none", 0), "E(34000) Z(I)"),
        (close(b'S', "none"), "3 Z(I)"),
        (close(b'S', "s"), "3 Z(I)"),
        (bind("", "s", &[], &[Some(b"1")], &[]), "E(26000) Z(I)"),
        (
            [parse("", "", &[]), bind("", "", &[], &[], &[]), describe(b'P', ""), execute("", 0)].concat(),
            "1 2 n I Z(I)",
        ),
        ([parse("", "begin", &[]), bind("", "", &[], &[], &[]), execute("", 0)].concat(), "1 2 C(BEGIN) Z(T)"),
        ([parse("", "rollback", &[]), bind("", "", &[], &[], &[]), execute("", 0)].concat(), "1 2 C(ROLLBACK) Z(I)"),
    ];
    for (message, expected) in check {
        assert_eq!(client.talk(&[message, sync()].concat()).await, expected);
    }
    door.stop().await;
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_skipped() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let one = |sql: &str| [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 0)].concat();
    let batch = [one("select a"), one("nonsense"), one("select b"), query("select c"), sync(), one("select d"), sync()];
    client.send(&batch.concat()).await;
    assert_eq!(script(&client.until_ready().await), "1 2 D(a) C(SELECT 1) 1 2 E(22012) Z(I)");
    assert_eq!(script(&client.until_ready().await), "1 2 D(d) C(SELECT 1) Z(I)");
    // Text that is not UTF-8 is the statement's fault, not the stream's.
    assert_eq!(client.talk(&frame(b'Q', b"select \xff\0")).await, "E(22021) Z(I)");
    assert_eq!(client.talk(&[frame(b'P', b"\0\xff\0\0\0"), one("select b"), sync()].concat()).await, "E(22021) Z(I)");
    assert_eq!(client.talk(&frame(b'F', b"\0\0\0\x07\0\0\0\0\0\0")).await, "E(0A000) Z(I)");
    assert_eq!(
        client.talk(&[frame(b'd', b"x"), frame(b'c', b""), query("select a")].concat()).await,
        "T(value) D(a) C(SELECT 1) Z(I)"
    );
    door.stop().await;
}

#[tokio::test]
async fn portals_are_read_in_parts_and_keep_their_stream() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    assert_eq!(client.talk(&query("begin")).await, "C(BEGIN) Z(T)");
    let open = [parse("", "rows 5", &[]), bind("a", "", &[], &[], &[]), execute("a", 2), sync()].concat();
    assert_eq!(client.talk(&open).await, "1 2 D(0|~) D(1|n1) s Z(T)");
    // Another statement and another portal in between.
    let other = [parse("", "rows 2", &[]), bind("b", "", &[], &[], &[]), execute("b", 1), sync()].concat();
    assert_eq!(client.talk(&other).await, "1 2 D(0|~) s Z(T)");
    assert_eq!(client.talk(&[execute("a", 2), sync()].concat()).await, "D(2|n2) D(3|~) s Z(T)");
    assert_eq!(
        client.talk(&[describe(b'P', "a"), execute("a", 0), sync()].concat()).await,
        "T(id,name) D(4|n4) C(SELECT 1) Z(T)"
    );
    assert_eq!(client.talk(&[execute("a", 0), sync()].concat()).await, "C(SELECT 0) Z(T)");
    // Exactly as many rows as there are: the end is not known yet.
    assert_eq!(client.talk(&[execute("b", 1), sync()].concat()).await, "D(1|n1) s Z(T)");
    assert_eq!(client.talk(&[execute("b", 1), sync()].concat()).await, "C(SELECT 0) Z(T)");
    let again = [bind("b", "", &[], &[], &[]), sync()].concat();
    assert_eq!(client.talk(&again).await, "E(42P03) Z(E)");
    assert_eq!(client.talk(&query("rollback")).await, "C(ROLLBACK) Z(I)");
    assert_eq!(client.talk(&[execute("a", 0), sync()].concat()).await, "E(34000) Z(I)");
    // Outside a transaction block a portal lives until Sync.
    let open = [
        parse("", "rows 5", &[]),
        bind("a", "", &[], &[], &[]),
        execute("a", 2),
        execute("a", 2),
        sync(),
        execute("a", 2),
        sync(),
    ];
    client.send(&open.concat()).await;
    assert_eq!(script(&client.until_ready().await), "1 2 D(0|~) D(1|n1) s D(2|n2) D(3|~) s Z(I)");
    assert_eq!(script(&client.until_ready().await), "E(34000) Z(I)");
    // A row count that nobody reserves memory for.
    let all = [parse("", "rows 2", &[]), bind("", "", &[], &[], &[]), execute("", i32::MAX), sync()].concat();
    assert_eq!(client.talk(&all).await, "1 2 D(0|~) D(1|n1) C(SELECT 2) Z(I)");
    let all = [bind("", "", &[], &[], &[]), execute("", -1), sync()].concat();
    assert_eq!(client.talk(&all).await, "2 D(0|~) D(1|n1) C(SELECT 2) Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn broken_frames_end_the_connection_with_a_reason() {
    let door = serve().await;
    for (bytes, before_login) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], true),
        (&[0, 0, 0, 4, 0, 0, 0, 0], true),
        (&[0x7f, 0xff, 0xff, 0xff], true),
        (b"?\0\0\0\x04", false),
        (b"Q\0\0\0\x03", false),
        (b"Q\xff\xff\xff\xff", false),
        (b"Q\x7f\xff\xff\xff", false),
        (b"Q\0\0\0\x05x", false),
        (b"S\0\0\0\x05x", false),
        (b"S\0\0\x7f\xff", false),
        (b"E\0\0\0\x05\0", false),
        (b"p\0\0\0\x04", false),
    ] {
        let mut client = if before_login { Client::raw(door.addr).await } else { Client::connect(door.addr).await };
        client.send(bytes).await;
        let frames = client.until_end().await;
        assert_eq!(script(&frames), "E(08P01)", "{bytes:?}");
        assert_eq!(error_field(&frames[0], 'S'), "FATAL");
    }
    // Before authentication only authentication messages are taken.
    let mut client = Client::raw(door.addr).await;
    client.send(&startup(3 << 16, &[("user", USER)])).await;
    client.read().await;
    client.send(&query("select a")).await;
    assert_eq!(script(&client.until_end().await), "E(08P01)");
    door.stop().await;
}

#[tokio::test]
async fn statements_portals_and_their_bytes_are_bounded() {
    let mut config = config();
    (config.statement_max, config.portal_max, config.held_bytes_max) = (2, 2, 1000);
    let door = serve_with(config).await;
    let mut client = Client::connect(door.addr).await;
    let one = |name: &str| [parse(name, "echo text", &[]), sync()].concat();
    assert_eq!(client.talk(&one("a")).await, "1 Z(I)");
    assert_eq!(client.talk(&one("b")).await, "1 Z(I)");
    assert_eq!(client.talk(&one("c")).await, "E(54000) Z(I)");
    let value = [b'x'; 2000];
    assert_eq!(client.talk(&[bind("p", "a", &[], &[Some(&value)], &[]), sync()].concat()).await, "E(53200) Z(I)");
    for _ in 0..3 {
        let portals = [bind("p", "a", &[], &[Some(b"x")], &[]), bind("q", "a", &[], &[Some(b"x")], &[])].concat();
        let third = bind("r", "a", &[], &[Some(b"x")], &[]);
        assert_eq!(client.talk(&[portals, third, sync()].concat()).await, "2 2 E(54000) Z(I)");
    }
    door.stop().await;
}

#[tokio::test]
async fn sql_deallocate_reaches_protocol_level_statements() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    for name in ["a", "b", "c"] {
        assert_eq!(client.talk(&[parse(name, "select x", &[]), sync()].concat()).await, "1 Z(I)");
    }
    assert_eq!(client.talk(&query("deallocate a")).await, "C(DEALLOCATE) Z(I)");
    assert_eq!(client.talk(&[describe(b'S', "a"), sync()].concat()).await, "E(26000) Z(I)");
    assert_eq!(client.talk(&[describe(b'S', "b"), sync()].concat()).await, "t() T(value) Z(I)");
    assert_eq!(client.talk(&query("deallocate all")).await, "C(DEALLOCATE) Z(I)");
    for name in ["b", "c"] {
        assert_eq!(client.talk(&[describe(b'S', name), sync()].concat()).await, "E(26000) Z(I)");
    }
    door.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let one = |n: usize| {
        [parse("", &format!("select {n}"), &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat()
    };
    let all: Vec<u8> = (0..500).flat_map(one).collect();
    client.send(&all).await;
    for n in 0..500 {
        assert_eq!(script(&client.until_ready().await), format!("1 2 D({n}) C(SELECT 1) Z(I)"));
    }
    // A byte at a time.
    for byte in query("select a") {
        client.send(&[byte]).await;
    }
    assert_eq!(script(&client.until_ready().await), "T(value) D(a) C(SELECT 1) Z(I)");
    door.stop().await;
}
