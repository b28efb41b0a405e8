//! `kill -9` of the gate and of the source while clients move money: transfers are whole or not there, and those that were acknowledged
//! are there.

use crate::place::{ACCOUNTS, AMOUNT, Place, Store, address, open};
use crate::rounds;
use querygate_tests::harness::Rng;
use querygate_tests::server::{Server, runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config, Error};

const WRITERS: usize = 6;
/// Transfers that one statement stores.
const BATCH: usize = 25;

/// What writers were told.
#[derive(Debug, Default)]
pub(crate) struct WriterOutcomes {
    acknowledged: Mutex<BTreeSet<String>>,
    pub(crate) refused: AtomicUsize,
    stop: AtomicBool,
}

/// As statements name them.
#[derive(Debug, Clone)]
struct WriterTables {
    accounts: String,
    transfers: String,
}

/// Those who write to one place.
pub(crate) struct Load {
    pub(crate) told: Arc<WriterOutcomes>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(place: &Place, gate: &Config, round: usize) -> Self {
        Self::of(WRITERS, place, gate, round, Duration::ZERO)
    }

    /// Writers to a place, each with a pause after each transfer.
    pub(crate) fn of(writers: usize, place: &Place, gate: &Config, round: usize, pause: Duration) -> Self {
        let told = Arc::new(WriterOutcomes::default());
        let tables = WriterTables { accounts: place.table("accounts"), transfers: place.table("transfers") };
        let task = |writer| {
            let (gate, tables, told) = (gate.clone(), tables.clone(), Arc::clone(&told));
            runtime().spawn(write(gate, tables, told, (round, writer), pause))
        };
        Self { tasks: (0..writers).map(task).collect(), told }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.told.acknowledged.lock().unwrap().len()
    }

    /// Waits for a number of acknowledged transfers.
    fn until(&self, enough: usize) {
        let until = Instant::now() + Duration::from_secs(90);
        while self.acknowledged() < enough {
            assert!(Instant::now() < until, "only {} of {enough}: {:?}", self.acknowledged(), self.told.refused);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stop(self) -> BTreeSet<String> {
        self.told.stop.store(true, Ordering::Relaxed);
        runtime().block_on(async {
            for task in self.tasks {
                task.await.unwrap();
            }
        });
        std::mem::take(&mut self.told.acknowledged.lock().unwrap())
    }
}

/// Writes until it is told to stop, on a new session after each failure.
async fn write(
    gate: Config,
    tables: WriterTables,
    told: Arc<WriterOutcomes>,
    (round, writer): (usize, usize),
    pause: Duration,
) {
    let mut rng = Rng::part(7, (round * WRITERS + writer) as u64);
    let (mut session, mut number) = (None, 0);
    while !told.stop.load(Ordering::Relaxed) {
        let client = match session.take() {
            Some(client) => client,
            None => match open(&gate).await {
                Some(client) => client,
                None => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    continue;
                }
            },
        };
        number += 1;
        let id = format!("t{round}_{writer}_{number}");
        let done = match rng.percent(30) {
            true => batch(&client, &tables, &id).await,
            false => transfer(&client, &tables, &id, &mut rng).await,
        };
        match done {
            Ok(()) => {
                told.acknowledged.lock().unwrap().insert(id);
                session = Some(client);
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                told.refused.fetch_add(1, Ordering::Relaxed);
                // A session whose transaction failed goes on after its end.
                if !client.is_closed()
                    && error.as_db_error().is_some()
                    && client.batch_execute("ROLLBACK").await.is_ok()
                {
                    session = Some(client);
                }
            }
        }
    }
}

/// One transfer in a transaction of three changes.
async fn transfer(client: &Client, tables: &WriterTables, id: &str, rng: &mut Rng) -> Result<(), Error> {
    let payer = rng.below(ACCOUNTS);
    let payee = (payer + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS;
    // In the order of keys, so that two transfers do not wait for each other.
    let mut moves = [(payer, -1), (payee, 1)];
    moves.sort_unstable();
    client.batch_execute("BEGIN").await?;
    for (account, by) in moves {
        let sql = format!("UPDATE {} SET amount = amount + {by} WHERE id = 'a{account:03}'", tables.accounts);
        client.batch_execute(&sql).await?;
    }
    let sql = format!("INSERT INTO {} (id, payer, payee) VALUES ($1, $2, $3)", tables.transfers);
    client.execute(&sql, &[&id, &format!("a{payer:03}"), &format!("a{payee:03}")]).await?;
    client.batch_execute("COMMIT").await
}

/// Many rows by one statement.
async fn batch(client: &Client, tables: &WriterTables, id: &str) -> Result<(), Error> {
    let rows: Vec<String> = (0..BATCH).map(|row| format!("('{id}_{row}', '{id}')")).collect();
    client.batch_execute(&format!("INSERT INTO {} (id, batch) VALUES {}", tables.transfers, rows.join(", "))).await
}

/// Nothing by half, nothing lost.
pub(crate) fn examine(place: &Place, acknowledged: &BTreeSet<String>) -> usize {
    let mut amounts: BTreeMap<String, i64> = (0..ACCOUNTS).map(|at| (format!("a{at:03}"), AMOUNT)).collect();
    let mut stored = BTreeSet::new();
    for line in place.transfers() {
        let [id, payer, payee] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        stored.insert(id.to_owned());
        *amounts.get_mut(payer).unwrap() -= 1;
        *amounts.get_mut(payee).unwrap() += 1;
    }
    for line in place.batches() {
        let (id, rows) = line.split_once('|').unwrap();
        assert_eq!(rows, BATCH.to_string(), "{id} is stored by half");
        stored.insert(id.to_owned());
    }
    let found = place.amounts("eu");
    let expected: Vec<String> = amounts.iter().map(|(id, amount)| format!("{id}|{amount}")).collect();
    assert_eq!(found, expected, "a transfer was stored by half");
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
    let others: Vec<_> = (ACCOUNTS..ACCOUNTS + ACCOUNTS / 2).map(|at| format!("a{at:03}|{AMOUNT}")).collect();
    assert_eq!(place.amounts("us"), others);
    stored.len() - acknowledged.len()
}

fn gate_dies(place: &Place, name: &str) {
    let (mut all, mut unknown) = (BTreeSet::new(), 0);
    for round in 0..rounds(4) {
        let gate = place.serve();
        let load = Load::start(place, &address(&gate), round);
        load.until(15 + 7 * round);
        gate.signal("KILL");
        all.extend(load.stop());
        drop(gate);
        place.settle();
        unknown = examine(place, &all);
    }
    println!("{name}: the gate was killed: {} transfers acknowledged, {unknown} more stored", all.len());
    // The next gate writes at once.
    let gate = place.serve();
    let load = Load::start(place, &address(&gate), 900);
    load.until(10);
    all.extend(load.stop());
    examine(place, &all);
}

fn source_dies(place: &Place, name: &str, kill: &dyn Fn(usize), resume: &dyn Fn()) {
    let gate = place.serve();
    let load = Load::start(place, &address(&gate), 500);
    for round in 0..rounds(3) {
        load.until(load.acknowledged() + 15);
        kill(round);
        std::thread::sleep(Duration::from_millis(300));
        resume();
    }
    // The same sessions and new ones write again.
    load.until(load.acknowledged() + 20);
    let refused = load.told.refused.load(Ordering::Relaxed);
    let acknowledged = load.stop();
    place.settle();
    let unknown = examine(place, &acknowledged);
    println!(
        "{name}: the source was killed: {} transfers acknowledged, {unknown} more stored, {refused} refused",
        acknowledged.len()
    );
    assert!(refused > 0, "no statement met the outage");
    assert!(is_alive(&gate));
}

fn is_alive(gate: &Server) -> bool {
    gate.is_alive() && runtime().block_on(async { open(&address(gate)).await }).is_some()
}

#[test]
fn a_gate_that_dies_over_a_file_leaves_whole_changes() {
    gate_dies(&Place::sqlite(), "SQLite");
}

#[test]
fn a_gate_that_dies_over_postgresql_leaves_whole_changes() {
    gate_dies(&Place::postgres(), "PostgreSQL");
}

#[test]
fn a_gate_that_dies_over_mariadb_leaves_whole_changes() {
    gate_dies(&Place::mariadb(), "MariaDB");
}

#[test]
fn a_gate_that_dies_over_mongodb_leaves_whole_changes() {
    let Some(place) = Place::mongodb() else { return };
    gate_dies(&place, "MongoDB");
}

#[test]
fn a_postgresql_that_dies_leaves_whole_changes() {
    let place = Place::postgres();
    let Store::Postgres(server) = &place.store else { unreachable!("it is one") };
    let kill = |round: usize| {
        if round.is_multiple_of(2) {
            server.kill();
            return;
        }
        // One process that dies takes all others along, and the server recovers by itself.
        let sql = "SELECT pid FROM pg_stat_activity WHERE usename = 'writer' AND xact_start IS NOT NULL LIMIT 1";
        match place.stored(sql).first() {
            Some(pid) => crate::postgres_server::signal("KILL", pid),
            None => server.kill(),
        }
    };
    let resume = || {
        let answers = || {
            runtime().block_on(async {
                let mut config = Config::new();
                config.host("127.0.0.1").port(server.port).user("postgres").password(crate::postgres_server::PASSWORD);
                open(&config.dbname("shop").clone()).await.is_some()
            })
        };
        let until = Instant::now() + Duration::from_secs(3);
        while !answers() {
            if Instant::now() > until {
                return server.run();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    source_dies(&place, "PostgreSQL", &kill, &resume);
}

#[test]
fn a_mariadb_that_dies_leaves_whole_changes() {
    let place = Place::mariadb();
    let Store::MariaDb(server) = &place.store else { unreachable!("it is one") };
    source_dies(&place, "MariaDB", &|_| server.kill(), &|| server.resume());
}

#[test]
fn a_mongodb_that_dies_leaves_whole_changes() {
    let Some(place) = Place::mongodb() else { return };
    let Store::MongoDb(server) = &place.store else { unreachable!("it is one") };
    let resume = || {
        server.resume();
        runtime().block_on(async { server.until_primary(server.admin("admin").client()).await });
    };
    source_dies(&place, "MongoDB", &|_| server.kill(), &resume);
}
