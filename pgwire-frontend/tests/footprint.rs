//! Memory of idle connections, and that a large result does not gather in memory.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "says what was measured or skipped")]

mod common;

use common::client::{Client, query};
use common::{config, serve_with};

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Clients live in this process too, so the figure is an upper bound.
#[tokio::test]
async fn idle_connections_cost_little_and_large_results_stay_flat() {
    let mut config = config();
    config.connection_max = 1_000;
    let door = serve_with(config).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(door.addr).await;
        client.talk(&query("rows 1000")).await;
        clients.push(client);
    }
    let before = resident();
    for _ in 0..350 {
        let mut client = Client::connect(door.addr).await;
        client.talk(&query("rows 1000")).await;
        clients.push(client);
    }
    let each = resident().saturating_sub(before) / 350;
    eprintln!("{each} bytes per idle connection, its client included");
    assert!(each <= 8 * 1024, "{each}");
    let mut reader = clients.pop().unwrap();
    let before = resident();
    reader.send(&query("rows 300000")).await;
    let (mut rows, mut most) = (0, 0);
    loop {
        match reader.read().await.tag {
            'D' => rows += 1,
            'Z' => break,
            _ => {}
        }
        if rows % 10_000 == 0 {
            most = most.max(resident().saturating_sub(before));
        }
    }
    eprintln!("{most} bytes more while reading {rows} rows");
    assert_eq!(rows, 300_000);
    assert!(most <= 8 * 1024 * 1024, "{most}");
    drop((clients, reader));
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    door.stop().await;
}
