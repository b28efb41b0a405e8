//! The engine: the current deployment, what sessions share, and every bound on work.

pub(crate) mod caches;
mod held;
pub(crate) mod judged;
mod log_readers;
mod options;
mod views;

use caches::{Caches, OPENED_KEY_MAX};
pub(crate) use log_readers::LogReaders;
pub use options::{EngineOptions, EngineWorkers, EventFeed};

use crate::advisory::AdvisoryLocks;
use crate::bind::reader_rights::ReaderRights;
use crate::bind::workspace::{OwnRelations, Workspace, with_key_lists};
use crate::books::checks::Checks;
use crate::books::observe::{self, Observer};
use crate::books::system;
use crate::run::admission::{Admission, Permit, SessionPlace, SessionPlaces, TurnBounds};
use crate::run::directory::SessionDirectory;
use crate::run::lifecycle::Resources;
use crate::run::memory::Accounts;
use crate::settings::list::Settings;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use querygate_catalog::FragmentRuns;
use querygate_catalog::deployment::{Deployment, SourceStatus};
use querygate_catalog::leaf::tell_uses;
use querygate_pg_catalog::LeafToken;
use querygate_query_api::service::ClientInfo;
use querygate_resources::Stop;
use querygate_resources::measured::follow_spawned_tasks;
use querygate_resources::{Holder, SourceShares};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The one way to data.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    resources: Arc<Resources>,
    environment: Arc<RuntimeEnv>,
    accounts: Accounts,
    deployment: RwLock<Arc<Deployment>>,
    /// Of the current deployment, for those who only compare it.
    version: AtomicU64,
    /// Whether the version that came last was none that could be put in force.
    has_refused: AtomicBool,
    caches: Caches,
    session_places: Arc<SessionPlaces>,
    start_settings: Settings,
    checks: Arc<Checks>,
    sessions: Arc<SessionDirectory>,
    advisory_locks: Arc<AdvisoryLocks>,
}

fn start_settings(options: &EngineOptions) -> Result<Settings> {
    let mut settings = Settings::default();
    if let Some(timeout) = options.statement_timeout {
        settings.start("statement_timeout", &format!("{}ms", timeout.as_millis()))?;
    }
    settings.start("max_connections", &options.sessions_max.to_string())?;
    settings.writes = options.writes;
    if options.writes {
        settings.start("default_transaction_read_only", "off")?;
        settings.start("transaction_read_only", "off")?;
    }
    settings.has_workers = options.workers.is_some();
    if options.verify_sample > 0.0 {
        settings.start("querygate.verify_sample", &options.verify_sample.to_string())?;
    }
    Ok(settings)
}

/// Whose rights are kept. A user's narrowed credentials have some of their own beside the user's, and so has the platform on the user's
/// behalf.
fn holder_of(principal: &Principal) -> String {
    match &principal.scope {
        None if principal.is_system() => format!("{}\n\u{1}system", principal.login),
        None => principal.login.clone(),
        Some(scope) => format!("{}\n{scope}", principal.login),
    }
}

/// What a session begins with: who connects, its settings, its place among its user's sessions.
pub(crate) type Opened<'a> = (&'a ClientInfo, Settings, SessionPlace);

fn resources(options: &EngineOptions, runtime: tokio::runtime::Handle, observer: Observer) -> Resources {
    Resources {
        admission: Admission::new(TurnBounds {
            running: options.queries_max,
            running_per_user: options.queries_per_user_max,
            waiting: options.queries_waiting_max,
            patience: options.queue_timeout,
        }),
        observer: Arc::new(observer),
        runtime,
        source_shares: SourceShares::new(options.source_shares),
        rows_max: options.rows_max,
        memory_per_query: options.memory_per_query,
    }
}

impl Engine {
    /// Builds a gate that runs its queries on `runtime`.
    ///
    /// # Errors
    /// Folders or files of the options that cannot be used.
    pub fn new(
        mut options: EngineOptions,
        runtime: tokio::runtime::Handle,
        deployment: Deployment,
    ) -> Result<Arc<Self>> {
        let config = |what: &str, error: &dyn std::fmt::Display| {
            Error::new(ErrorCode::ConfigInvalid, format!("{what}: {error}"))
        };
        crate::rules::list::check()?;
        follow_spawned_tasks();
        let disk = match &options.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default().with_mode(disk).with_max_temp_directory_size(options.spill_max);
        let accounts = Accounts::new(options.memory_total, options.memory_per_user);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(accounts.total()))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|e| config("the spill folder cannot be used", &e))?;
        let caches =
            Caches::new(options.memory_total, accounts.total()).map_err(|e| config("limits.memory_total", &e))?;
        let telemetry = options.telemetry.clone();
        options.track(&deployment);
        let observer = Observer::new(options.audit.as_deref(), telemetry).map_err(|e| {
            let file = options.audit.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
            config(&format!("the audit file {file} cannot be opened"), &e)
        })?;
        let sessions = Arc::<SessionDirectory>::default();
        let holders = std::mem::take(&mut options.holders);
        options.extensions.push(Arc::new(held::HeldExtension { sessions: Arc::clone(&sessions), holders }));
        Ok(Arc::new(Self {
            caches,
            session_places: SessionPlaces::new(options.sessions_max, options.sessions_per_user_max),
            start_settings: start_settings(&options)?,
            resources: Arc::new(resources(&options, runtime, observer)),
            options,
            environment,
            accounts,
            version: AtomicU64::new(deployment.version),
            has_refused: AtomicBool::new(false),
            deployment: RwLock::new(Arc::new(deployment)),
            checks: Arc::default(),
            sessions,
            advisory_locks: Arc::default(),
        }))
    }

    /// The current version.
    #[must_use]
    pub fn deployment(&self) -> Arc<Deployment> {
        Arc::clone(&self.deployment.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sessions that are open.
    pub(crate) fn sessions(&self) -> &Arc<SessionDirectory> {
        &self.sessions
    }

    pub(crate) fn advisory_locks(&self) -> &Arc<AdvisoryLocks> {
        &self.advisory_locks
    }

    /// The current deployment's version.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Swaps in a newer version. Statements that run keep the one they pinned.
    ///
    /// # Errors
    /// Internal: the version is not newer than the current one, which stays.
    pub fn replace(&self, deployment: Deployment) -> Result<()> {
        let mut current = self.deployment.write().unwrap_or_else(PoisonError::into_inner);
        if deployment.version <= current.version {
            let text = format!("version {} came after version {}", deployment.version, current.version);
            return Err(Error::internal(text));
        }
        self.version.store(deployment.version, Ordering::Release);
        self.options.track(&deployment);
        *current = Arc::new(deployment);
        drop(current);
        self.caches.clear();
        self.has_refused.store(false, Ordering::Release);
        metrics::counter!("querygate_deployments_total").increment(1);
        Ok(())
    }

    /// Notes that no newer version could be made, or that it has errors: the current one stays.
    pub fn refuse(&self) {
        self.has_refused.store(true, Ordering::Release);
        metrics::counter!("querygate_deployments_refused_total").increment(1);
    }

    /// Whether the last version was refused, so that what is served is older than what is configured.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.has_refused.load(Ordering::Acquire)
    }

    /// Waits, for at most some seconds, until what was observed is in the audit file. For the end, when no statement runs
    /// any more: what finishes afterwards is counted as lost.
    pub fn close(&self) {
        self.resources.observer.close();
    }

    /// Sources of the current version and how they are.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.deployment().sources.clone()
    }

    /// Sets the metrics of memory, of turns, of the last reload and of the sources' connections.
    pub fn measure(&self) {
        metrics::gauge!("querygate_memory_reserved_bytes").set(self.accounts.total().reserved() as f64);
        metrics::gauge!("querygate_memory_max_bytes").set(self.options.memory_total as f64);
        let (running, waiting) = self.resources.admission.load();
        metrics::gauge!("querygate_queries_running").set(running as f64);
        metrics::gauge!("querygate_queries_waiting").set(waiting as f64);
        metrics::gauge!("querygate_plan_templates_bytes").set(self.caches.templates.bytes() as f64);
        metrics::gauge!("querygate_queries_max").set(self.options.queries_max as f64);
        metrics::gauge!("querygate_sessions_max").set(self.options.sessions_max as f64);
        metrics::gauge!("querygate_deployment_refused").set(if self.has_refused() { 1.0 } else { 0.0 });
        if let Some(workers) = &self.options.workers {
            workers.pool.measure();
        }
        for source in &self.deployment().sources {
            let up = if source.down().is_none() { 1.0 } else { 0.0 };
            metrics::gauge!("querygate_source_up", "source" => source.name.clone()).set(up);
            if let Some(pool) = source.driver.as_ref().and_then(|driver| driver.pool()) {
                observe::measured(&source.name, &pool);
            }
        }
    }

    /// Settings that a session starts with, before its own.
    pub(crate) fn start_settings(&self) -> &Settings {
        &self.start_settings
    }

    /// What a session of this user starts with that names these settings. A door that opens a session for each request names the same
    /// ones each time.
    ///
    /// # Errors
    /// A setting is refused.
    pub(crate) fn opened_settings(&self, principal: &Principal, named: &[(String, String)]) -> Result<Settings> {
        let key = format!("{:?} {} {named:?}", principal.login, principal.operator);
        if let Some(known) = self.caches.opened.get(&key) {
            return Ok(known);
        }
        let mut settings = self.start_settings().clone().for_operator(principal.operator);
        settings.start("session_authorization", &principal.login)?;
        for (name, value) in named {
            settings.startup(name, value)?;
        }
        if key.len() <= OPENED_KEY_MAX {
            self.caches.opened.insert(key, settings.clone());
        }
        Ok(settings)
    }

    /// A place for one more session of this user.
    pub(crate) fn session_place(&self, login: &str) -> Result<SessionPlace> {
        self.session_places.take(login)
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.resources.runtime
    }

    pub(crate) fn observer(&self) -> &Arc<Observer> {
        &self.resources.observer
    }

    pub(crate) fn checks(&self) -> &Arc<Checks> {
        &self.checks
    }

    /// The principal's workspace on a deployment; made once per version.
    pub(crate) async fn workspace(
        &self,
        deployment: &Arc<Deployment>,
        principal: &Arc<Principal>,
    ) -> Result<Arc<Workspace>> {
        let key = (deployment.version, holder_of(principal));
        if let Some(found) = self.caches.workspaces.get(&key)
            && found.rights.are_of(deployment.version, principal)
        {
            return Ok(found);
        }
        // Boxed, so that finding one does not need the stack that making one needs.
        let rights = self.rights(deployment, principal);
        let made = Box::pin(self.make_workspace(deployment, principal, rights, None)).await?;
        // A session that pinned an older deployment must not bring it back.
        if deployment.version == self.version() {
            self.caches.workspaces.insert(key, Arc::clone(&made));
        }
        Ok(made)
    }

    /// A principal's workspace with the relations that one session has besides. It is kept by that session alone.
    ///
    /// # Errors
    /// 53200: the session may hold no more.
    pub(crate) async fn temporary_workspace(&self, base: &Arc<Workspace>, own: OwnRelations) -> Result<Arc<Workspace>> {
        let (deployment, principal) = (base.catalog.deployment(), base.rights.login());
        Box::pin(self.make_workspace(deployment, principal, Arc::clone(&base.rights), Some(own))).await
    }

    pub(crate) fn environment(&self) -> &Arc<RuntimeEnv> {
        &self.environment
    }

    async fn make_workspace(
        &self,
        deployment: &Arc<Deployment>,
        principal: &Arc<Principal>,
        rights: Arc<ReaderRights>,
        own: Option<OwnRelations>,
    ) -> Result<Arc<Workspace>> {
        let starts = self.start_settings();
        let live = |token: &LeafToken| {
            let starts = starts.all().into_iter();
            let starts = starts.map(|row| [row.name.to_owned(), row.value, row.help.to_owned()]).collect();
            let own = system::tables(self.observer(), &self.checks, token, deployment, principal, starts);
            let supplied = system::extensions::tables(&self.options.extensions, token, principal);
            let kept = self.options.history.as_ref().zip(self.options.events.as_ref());
            let history = kept.map(|(history, events)| crate::history::table(history, events.print, token));
            let events = self.options.events.as_ref().map(|_| crate::events::table(token));
            own.into_iter().chain(supplied).chain(history).chain(events).collect()
        };
        let environment = Arc::clone(&self.environment);
        let config =
            crate::bind::workspace::session_config(self.options.target_partitions, self.options.memory_per_query);
        crate::bind::workspace::build_workspace(rights, live, environment, config, own).await
    }

    /// What the principal may read on a deployment; evaluated once per version. A workspace has the same, and takes many times as much.
    pub(crate) fn rights(&self, deployment: &Arc<Deployment>, principal: &Arc<Principal>) -> Arc<ReaderRights> {
        let key = (deployment.version, holder_of(principal));
        if let Some(found) = self.caches.rights.get(&key)
            && found.are_of(deployment.version, principal)
        {
            return found;
        }
        let made = Arc::new(ReaderRights::evaluate(deployment, principal, self.caches.next_number()));
        if deployment.version == self.version() {
            self.caches.rights.insert(key, Arc::clone(&made));
        }
        made
    }

    /// What sessions share of the current deployment.
    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    /// What runs of statements share.
    pub(crate) fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// A turn to run something for this user beside the sessions.
    pub(crate) async fn admit(&self, login: &str) -> Result<Permit> {
        self.resources.admission.admit(login).await
    }

    /// What one statement runs in. `stop`: when it is over. `holder`: whose connections to sources it holds. `runs`: where its
    /// fragments are measured. `account`: what pays for it. `readers`: who reads field history and events in it.
    #[expect(clippy::too_many_arguments, reason = "each is another part of what a statement runs in")]
    pub(crate) fn task_context(
        &self,
        state: &SessionState,
        plan: &Arc<dyn ExecutionPlan>,
        account: Arc<dyn MemoryPool>,
        stop: Arc<Stop>,
        holder: Option<&Arc<Holder>>,
        runs: Option<Arc<FragmentRuns>>,
        readers: LogReaders,
    ) -> Arc<TaskContext> {
        let mut config = with_key_lists(state.config(), plan);
        config.set_extension(stop);
        if let Some(holder) = holder {
            config.set_extension(Arc::clone(holder));
        }
        let LogReaders { history, events } = readers;
        if let Some(history) = history {
            config.set_extension(history);
        }
        if let Some(events) = events {
            config.set_extension(events);
        }
        if let Some(runs) = runs {
            tell_uses(plan);
            config.set_extension(runs);
        }
        // Operators hold their functions; looking one up by name is for plans that arrive in a serialized form.
        Arc::new(TaskContext::new(
            None,
            state.session_id().to_owned(),
            config,
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            self.statement_environment(account),
        ))
    }

    /// A user's share of memory.
    pub(crate) fn account(&self, login: &str) -> Arc<dyn MemoryPool> {
        self.accounts.user(login)
    }

    /// A runtime environment whose memory is the statement's own.
    fn statement_environment(&self, account: Arc<dyn MemoryPool>) -> Arc<RuntimeEnv> {
        let mut environment = RuntimeEnv::clone(&self.environment);
        environment.memory_pool = account;
        Arc::new(environment)
    }
}
