//! What the books say of a session's statements, as far as it is known when they begin or end without a plan.

use super::prepared::PreparedStatement;
use crate::bind::statement::Bound;
use crate::books::learning_feed::MeasuredStatement;
use crate::books::observe::QueryRecord;
use crate::session::gate_session::GateSession;
use crate::sql::parse::Parsed;
use querygate_types::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::time::Instant;

impl GateSession {
    pub(in crate::session) fn record(
        &self,
        prepared: &PreparedStatement,
        bound: &Bound,
        started: Instant,
    ) -> QueryRecord {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.gate.observer().session_changed(self.id, |session| session.state = "active");
        self.record_of(&prepared.parsed, Arc::clone(bound.objects()), started)
    }

    /// A statement that was never bound: who looks for what is not there is worth knowing.
    pub(in crate::session) fn refused(&self, parsed: &Parsed, started: Instant, error: &Error) {
        self.done_without_plan(parsed, started, Some(error));
    }

    /// A statement that ended without a plan.
    pub(in crate::session) fn done_without_plan(&self, parsed: &Parsed, started: Instant, error: Option<&Error>) {
        let observer = self.gate.observer();
        self.statements.fetch_add(1, Ordering::Relaxed);
        let mut record = self.record_of(parsed, Arc::default(), started);
        record.planning = started.elapsed();
        record.total = record.planning;
        record.error = error.map(Error::code);
        observer.finished(record);
    }

    pub(in crate::session) fn record_of(
        &self,
        parsed: &Parsed,
        objects: Arc<[String]>,
        started: Instant,
    ) -> QueryRecord {
        let began = SystemTime::now();
        self.record_begun(parsed, objects, (began, self.told((began, started.into_std()))))
    }

    /// The same of a statement that began a moment ago.
    pub(in crate::session) fn record_begun(
        &self,
        parsed: &Parsed,
        objects: Arc<[String]>,
        (started, told): (SystemTime, Option<MeasuredStatement>),
    ) -> QueryRecord {
        QueryRecord {
            id: self.gate.observer().next_query(),
            started,
            login: Arc::clone(&self.login),
            session: self.id,
            door: self.door,
            template: Arc::clone(parsed.template()),
            objects,
            planning: std::time::Duration::ZERO,
            total: std::time::Duration::ZERO,
            rows: 0,
            error: None,
            cached: false,
            fragments: Arc::default(),
            reads: Vec::new(),
            told,
        }
    }
}
