//! Readers of several places of one gate, each with a statement of its own, who keep the machine at four fifths of its work. Stops nothing.

use crate::place::{ACCOUNTS, AMOUNT, Place, Session, Store, address, open};
use querygate_tests::server::{Server, runtime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::SimpleQueryMessage;

/// Readers of each statement.
const READERS: usize = 3;
/// How busy the machine is kept, in percent.
const BUSY: std::ops::RangeInclusive<u64> = 75..=85;

/// A statement, the places that it needs, and its only answer.
#[derive(Debug, Clone)]
struct ReaderStatement {
    sql: String,
    needs: Vec<usize>,
    answer: String,
}

/// The sum of each place's accounts, which no transfer changes, one look-up, and a join with the next place's.
fn statements(places: &[&Place]) -> Vec<ReaderStatement> {
    let of = |at: usize| {
        let next = (at + 1) % places.len();
        let (accounts, others) = (places[at].table("accounts"), places[next].table("accounts"));
        let sum = match places[at].store {
            // A document store reads while others write: it may see half of a transfer.
            Store::MongoDb(_) => (format!("SELECT count(*) FROM {accounts}"), ACCOUNTS.to_string()),
            _ => {
                (format!("SELECT sum(amount) FROM {accounts}"), (i64::try_from(ACCOUNTS).unwrap() * AMOUNT).to_string())
            }
        };
        let look_up = (format!("SELECT region FROM {accounts} WHERE id = 'a007'"), "eu".to_owned());
        let joined = format!("SELECT count(*) FROM {accounts} l JOIN {others} r ON l.id = r.id");
        [(sum, vec![at]), (look_up, vec![at]), ((joined, ACCOUNTS.to_string()), vec![at, next])]
    };
    let all = (0..places.len()).flat_map(of);
    all.map(|((sql, answer), needs)| ReaderStatement { sql, needs, answer }).collect()
}

/// What readers were told since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    /// Refusals by their code, of statements that needed the place that failed.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Wrong answers, and refusals of statements that did not need it.
    pub(crate) faults: Vec<String>,
    /// The longest statement that did not need it, in milliseconds.
    pub(crate) longest_beside: u128,
}

#[derive(Debug)]
struct LoadState {
    counts: Mutex<Counts>,
    /// The place that fails or recovers.
    victim: Mutex<Option<usize>>,
    /// Answers since the place was there again, by reader.
    well: Mutex<BTreeMap<usize, u64>>,
    /// Between two statements of a reader, in microseconds.
    pause: AtomicU64,
    over: AtomicBool,
}

/// Running readers.
pub(crate) struct Readers {
    shared: Arc<LoadState>,
    needs: Vec<Vec<usize>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(gate: &Server, places: &[&Place]) -> Self {
        let shared = Arc::new(LoadState {
            counts: Mutex::default(),
            victim: Mutex::default(),
            well: Mutex::default(),
            pause: AtomicU64::new(20_000),
            over: AtomicBool::new(false),
        });
        let all: Vec<ReaderStatement> = statements(places).into_iter().flat_map(|asked| vec![asked; READERS]).collect();
        let needs = all.iter().map(|asked| asked.needs.clone()).collect();
        let tasks = all.into_iter().enumerate().map(|(number, asked)| {
            let session = runtime().block_on(async { open(&address(gate)).await.unwrap() });
            runtime().spawn(read(Arc::clone(&shared), number, asked, session))
        });
        let mut tasks: Vec<_> = tasks.collect();
        tasks.push(runtime().spawn(keep_busy(Arc::clone(&shared))));
        Self { shared, needs, tasks }
    }

    /// From now on this place fails, or none.
    pub(crate) fn fails(&self, place: Option<usize>) {
        *self.shared.victim.lock().unwrap() = place;
    }

    /// Waits until everybody who needs the place was answered twice. Gives how long that took.
    pub(crate) fn until_well(&self, place: usize, patience: Duration) -> Duration {
        let began = Instant::now();
        self.shared.well.lock().unwrap().clear();
        let needing = || self.needs.iter().enumerate().filter(|(_, needs)| needs.contains(&place));
        loop {
            let well = self.shared.well.lock().unwrap().clone();
            if needing().all(|(number, _)| well.get(&number).is_some_and(|answers| *answers >= 2)) {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < patience,
                "{well:?} of {:?} {:?}",
                self.needs,
                self.shared.counts.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.shared.counts.lock().unwrap())
    }

    pub(crate) fn stop(self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            runtime().block_on(task).unwrap();
        }
    }
}

async fn read(shared: Arc<LoadState>, number: usize, asked: ReaderStatement, session: Session) {
    session.batch_execute("SET statement_timeout = '5s'").await.unwrap();
    while !shared.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_micros(shared.pause.load(Ordering::Relaxed))).await;
        let needs = |victim: Option<usize>| victim.is_some_and(|victim| asked.needs.contains(&victim));
        let (before, began) = (*shared.victim.lock().unwrap(), Instant::now());
        let told = session.simple_query(&asked.sql).await;
        let took = began.elapsed().as_millis();
        let after = *shared.victim.lock().unwrap();
        let mut counts = shared.counts.lock().unwrap();
        if !needs(before) && !needs(after) {
            counts.longest_beside = counts.longest_beside.max(took);
        }
        match told {
            Ok(messages) => {
                let row = messages.iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                if row != Some(&*asked.answer) {
                    counts.faults.push(format!("{}: {row:?}", asked.sql));
                }
                counts.answered += 1;
                *shared.well.lock().unwrap().entry(number).or_default() += 1;
            }
            Err(error) => {
                let code = error.code().map_or("none", |code| code.code()).to_owned();
                shared.well.lock().unwrap().remove(&number);
                if needs(before) || needs(after) {
                    *counts.refused.entry(code).or_default() += 1;
                } else {
                    counts.faults.push(format!("{}: {error} {:?}", asked.sql, error.as_db_error()));
                }
            }
        }
    }
}

/// Ticks of all processors so far: (all, those without work).
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let numbers: Vec<u64> =
        stat.lines().next().unwrap().split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
    (numbers.iter().take(8).sum(), numbers[3] + numbers[4])
}

/// Shortens and lengthens the pauses of readers.
async fn keep_busy(shared: Arc<LoadState>) {
    let mut before = ticks();
    while !shared.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = ticks();
        let all = (now.0 - before.0).max(1);
        let busy = 100 - (now.1 - before.1) * 100 / all;
        before = now;
        let pause = shared.pause.load(Ordering::Relaxed);
        let pause = match busy {
            busy if busy < *BUSY.start() => pause * 9 / 10,
            busy if busy > *BUSY.end() => pause * 11 / 10 + 10,
            _ => pause,
        };
        shared.pause.store(pause.clamp(200, 2_000_000), Ordering::Relaxed);
    }
}
