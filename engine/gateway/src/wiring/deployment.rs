//! One version of the gate's state from the configured files: metadata, facts, policies, source tables, views.

use super::facts::facts;
use super::sources::Sources;
use crate::config::{Config, MaskInPredicates, Tenancy};
use crate::metadata::platform_policies;
use querygate_catalog::{Deployment, SourceStatus, ViewDefinition};
use querygate_metadata::{LoadOptions, Loaded, TenancyPosture, load, permission_sets_from_rows};
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

    /// Whether a source that could not be reached before answers now, or one has tables that are not what the deployment's
    /// were made of.
    pub(super) async fn source_changed(&self, deployment: &Deployment) -> bool {
        self.source_returned(&deployment.sources).await || self.sources.changed(&deployment.snapshot).await
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

    /// Loads everything anew.
    pub(super) async fn build(&self, version: u64) -> Result<Deployment> {
        let posture = match self.config.metadata.posture {
            Tenancy::Single => TenancyPosture::Single,
            Tenancy::Isolated => TenancyPosture::Isolated,
            Tenancy::Group => TenancyPosture::Group,
        };
        let path = self.config.metadata.path.clone();
        let options = LoadOptions { posture };
        let loaded = tokio::task::spawn_blocking(move || load(&path, &options)).await.map_err(Error::internal)?;
        let Loaded { mut snapshot, row_files } = loaded.map_err(|errors| {
            Error::new(ErrorCode::MetadataInvalid, "the metadata has errors").with_detail(errors.to_string())
        })?;
        snapshot.version = version;
        let snapshot = Arc::new(snapshot);
        let rows = super::facts::system_rows(&snapshot, &row_files)?;
        let facts = facts(&rows)?;
        let sets = rows.iter().filter(|(object, _)| object == "sys_permission_set").map(|(_, row)| row);
        let sets = permission_sets_from_rows(sets).map_err(|errors| {
            Error::new(ErrorCode::MetadataInvalid, "rows of sys_permission_set have errors")
                .with_detail(errors.to_string())
        })?;
        let policies = Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), sets));
        warn_of_dropped(&policies);
        for (object, field, reason) in policies.uncomputed() {
            tracing::warn!(object, field, reason, "a formula does not compile and its field is not served");
        }
        let (tables, sources) = self.sources.tables(&snapshot, &row_files).await;
        let views = self.config.views.iter().map(|view| ViewDefinition {
            schema: view.schema.clone(),
            name: view.name.clone(),
            sql: view.sql.clone(),
            comment: view.comment.clone(),
        });
        Ok(Deployment {
            version,
            database: self.config.server.database.clone(),
            snapshot,
            policies,
            facts: Arc::new(facts),
            tables,
            views: views.collect(),
            sources,
            schema_events: self.sources.schema_events(),
            refuse_masked_predicates: self.config.governance.mask_in_predicates == MaskInPredicates::Refuse,
        })
    }
}

/// One line per policy and reason, however many objects it is about.
fn warn_of_dropped(policies: &CompiledPolicy) {
    let mut grouped: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let platform = platform_policies(policies.snapshot());
    for (object, policy, reason) in policies.dropped().into_iter().filter(|(_, name, _)| !platform.contains(name)) {
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
