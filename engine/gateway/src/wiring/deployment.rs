//! One version of the gate's state from the configured files: metadata, facts, policies, source tables, views.

use super::sources::Sources;
use crate::cli::{count, metadata_findings};
use crate::config::{Config, HiddenColumns, MaskInPredicates, View};
use crate::governance::{Governance, configured_members, configured_users};
use crate::metadata::load_options;
use crate::naming::sql_names;
use querygate_catalog::deployment::{Deployment, SourceStatus, ViewDefinition};
use querygate_metadata::Severity;
use querygate_metadata::load::{LoadError, load};
use querygate_metadata::model::Snapshot;
use querygate_types::{Error, ErrorCode, Result};
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
        let (governance, _) = tell(Self::governance(version, config).await?, config).await?;
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

/// The target in the log of findings in the metadata.
pub(crate) const FINDINGS: &str = "querygate::metadata";

/// Tells the log what `querygate check` says of the metadata; what has no effect here is counted only. Gives the numbers of errors and of
/// warnings in words; `None`: there are none.
///
/// # Errors
/// Internal ones.
pub(super) async fn tell(governance: Governance, config: &Config) -> Result<(Governance, Option<String>)> {
    let users = config.users.clone();
    let found = move || {
        let findings = metadata_findings(&governance, &users);
        (governance, findings)
    };
    // It compiles scripts.
    let (governance, findings) = tokio::task::spawn_blocking(found).await.map_err(Error::internal)?;
    for finding in &findings {
        let (place, message, hint) = (&finding.location, &finding.message, finding.hint.as_deref().unwrap_or_default());
        match finding.severity {
            Severity::Error => tracing::error!(target: FINDINGS, %place, hint, "{message}"),
            Severity::Warning => tracing::warn!(target: FINDINGS, %place, hint, "{message}"),
        }
    }
    let idle = governance.snapshot.warnings.len();
    if idle > 0 {
        tracing::warn!(target: FINDINGS, warnings = idle, "metadata has what has no effect here: `querygate check` names it");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let counted = [(errors, "error"), (warnings, "warning")].into_iter().filter(|(number, _)| *number > 0);
    let told: Vec<String> = counted.map(|(number, what)| count(number, what)).collect();
    Ok((governance, (!told.is_empty()).then(|| told.join(" and "))))
}
