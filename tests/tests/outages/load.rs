//! Clients that ask all the time, each its own statement, and what they were told. Stops no server.

use super::servers::{Backend, TABLES};
use querygate_tests::server::{Server, runtime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Between two statements of one client: clients that only ever ask would leave a small machine nothing for the servers.
const PACE: Duration = Duration::from_millis(10);
/// What may pass until something is seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A refusal as a client gets it: everything that it says is in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The one value that a statement gives.
pub(crate) async fn ask(client: &Client, sql: &str) -> Result<String, Refused> {
    let messages = client.simple_query(sql).await.map_err(|error| {
        let error = error.as_db_error().unwrap_or_else(|| panic!("the gate left: {error}"));
        let message = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
        Refused { code: error.code().code().to_owned(), message }
    })?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    Ok(row.unwrap_or_default())
}

/// A statement with the sources that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    sql: String,
    needs: Vec<Option<Backend>>,
    answer: String,
}

impl Asked {
    pub(crate) fn needs(&self, backend: Option<Backend>) -> bool {
        self.needs.contains(&backend)
    }

    /// Each table alone, each with the next, and with the file.
    fn all() -> Vec<Self> {
        let alone = TABLES.iter().map(|table| Self {
            sql: table.count.to_owned(),
            needs: vec![table.backend],
            answer: table.answer.to_owned(),
        });
        let pairs = TABLES.iter().zip(TABLES.iter().cycle().skip(1)).map(|(left, right)| Self {
            sql: format!("SELECT count(*) FROM {} l JOIN {} r ON r.n = l.n WHERE l.n <= 10", left.name, right.name),
            needs: vec![left.backend, right.backend],
            answer: "10".to_owned(),
        });
        alone.chain(pairs).collect()
    }
}

/// How one client's statements ended since they were last forgotten.
#[derive(Debug, Clone, Default)]
struct Outcomes {
    answered: usize,
    errors: Vec<Refused>,
    last_answered: bool,
}

/// What was seen, by statement.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Vec<(Asked, Outcomes)>);

impl Seen {
    fn of(&self, which: impl Fn(&Asked) -> bool) -> impl Iterator<Item = &Outcomes> {
        self.0.iter().filter(move |(asked, _)| which(asked)).map(|(_, outcomes)| outcomes)
    }

    /// Whether every statement was answered at least so often.
    pub(crate) fn everybody_answered(&self, least: usize) -> bool {
        self.0.iter().all(|(_, outcomes)| outcomes.answered >= least)
    }

    /// In few words: each statement, how often it was answered, and the last refusal.
    fn summary(&self) -> String {
        let line = |(asked, outcomes): &(Asked, Outcomes)| {
            let Outcomes { answered, errors, .. } = outcomes;
            format!("{}: {answered} answers, {} errors, last {:?}\n", asked.sql, errors.len(), errors.last())
        };
        self.0.iter().map(line).collect()
    }

    pub(crate) fn answered(&self, which: impl Fn(&Asked) -> bool) -> usize {
        self.of(which).map(|outcomes| outcomes.answered).sum()
    }

    pub(crate) fn failed(&self, which: impl Fn(&Asked) -> bool) -> usize {
        self.of(which).map(|outcomes| outcomes.errors.len()).sum()
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = &Refused> {
        self.0.iter().flat_map(|(_, outcomes)| &outcomes.errors)
    }

    /// Failures of statements that do not need the server.
    pub(crate) fn strangers(&self, backend: Backend) -> Vec<&Refused> {
        self.of(|asked| !asked.needs(Some(backend))).flat_map(|outcomes| &outcomes.errors).collect()
    }

    /// Whether every statement that needs the server was answered when it was last asked.
    pub(crate) fn all_answer_again(&self, backend: Backend) -> bool {
        self.of(|asked| asked.needs(Some(backend))).all(|outcomes| outcomes.last_answered)
    }
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    more: Condvar,
    over: AtomicBool,
}

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// A client for each statement.
    pub(crate) fn start(gate: &Server) -> Self {
        let all = Asked::all();
        let seen = Seen(all.iter().map(|asked| (asked.clone(), Outcomes::default())).collect());
        let shared = Arc::new(Shared { seen: Mutex::new(seen), more: Condvar::new(), over: AtomicBool::new(false) });
        let clients = all.into_iter().enumerate().map(|(number, asked)| {
            let client = runtime().block_on(gate.client("ada"));
            let shared = Arc::clone(&shared);
            runtime().spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                while !shared.over.load(Ordering::Relaxed) {
                    pace.tick().await;
                    shared.note(number, ask(&client, &asked.sql).await);
                }
            })
        });
        let clients = clients.collect();
        Self { shared, clients }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until enough was seen.
    pub(crate) fn until(&self, what: &str, enough: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().unwrap();
        while !enough(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what}: {}", seen.summary());
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a client ended: {}", seen.summary());
            seen = self.shared.more.wait_timeout(seen, left.min(Duration::from_secs(1))).unwrap().0;
        }
    }

    /// Counts from nought.
    pub(crate) fn forget(&self) {
        let mut seen = self.shared.seen.lock().unwrap();
        for (_, outcomes) in &mut seen.0 {
            *outcomes = Outcomes { last_answered: outcomes.last_answered, ..Outcomes::default() };
        }
    }

    pub(crate) fn stop(self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            runtime().block_on(client).unwrap();
        }
    }
}

impl Shared {
    fn note(&self, number: usize, outcome: Result<String, Refused>) {
        let mut seen = self.seen.lock().unwrap();
        let (asked, outcomes) = &mut seen.0[number];
        outcomes.last_answered = outcome.is_ok();
        match outcome {
            // Half an answer would show here.
            Ok(answer) => {
                assert_eq!(answer, asked.answer, "{}", asked.sql);
                outcomes.answered += 1;
            }
            Err(error) => outcomes.errors.push(error),
        }
        self.more.notify_all();
    }
}
