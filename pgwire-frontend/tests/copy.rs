//! COPY out in its three formats, message by message, and cursors of SQL described as portals.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{Client, bind, describe, execute, parse, query, sync};
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
