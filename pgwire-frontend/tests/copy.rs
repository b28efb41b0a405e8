//! COPY out in its three formats, message by message, and cursors of SQL described as portals.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{Client, bind, describe, execute, frame, parse, query, script, sync};
use common::serve;

#[tokio::test]
async fn copy_out_comes_in_text_csv_and_binary() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    assert_eq!(
        client.talk(&query("copy text")).await,
        "H d(0\t\\N\n) d(1\tn1\n) d(2\tn2\n) d(3\t\\N\n) c C(COPY 4) Z(I)"
    );
    assert_eq!(
        client.talk(&query("copy csv")).await,
        "H d(id,name\n) d(0,\n) d(1,n1\n) d(2,n2\n) d(3,\n) c C(COPY 4) Z(I)"
    );
    let extended =
        [parse("", "copy binary", &[]), bind("", "", &[], &[], &[1]), describe(b'P', ""), execute("", 0), sync()];
    client.send(&extended.concat()).await;
    let frames = client.until_ready().await;
    let tags: String = frames.iter().map(|frame| frame.tag).collect();
    assert_eq!(tags, "12nHdddddcCZ");
    assert_eq!(frames[3].body, [1, 0, 2, 0, 1, 0, 1]);
    let data: Vec<u8> = frames.iter().filter(|frame| frame.tag == 'd').flat_map(|frame| frame.body.clone()).collect();
    assert!(data.starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\0\xff\xff\xff\xff\0\x02"));
    assert!(data.ends_with(&[255, 255]));
    let each: Vec<usize> = frames.iter().filter(|frame| frame.tag == 'd').map(|frame| frame.body.len()).collect();
    assert_eq!(
        each,
        [19 + 14, 16, 16, 14, 2],
        "one message per row, the header in the first, as PostgreSQL sends them"
    );
    door.stop().await;
}

fn data(text: &str) -> Vec<u8> {
    frame(b'd', text.as_bytes())
}

#[tokio::test]
async fn copy_in_takes_rows_and_says_what_is_wrong_with_them() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let done = frame(b'c', b"");
    let many: String = (0..20_000).map(|at| format!("{at}\tn\n")).collect();
    for (sql, sent, expected) in [
        ("copyin text", vec![data("1\ta\n2"), data("\t\\N\n"), done.clone()], "C(COPY 2) Z(I)"),
        ("copyin csv", vec![data("1,\"a\nb\"\n"), frame(b'H', b""), done.clone()], "C(COPY 1) Z(I)"),
        ("copyin text", vec![data(&many), done.clone()], "C(COPY 20000) Z(I)"),
        ("copyin text", vec![done.clone()], "C(COPY 0) Z(I)"),
        ("copyin text", vec![data("x\ta\n"), data("1\ta\n"), done.clone()], "E(22P02) Z(I)"),
        ("copyin text", vec![data("1\n"), done.clone()], "E(22P04) Z(I)"),
        ("copyin text", vec![data("1\ta\n"), frame(b'f', b"enough\0")], "E(57014) Z(I)"),
        ("copyin refused", vec![data(&many), done.clone()], "E(23505) Z(I)"),
        ("copyin text", vec![query("rows 1")], "E(08P01) Z(I)"),
    ] {
        client.send(&[query(sql), sent.concat()].concat()).await;
        let frames = client.until_ready().await;
        assert_eq!((frames[0].tag, frames[0].body.as_slice()), ('G', &[0, 0, 2, 0, 0, 0, 0][..]), "{sql}");
        assert_eq!(script(&frames[1..]), expected, "{sql}");
        // What is left of the data is thrown away.
        assert_eq!(client.talk(&query("select x")).await, "T(value) D(x) C(SELECT 1) Z(I)", "{sql}");
    }
    door.stop().await;
}

#[tokio::test]
async fn copy_in_by_the_extended_protocol_skips_to_the_sync_behind_its_data() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let begin = || [parse("", "copyin text", &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat();
    for (sent, expected) in [("1\ta\n", "C(COPY 1) Z(I)"), ("x\ta\n", "E(22P02) Z(I)")] {
        client.send(&[begin(), data(sent), frame(b'c', b""), sync()].concat()).await;
        let frames = client.until_ready().await;
        let tags: String = frames.iter().map(|frame| frame.tag).collect();
        assert!(tags.starts_with("12G"), "{tags}");
        assert_eq!(script(&frames[3..]), expected);
    }
    assert_eq!(client.talk(&query("select x")).await, "T(value) D(x) C(SELECT 1) Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn a_cursor_of_sql_is_described_as_a_portal() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let answer = client.talk(&[describe(b'P', "declared"), sync()].concat()).await;
    assert_eq!(answer, "T(id,name) Z(I)");
    let answer = client.talk(&[describe(b'P', "other"), sync()].concat()).await;
    assert_eq!(answer, "E(34000) Z(I)");
    door.stop().await;
}
