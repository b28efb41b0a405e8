//! Workers and gates that die: answers are right or errors, and nothing is left behind.

use super::world::{World, answer, free_port, until};
use querygate_tests::server::runtime;
use std::time::Duration;

const SQL: &str = "SELECT count(*), sum(l_quantity), sum(l_extendedprice) FROM lineitem";

/// Whatever dies in the middle of statements, each answer is the whole one or an error with a code of its own.
#[test]
fn a_worker_that_is_killed_costs_no_wrong_answer() {
    let world = World::new();
    let ports = [free_port(), free_port()];
    let [first, second] = ports.map(|port| world.worker(port));
    let gate = world.gate(&ports);
    let _entered = runtime().enter();
    runtime().block_on(async {
        let client = gate.client("ours").await;
        client.simple_query("SET querygate.workers = on").await.unwrap();
        let right = answer(&client, SQL).await.unwrap();
        let judged = |found: &Result<Vec<Vec<Option<String>>>, (String, String)>| match found {
            Ok(rows) => assert_eq!(*rows, right),
            Err((code, text)) => assert!(["08001", "08006"].contains(&code.as_str()), "{code} {text}"),
        };
        // In the middle of many: some statements are under way.
        let asked = tokio::spawn({
            let others = gate.client("ours").await;
            async move {
                others.simple_query("SET querygate.workers = on").await.unwrap();
                let mut found = Vec::new();
                for _ in 0..20 {
                    found.push(answer(&others, SQL).await);
                }
                found
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.kill();
        asked.await.unwrap().iter().for_each(judged);
        // The other one answers for both.
        for _ in 0..3 {
            assert_eq!(answer(&client, SQL).await.unwrap(), right);
        }
        second.kill();
        let (code, text) = answer(&client, SQL).await.unwrap_err();
        assert_eq!((code.as_str(), text.as_str()), ("08001", "no worker is available"));
        client.simple_query("SET querygate.workers = off").await.unwrap();
        assert_eq!(answer(&client, SQL).await.unwrap(), right, "the gate itself");
        // A worker that comes back is found again.
        let again = world.worker(ports[0]);
        client.simple_query("SET querygate.workers = on").await.unwrap();
        assert_eq!(answer(&client, SQL).await.unwrap(), right);
        again.kill();
    });
}

/// A part that nobody reads any more ends on the worker: after a cancel, and after the gate was killed.
#[test]
fn what_nobody_waits_for_ends_on_the_worker() {
    let world = World::new();
    let port = free_port();
    let worker = world.worker(port);
    let gate = world.gate(&[port]);
    let opened = async || {
        let client = gate.client("boss").await;
        client.simple_query("SET querygate.workers = on").await.unwrap();
        client.simple_query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM lineitem; FETCH 1 FROM c").await.unwrap();
        client
    };
    let running = |client: &tokio_postgres::Client| {
        runtime().block_on(async {
            answer(client, "SELECT sum(running) FROM querygate.workers").await.unwrap()[0][0].clone()
        })
    };
    let watcher = runtime().block_on(gate.client("boss"));
    // The cursor is closed.
    let client = runtime().block_on(opened());
    until("a part runs", Duration::from_secs(20), || running(&watcher).as_deref() != Some("0"));
    runtime().block_on(client.simple_query("CLOSE c; ROLLBACK")).unwrap();
    until("no part runs after CLOSE", Duration::from_secs(5), || running(&watcher).as_deref() == Some("0"));
    // The client goes away.
    let client = runtime().block_on(opened());
    until("a part runs", Duration::from_secs(20), || running(&watcher).as_deref() != Some("0"));
    drop(client);
    until("no part runs without its client", Duration::from_secs(5), || running(&watcher).as_deref() == Some("0"));
    // The gate is killed.
    let _client = runtime().block_on(opened());
    // A file is open while a piece of it is read, and closed in between.
    let parts = || worker.metric("querygate_parts_running");
    until("a part runs", Duration::from_secs(20), || parts() > 0.0);
    gate.signal("KILL");
    until("no part runs without a gate", Duration::from_secs(5), || parts() == 0.0 && worker.open_files() == 0);
    assert_eq!(worker.stop(), Some(0));
}
