//! What the gate remembers of its own work: statements, fragments, sessions, audit. Bounded; never holds a literal.

use crate::audit::Audit;
use crate::template::Template;
use querygate_query_api::Door;
use querygate_types::ErrorCode;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A finished statement.
#[derive(Debug, Clone)]
pub(crate) struct QueryRecord {
    pub(crate) id: u64,
    pub(crate) started: SystemTime,
    pub(crate) login: String,
    pub(crate) session: u64,
    pub(crate) door: Door,
    pub(crate) template: Arc<Template>,
    /// SQL names of the governed tables it read.
    pub(crate) objects: Arc<[String]>,
    pub(crate) planning: Duration,
    pub(crate) total: Duration,
    pub(crate) rows: u64,
    /// `None`: success.
    pub(crate) error: Option<ErrorCode>,
    pub(crate) cached: bool,
    pub(crate) fragments: Arc<[FragmentRecord]>,
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
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) door: Door,
    pub(crate) application: String,
    pub(crate) peer: Option<String>,
    pub(crate) since: SystemTime,
    pub(crate) statements: u64,
    pub(crate) state: &'static str,
}

/// Rings and counters of one gate.
#[derive(Debug)]
pub(crate) struct Observer {
    next_query: AtomicU64,
    next_session: AtomicU64,
    queries: Mutex<VecDeque<Arc<QueryRecord>>>,
    sessions: Mutex<BTreeMap<u64, SessionRecord>>,
    audit: Option<Audit>,
}

/// Statements remembered in memory.
const QUERIES_MAX: usize = 10_000;

impl Observer {
    /// `audit`: an append-only file of JSON lines.
    pub(crate) fn new(audit: Option<&Path>) -> std::io::Result<Self> {
        let audit = audit.map(Audit::open).transpose()?;
        Ok(Self {
            next_query: AtomicU64::new(1),
            next_session: AtomicU64::new(1),
            queries: Mutex::default(),
            sessions: Mutex::default(),
            audit,
        })
    }

    pub(crate) fn next_query(&self) -> u64 {
        self.next_query.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn finished(&self, record: QueryRecord) {
        let outcome = record.error.map_or("ok", ErrorCode::sqlstate);
        metrics::counter!("querygate_queries_total", "door" => record.door.name(), "outcome" => outcome).increment(1);
        metrics::histogram!("querygate_query_seconds", "door" => record.door.name()).record(record.total.as_secs_f64());
        metrics::counter!("querygate_rows_total", "door" => record.door.name()).increment(record.rows);
        let record = Arc::new(record);
        if let Some(audit) = &self.audit {
            audit.record(&record);
        }
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        if queries.len() >= QUERIES_MAX {
            queries.pop_front();
        }
        queries.push_back(record);
    }

    /// Waits, within a bound, until the audit file has everything.
    pub(crate) fn close(&self) {
        if let Some(audit) = &self.audit {
            audit.close();
        }
    }

    /// Newest last.
    pub(crate) fn queries(&self) -> Vec<Arc<QueryRecord>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn session_opened(&self, record: SessionRecord) {
        metrics::gauge!("querygate_sessions", "door" => record.door.name()).increment(1.0);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(record.id, record);
    }

    pub(crate) fn session_changed(&self, id: u64, change: impl FnOnce(&mut SessionRecord)) {
        if let Some(record) = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            change(record);
        }
    }

    pub(crate) fn session_closed(&self, id: u64) {
        if let Some(record) = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            metrics::gauge!("querygate_sessions", "door" => record.door.name()).decrement(1.0);
        }
    }

    pub(crate) fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn session_count(&self) -> usize {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
