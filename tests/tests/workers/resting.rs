//! Readers that rest: rows of theirs that are under way stop nobody else.

use super::world::{World, answer, free_port};
use querygate_tests::server::runtime;
use std::time::Duration;

/// Each holds two parts, of which the worker runs sixteen at once.
const CURSORS: usize = 3;

/// All parts that are read from one worker share a connection.
#[test]
fn open_cursors_do_not_stop_the_statements_of_others() {
    let world = World::new();
    let port = free_port();
    let _worker = world.worker_over_with(port, "data", "parts_max = 16");
    let gate = world.gate(&[port]);
    runtime().block_on(async {
        let mut resting = Vec::new();
        for _ in 0..CURSORS {
            let client = gate.client("boss").await;
            for sql in [
                "SET querygate.workers = on",
                "BEGIN",
                "DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM lineitem",
                "FETCH 1 FROM rows",
            ] {
                answer(&client, sql).await.unwrap();
            }
            resting.push(client);
        }
        // What the worker sends ahead has come.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let client = gate.client("ours").await;
        client.simple_query("SET querygate.workers = on").await.unwrap();
        let asked = answer(&client, "SELECT count(l_comment), min(l_comment) FROM lineitem WHERE l_linenumber + 0 > 0");
        let found = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("others are not stopped");
        assert_eq!(found.unwrap()[0][0].as_deref(), Some("60175"));
        // And the cursors go on to their end.
        for client in &resting {
            let rows = answer(client, "FETCH ALL FROM rows").await.unwrap();
            assert!(rows.len() > 60_000, "{}", rows.len());
        }
    });
}
