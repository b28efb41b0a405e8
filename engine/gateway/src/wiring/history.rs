//! Field history beside the gate.

use crate::config::Config;
use querygate_events::{Events, History};
use querygate_query::EngineOptions;
use querygate_types::Result;
use std::sync::Arc;

/// Opens the store, if the configuration names one.
///
/// # Errors
/// Its folder cannot be used.
pub(super) async fn open(config: &Config, events: Option<&Arc<Events>>) -> Result<Option<Arc<History>>> {
    let Some((options, events)) = config.history.as_ref().zip(events) else { return Ok(None) };
    History::open(options.clone(), Arc::clone(events)).await.map(Some)
}

/// The gate's options, with where history is kept.
pub(super) fn attach(mut options: EngineOptions, history: Option<&Arc<History>>) -> EngineOptions {
    options.history = history.map(Arc::clone);
    options
}
