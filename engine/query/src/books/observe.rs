//! What the gate remembers of its own work: statements, fragments, sessions, audit. Bounded; never holds a literal.

use super::occupations::Occupations;
use crate::books::audit::Audit;
use crate::books::learning_feed::{MeasuredStatement, tell, tell_so_far};
use crate::books::within::Within;
use crate::sql::template::Template;
use metrics::{Counter, Gauge, Histogram};
use querygate_driver_api::pool::{BreakerState, PoolStatus};
use querygate_query_api::requests::ingest::CopyProgress;
use querygate_query_api::service::Door;
use querygate_telemetry_api::Telemetry;
use querygate_telemetry_api::advice::Choice;
use querygate_telemetry_api::fragment::FileReads;
use querygate_types::ErrorCode;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

/// A finished statement.
#[derive(Debug, Clone)]
pub(crate) struct QueryRecord {
    pub(crate) id: u64,
    pub(crate) started: SystemTime,
    pub(crate) login: Arc<str>,
    pub(crate) session: u64,
    pub(crate) door: Door,
    /// The number of the door's request, where it has one.
    pub(crate) request: Option<Arc<str>>,
    /// The hook that asked for it.
    pub(crate) within: Option<Within>,
    pub(crate) template: Arc<Template>,
    /// SQL names of the governed tables it read.
    pub(crate) objects: Arc<[String]>,
    pub(crate) planning: Duration,
    pub(crate) total: Duration,
    pub(crate) rows: u64,
    /// Rows that a change inserted, updated or deleted.
    pub(crate) changed: u64,
    /// Whether it deleted them.
    pub(crate) deletes: bool,
    /// `None`: success.
    pub(crate) error: Option<ErrorCode>,
    pub(crate) cached: bool,
    pub(crate) fragments: Arc<[FragmentRecord]>,
    /// What its leaves over files read, where that was measured.
    pub(crate) reads: Vec<LeafReads>,
    /// What learning gets beyond that; `None`: nothing.
    pub(crate) told: Option<MeasuredStatement>,
}

impl QueryRecord {
    /// Notes what was chosen among valid plans.
    pub(crate) fn choose(&mut self, choice: impl FnOnce() -> Option<Choice>) {
        if let Some(told) = &mut self.told {
            told.measures.choice = choice();
        }
    }
}

/// What a leaf over files read. Row groups hold hidden rows too, so this is for operators.
#[derive(Debug, Clone)]
pub(crate) struct LeafReads {
    pub(crate) source: Arc<str>,
    pub(crate) table: String,
    /// Rows that it delivered.
    pub(crate) rows: u64,
    pub(crate) files: FileReads,
    pub(crate) total: Duration,
}

/// What one source did for a statement.
#[derive(Debug, Clone)]
pub(crate) struct FragmentRecord {
    pub(crate) source: String,
    pub(crate) table: String,
    /// Receipt lines: pushed, kept, why. No values.
    pub(crate) receipt: String,
}

/// A live session.
#[derive(Debug, Clone)]
pub(crate) struct SessionRecord {
    /// Given by [`Observer::session_opened`].
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) door: Door,
    pub(crate) application: String,
    pub(crate) peer: Option<String>,
    pub(crate) since: SystemTime,
    pub(crate) activity: Arc<Activity>,
}

/// What a session does now, and how much it did. Changed by each of its runs.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Statements that ended.
    ended: AtomicU64,
    /// Runs that have not ended.
    running: AtomicU64,
    /// The table of the last COPY FROM, and how far that is; gone when its door has ended it.
    copy: Mutex<Option<(String, Weak<CopyProgress>)>>,
    /// What its door keeps it for.
    pub(crate) occupations: Occupations,
}

impl Activity {
    /// A COPY FROM begins.
    pub(crate) fn copies_into(&self, table: &str, progress: &Arc<CopyProgress>) {
        *self.copy.lock().unwrap_or_else(PoisonError::into_inner) = Some((table.to_owned(), Arc::downgrade(progress)));
    }

    /// The table and the progress of the COPY FROM that runs now.
    pub(crate) fn copy(&self) -> Option<(String, Arc<CopyProgress>)> {
        let copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.as_ref().and_then(|(table, progress)| Some((table.clone(), progress.upgrade()?)))
    }

    /// A run begins.
    pub(crate) fn enter(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// It is over.
    pub(crate) fn leave(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// A statement ended, and is recorded.
    pub(crate) fn count(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Statements so far, with those that run.
    pub(crate) fn statements(&self) -> u64 {
        self.ended.load(Ordering::Relaxed) + self.running.load(Ordering::Relaxed)
    }

    /// The state as system tables show it.
    pub(crate) fn state(&self) -> &'static str {
        if self.running.load(Ordering::Relaxed) > 0 { "active" } else { "idle" }
    }
}

/// Rings and counters of one gate.
#[derive(Debug)]
pub(crate) struct Observer {
    numbers: Numbers,
    queries: Mutex<VecDeque<Arc<QueryRecord>>>,
    sessions: Mutex<BTreeMap<u64, SessionRecord>>,
    audit: Option<Audit>,
    telemetry: Option<Arc<dyn Telemetry>>,
    doors: Doors,
}

/// Metrics of statements by door, each looked up once.
#[derive(Debug, Default)]
struct Doors {
    postgres: Counts,
    flight: Counts,
    http: Counts,
    rest: Counts,
    shell: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    succeeded: OnceLock<Counter>,
    seconds: OnceLock<Histogram>,
    planning: OnceLock<Histogram>,
    rows: OnceLock<Counter>,
    changed: OnceLock<Counter>,
    sessions: OnceLock<Gauge>,
}

impl Doors {
    fn of(&self, door: Door) -> &Counts {
        match door {
            Door::Postgres => &self.postgres,
            Door::FlightSql => &self.flight,
            Door::Http => &self.http,
            Door::Rest => &self.rest,
            Door::Shell => &self.shell,
        }
    }
}

impl Counts {
    fn sessions(&self, door: Door) -> &Gauge {
        self.sessions.get_or_init(|| metrics::gauge!("querygate_sessions", "door" => door.name()))
    }

    fn count(&self, record: &QueryRecord) {
        let door = record.door.name();
        let ended =
            |outcome: &'static str| metrics::counter!("querygate_queries_total", "door" => door, "outcome" => outcome);
        match record.error {
            None => self.succeeded.get_or_init(|| ended("ok")).increment(1),
            Some(code) => ended(code.sqlstate()).increment(1),
        }
        let seconds = self.seconds.get_or_init(|| metrics::histogram!("querygate_query_seconds", "door" => door));
        seconds.record(record.total.as_secs_f64());
        let rows = self.rows.get_or_init(|| metrics::counter!("querygate_rows_total", "door" => door));
        rows.increment(record.rows);
        if !record.cached {
            let planning =
                self.planning.get_or_init(|| metrics::histogram!("querygate_planning_seconds", "door" => door));
            planning.record(record.planning.as_secs_f64());
        }
        if record.changed > 0 {
            let changed =
                self.changed.get_or_init(|| metrics::counter!("querygate_rows_changed_total", "door" => door));
            changed.increment(record.changed);
        }
    }
}

/// Numbers of statements and sessions. Their readers see numbers of their own only, and must not learn from them how many
/// others there were in between, nor guess the next one.
#[derive(Debug, Default)]
struct Numbers {
    /// Of this process; the hash is keyed with random bytes of the system.
    key: RandomState,
    count: AtomicU64,
}

impl Numbers {
    /// A number of at most `bits` bits, and not zero.
    fn next(&self, bits: u32) -> u64 {
        loop {
            let number = self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed)) >> (u64::BITS - bits);
            if number != 0 {
                return number;
            }
        }
    }
}

/// Statements remembered in memory.
const QUERIES_MAX: usize = 10_000;

impl Observer {
    /// `audit`: an append-only file of JSON lines.
    pub(crate) fn new(audit: Option<&Path>, telemetry: Option<Arc<dyn Telemetry>>) -> std::io::Result<Self> {
        let audit = audit.map(Audit::open).transpose()?;
        Ok(Self {
            numbers: Numbers::default(),
            queries: Mutex::default(),
            sessions: Mutex::default(),
            audit,
            telemetry,
            doors: Doors::default(),
        })
    }

    /// A number for a statement, exact in clients that have only doubles.
    pub(crate) fn next_query(&self) -> u64 {
        self.numbers.next(53)
    }

    pub(crate) fn finished(&self, mut record: QueryRecord) {
        self.doors.of(record.door).count(&record);
        // The ring below keeps nothing of what is for learning alone.
        if let (Some(telemetry), Some(told)) = (&self.telemetry, record.told.take()) {
            record.reads = tell(telemetry.as_ref(), &record, told);
        }
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if queries.len() >= QUERIES_MAX { queries.pop_front() } else { None };
        let record = in_place_of(oldest, record);
        let audited = self.audit.as_ref().map(|audit| (audit, Arc::clone(&record)));
        queries.push_back(record);
        drop(queries);
        if let Some((audit, record)) = audited {
            audit.record(&record);
        }
    }

    /// Whether a line is in the audit file to stay, where there is one.
    pub(crate) async fn audited(&self, line: impl FnOnce() -> String) -> bool {
        match &self.audit {
            Some(audit) => audit.line(line()).await,
            None => true,
        }
    }

    /// Records for learning what a statement that goes on has done so far: its reader may never come to an end.
    pub(crate) fn goes_on(&self, record: &QueryRecord, total: Duration) {
        if let (Some(telemetry), Some(told)) = (&self.telemetry, &record.told) {
            tell_so_far(telemetry.as_ref(), record, told, total);
        }
    }

    /// Whether somebody wants to learn from statements.
    pub(crate) fn tells(&self) -> bool {
        self.telemetry.is_some()
    }

    /// Whether somebody wants to know what traces need.
    pub(crate) fn traces(&self) -> bool {
        self.telemetry.as_ref().is_some_and(|telemetry| telemetry.traces())
    }

    /// Waits, within a bound, until the audit file has everything.
    pub(crate) fn close(&self) {
        if let Some(audit) = &self.audit {
            audit.close();
        }
    }

    /// The COPY FROM that sessions of a login run: the session, its table, how far it is.
    pub(crate) fn copies(&self, login: &str) -> Vec<(u64, String, Arc<CopyProgress>)> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let own = sessions.values().filter(|session| session.login == login);
        own.filter_map(|session| session.activity.copy().map(|(table, progress)| (session.id, table, progress)))
            .collect()
    }

    /// Newest last.
    pub(crate) fn queries(&self) -> Vec<Arc<QueryRecord>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Numbers the session; no open one has the same number, which fits `pg_backend_pid()`.
    pub(crate) fn session_opened(&self, record: SessionRecord) -> u64 {
        self.doors.of(record.door).sessions(record.door).increment(1.0);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Entry::Vacant(place) = sessions.entry(self.numbers.next(31)) {
                let id = *place.key();
                place.insert(SessionRecord { id, ..record });
                return id;
            }
        }
    }

    pub(crate) fn session_closed(&self, id: u64) {
        if let Some(record) = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            self.doors.of(record.door).sessions(record.door).decrement(1.0);
        }
    }

    pub(crate) fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The record where the oldest one was, unless somebody reads that.
fn in_place_of(oldest: Option<Arc<QueryRecord>>, record: QueryRecord) -> Arc<QueryRecord> {
    let Some(mut place) = oldest else { return Arc::new(record) };
    match Arc::get_mut(&mut place) {
        Some(oldest) => *oldest = record,
        None => return Arc::new(record),
    }
    place
}

/// A source's connections as metrics.
#[allow(clippy::cast_precision_loss, reason = "counts of connections are small")]
pub(crate) fn measured(source: &str, pool: &PoolStatus) {
    for (state, count) in [("in_use", pool.in_use), ("idle", pool.idle), ("waiting", pool.waiting)] {
        metrics::gauge!("querygate_source_connections", "source" => source.to_owned(), "state" => state)
            .set(count as f64);
    }
    metrics::gauge!("querygate_source_connections_max", "source" => source.to_owned()).set(pool.size as f64);
    for (outcome, count) in [("opened", pool.opened), ("failed", pool.failed)] {
        metrics::counter!("querygate_source_connects_total", "source" => source.to_owned(), "outcome" => outcome)
            .absolute(count);
    }
    metrics::counter!("querygate_source_leases_total", "source" => source.to_owned()).absolute(pool.leased);
    metrics::gauge!("querygate_source_lease_seconds_sum", "source" => source.to_owned())
        .set(pool.lease_time.as_secs_f64());
    for state in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open] {
        metrics::gauge!("querygate_source_breaker", "source" => source.to_owned(), "state" => state.name())
            .set(if pool.breaker == state { 1.0 } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn session() -> SessionRecord {
        SessionRecord {
            id: 0,
            login: "ada".to_owned(),
            door: Door::Shell,
            application: String::new(),
            peer: None,
            since: SystemTime::UNIX_EPOCH,
            activity: Arc::default(),
        }
    }

    #[test]
    fn numbers_fit_differ_and_do_not_tell_how_many_came_before() {
        let (one, other) = (Observer::new(None, None).unwrap(), Observer::new(None, None).unwrap());
        let queries: Vec<u64> = (0..1_000).map(|_| one.next_query()).collect();
        let sessions: Vec<u64> = (0..1_000).map(|_| one.session_opened(session())).collect();
        for (numbers, bits) in [(&queries, 53), (&sessions, 31)] {
            assert!(numbers.iter().all(|n| (1..1 << bits).contains(n)));
            assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 1_000);
            let rising = numbers.windows(2).filter(|pair| pair[0] < pair[1]).count();
            assert!((300..700).contains(&rising), "{rising} of 999 rise");
        }
        assert_eq!(one.sessions().len(), 1_000);
        assert_ne!(queries[0], other.next_query(), "each process has numbers of its own");
    }
}
