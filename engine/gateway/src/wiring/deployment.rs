//! One version of the gate's state from the configured files: metadata, facts, policies, source tables, views.

use super::sources::Sources;
use crate::config::{Config, HiddenColumns, MaskInPredicates, View};
use crate::governance::{Governance, configured_members, configured_users};
use crate::metadata::{load_options, platform_policies};
use crate::naming::sql_names;
use querygate_catalog::deployment::{Deployment, SourceStatus, ViewDefinition};
use querygate_metadata::load::{LoadError, load};
use querygate_metadata::model::Snapshot;
use querygate_policy::CompiledPolicy;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Builds deployments; sources are opened once and shared by all versions that have them.
pub(super) struct Builder {
    config: RwLock<Arc<Config>>,
    sources: RwLock<Arc<Sources>>,
}

impl Builder {
    pub(super) fn new(config: &Config) -> Result<Self> {
        let sources = RwLock::new(Arc::new(Sources::open(config)?));
        Ok(Self { config: RwLock::new(Arc::new(config.clone())), sources })
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its sources.
    pub(super) fn sources(&self) -> Arc<Sources> {
        Arc::clone(&self.sources.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sources of another configuration: those in force, where it has them as they are.
    ///
    /// # Errors
    /// One of which no driver can be made.
    pub(super) fn sources_of(&self, config: &Config) -> Result<Arc<Sources>> {
        let sources = self.sources();
        let is_same = sources.are_of(config);
        if is_same { Ok(sources) } else { sources.next(config).map(Arc::new) }
    }

    /// From now on, these.
    pub(super) fn replace(&self, config: Config, sources: Arc<Sources>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// Whether a source that could not be reached before answers now, or one has tables that are not what the deployment's
    /// were made of. Asks, too, whether one that went since then is back.
    pub(super) async fn source_changed(&self, deployment: &Deployment) -> bool {
        if self.source_returned(&deployment.sources).await {
            return true;
        }
        let sources = self.sources();
        sources.ask_again().await;
        sources.changed(&deployment.snapshot).await
    }

    async fn source_returned(&self, statuses: &[SourceStatus]) -> bool {
        let sources = self.sources();
        let away = statuses
            .iter()
            .filter(|source| source.error.as_ref().is_some_and(|error| error.code().sqlstate().starts_with("08")));
        for source in away {
            if sources.answers(&source.name).await {
                return true;
            }
        }
        false
    }

    /// Loads everything anew, for the sources in force.
    pub(super) async fn build(&self, version: u64, config: &Config) -> Result<Deployment> {
        let governance = Self::governance(version, config).await?;
        Ok(Self::deploy(version, config, governance, &self.sources()).await)
    }

    /// What decides about rows, loaded anew.
    ///
    /// # Errors
    /// Metadata, or rows beside it, with errors.
    pub(super) async fn governance(version: u64, config: &Config) -> Result<Governance> {
        let path = config.metadata.path.clone();
        let options = load_options(config);
        let loaded = tokio::task::spawn_blocking(move || load(&path, &options)).await.map_err(Error::internal)?;
        let invalid = |what: &'static str| {
            move |errors: LoadError| Error::new(ErrorCode::MetadataInvalid, what).with_detail(errors.to_string())
        };
        let loaded = loaded.map_err(invalid("the metadata has errors"))?;
        let mut governance = Governance::of(loaded, version, &config.extensions)
            .map_err(invalid("rows beside the metadata have errors"))?;
        governance.facts.configured_members = configured_members(&config.users);
        governance.facts.configured_users = configured_users(config);
        Ok(governance)
    }

    /// The state of a gate, with the tables that its sources have now.
    pub(super) async fn deploy(version: u64, config: &Config, governance: Governance, opened: &Sources) -> Deployment {
        let Governance { snapshot, row_files, facts, policies, .. } = governance;
        warn_of_unusable(&policies);
        warn_of_dropped(&policies);
        for (object, field, reason) in policies.uncomputed() {
            tracing::warn!(object, field, reason, "a formula does not compile and its field is not served");
        }
        let (tables, sources) = opened.tables(&snapshot, &row_files).await;
        let views = views(config, &snapshot);
        Deployment {
            version,
            database: config.server.database.clone(),
            snapshot,
            policies,
            facts: Arc::new(facts),
            tables,
            views,
            sources,
            schema_events: opened.schema_events(),
            deny_hidden_columns: config.metadata.hidden_columns == HiddenColumns::Denied,
            refuse_masked_predicates: config.governance.mask_in_predicates == MaskInPredicates::Refuse,
        }
    }
}

/// Views, but for those whose name is that of a table: a table is not replaced, also for who does not see it.
fn views(config: &Config, snapshot: &Snapshot) -> Vec<ViewDefinition> {
    let tables = sql_names(snapshot);
    let is_table = |view: &&View| {
        let is_taken = view.is_named_as_one_of(&tables);
        if is_taken {
            tracing::warn!(view = view.name, "nobody has a view: a table has its name");
        }
        is_taken
    };
    let views = config.views.iter().filter(|view| !is_table(view));
    views
        .map(|view| ViewDefinition {
            schema: view.schema.clone(),
            name: view.name.clone(),
            sql: view.sql.clone(),
            comment: view.comment.clone(),
        })
        .collect()
}

/// One line per rule and object: what is not shown for them is refused to readers.
fn warn_of_unusable(policies: &CompiledPolicy) {
    for rule in policies.unusable() {
        let (object, name, reason) = (rule.object, rule.rule, rule.reason);
        tracing::error!(object, rule = name, reason, place = %rule.location, "a rule cannot be applied");
    }
}

/// One line per policy and reason, however many objects it is about.
fn warn_of_dropped(policies: &CompiledPolicy) {
    let mut grouped: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let platform = platform_policies(policies.snapshot());
    let own = policies.dropped_as_meant().into_iter().filter(|(_, name, _)| !platform.contains(*name));
    for (object, policy, reason) in own {
        grouped.entry((policy, reason)).or_default().push(object);
    }
    for ((policy, reason), objects) in grouped {
        let first = objects.first().copied().unwrap_or_default();
        tracing::warn!(
            policy,
            reason,
            objects = objects.len(),
            first,
            "a row policy does not compile there and counts as denying"
        );
    }
}
