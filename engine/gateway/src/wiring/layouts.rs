//! Sources of files as layout advice asks them: tables by the names that statements use.

use super::learning::Place;
use crate::config::Config;
use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;
use querygate_catalog::deployment::Deployment;
use querygate_driver_api::layout::{FileLayout, LayoutAdvice, Rewrite};
use querygate_files::FileTable;
use querygate_learning::{LayoutSource, LayoutSources};
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

/// The files of one source, in the deployment that is served when they are asked for.
struct Files {
    gate: Place,
    source: String,
}

impl LayoutAdvice for Files {
    fn study<'a>(
        &'a self,
        table: &'a str,
        read: &'a [String],
        compared: &'a [String],
    ) -> BoxFuture<'a, Result<Option<FileLayout>>> {
        Box::pin(async move {
            let Some((provider, _)) = self.table(table) else { return Ok(None) };
            match files_of(&provider) {
                Some(files) => files.study(read, compared).await,
                None => Ok(None),
            }
        })
    }

    fn rewrite<'a>(&'a self, table: &'a str, id: i64, wanted: &'a Rewrite) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let (provider, others) = self.table(table).ok_or_else(gone)?;
            let files = files_of(&provider).ok_or_else(gone)?;
            if others.iter().filter_map(files_of).any(|other| files.may_share_files(other)) {
                return Err(Error::new(
                    ErrorCode::FeatureNotSupported,
                    "another object may have some of the same files",
                )
                .with_hint("Whoever writes the files can follow the suggestion's ddl."));
            }
            files.rewrite(id, wanted).await
        })
    }

    fn restore<'a>(&'a self, table: &'a str, id: i64) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let (provider, _) = self.table(table).ok_or_else(gone)?;
            files_of(&provider).ok_or_else(gone)?.restore(id).await
        })
    }

    fn tidy(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(deployment) = self.deployment() else { return Ok(()) };
            let mut here = deployment.tables.values().filter(|found| *found.source == *self.source);
            let found = here.find_map(|found| files_of(&found.provider).map(|_| Arc::clone(&found.provider)));
            match found.as_ref().and_then(files_of) {
                Some(files) => files.tidy_source().await,
                None => Ok(()),
            }
        })
    }
}

/// Further tables of a source.
type Others = Vec<Arc<dyn TableProvider>>;

impl Files {
    fn deployment(&self) -> Option<Arc<Deployment>> {
        Some(self.gate.get().and_then(Weak::upgrade)?.deployment())
    }

    /// A table of the source by the name that statements use, and the source's other tables.
    fn table(&self, table: &str) -> Option<(Arc<dyn TableProvider>, Others)> {
        let deployment = self.deployment()?;
        // A policy's own look at another object goes by the object's name.
        let names = deployment.sql_names();
        let object = names.get(table).map_or(table, |object| object.name.as_str());
        let here = || deployment.tables.iter().filter(|(_, found)| *found.source == *self.source);
        let provider =
            here().find(|(name, _)| name.as_str() == object).map(|(_, found)| Arc::clone(&found.provider))?;
        let others = here().filter(|(name, _)| name.as_str() != object).map(|(_, found)| Arc::clone(&found.provider));
        Some((provider, others.collect()))
    }
}

fn files_of(provider: &Arc<dyn TableProvider>) -> Option<&FileTable> {
    let any: &dyn Any = provider.as_ref();
    any.downcast_ref()
}

fn gone() -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, "the table of the suggestion is not there")
}

/// Sources of files of the deployment that is served now, and where operators may write files anew.
pub(super) fn layouts(config: &Config, gate: &Place) -> LayoutSources {
    let apply: BTreeSet<String> =
        config.sources.iter().filter(|one| one.apply_layouts).map(|one| one.name.clone()).collect();
    let gate = Arc::clone(gate);
    Arc::new(move || {
        let Some(engine) = gate.get().and_then(Weak::upgrade) else { return Vec::new() };
        let deployment = engine.deployment();
        let of_files = deployment.sources.iter().filter(|source| source.kind == "files");
        let source = |name: &String| LayoutSource {
            name: name.clone(),
            apply: apply.contains(name),
            advice: Arc::new(Files { gate: Arc::clone(&gate), source: name.clone() }),
        };
        of_files.map(|status| source(&status.name)).collect()
    })
}
