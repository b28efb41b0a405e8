//! What is seen of workers: EXPLAIN ANALYZE, metrics, names of DNS.

use super::world::{USERS, World, answer, free_port, until};
use querygate_tests::server::runtime;
use std::time::Duration;
use tokio_postgres::Client;

/// What EXPLAIN ANALYZE says of workers.
async fn analyzed(client: &Client, sql: &str) -> Vec<String> {
    client.simple_query("SET querygate.workers = on").await.unwrap();
    let rows = answer(client, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    let lines = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    lines.filter(|line| line.starts_with("Worker")).collect()
}

fn figure(line: &str, name: &str) -> f64 {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().unwrap()
}

/// Operators hear which worker gave how much; who reads under a row policy hears no figure and no name of a worker.
#[test]
fn explain_analyze_tells_who_read_what() {
    let world = World::new();
    let ports = [free_port(), free_port()];
    let _workers = ports.map(|port| world.worker(port));
    let gate = world.gate(&ports);
    runtime().block_on(async {
        let sql = "SELECT l_orderkey, l_comment FROM lineitem";
        let boss = gate.client("boss").await;
        let all: f64 =
            answer(&boss, "SELECT count(*) FROM lineitem").await.unwrap()[0][0].as_ref().unwrap().parse().unwrap();
        let lines = analyzed(&boss, sql).await;
        let told: Vec<&String> = lines.iter().filter(|line| line.starts_with("Worker localhost:")).collect();
        assert!(!told.is_empty() && told.iter().all(|line| line.contains(": lineitem: ")), "{lines:?}");
        assert_eq!(told.iter().map(|line| figure(line, "rows")).sum::<f64>(), all, "{lines:?}");
        for line in &told {
            // Two columns of some twenty bytes or more, as they travel.
            assert!(figure(line, "parts") >= 1.0 && figure(line, "bytes") > figure(line, "rows") * 16.0, "{line}");
            assert!(figure(line, "time") > 0.0 && figure(line, "time") < 60_000.0, "{line}");
        }
        let joined = analyzed(&boss, "SELECT n_name FROM nation JOIN region ON n_regionkey = r_regionkey").await;
        for table in [": nation: ", ": region: "] {
            assert!(joined.iter().any(|line| line.starts_with("Worker ") && line.contains(table)), "{joined:?}");
        }
        for user in USERS.iter().filter(|user| **user != "boss") {
            let client = gate.client(user).await;
            let lines = analyzed(&client, sql).await;
            assert_eq!(lines[1..], ["Workers: lineitem: figures are for readers without a row policy"], "{lines:?}");
            assert!(lines[0].starts_with("Workers: lineitem: read by workers"), "{lines:?}");
            assert!(!lines.concat().contains("localhost"), "{lines:?}");
        }
        boss.simple_query("SET querygate.workers = off").await.unwrap();
        let rows = answer(&boss, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
        assert!(rows.iter().flatten().flatten().all(|line| !line.starts_with("Worker")), "{rows:?}");
    });
}

#[test]
fn gate_and_workers_count_what_they_move() {
    let world = World::new();
    let port = free_port();
    let worker = world.worker(port);
    let gate = world.gate(&[port]);
    runtime().block_on(async {
        let client = gate.client("ours").await;
        client.simple_query("SET querygate.workers = on").await.unwrap();
        answer(&client, "SELECT l_comment FROM lineitem").await.unwrap();
    });
    let metrics = gate.get("/metrics");
    let counted = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).trim().parse::<f64>().unwrap()
    };
    let of_worker = |name: &str| counted(&format!("querygate_worker_{name}_total{{worker=\"localhost:{port}\"}}"));
    assert!(of_worker("parts") >= 1.0 && of_worker("rows") > 50_000.0 && of_worker("bytes") > of_worker("rows"));
    assert_eq!((counted("querygate_workers"), counted("querygate_workers_up")), (1.0, 1.0));
    assert_eq!(of_worker("rows"), worker.metric("querygate_part_rows_total"));
    assert_eq!(of_worker("bytes"), worker.metric("querygate_part_bytes_total"));
    assert_eq!(of_worker("parts"), worker.metric("querygate_parts_total{outcome=\"done\"}"));
    assert_eq!(worker.metric("querygate_parts_running"), 0.0);
    assert!(worker.get("/readyz").starts_with("HTTP/1.1 200") && worker.get("/healthz").starts_with("HTTP/1.1 200"));
    let names = worker.get("/metrics");
    assert!(!names.contains("lineitem") && !names.contains("ours"), "{names}");
}

/// A name of DNS is looked up while the gate runs; a worker behind it is found when it starts, and left when it is gone.
#[test]
fn workers_are_found_by_a_name() {
    let world = World::new();
    let port = free_port();
    let gate = world.gate_of(&format!("names = [\"localhost:{port}\"]"));
    let client = runtime().block_on(gate.client("boss"));
    let ask = |sql: &str| runtime().block_on(answer(&client, sql));
    let known = "SELECT name, address FROM querygate.workers ORDER BY address";
    until("the name is looked up", Duration::from_secs(20), || !ask(known).unwrap().is_empty());
    let found = ask(known).unwrap();
    let own = [format!("localhost:{port}"), format!("127.0.0.1:{port}")].map(Some).to_vec();
    assert!(found.contains(&own), "{found:?}");
    ask("SET querygate.workers = on").unwrap();
    assert_eq!(ask("SELECT count(*) FROM nation").unwrap_err().0, "08001");
    let worker = world.worker(port);
    let right = Some(ask("SET querygate.workers = off").and_then(|_| ask("SELECT count(*) FROM nation")).unwrap());
    ask("SET querygate.workers = on").unwrap();
    until("the worker answers", Duration::from_secs(20), || ask("SELECT count(*) FROM nation").ok() == right);
    assert!(worker.metric("querygate_parts_total{outcome=\"done\"}") > 0.0);
    assert_eq!(worker.stop(), Some(0));
}
