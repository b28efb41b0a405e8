//! The life of a statement in a session: split, prepare, execute. Frames and formats are the door's.

use super::commands::cursors::{Cursor, Ends};
use super::commands::listen::Listening;
use super::held::SessionHoldings;
use super::statements::prepare::trace_parsing;
use super::statements::prepared::{Kind, Named, ours};
use super::temporary::OwnWorkspace;
use super::transaction::Transaction;
use super::workspace::{Current, Writer};
use crate::advisory::SessionLocks;
use crate::books::learning_feed::LearningFeed;
use crate::books::observe::{Activity, SessionRecord};
use crate::dialect::parameters::without_values;
use crate::engine::{Engine, Opened};
use crate::errors::{Stage, translate};
use crate::run::directory::OpenSession;
use crate::run::lifecycle::{Run, SessionIdentity, SessionRuns};
use crate::run::memory::Account;
use crate::run::start_time::StartTime;
use crate::settings::list::Settings;
use crate::sql::classify::{Classified, refuse_changes};
use crate::sql::name_length::{CutName, NAME_BYTES};
use crate::sql::parse::{Parsed, parse_cutting};
use crate::temporary::tables::TemporaryTables;
use crate::temporary_rows::ChunkStore;
use arrow::array::ArrayRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::future::BoxFuture;
use querygate_query_api::column::Column;
use querygate_query_api::holding::{Holding, Occupation};
use querygate_query_api::outcome::{BatchStream, Effect, Notification, Outcome};
use querygate_query_api::parts::{Parts, Split};
use querygate_query_api::requests::events::{EventFilter, EventStream};
use querygate_query_api::requests::ingest::IngestTarget;
use querygate_query_api::requests::question::{AnswerForm, ChangeRights, ObjectDescription, Question};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordChange};
use querygate_query_api::requests::tracking::{StaleStream, Tracking};
use querygate_query_api::service::Asked;
use querygate_query_api::service::{
    Delivery, Door, LookUp, LookUpRefusal, Prepared, Resting, Session, Statement, TransactionStatus,
};
use querygate_resources::memory::Owner;
use querygate_telemetry_api::trace::{StageTime, TraceContext};
use querygate_types::principal::Principal;
use querygate_types::wire_rows::{Given, WireForm};
use querygate_types::{Error, PgType, Result, limits};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A session of the gate.
pub(crate) struct GateSession {
    pub(super) gate: Arc<Engine>,
    pub(super) principal: Arc<Principal>,
    /// The principal's, as records share it.
    pub(super) login: Arc<str>,
    pub(super) id: u64,
    pub(super) door: Door,
    pub(super) peer: Option<std::net::SocketAddr>,
    pub(super) since: SystemTime,
    pub(super) writer: Arc<Writer>,
    /// Its advisory locks.
    pub(super) locks: Arc<SessionLocks>,
    pub(super) listening: Listening,
    /// Tables and views of its own.
    pub(super) temporary: Arc<TemporaryTables>,
    pub(super) runs: Arc<SessionRuns>,
    /// What others are shown of it.
    pub(super) activity: Arc<Activity>,
    /// Tells learning of them.
    pub(super) learning_feed: Arc<LearningFeed>,
    /// Memory of what its scrollable cursors have read.
    pub(super) kept_rows: Arc<dyn MemoryPool>,
    /// What its statements are charged for as long as they are prepared.
    pub(super) prepared_memory: MemoryReservation,
    pub(super) inner: Arc<Mutex<Inner>>,
    /// `None` of one that a hook's statements run in: it is part of another session.
    pub(super) place: Option<crate::run::admission::SessionPlace>,
}

/// What changes in a session.
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) transaction: Transaction,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) ends: Ends,
    pub(super) prepared: HashMap<String, Named>,
    /// Names that SQL deallocated, for the door to forget.
    pub(super) deallocated: Vec<String>,
    pub(super) effects: Vec<Effect>,
    /// Engine state made for the current workspace and settings.
    pub(super) current: Option<Current>,
    /// A workspace with its temporary tables.
    pub(super) temporary: Option<OwnWorkspace>,
}

impl GateSession {
    pub(crate) fn new(gate: Arc<Engine>, principal: Arc<Principal>, (client, settings, place): Opened<'_>) -> Self {
        let activity = Arc::<Activity>::default();
        let traces = gate.observer().traces();
        let id = gate.observer().session_opened(SessionRecord {
            id: 0,
            login: principal.login.clone(),
            door: client.door,
            application: settings.get("application_name").unwrap_or_default(),
            peer: client.peer.map(|p| p.to_string()),
            since: SystemTime::now(),
            activity: Arc::clone(&activity),
        });
        let account = gate.account(&principal.login);
        let held = Account::new(Owner::Session, Arc::clone(&account), gate.options().memory_per_query);
        let login: Arc<str> = principal.login.as_str().into();
        let runner = SessionIdentity { login: Arc::clone(&login), session: id, door: client.door };
        let inner = Arc::new(Mutex::new(Inner {
            settings,
            transaction: Transaction::default(),
            cursors: HashMap::new(),
            ends: Ends::default(),
            prepared: HashMap::new(),
            deallocated: Vec::new(),
            effects: Vec::new(),
            current: None,
            temporary: None,
        }));
        let runs = SessionRuns::new(Arc::clone(gate.resources()), runner, Arc::clone(&activity), Arc::clone(&account));
        let locks = Arc::new(SessionLocks::new(Arc::clone(gate.advisory_locks()), id));
        let temporary = temporary_tables(&gate, &account);
        let kept_rows = Account::new(Owner::Cursors, Arc::clone(&account), limits::CURSOR_BYTES_MAX);
        let holds = SessionHoldings {
            inner: Arc::downgrade(&inner),
            runs: Arc::downgrade(&runs),
            locks: Arc::downgrade(&locks),
            temporary: Arc::downgrade(&temporary),
            kept_rows: Arc::downgrade(&kept_rows),
            prepared: Arc::downgrade(&held),
        };
        let open = OpenSession {
            login: Arc::clone(&login),
            door: client.door,
            runs: Arc::downgrade(&runs),
            holder: Box::new(holds),
        };
        gate.sessions().enter(id, open);
        let ends = (!principal.operator).then(|| Arc::clone(&login));
        Self {
            prepared_memory: MemoryConsumer::new("prepared statements").register(&held),
            temporary,
            kept_rows,
            runs,
            activity,
            locks,
            writer: Arc::new(Writer { inner: Arc::downgrade(&inner), sessions: Arc::clone(gate.sessions()), ends }),
            gate,
            login,
            principal,
            id,
            door: client.door,
            peer: client.peer,
            since: SystemTime::now(),
            listening: Listening::default(),
            learning_feed: Arc::new(LearningFeed::new(traces)),
            inner,
            place: Some(place),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a statement may take; `None`: any time.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.inner().settings.timeout()
    }
}

impl Session for GateSession {
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>> {
        let began = self.learning_feed.traces().then(StartTime::now);
        let (statements, cut) = parse_cutting(sql, || self.gate.deployment().names_reach(NAME_BYTES))?;
        if !cut.is_empty() {
            self.inner().effects.extend(cut.iter().map(CutName::notice));
        }
        let is_temporary = |parsed: &Arc<Parsed>| matches!(parsed.class(), Classified::Temporary(_));
        if !self.gate.options().writes && !self.has_temporary() && !statements.iter().any(is_temporary) {
            // Before any of them runs, as everything else that is not on the list.
            statements.iter().try_for_each(|parsed| refuse_changes(parsed.class()))?;
        }
        if let Some(began) = began {
            trace_parsing(sql, &statements, began);
        }
        statements.iter().try_for_each(|parsed| parsed.charge(&self.prepared_memory))?;
        Ok(statements.into_iter().map(|parsed| parsed as Arc<dyn Statement>).collect())
    }

    fn prepare<'a>(
        &'a self,
        statement: &'a Arc<dyn Statement>,
        parameter_types: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            let Ok(parsed) = Arc::clone(statement).into_any().downcast::<Parsed>() else {
                return Err(Error::internal("a statement of another service"));
            };
            self.admits(parsed.class())?;
            let began = StartTime::now();
            let declared = without_values(parameter_types);
            let interrupt = self.runs.interrupt(self.timeout());
            let prepared = interrupt.within(self.prepare_parsed(Arc::clone(&parsed), &declared)).await;
            if self.learning_feed.traces() {
                parsed.trace_binding(StageTime { began: began.at, took: began.started.elapsed() });
            }
            match prepared {
                Ok(prepared) => Ok(Arc::new(prepared) as Arc<dyn Prepared>),
                // Who looks for what is not there is worth a record.
                Err(error) => Err(Run::begin(&self.runs, &parsed, Arc::default(), began, self.told()).fail(error)),
            }
        })
    }

    fn run<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
        delivery: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            self.begin_block_of_reads()?;
            self.settled(self.run_prepared(ours(prepared)?, parameters, delivery).await).await
        })
    }

    fn record_platform_read(&self, object: &str, rows: u64) -> Result<()> {
        let (statements, _) = parse_cutting(&format!("TABLE {object}"), || true)?;
        let [statement] = statements.as_slice() else { return Err(Error::internal("an object's name is several")) };
        let mut run = Run::begin(&self.runs, statement, Arc::from([object.to_owned()]), StartTime::now(), None);
        run.note(|record| record.rows = rows);
        let refused = run.too_many(rows);
        run.close(refused.as_ref().map(Error::code));
        refused.map_or(Ok(()), Err)
    }

    fn run_sets<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
    ) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            let own = ours(prepared)?;
            let (Kind::Write(None), Classified::Write(ast)) = (&own.kind, own.parsed.class()) else { return Ok(None) };
            let stored = Box::pin(self.run_write_sets(own, ast, parameters)).await;
            self.settled(stored).await
        })
    }

    fn takes_changes(&self) -> bool {
        self.gate.options().writes
    }

    fn prepare_ingest<'a>(&'a self, target: &'a IngestTarget) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move { Ok(Arc::new(self.prepare_target(target).await?) as Arc<dyn Prepared>) })
    }

    fn ingest<'a>(&'a self, prepared: &'a Arc<dyn Prepared>, rows: BatchStream) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let stored = Box::pin(self.run_ingest(ours(prepared)?, rows)).await;
            self.settled(stored).await
        })
    }

    fn look_up<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        given: &[Given<'_>],
        form: WireForm,
    ) -> std::result::Result<LookUp<'a>, LookUpRefusal> {
        self.begin_look_up(ours(prepared).map_err(|_| LookUpRefusal::NoQuery)?, given, form)
    }

    fn fitted<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            let own = ours(prepared)?;
            let (Kind::Query(bound), Classified::Query(query)) = (&own.kind, own.parsed.class()) else {
                return Ok(Arc::clone(prepared));
            };
            let fitted = self.refreshed_query(bound, query, own, parameters).await?;
            if Arc::ptr_eq(&fitted, bound) {
                return Ok(Arc::clone(prepared));
            }
            let plan = fitted.charge(&self.prepared_memory)?;
            Ok(Arc::new(own.bound_as(fitted, plan)))
        })
    }

    fn parts<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
        split: Split,
    ) -> BoxFuture<'a, Result<Parts>> {
        Box::pin(async move { self.divide(ours(prepared)?, parameters, split).await })
    }

    fn ask<'a>(&'a self, question: &'a Question, form: AnswerForm) -> BoxFuture<'a, Result<Asked>> {
        Box::pin(async move { self.bind_asked(question, form).await })
    }

    fn objects(&self) -> BoxFuture<'_, Result<Vec<Arc<ObjectDescription>>>> {
        Box::pin(async move { self.described_objects() })
    }

    fn object<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<ObjectDescription>>> {
        Box::pin(async move { self.described_object(name) })
    }

    fn change_rights<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<ChangeRights>> {
        Box::pin(async move { self.open_changes(object).await })
    }

    fn admits_bulk<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.decide_bulk(object).await })
    }

    fn change<'a>(
        &'a self,
        changes: &'a [RecordChange],
        on_failure: OnFailure,
    ) -> BoxFuture<'a, Result<Vec<ChangeOutcome>>> {
        Box::pin(async move { self.change_records(changes, on_failure).await })
    }

    fn subscribe(&self, filter: EventFilter) -> BoxFuture<'_, Result<EventStream>> {
        Box::pin(async move { self.follow(filter).await })
    }

    fn track(&self, tracking: Tracking) -> BoxFuture<'_, Result<StaleStream>> {
        Box::pin(async move { self.track_answer(tracking) })
    }

    fn connected_by_tls(&self) {
        if let Err(error) = self.inner().settings.start("ssl", "on") {
            tracing::warn!(%error, "a session does not show that it is encrypted");
        }
    }

    fn statement_named(&self, name: &str, prepared: Option<&Arc<dyn Prepared>>) {
        let mut inner = self.inner();
        match prepared {
            Some(prepared) => inner.prepared.insert(name.to_owned(), Named::new(Arc::clone(prepared), false)),
            None => inner.prepared.remove(name),
        };
    }

    fn take_deallocated(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().deallocated)
    }

    fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.inner().effects)
    }

    fn reported_settings(&self) -> Vec<(String, String)> {
        self.inner().settings.reported()
    }

    fn setting(&self, name: &str) -> Option<String> {
        if let Some(timeout) = self.idle_timeout_of_block(name) {
            return Some(timeout);
        }
        let inner = self.inner();
        if name == "TimeZone" { inner.settings.zone().ok() } else { inner.settings.get(name).ok() }
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.inner().transaction.status()
    }

    fn is_ended(&self) -> bool {
        self.runs.is_ended()
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.runs.until_ended())
    }

    fn occupy(&self, occupation: Occupation, object: &str) -> Box<dyn Send + Sync> {
        Box::new(self.activity.occupations.begin(occupation, object))
    }

    fn resting(&self) -> Resting {
        let inner = self.inner();
        let (status, settings) = (inner.transaction.status(), inner.settings.stamp());
        drop(inner);
        // A transaction that may hold locks has a timeout of its own.
        let settings = (!self.runs.block().is_open()).then_some(settings);
        Resting { status, settings, listens: !self.listening.is_empty() }
    }

    fn snapshot_version(&self) -> u64 {
        self.deployment().version
    }

    fn begin_block(&self) {
        self.inner().transaction.begin_implicit(true);
    }

    fn end_block(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.end_implicit_block().await })
    }

    fn fail_transaction(&self) {
        self.fail();
    }

    fn cursor(&self, name: &str) -> Option<Arc<[Column]>> {
        self.cursor_columns(name).ok()
    }

    fn listens(&self) -> bool {
        !self.listening.is_empty()
    }

    fn notification(&self) -> BoxFuture<'_, Notification> {
        Box::pin(async move { self.listening.next().await })
    }

    fn holding(&self) -> Box<dyn Holding> {
        Box::new(DoorMemory(MemoryConsumer::new("door").register(self.runs.account())))
    }

    fn follow_trace(&self, parent: Option<TraceContext>) {
        self.learning_feed.follow_trace(parent);
    }

    fn follow_request(&self, id: Option<Arc<str>>) {
        self.runs.follow_request(id);
    }

    fn cancel(&self) {
        self.runs.cancel_last();
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Who leaves cursors open has not cancelled them.
            self.inner().cursors.clear();
            self.cancel();
            self.drop_block().await;
            self.listening.end(None);
            self.inner().prepared.clear();
            self.temporary.clear();
            self.locks.end_transaction();
            self.locks.release_all();
            self.gate.sessions().leave(self.id);
            self.gate.observer().session_closed(self.id);
        })
    }
}

/// None yet. What they hold in memory is a session's share of its user's.
pub(super) fn temporary_tables(gate: &Engine, account: &Arc<dyn MemoryPool>) -> Arc<TemporaryTables> {
    let memory = Account::new(Owner::Session, Arc::clone(account), gate.options().memory_per_query);
    Arc::new(TemporaryTables::new(ChunkStore::new(memory, Arc::clone(gate.environment()))))
}

/// What a door holds for a session.
#[derive(Debug)]
struct DoorMemory(MemoryReservation);

impl Holding for DoorMemory {
    fn resize(&self, bytes: usize) -> Result<()> {
        self.0.try_resize(bytes).map_err(|error| translate(&error, Stage::Execute))
    }
}

impl Drop for GateSession {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.gate.sessions().leave(self.id);
            self.gate.observer().session_closed(self.id);
        }
    }
}
