//! Clients that write all the time, what each was told of it, and whether what is stored is that.

use super::world::{Stored, World};
use querygate_tests::server::runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// What may pass until something is stored again, or a statement ends.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);
/// Rows of a transaction, by table.
const ORDERS: usize = 2;
const LINES: usize = 3;
/// What a statement may be told while something is down, or another writer is in its way.
const EXPECTED: [&str; 8] = ["08001", "08006", "08007", "40001", "40P01", "55P03", "57P01", "57P03"];

/// What a writer knows of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Stored,
    Undone,
    /// The answer to what would have stored them was lost.
    Unknown,
}

/// Rows that were written together.
#[derive(Debug)]
pub(crate) struct Attempt {
    writer: usize,
    batch: String,
    orders: usize,
    lines: usize,
    known: Known,
}

struct Shared {
    config: Mutex<Config>,
    over: AtomicBool,
    stored: AtomicUsize,
    codes: Mutex<BTreeMap<String, usize>>,
}

/// Running writers.
pub(crate) struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Vec<Attempt>>>,
}

impl Load {
    pub(crate) fn start(world: &World, writers: usize) -> Self {
        let shared = Arc::new(Shared {
            config: Mutex::new(world.config()),
            over: AtomicBool::new(false),
            stored: AtomicUsize::new(0),
            codes: Mutex::default(),
        });
        let writers = (0..writers).map(|writer| runtime().spawn(write(Arc::clone(&shared), writer))).collect();
        Self { shared, writers }
    }

    /// Writers that are sent away come back here.
    pub(crate) fn goes_to(&self, world: &World) {
        *self.shared.config.lock().unwrap() = world.config();
    }

    /// Waits until so many more attempts were acknowledged.
    pub(crate) fn until_stored(&self, more: usize, world: &World) {
        let wanted = self.shared.stored.load(Ordering::Acquire) + more;
        let end = Instant::now() + PATIENCE;
        while self.shared.stored.load(Ordering::Acquire) < wanted {
            let codes = || self.shared.codes.lock().unwrap().clone();
            assert!(Instant::now() < end, "too little is stored; told {:?}\n{}", codes(), world.lines());
            assert!(self.writers.iter().all(|writer| !writer.is_finished()), "a writer ended: {:?}", codes());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn stop(self) -> Vec<Attempt> {
        self.shared.over.store(true, Ordering::Release);
        let attempts: Vec<Attempt> =
            self.writers.into_iter().flat_map(|writer| runtime().block_on(writer).unwrap()).collect();
        println!("refusals: {:?}", self.shared.codes.lock().unwrap());
        attempts
    }
}

/// Writes until it is told to end, one row by itself and several in a transaction by turns.
async fn write(shared: Arc<Shared>, writer: usize) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    while !shared.over.load(Ordering::Acquire) {
        let config = shared.config.lock().unwrap().clone();
        let Ok((client, connection)) = config.connect(NoTls).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let connection = tokio::spawn(connection);
        while !client.is_closed() && !shared.over.load(Ordering::Acquire) {
            let batch = format!("w{writer}n{}", attempts.len());
            let is_single = attempts.len() % 2 == 0;
            let (orders, lines) = if is_single { (1, 0) } else { (ORDERS, LINES) };
            let run = async {
                if is_single {
                    single(&client, &batch, &shared).await
                } else {
                    together(&client, writer, &batch, &shared).await
                }
            };
            let known = tokio::time::timeout(PATIENCE, run).await.expect("a statement ends");
            if known == Known::Stored {
                shared.stored.fetch_add(1, Ordering::AcqRel);
            } else {
                tokio::time::sleep(PAUSE).await;
            }
            attempts.push(Attempt { writer, batch, orders, lines, known });
        }
        drop(client);
        drop(connection.await);
    }
    attempts
}

/// Why a statement failed: a code, or nothing where the connection is gone.
fn code(error: &tokio_postgres::Error, shared: &Shared) -> Option<String> {
    let code = error.as_db_error().map(|told| (told.code().code().to_owned(), told.message().to_owned()));
    if let Some((code, message)) = &code {
        assert!(EXPECTED.contains(&code.as_str()), "{code} {message}");
        *shared.codes.lock().unwrap().entry(format!("{code} {message}")).or_default() += 1;
    }
    code.map(|(code, _)| code)
}

/// What is known of a change whose last statement ended so.
fn known(ended: Result<(), tokio_postgres::Error>, shared: &Shared) -> Known {
    match ended.map_err(|error| code(&error, shared)) {
        Ok(()) => Known::Stored,
        Err(Some(code)) if code != "08006" && code != "08007" => Known::Undone,
        Err(_) => Known::Unknown,
    }
}

async fn single(client: &Client, batch: &str, shared: &Shared) -> Known {
    let sql = format!("INSERT INTO orders (id, batch, amount) VALUES ('{batch}', '{batch}', 1)");
    known(client.batch_execute(&sql).await, shared)
}

async fn together(client: &Client, writer: usize, batch: &str, shared: &Shared) -> Known {
    let order = |n: usize| format!("INSERT INTO orders (id, batch, amount) VALUES ('{batch}o{n}', '{batch}', {n})");
    let line = |n: usize| format!("INSERT INTO order_lines (id, batch) VALUES ('{batch}l{n}', '{batch}')");
    let counter = format!("UPDATE counters SET n = n + 1 WHERE id = 'w{writer}'");
    let changes = (0..ORDERS).map(order).chain([counter]).chain((0..LINES).map(line));
    for sql in ["BEGIN".to_owned()].into_iter().chain(changes) {
        if let Err(error) = client.batch_execute(&sql).await {
            // Nothing is stored without a COMMIT.
            if code(&error, shared).is_some() {
                drop(client.batch_execute("ROLLBACK").await);
            }
            return Known::Undone;
        }
    }
    let known = known(client.batch_execute("COMMIT").await, shared);
    if known != Known::Stored {
        drop(client.batch_execute("ROLLBACK").await);
    }
    known
}

/// Compares what writers know with what is stored. Gives it in words.
pub(crate) fn check(stored: &Stored, attempts: &[Attempt]) -> String {
    let known: BTreeSet<&String> = attempts.iter().map(|attempt| &attempt.batch).collect();
    let strangers = stored.orders.keys().chain(stored.lines.keys()).find(|batch| !known.contains(batch));
    assert_eq!(strangers, None, "rows that nobody wrote");
    let (mut counted, mut transactions) = (BTreeMap::<usize, usize>::new(), BTreeMap::<&str, usize>::new());
    for attempt in attempts {
        let of = |table: &BTreeMap<String, usize>| table.get(&attempt.batch).copied().unwrap_or(0);
        let found = (of(&stored.orders), of(&stored.lines));
        let is_whole = found == (attempt.orders, attempt.lines);
        assert!(is_whole || found == (0, 0), "{attempt:?} is stored by half: {found:?}");
        match attempt.known {
            Known::Stored => assert!(is_whole, "{attempt:?} was acknowledged and is lost"),
            Known::Undone => assert!(!is_whole, "{attempt:?} was refused and is stored"),
            Known::Unknown => {}
        }
        if is_whole && attempt.lines > 0 {
            *counted.entry(attempt.writer).or_default() += 1;
        }
        let word = match (attempt.known, is_whole) {
            (Known::Stored, _) => "acknowledged",
            (Known::Undone, _) => "refused",
            (Known::Unknown, true) => "unknown and stored",
            (Known::Unknown, false) => "unknown and not stored",
        };
        *transactions.entry(word).or_default() += 1;
    }
    for (writer, n) in &stored.counters {
        assert_eq!(counted.get(writer).copied().unwrap_or(0), *n, "the counter of writer {writer}");
    }
    format!("{} attempts, {transactions:?}", attempts.len())
}
