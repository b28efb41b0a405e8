//! Workers and gates that are killed again and again while statements run: right answers or errors, and nothing left behind.
//! `WORKER_KILLS=50 cargo test --test workers kills` kills each as often.

use super::world::{Worker, World, answer, free_port, until};
use querygate_tests::server::{Server, runtime};
use std::time::Duration;

/// Each of the two is killed as often.
const KILLS: usize = 2;
/// Sessions that ask, and statements of each in one round.
const SESSIONS: usize = 3;
const ASKED: usize = 4;

const STATEMENTS: [&str; 3] = [
    "SELECT count(*), sum(l_quantity), min(l_comment), max(l_shipdate) FROM lineitem",
    "SELECT o_orderpriority, count(*) FROM orders JOIN lineitem ON l_orderkey = o_orderkey AND orders.tenant = lineitem.tenant \
     GROUP BY 1 ORDER BY 1",
    "SELECT c_custkey, c_phone FROM customer ORDER BY c_custkey, c_phone",
];

type Answer = Result<Vec<Vec<Option<String>>>, (String, String)>;

/// Runs statements in sessions of their own while something is killed; what each of them came to.
fn under_load(gate: &Server, kill: impl FnOnce()) -> Vec<(usize, Answer)> {
    let clients: Vec<_> = (0..SESSIONS).map(|_| runtime().block_on(gate.client("ours"))).collect();
    let asking = clients.into_iter().enumerate().map(|(session, client)| {
        runtime().spawn(async move {
            let mut found = Vec::new();
            if let Err(error) = answer(&client, "SET querygate.workers = on").await {
                return vec![(0, Err(error))];
            }
            for number in 0..ASKED {
                let which = (session + number) % STATEMENTS.len();
                found.push((which, answer(&client, STATEMENTS[which]).await));
            }
            found
        })
    });
    let asking: Vec<_> = asking.collect();
    kill();
    asking.into_iter().flat_map(|session| runtime().block_on(session).unwrap()).collect()
}

/// Nothing runs, is open or lies about.
fn is_idle(worker: &Worker) -> bool {
    worker.open_files() == 0 && worker.metric("querygate_parts_running") == 0.0 && worker.temporary_files() == 0
}

#[test]
fn killed_again_and_again() {
    let kills: usize = std::env::var("WORKER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let world = World::new();
    let ports = [free_port(), free_port()];
    let mut workers = ports.map(|port| Some(world.worker(port)));
    let mut gate = world.gate(&ports);
    let right =
        STATEMENTS.map(|sql| runtime().block_on(async { answer(&gate.client("ours").await, sql).await.unwrap() }));
    let judged = |found: &[(usize, Answer)], codes: &[&str]| -> usize {
        for (which, found) in found {
            match found {
                Ok(rows) => assert_eq!(*rows, right[*which]),
                Err((code, text)) => assert!(codes.contains(&code.as_str()), "{code} {text}"),
            }
        }
        found.iter().filter(|(_, found)| found.is_ok()).count()
    };
    let (mut answered, mut failed, mut held) = (0, 0, [0; 2]);
    for round in 0..2 * kills {
        let pause = Duration::from_millis(u64::try_from(round * 37 % 400).unwrap());
        let (at, worker_dies) = (round / 2 % 2, round % 2 == 0);
        let found = if worker_dies {
            let worker = workers[at].take().unwrap();
            let found = under_load(&gate, || {
                std::thread::sleep(pause);
                worker.kill();
            });
            workers[at] = Some(world.worker(ports[at]));
            answered += judged(&found, &["08001", "08006"]);
            found
        } else {
            let found = under_load(&gate, || {
                std::thread::sleep(pause);
                gate.signal("KILL");
            });
            answered += judged(&found, &["connection", "08001", "08006"]);
            found
        };
        failed += found.iter().filter(|(_, found)| found.is_err()).count();
        for worker in workers.iter().flatten() {
            until("a worker is idle", Duration::from_secs(8), || is_idle(worker));
        }
        if !worker_dies {
            gate = world.gate(&ports);
        }
        // All are there again, and each answer is right.
        let found = under_load(&gate, || ());
        assert_eq!(judged(&found, &[]), SESSIONS * ASKED);
        for (held, worker) in held.iter_mut().zip(workers.iter().flatten()) {
            *held = worker.resident_bytes().max(*held);
        }
    }
    println!(
        "{kills} kills of workers and as many of gates: {answered} right answers, {failed} errors; most memory {held:?}"
    );
    assert!(held.iter().all(|held| *held < 600 << 20), "{held:?}");
    let running = runtime().block_on(async {
        answer(&gate.client("boss").await, "SELECT sum(running) FROM querygate.workers").await.unwrap()
    });
    assert_eq!(running, [[Some("0".to_owned())]]);
    for worker in workers.into_iter().flatten() {
        assert_eq!(worker.stop(), Some(0));
    }
}
