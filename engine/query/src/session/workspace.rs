//! What a session's next statement is planned with: the pinned version's workspace, and an engine state that carries the
//! session's settings.

use super::commands::cursors::Cursor;
use super::gate_session::{GateSession, Inner};
use super::statements::prepared::{Named, ours};
use crate::advisory::LocksInConfig;
use crate::bind::statement::{Bound, bind};
use crate::bind::workspace::{Workspace, plan_briefly, with_config};
use crate::dialect::parameters::Declared;
use crate::dialect::subqueries::apply::SubplanRunner;
use crate::engine::caches::{BOUND_TEXT_MAX, BoundKey};
use crate::errors::{Stage, translate};
use crate::plan::executable::Subplans;
use crate::plan::figures::Observed;
use crate::run::directory::SessionDirectory;
use crate::run::measured_memory;
use datafusion::catalog::CatalogProviderList;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::sql::sqlparser::ast::Query;
use querygate_catalog::deployment::Deployment;
use querygate_catalog::leaf::FilesOf;
use querygate_pg_catalog::session::{NamedStatement, OpenCursor, RunningCopy, SessionVars, SetSetting, SettingsWriter};
use querygate_query_api::outcome::Effect;
use querygate_resources::Metered;
use querygate_resources::measured::StatementWork;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::Shipping;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// What the last statement was planned with, and what that depends on.
pub(super) struct Current {
    workspace: Arc<Workspace>,
    stamp: u64,
    state: Arc<SessionState>,
    /// Settings that binding depends on.
    key: Arc<str>,
}

impl GateSession {
    /// The version this statement sees: the transaction's, else the current one.
    pub(super) fn deployment(&self) -> Arc<Deployment> {
        self.inner().transaction.pin(|| self.gate.deployment())
    }

    /// Workspace for the next statement.
    pub(crate) async fn workspace(&self) -> Result<Arc<Workspace>> {
        self.current().await.map(|(workspace, ..)| workspace)
    }

    /// What a statement came to: an error fails the transaction, whatever becomes of its names.
    pub(super) async fn settled<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(done) => Ok(done),
            Err(error) => {
                self.fail();
                Err(self.with_rule_names(error).await)
            }
        }
    }

    /// The error of a change, with those names of the source's rule that the principal may know.
    pub(super) async fn with_rule_names(&self, error: Error) -> Error {
        if error.source_rule().is_none() {
            return error;
        }
        match self.workspace().await {
            Ok(workspace) => workspace.catalog.with_rule_names(error).await,
            // Rights that are gone give no names.
            Err(_) => error,
        }
    }

    /// Engine state to plan and run a statement with: shared by all sessions of this principal with equal settings,
    /// unless the statement asks for something that is this session's own.
    pub(crate) async fn statement_state(&self, bound: &Bound) -> Result<Arc<SessionState>> {
        self.observed_state(bound, None).await
    }

    /// A statement's state for a run of which is kept what its nodes do.
    pub(super) async fn observed_state(&self, bound: &Bound, observed: Option<&Observed>) -> Result<Arc<SessionState>> {
        let (workspace, state, _) = self.current().await?;
        let uncommitted = self.runs.block().uncommitted();
        // What the session's own transaction has added is seen by this process alone.
        let shipping = if uncommitted.is_none() { self.shipping() } else { None };
        let is_own = bound.asks().session || uncommitted.is_some() || shipping.is_some();
        if !is_own && observed.is_none() {
            return Ok(state);
        }
        let vars = if bound.asks().session { Some(self.session_vars(&self.inner())?) } else { None };
        let own = with_config(&state, |config| {
            if is_own && bound.asks().catalog_alone {
                plan_briefly(config);
            }
            if let Some(vars) = vars {
                config.options_mut().extensions.insert(vars);
                config.options_mut().extensions.insert(LocksInConfig(Arc::clone(&self.locks)));
            }
            // Read past the driver, rows of the session's own transaction are found by the provider itself.
            if let Some(uncommitted) = uncommitted {
                config.set_extension(uncommitted);
            }
            if let Some(observed) = observed {
                config.set_extension(Arc::new(observed.counted()));
                config.set_extension(Arc::clone(observed.reads()));
            }
            if let Some((shipping, files)) = shipping {
                config.set_extension(Arc::new(shipping));
                config.set_extension(Arc::new(files));
            }
        });
        Ok(with_runner(own, &workspace))
    }

    /// The workers that this session's statements are planned with.
    fn shipping(&self) -> Option<(Shipping, FilesOf)> {
        let workers = self.gate.options().workers.as_ref()?;
        let mode = self.inner().settings.workers()?;
        Some((Shipping { pool: Arc::clone(&workers.pool), mode }, workers.files.clone()))
    }

    pub(super) async fn current(&self) -> Result<(Arc<Workspace>, Arc<SessionState>, Arc<str>)> {
        let deployment = self.deployment();
        let workspace = self.with_temporary(self.gate.workspace(&deployment, &self.principal).await?).await?;
        let own = self.has_temporary().then(|| self.temporary_schema());
        let inner = &mut *self.inner();
        if let Some(current) = &inner.current
            && Arc::ptr_eq(&current.workspace, &workspace)
            && current.stamp == inner.settings.stamp()
        {
            return Ok((workspace, Arc::clone(&current.state), Arc::clone(&current.key)));
        }
        let key = inner.settings.names()?;
        let shared = (workspace.catalog.token().clone(), Arc::clone(&key));
        let states = &self.gate.caches().states;
        // A state with tables of this session is of no use to another one.
        let found = if own.is_some() { None } else { states.get(&shared) };
        let state = match found {
            Some(state) => state,
            None => {
                let (zone, path) = (inner.settings.zone()?, inner.settings.get("search_path")?);
                let path = own.iter().cloned().chain(schemas(&path, &self.principal.login)).collect::<Vec<_>>();
                let searched = workspace.catalog.searched(&path)?;
                let make = || with_runner(for_settings(workspace.catalog.state(), zone, searched), &workspace);
                if own.is_some() { make() } else { states.get_with(shared, make) }
            }
        };
        inner.current = Some(Current {
            workspace: Arc::clone(&workspace),
            stamp: inner.settings.stamp(),
            state: Arc::clone(&state),
            key: Arc::clone(&key),
        });
        Ok((workspace, state, key))
    }

    fn session_vars(&self, inner: &Inner) -> Result<SessionVars> {
        let settings = &inner.settings;
        let cursor = |(name, cursor): (&String, &Cursor)| OpenCursor {
            name: name.clone(),
            statement: cursor.statement.to_string(),
            holdable: cursor.hold,
            scrollable: cursor.scrolls(),
            created_micros: micros(cursor.since),
        };
        let path = schemas(&settings.get("search_path")?, &self.principal.login);
        let path = self.has_temporary().then(|| self.temporary_schema()).into_iter().chain(path).collect();
        let known = settings.known();
        let custom = settings.custom().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(SessionVars {
            backend_pid: i32::try_from(self.id).unwrap_or(i32::MAX),
            settings: known.chain(custom).collect(),
            search_path: Some(path),
            started_micros: micros(self.since),
            cursors: inner.cursors.iter().map(cursor).collect(),
            prepared: inner.prepared.iter().filter_map(|(name, named)| shown_statement(name, named)).collect(),
            copies: self.copies(),
            client_address: self.peer.map(|p| p.ip().to_string()),
            client_port: self.peer.map(|p| i32::from(p.port())),
            writer: Some(SettingsWriter(Arc::clone(&self.writer) as Arc<dyn SetSetting>)),
        })
    }

    /// The COPY FROM of all sessions of this login.
    fn copies(&self) -> Vec<RunningCopy> {
        let copies = self.gate.observer().copies(&self.login).into_iter();
        let shown = copies.map(|(session, table, progress)| RunningCopy {
            backend_pid: i32::try_from(session).unwrap_or(i32::MAX),
            table,
            bytes: progress.bytes(),
            rows: progress.rows(),
            skipped: progress.skipped(),
        });
        shown.collect()
    }

    /// Binds a query of a client, or finds it bound. `text`: the statement's own text; `None` where another statement carries it.
    pub(super) async fn bind_query(
        &self,
        query: &Query,
        declared: &[Option<Declared>],
        text: Option<&Arc<str>>,
    ) -> Result<Arc<Bound>> {
        let bound = self.bind_own_query(query, declared, text).await?;
        refuse_only_asked(&bound)?;
        Ok(bound)
    }

    /// What a statement of this text without declared types is kept by. `None`: it is too long.
    pub(super) async fn bound_key(&self, text: &Arc<str>) -> Result<Option<BoundKey>> {
        if text.len() > BOUND_TEXT_MAX || self.has_temporary() {
            return Ok(None);
        }
        let (workspace, _, settings) = self.current().await?;
        let (token, text) = (workspace.catalog.token().clone(), Arc::clone(text));
        Ok(Some(BoundKey { token, text, declared: Vec::new(), settings }))
    }

    /// Binds a query that the gate asks for its own work, of which hooks of reads do not hear.
    pub(super) async fn bind_own_query(
        &self,
        query: &Query,
        declared: &[Option<Declared>],
        text: Option<&Arc<str>>,
    ) -> Result<Arc<Bound>> {
        let (workspace, state, settings) = self.current().await?;
        // What is bound over a session's own tables is of no use to another session.
        let text = text.filter(|text| text.len() <= BOUND_TEXT_MAX && !self.has_temporary());
        let Some(text) = text else { return self.bind_on_workers(&workspace, &state, query, declared).await };
        let key = BoundKey {
            token: workspace.catalog.token().clone(),
            text: Arc::clone(text),
            declared: declared.to_vec(),
            settings,
        };
        // Of a workspace that was made anew since, its statements are of the one before.
        if let Some(found) =
            self.gate.caches().bound.get(&key).filter(|found| Arc::ptr_eq(found.workspace(), &workspace))
        {
            return Ok(found);
        }
        let bound = self.bind_on_workers(&workspace, &state, query, declared).await?;
        self.gate.caches().bound.insert(key, Arc::clone(&bound));
        Ok(bound)
    }
}

/// Whether no table is read whose hooks run for each reading of records by a question, which a statement of SQL is not.
fn refuse_only_asked(bound: &Bound) -> Result<()> {
    let catalog = &bound.workspace().catalog;
    let policies = &catalog.deployment().policies;
    if !policies.has_only_asked() {
        return Ok(());
    }
    for table in bound.objects().iter() {
        let visible = catalog.objects().iter().find(|visible| visible.sql_name == *table);
        let Some(hook) = visible.and_then(|visible| policies.only_asked(&visible.object.name)) else { continue };
        tracing::info!(table, hook, "a statement was refused: a hook of reads runs for questions alone");
        let text = format!("table {table} is not read by SQL: hooks of its metadata run for questions alone");
        return Err(Error::new(ErrorCode::FeatureNotSupported, text)
            .with_hint("Ask by the REST interface, or an operator declares a filter that stands for the hook."));
    }
    Ok(())
}

/// What planning makes of a tree or a plan and forgets in the end: copies, and the plans of each step.
const PLANNED_COPIES: usize = 3;
/// Statements below this are planned without a charge: they are on few threads at once.
const PLANNED_LEAST: usize = 256 << 10;

impl GateSession {
    /// The charge of planning something of this size, for as long as that takes.
    pub(super) fn planning(&self, bytes: usize) -> Result<Option<MemoryReservation>> {
        if bytes < PLANNED_LEAST {
            return Ok(None);
        }
        let memory = MemoryConsumer::new("planning").register(&self.runs.statement_account());
        let grown = memory.try_grow(bytes.saturating_mul(PLANNED_COPIES));
        grown.map_err(|error| translate(&error, Stage::Optimize))?;
        Ok(Some(memory))
    }
}

/// A prepared statement as the catalog tells it.
fn shown_statement(name: &str, named: &Named) -> Option<NamedStatement> {
    let own = ours(&named.prepared).ok()?;
    Some(NamedStatement {
        name: name.to_owned(),
        statement: Arc::clone(own.parsed.shared_text()),
        prepared_micros: micros(named.since),
        parameter_types: own.parameter_types.iter().map(|own| own.oid()).collect(),
        from_sql: named.from_sql,
    })
}

/// Microseconds since 1970 UTC.
fn micros(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

impl GateSession {
    /// Binding runs where queries run: their threads have the stack that nested statements need, and a hard statement
    /// must not hold up the wire.
    async fn bind_on_workers(
        &self,
        workspace: &Arc<Workspace>,
        state: &Arc<SessionState>,
        query: &Query,
        declared: &[Option<Declared>],
    ) -> Result<Arc<Bound>> {
        let (workspace, state) = (Arc::clone(workspace), Arc::clone(state));
        let (query, declared) = (query.clone(), declared.to_vec());
        self.on_workers(async move { Ok(Arc::new(bind(&workspace, &state, &query, &declared).await?)) }).await
    }

    /// Runs work on the query runtime; it ends when the caller gives up.
    pub(super) async fn on_workers<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let given_up = Arc::new(AtomicBool::new(false));
        let account = self.runs.statement_account();
        let measured = measured_memory::ledger(&account, &CancellationToken::new());
        let memory = match account.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        let work = StatementWork::new(&measured, Metered::new(work, Arc::clone(&given_up), memory));
        let task = self.gate.runtime().spawn(work);
        let _abort = AbortOnDrop(task.abort_handle(), given_up);
        let done = task.await;
        tracing::trace!(most = measured.most(), left = measured.held(), "memory of planning");
        done.map_err(|join| Error::internal(format!("work on the query runtime did not finish: {join}")))??
    }
}

/// A task ends where it waits; constants that it computes end by the flag.
struct AbortOnDrop(tokio::task::AbortHandle, Arc<AtomicBool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
        self.0.abort();
    }
}

/// The state with a session's time zone, and with its search path where that is not `public` alone.
fn for_settings(
    state: &SessionState,
    zone: String,
    searched: Option<(&str, Arc<dyn CatalogProviderList>)>,
) -> SessionState {
    let mut config = state.config().clone();
    config.options_mut().execution.time_zone = Some(zone);
    let builder = SessionStateBuilder::new_from_existing(state.clone());
    match searched {
        None => builder.with_config(config).build(),
        Some((schema, list)) => {
            schema.clone_into(&mut config.options_mut().catalog.default_schema);
            builder.with_config(config).with_catalog_list(list).build()
        }
    }
}

/// The state with a runner of subplans. Subplans themselves are planned without one: the context that runs them brings it.
pub(super) fn with_runner(state: SessionState, workspace: &Workspace) -> Arc<SessionState> {
    let base = Arc::new(state);
    let subplans = Subplans { state: Arc::clone(&base), token: workspace.catalog.token().clone() };
    Arc::new(with_config(&base, |config| config.set_extension(Arc::new(SubplanRunner(Arc::new(subplans))))))
}

/// Schemas of a `search_path`, without `pg_catalog`, which is searched anyway.
fn schemas(path: &str, login: &str) -> Vec<String> {
    let named =
        path.split(',').map(|part| part.trim().trim_matches(['"', '\'']).to_owned()).filter(|part| !part.is_empty());
    let own = named.map(|part| if part == "$user" { login.to_owned() } else { part });
    let mut schemas: Vec<String> = own.filter(|part| part != login).collect();
    if schemas.is_empty() {
        schemas.push("pg_catalog".to_owned());
    }
    schemas
}

/// What functions do on behalf of a session.
pub(super) struct Writer {
    pub(super) inner: Weak<Mutex<Inner>>,
    pub(super) sessions: Arc<SessionDirectory>,
    /// Whose sessions' statements it may end; `None`: those of all.
    pub(super) ends: Option<Arc<str>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl SetSetting for Writer {
    fn cancel(&self, process_id: i64) -> bool {
        u64::try_from(process_id).is_ok_and(|id| self.sessions.cancel(id, self.ends.as_deref()))
    }

    fn set(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        if matches!(name.to_lowercase().as_str(), "role" | "session_authorization") {
            return Err(Error::new(ErrorCode::InsufficientPrivilege, "permission denied to set role"));
        }
        let inner = self.inner.upgrade().ok_or_else(|| Error::internal("a session set a setting after its end"))?;
        let inner = &mut *inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.admits_setting(name, value)?;
        if local && !inner.transaction.is_open() {
            // It ends with the statement, which has read its settings already.
            let mut settings = inner.settings.clone();
            let (_, value, _) = match value {
                Some(value) => settings.set(name, value)?,
                None => settings.reset(name)?,
            };
            return Ok(value);
        }
        let (name, value, reported) = match value {
            Some(value) => inner.settings.set(name, value)?,
            None => inner.settings.reset(name)?,
        };
        if !local {
            inner.transaction.keep(|kept| {
                let _ = kept.set(&name, &value);
            });
        }
        if reported {
            inner.effects.push(Effect::ParameterStatus { name: name.into_owned(), value: value.clone() });
        }
        Ok(value)
    }
}
