//! One version of the gate's state from the configured files: metadata, facts, policies, source tables, views.

use super::sources::Sources;
use crate::config::{Config, HiddenColumns, MaskInPredicates, Tenancy, View};
use crate::governance::Governance;
use crate::metadata::{native_names, platform_policies};
use crate::naming::sql_names;
use querygate_catalog::deployment::{Deployment, SourceStatus, ViewDefinition};
use querygate_metadata::load::{LoadError, LoadOptions, load};
use querygate_metadata::model::{Snapshot, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Builds deployments; sources are opened once and shared by all versions.
pub(super) struct Builder {
    config: Config,
    sources: Sources,
}

impl Builder {
    pub(super) fn new(config: &Config) -> Result<Self> {
        Ok(Self { config: config.clone(), sources: Sources::open(config)? })
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether a source that could not be reached before answers now, or one has tables that are not what the deployment's
    /// were made of. Asks, too, whether one that went since then is back.
    pub(super) async fn source_changed(&self, deployment: &Deployment) -> bool {
        if self.source_returned(&deployment.sources).await {
            return true;
        }
        self.sources.ask_again().await;
        self.sources.changed(&deployment.snapshot).await
    }

    async fn source_returned(&self, sources: &[SourceStatus]) -> bool {
        let away = sources
            .iter()
            .filter(|source| source.error.as_ref().is_some_and(|error| error.code().sqlstate().starts_with("08")));
        for source in away {
            if self.sources.answers(&source.name).await {
                return true;
            }
        }
        false
    }

    /// Views, but for those whose name is that of a table: a table is not replaced, also for who does not see it.
    fn views(&self, snapshot: &Snapshot) -> Vec<ViewDefinition> {
        let tables = sql_names(snapshot);
        let is_table = |view: &&View| {
            let is_taken = view.is_named_as_one_of(&tables);
            if is_taken {
                tracing::warn!(view = view.name, "nobody has a view: a table has its name");
            }
            is_taken
        };
        let views = self.config.views.iter().filter(|view| !is_table(view));
        views
            .map(|view| ViewDefinition {
                schema: view.schema.clone(),
                name: view.name.clone(),
                sql: view.sql.clone(),
                comment: view.comment.clone(),
            })
            .collect()
    }

    /// Loads everything anew.
    pub(super) async fn build(&self, version: u64) -> Result<Deployment> {
        let posture = match self.config.metadata.posture {
            Tenancy::Single => TenancyPosture::Single,
            Tenancy::Isolated => TenancyPosture::Isolated,
            Tenancy::Group => TenancyPosture::Group,
        };
        let path = self.config.metadata.path.clone();
        let options = LoadOptions { posture, natives: native_names(&self.config.extensions) };
        let loaded = tokio::task::spawn_blocking(move || load(&path, &options)).await.map_err(Error::internal)?;
        let invalid = |what: &'static str| {
            move |errors: LoadError| Error::new(ErrorCode::MetadataInvalid, what).with_detail(errors.to_string())
        };
        let loaded = loaded.map_err(invalid("the metadata has errors"))?;
        let governance = Governance::of(loaded, version, &self.config.extensions)
            .map_err(invalid("rows beside the metadata have errors"))?;
        let Governance { snapshot, row_files, facts, policies, .. } = governance;
        warn_of_unusable(&policies);
        warn_of_dropped(&policies);
        for (object, field, reason) in policies.uncomputed() {
            tracing::warn!(object, field, reason, "a formula does not compile and its field is not served");
        }
        let (tables, sources) = self.sources.tables(&snapshot, &row_files).await;
        let views = self.views(&snapshot);
        Ok(Deployment {
            version,
            database: self.config.server.database.clone(),
            snapshot,
            policies,
            facts: Arc::new(facts),
            tables,
            views,
            sources,
            schema_events: self.sources.schema_events(),
            deny_hidden_columns: self.config.metadata.hidden_columns == HiddenColumns::Denied,
            refuse_masked_predicates: self.config.governance.mask_in_predicates == MaskInPredicates::Refuse,
        })
    }
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
