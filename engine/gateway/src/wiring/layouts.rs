//! Sources of files as layout advice asks them: tables by the names that statements use.

use super::learning::Place;
use async_trait::async_trait;
use querygate_driver_api::layout::{FileLayout, LayoutAdvice};
use querygate_files::FileTable;
use querygate_learning::{LayoutSource, LayoutSources};
use querygate_types::Result;
use std::any::Any;
use std::sync::{Arc, Weak};

/// The files of one source, in the deployment that is served when they are asked for.
struct Files {
    gate: Place,
    source: String,
}

#[async_trait]
impl LayoutAdvice for Files {
    async fn study(&self, table: &str, read: &[String], compared: &[String]) -> Result<Option<FileLayout>> {
        let Some(engine) = self.gate.get().and_then(Weak::upgrade) else { return Ok(None) };
        let deployment = engine.deployment();
        drop(engine);
        // A policy's own look at another object goes by the object's name.
        let names = deployment.sql_names();
        let object = names.get(table).map_or(table, |object| object.name.as_str());
        let found = deployment.tables.get(object).filter(|found| *found.source == *self.source);
        let Some(provider) = found.map(|found| Arc::clone(&found.provider)) else { return Ok(None) };
        let Some(files) = ({
            let any: &dyn Any = provider.as_ref();
            any.downcast_ref::<FileTable>()
        }) else {
            return Ok(None);
        };
        files.study(read, compared).await
    }
}

/// Sources of files of the deployment that is served now.
pub(super) fn layouts(gate: &Place) -> LayoutSources {
    let gate = Arc::clone(gate);
    Arc::new(move || {
        let Some(engine) = gate.get().and_then(Weak::upgrade) else { return Vec::new() };
        let deployment = engine.deployment();
        let of_files = deployment.sources.iter().filter(|source| source.kind == "files");
        let source = |name: &String| LayoutSource {
            name: name.clone(),
            advice: Arc::new(Files { gate: Arc::clone(&gate), source: name.clone() }),
        };
        of_files.map(|status| source(&status.name)).collect()
    })
}
