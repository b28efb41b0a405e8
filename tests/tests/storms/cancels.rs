//! Clients that cancel, run out of time and leave at random moments of their changes: what they began is done or undone as a whole, and
//! soon nothing of it is left at the source.

use crate::place::{ACCOUNTS, AMOUNT, Place, address, open};
use crate::rounds;
use querygate_tests::harness::Rng;
use querygate_tests::server::runtime;
use std::time::{Duration, Instant};
use tokio_postgres::{Config, NoTls};

const CLIENTS: usize = 6;
const STATEMENTS: usize = 12;

/// Changes of every row that were acknowledged, and those of which nobody knows.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    acknowledged: i64,
    refused: i64,
    unknown: i64,
}

/// How a statement is disturbed, and when.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    Nothing,
    Cancel(Duration),
    Timeout(Duration),
    Leave(Duration),
}

fn disturbance(rng: &mut Rng) -> Disturbance {
    let moment = Duration::from_micros(rng.below(120_000) as u64);
    match rng.below(8) {
        0 => Disturbance::Nothing,
        1..=3 => Disturbance::Cancel(moment),
        4 | 5 => Disturbance::Timeout(moment.max(Duration::from_millis(1))),
        _ => Disturbance::Leave(moment),
    }
}

/// A change of all rows: as one statement, in a transaction, behind locks, or by way of what is given back.
fn change(rng: &mut Rng) -> &'static str {
    let all = [
        "UPDATE accounts SET amount = amount + 1",
        "UPDATE accounts SET amount = amount + 1 RETURNING id, amount",
        "BEGIN; UPDATE accounts SET amount = amount + 1 WHERE id < 'a020'; UPDATE accounts SET amount = amount + 1 WHERE id >= 'a020'; COMMIT",
        "BEGIN; SELECT id FROM accounts FOR UPDATE; SAVEPOINT s; UPDATE accounts SET amount = 0; ROLLBACK TO s; \
         UPDATE accounts SET amount = amount + 1; COMMIT",
        "INSERT INTO accounts (id, region, amount) SELECT id, region, 1 FROM accounts ON CONFLICT (id) \
         DO UPDATE SET amount = accounts.amount + excluded.amount",
    ];
    all[rng.below(all.len())]
}

async fn disturbed(gate: Config, mut rng: Rng) -> Count {
    let (mut count, mut session) = (Count::default(), None);
    for _ in 0..STATEMENTS {
        let client = match session.take() {
            Some(client) => client,
            None => open(&gate).await.unwrap(),
        };
        let (sql, how) = (change(&mut rng), disturbance(&mut rng));
        if let Disturbance::Timeout(after) = how {
            let set = format!("SET statement_timeout = '{}ms'", after.as_millis());
            client.batch_execute(&set).await.unwrap();
        }
        let canceller = client.cancel_token();
        let answer = {
            let mut running = Box::pin(client.batch_execute(sql));
            match how {
                Disturbance::Nothing | Disturbance::Timeout(_) => Some(running.await),
                Disturbance::Cancel(after) => match tokio::time::timeout(after, &mut running).await {
                    Ok(answer) => Some(answer),
                    Err(_) => {
                        canceller.cancel_query(NoTls).await.unwrap();
                        Some(running.await)
                    }
                },
                Disturbance::Leave(after) => tokio::time::timeout(after, running).await.ok(),
            }
        };
        match answer {
            // The session is dropped, and with it its connection.
            None => {
                count.unknown += 1;
                continue;
            }
            Some(Ok(())) => count.acknowledged += 1,
            Some(Err(error)) => {
                let code =
                    error.as_db_error().unwrap_or_else(|| panic!("{how:?} {sql}: {error:?}")).code().code().to_owned();
                assert!(
                    matches!(code.as_str(), "57014" | "40001" | "40P01" | "55P03" | "25P02"),
                    "{how:?} {sql}: {error:?}"
                );
                count.refused += 1;
            }
        }
        client.batch_execute("ROLLBACK; SET statement_timeout = 0").await.unwrap();
        session = Some(client);
    }
    count
}

fn storm(place: &Place, name: &str) {
    let gate = place.serve();
    let mut all = Count::default();
    for round in 0..rounds(3) {
        let counts = runtime().block_on(async {
            let clients = (0..CLIENTS).map(|client| {
                let rng = Rng::part(11, (round * CLIENTS + client) as u64);
                tokio::spawn(disturbed(address(&gate), rng))
            });
            futures::future::join_all(clients).await
        });
        for count in counts.into_iter().map(Result::unwrap) {
            all.acknowledged += count.acknowledged;
            all.refused += count.refused;
            all.unknown += count.unknown;
        }
        place.settle();
        let amounts = place
            .stored("SELECT concat(min(amount), '|', max(amount), '|', count(*)) FROM accounts WHERE region = 'eu'");
        let parts: Vec<i64> = amounts[0].split('|').map(|part| part.parse().unwrap()).collect();
        let [least, most, rows] = parts[..] else { panic!("{amounts:?}") };
        assert_eq!(
            (least, rows),
            (most, i64::try_from(ACCOUNTS).unwrap()),
            "{name}: a change was stored by half: {amounts:?}"
        );
        let changes = least - AMOUNT;
        assert!(
            changes >= all.acknowledged && changes <= all.acknowledged + all.unknown,
            "{name}: {changes} changes are stored of {all:?}"
        );
        let others = place.stored("SELECT concat(min(amount), '|', max(amount)) FROM accounts WHERE region = 'us'");
        assert_eq!(others, [format!("{AMOUNT}|{AMOUNT}")]);
        // The writer's place is free.
        let began = Instant::now();
        runtime().block_on(async {
            let client = open(&address(&gate)).await.unwrap();
            client.batch_execute("UPDATE accounts SET amount = amount + 1").await.unwrap();
        });
        all.acknowledged += 1;
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: the next change took {:?}", began.elapsed());
    }
    println!("{name}: cancel storm: {all:?}");
    assert!(all.acknowledged > 3 && all.refused > 3 && all.unknown > 3, "{name}: the storm is blunt: {all:?}");
}

#[test]
fn nothing_is_left_of_cancelled_changes_of_a_file() {
    storm(&Place::sqlite(), "SQLite");
}

#[test]
fn nothing_is_left_of_cancelled_changes_of_postgresql() {
    storm(&Place::postgres(), "PostgreSQL");
}

#[test]
fn nothing_is_left_of_cancelled_changes_of_mariadb() {
    storm(&Place::mariadb(), "MariaDB");
}
