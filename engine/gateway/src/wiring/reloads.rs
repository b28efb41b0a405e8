//! A running gate takes what its files say now, as a whole or not at all.

use super::deployment::{Builder, tell};
use super::metadata_webhooks::{self, Declarations};
use super::{events, measure};
use crate::config::{Config, Taken, reread};
use crate::gate::{Anew, Reloaded};
use crate::tls::Certificates;
use crate::users::Users;
use async_trait::async_trait;
use querygate_query::{Engine, EngineOptions};
use querygate_telemetry_api::system::{Cell, SystemExtension, SystemProcedure, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::Mutex;

/// Signals, changed files, calls and sources that return ask for reloads at any time. They take turns, each with the next version:
/// what was read earlier never replaces what was read later.
pub(super) struct Reloads {
    engine: Arc<Engine>,
    builder: Arc<Builder>,
    users: Arc<Users>,
    declared: Arc<Declarations>,
    certificates: Arc<Certificates>,
    /// What the process was started with.
    started: Config,
    turn: Mutex<()>,
    waiting: RwLock<Vec<String>>,
    /// How many were asked for and are done, well or not.
    done: AtomicU64,
}

/// What reloads put things in force by.
type Shared = (Arc<Engine>, Arc<Builder>, Arc<Users>, Arc<Declarations>);

impl Reloads {
    pub(super) fn new(config: &Config, (engine, builder, users, declared): Shared) -> Self {
        let (started, turn, waiting) = (config.clone(), Mutex::new(()), RwLock::default());
        Self {
            engine,
            builder,
            users,
            declared,
            certificates: Arc::default(),
            started,
            turn,
            waiting,
            done: AtomicU64::new(0),
        }
    }

    /// The certificates of the doors.
    pub(super) const fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Keys of the file that wait for the next start.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.waiting.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many reloads are done, well or not.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    pub(super) async fn reload(self: Arc<Self>, what: Anew) -> Result<Reloaded> {
        let _turn = self.turn.lock().await;
        let reloaded = self.next(what).await;
        if reloaded.is_err() {
            self.engine.refuse();
        }
        self.done.fetch_add(1, Ordering::AcqRel);
        reloaded
    }

    /// All that can be wrong with files is found before anything is put in force.
    async fn next(&self, what: Anew) -> Result<Reloaded> {
        let Taken { config, waiting } = self.taken(what).await?;
        events::check_users(&config)?;
        let users = self.users.next(&config)?;
        let certificates = match what {
            Anew::Everything => Some(self.certificates.next(&config)?),
            Anew::Named => None,
        };
        let sources = self.builder.sources_of(&config)?;
        let version = self.engine.deployment().version + 1;
        let governance = Builder::governance(version, &config).await?;
        metadata_webhooks::check(&config, &governance.snapshot)?;
        let (governance, told) = match what {
            Anew::Everything => tell(governance, &config).await?,
            // Of a source that is back, nothing of the metadata is new.
            Anew::Named => (governance, None),
        };
        // Whom nothing lets in any more waits for no source.
        let ended = self.users.replace(users);
        if let Some(certificates) = certificates {
            self.certificates.replace(certificates);
        }
        let deployment = Builder::deploy(version, &config, governance, &sources).await;
        measure::soon(&deployment).await;
        let snapshot = Arc::clone(&deployment.snapshot);
        let told = told.map(|told| format!(", {told} of which the log says more")).unwrap_or_default();
        let summary = format!("version {version}: {} objects{told}", deployment.snapshot.objects.len());
        self.engine.replace(deployment)?;
        self.builder.replace(config, sources);
        (*self.waiting.write().unwrap_or_else(PoisonError::into_inner)).clone_from(&waiting);
        self.engine.warn_of_views();
        self.declared.replace(&snapshot)?;
        Ok(Reloaded { summary, ended, waiting })
    }

    async fn taken(&self, what: Anew) -> Result<Taken> {
        let running = self.builder.config();
        if what == Anew::Named {
            return Ok(Taken { config: running.as_ref().clone(), waiting: self.waiting() });
        }
        let file = Arc::clone(&running);
        let next = tokio::task::spawn_blocking(move || reread(&file)).await.map_err(Error::internal)??;
        Ok(running.taking(next, &self.started))
    }
}

/// Where the reloads of a gate will be, for what is made before them.
pub(super) type Place = Arc<OnceLock<Weak<Reloads>>>;

/// `querygate.reload`, for operators.
struct OnCall(Place);

impl std::fmt::Debug for OnCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnCall")
    }
}

const RELOAD: &str = "reload";

/// Lets operators ask for a reload.
pub(super) fn attach(mut options: EngineOptions, place: &Place) -> EngineOptions {
    options.extensions.push(Arc::new(OnCall(Arc::clone(place))));
    options
}

#[async_trait]
impl SystemExtension for OnCall {
    fn relations(&self) -> Vec<SystemRelation> {
        Vec::new()
    }

    fn rows(&self, relation: &str, _reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        Err(Error::internal(format_args!("no relation {relation}")))
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        vec![SystemProcedure { name: RELOAD, arguments: &[], optional: 0 }]
    }

    async fn call(&self, procedure: &str, _arguments: &[Cell], caller: &Principal) -> Result<String> {
        let reloads = self.0.get().and_then(Weak::upgrade).filter(|_| procedure == RELOAD);
        let reloads = reloads.ok_or_else(|| Error::internal(format_args!("no procedure {procedure}")))?;
        // Its caller may not wait for its end.
        let reloaded = tokio::spawn(reloads.reload(Anew::Everything)).await.map_err(Error::internal)?;
        match &reloaded {
            Ok(reloaded) => reloaded.tell(),
            Err(error) => tracing::error!(%error, user = caller.login, "metadata not reloaded, the old one stays"),
        }
        reloaded.map(|reloaded| reloaded.in_words())
    }
}

/// What a configuration reads, itself among it, and how often it is looked at.
pub(super) fn watched(config: &Config) -> (Vec<PathBuf>, Duration) {
    let tls = config.server.tls.iter().flat_map(|files| [&files.certificate, &files.key]);
    let others = [&config.file, &config.metadata.path].into_iter().chain(tls).chain(&config.flight.client_ca);
    let paths = others.chain(&config.secret_files).cloned().collect();
    (paths, config.metadata.watch_interval)
}
