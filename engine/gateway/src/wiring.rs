//! The composition root: builds a [`Gate`] from a [`Config`]. The only place that names every crate.

mod changes;
mod deployment;
mod events;
mod extensions;
mod history;
mod keys;
mod layouts;
mod learning;
mod measure;
mod metadata_webhooks;
mod numbers;
mod outages;
pub(crate) mod readable;
mod reloads;
mod sources;
mod states;
mod transactions;
pub(crate) mod workers;
mod writes;

pub(crate) use deployment::FINDINGS;
pub(crate) use metadata_webhooks::findings as webhook_findings;
pub(crate) use sources::{MEMORY_SOURCE_BYTES_MAX, memory_rows, mongodb, mysql, postgres};
pub(crate) use states::{Away, SourceState, Vitals, grouped, source_states, unreadable_folder};
pub(crate) use writes::write_findings;

use crate::auth::ConfigAuthenticator;
use crate::config::Config;
use crate::gate::{Close, Gate, Reload, Returned, Runtimes, Watched};
use crate::output::Output;
use crate::platform::{GatePlatform, KeyFile};
use crate::users::Users;
use deployment::Builder;
use events::UserWebhook;
use futures::FutureExt;
use metadata_webhooks::Declarations;
use querygate_catalog::deployment::Deployment;
use querygate_events::Events;
use querygate_http::Readiness;
use querygate_learning::Learning;
use querygate_query::{Engine, EngineOptions, GateService};
use querygate_resources::ShareBounds;
use querygate_types::Result;
use reloads::Reloads;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Builds everything that answers queries. A source that is down is no error: its tables say so when they are read.
pub(crate) async fn build(config: &Config, runtimes: &Runtimes) -> Result<Gate> {
    let keys = config.key_file().map(KeyFile::open).transpose()?;
    let parts = Parts::start(config, runtimes, keys.as_ref()).await?;
    let engine = &parts.engine;
    let users = &parts.users;
    let builder = Arc::clone(&parts.builder);
    let metadata = Arc::new(move || builder.config().metadata.path.clone());
    let platform = Arc::new(GatePlatform::new(Arc::clone(engine), Arc::clone(users), keys.clone(), metadata));
    let service = Arc::new(GateService::new(Arc::clone(engine)));
    let authenticator = Arc::new(ConfigAuthenticator::new(config, Arc::clone(users), keys));
    let readiness = {
        let (engine, reloads) = (Arc::clone(engine), Arc::clone(&parts.reloads));
        Arc::new(move || readiness(&engine, &reloads))
    };
    let measure = {
        let engine = Arc::clone(engine);
        Arc::new(move || engine.measure())
    };
    let (returned, reload, watched, close) = (parts.returned(), parts.reload(), parts.watched(), parts.close());
    let certificates = Arc::clone(parts.reloads.certificates());
    let begin = parts.begin(Arc::clone(&service), Arc::clone(&authenticator));
    Ok(Gate {
        platform,
        service,
        authenticator,
        begin,
        readiness,
        measure,
        reload,
        returned,
        watched,
        certificates,
        close,
    })
}

/// The engine, and what works beside it.
struct Parts {
    engine: Arc<Engine>,
    builder: Arc<Builder>,
    users: Arc<Users>,
    reloads: Arc<Reloads>,
    learning: Option<Arc<Learning>>,
    events: Option<Arc<Events>>,
    /// Those of the configuration, and those that metadata declares.
    webhooks: Vec<UserWebhook>,
    declared: Arc<Declarations>,
    database: String,
    runtime: Handle,
}

impl Parts {
    async fn start(config: &Config, runtimes: &Runtimes, keys: Option<&KeyFile>) -> Result<Self> {
        config.extensions.start()?;
        let builder = Arc::new(Builder::new(config)?);
        if let Some(file) = config.numbers.as_ref().filter(|_| config.writes) {
            builder.sources().keep_numbers(file)?;
        }
        let deployment = builder.build(1, config).await?;
        measure::soon(&deployment).await;
        let place = learning::Place::default();
        let learning = learning::start(config, &runtimes.query, &place)?;
        let coordinator = transactions::start(config, &builder.sources(), &runtimes.query)?;
        let events = events::open(config, &deployment.snapshot, &runtimes.query)?;
        let history = history::open(config, events.as_ref()).await?;
        let webhooks = events::webhooks(config, events.as_ref())?;
        metadata_webhooks::check(config, &deployment.snapshot)?;
        let shown = events::shown(&webhooks);
        let declared = Declarations::new(config, events.as_ref(), Arc::clone(&shown), runtimes.query.clone());
        let options = transactions::attach(learning::attach(options(config), learning.as_ref()), coordinator);
        let options = history::attach(events::attach(options, events.as_ref(), &shown), history.as_ref());
        let options = keys::attach(extensions::attach(options, &config.extensions), keys);
        let reloaded = reloads::Place::default();
        let options = reloads::attach(options, &reloaded);
        let options = workers::attach(options, config, &runtimes.query)?;
        let engine = Engine::new(options, runtimes.query.clone(), deployment)?;
        engine.warn_of_views();
        let _ = place.set(Arc::downgrade(&engine));
        if let Some(events) = &events {
            events::begin(events, &engine, &place)?;
        }
        if let Some(history) = &history {
            history.begin(&runtimes.query);
        }
        measure::keep(&engine, &runtimes.query);
        let (database, runtime) = (config.server.database.clone(), runtimes.query.clone());
        let (declared, users) = (Arc::new(declared), Arc::new(Users::new(config)?));
        let shared = (Arc::clone(&engine), Arc::clone(&builder), Arc::clone(&users), Arc::clone(&declared));
        let reloads = Arc::new(Reloads::new(config, shared));
        let _ = reloaded.set(Arc::downgrade(&reloads));
        Ok(Self { engine, builder, users, reloads, learning, events, webhooks, declared, database, runtime })
    }

    fn returned(&self) -> Returned {
        let (engine, builder) = (Arc::clone(&self.engine), Arc::clone(&self.builder));
        Arc::new(move || {
            let (deployment, builder) = (engine.deployment(), Arc::clone(&builder));
            async move { builder.source_changed(&deployment).await }.boxed()
        })
    }

    fn reload(&self) -> Reload {
        let reloads = Arc::clone(&self.reloads);
        Arc::new(move |what| Arc::clone(&reloads).reload(what).boxed())
    }

    fn watched(&self) -> Watched {
        let builder = Arc::clone(&self.builder);
        Arc::new(move || reloads::watched(&builder.config()))
    }

    fn close(&self) -> Close {
        let (engine, events, learning) = (Arc::clone(&self.engine), self.events.clone(), self.learning.clone());
        Arc::new(move || {
            engine.close();
            if let Some(events) = &events {
                events.close();
            }
            if let Some(learning) = &learning {
                learning.close();
            }
        })
    }

    /// Webhooks are sent from then on, each with the rights of its user.
    fn begin(self, service: Arc<GateService>, authenticator: Arc<ConfigAuthenticator>) -> Close {
        let Self { engine, webhooks, declared, database, runtime, .. } = self;
        Arc::new(move || {
            outages::keep(&engine, &runtime);
            let (service, authenticator) = (Arc::clone(&service), Arc::clone(&authenticator));
            let database = database.clone();
            let served = move || events::Served {
                service: Arc::clone(&service) as _,
                authenticator: Arc::clone(&authenticator) as _,
                database: database.clone(),
            };
            for webhook in &webhooks {
                runtime.spawn(webhook.clone().deliver(served()));
            }
            if let Err(error) = declared.begin(&engine.deployment().snapshot, Box::new(served)) {
                tracing::error!(%error, "a webhook of the metadata is not sent");
            }
        })
    }
}

/// What a configuration's file is served from, without doors: for measurements of the engine on it.
///
/// # Errors
/// A configuration or metadata that is not usable.
pub async fn deployment_of(file: &Path, output: &mut Output) -> Result<Deployment> {
    let config = crate::cli::load(file, output)?;
    let deployment = Builder::new(&config)?.build(1, &config).await?;
    measure::soon(&deployment).await;
    Ok(deployment)
}

fn options(config: &Config) -> EngineOptions {
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let timeout = config.limits.statement_timeout;
    EngineOptions {
        memory_total: bytes(config.limits.memory_total),
        memory_per_query: bytes(config.limits.memory_per_query),
        memory_per_user: bytes(config.limits.memory_per_user),
        spill_dir: config.limits.spill_directory.clone(),
        spill_max: config.limits.spill_max,
        queries_max: config.limits.queries_max,
        queries_per_user_max: config.limits.queries_per_user_max,
        queries_waiting_max: config.limits.queries_waiting_max,
        rows_max: config.limits.rows_max,
        sessions_max: config.server.connection_max,
        sessions_per_user_max: config.server.connections_per_user_max,
        source_shares: ShareBounds {
            per_user: config.limits.source_share_per_user,
            per_session: config.limits.source_share_per_session,
            rest_max: (!config.limits.source_rest_max.is_zero()).then_some(config.limits.source_rest_max),
        },
        statement_timeout: (!timeout.is_zero()).then_some(timeout),
        target_partitions: config.server.query_workers,
        audit: config.log.audit.clone(),
        verify_sample: config.governance.verify_sample,
        writes: config.writes,
        block_limits: config.block_limits,
        ..EngineOptions::default()
    }
}

fn readiness(engine: &Engine, reloads: &Reloads) -> Readiness {
    let deployment = engine.deployment();
    let sources_up = deployment.sources.iter().filter(|source| source.down().is_none()).count();
    Readiness {
        metadata_version: Some(deployment.version),
        objects: deployment.snapshot.objects.len(),
        reload_refused: engine.has_refused(),
        reloads: reloads.done(),
        restart_needed: reloads.waiting(),
        sources_up,
        sources_down: deployment.sources.len() - sources_up,
        stopping: false,
    }
}
