//! Learning beside the gate: its thread, and its plugins with what they need of the gate. The gate works without it.

use crate::config;
use querygate_learning::{
    AdvisedSource, AdvisedSources, IndexAdvisor, IndexOptions, Learning, LearningOptions, OtlpOptions, Plugin,
    SchemaChange, SchemaWatch, WebhookOptions,
};
use querygate_query::{Engine, EngineOptions};
use querygate_telemetry_api::Telemetry;
use querygate_types::Result;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use tokio::runtime::Handle;

/// Where the gate will be once it is made: learning begins before it, and must not keep it alive.
pub(super) type Place = Arc<OnceLock<Weak<Engine>>>;

/// Starts to learn, if the configuration says so.
pub(super) fn start(config: &config::Config, runtime: &Handle, gate: &Place) -> Result<Option<Arc<Learning>>> {
    let Some(settings) = &config.learning else { return Ok(None) };
    let options = LearningOptions { schemas: Some(schemas(gate)), ..options(settings)? };
    Learning::start(options, plugins(config, settings, runtime, gate)).map(Some)
}

fn options(settings: &config::Learning) -> Result<LearningOptions> {
    let webhook = settings.webhook.as_ref();
    let webhook = webhook.map(|w| WebhookOptions::new(w.url.expose(), w.secret.expose().as_bytes())).transpose()?;
    let otlp = settings.otlp.as_ref();
    let otlp = otlp.map(|o| {
        let authorization = o.authorization.as_ref().map(|secret| secret.expose());
        OtlpOptions::new(o.url.expose(), o.protocol, authorization)
    });
    let otlp = otlp.transpose()?;
    Ok(LearningOptions {
        retention: settings.retention,
        size_max: settings.size_max,
        alerts_per_day: settings.alerts_per_day,
        webhook,
        otlp,
        ..LearningOptions::in_directory(settings.directory.clone())
    })
}

/// Plugins that need more than records.
fn plugins(
    config: &config::Config,
    settings: &config::Learning,
    runtime: &Handle,
    gate: &Place,
) -> Vec<Arc<dyn Plugin>> {
    let indexes =
        IndexOptions { every: settings.suggest_every, budget: settings.index_budget, ..IndexOptions::default() };
    let indexes = IndexAdvisor::new(indexes, advised(config, settings, gate), runtime.clone());
    indexes.over_files(super::layouts::layouts(config, gate));
    vec![indexes]
}

/// What sources changed since the gate began, by the names that statements use.
fn schemas(gate: &Place) -> SchemaWatch {
    let gate = Arc::clone(gate);
    SchemaWatch(Arc::new(move || {
        let Some(engine) = gate.get().and_then(Weak::upgrade) else { return Vec::new() };
        let deployment = engine.deployment();
        if deployment.schema_events.is_empty() {
            return Vec::new();
        }
        let names = deployment.sql_names();
        let named = |object: &str| names.iter().find(|(_, one)| one.name == object).map(|(name, _)| name.clone());
        let change = |event: &querygate_catalog::deployment::SchemaEvent| SchemaChange {
            at: event.at,
            source: event.source.clone(),
            object: named(&event.object).unwrap_or_else(|| event.object.clone()),
            field: event.field.clone(),
            was: event.was.clone(),
            is: event.is.clone(),
            restored: event.done == "restored",
        };
        deployment.schema_events.iter().map(change).collect()
    }))
}

/// Sources of the deployment that is served now, and where operators may change indexes.
fn advised(config: &config::Config, settings: &config::Learning, gate: &Place) -> AdvisedSources {
    let may = |source: &config::Source| source.apply_indexes.unwrap_or(settings.apply_indexes);
    let apply: BTreeMap<String, bool> = config.sources.iter().map(|one| (one.name.clone(), may(one))).collect();
    let gate = Arc::clone(gate);
    Arc::new(move || {
        let Some(engine) = gate.get().and_then(Weak::upgrade) else { return Vec::new() };
        let of = |source: &querygate_catalog::deployment::SourceStatus| {
            let apply = apply.get(&source.name).copied().unwrap_or(false);
            Some(AdvisedSource { name: source.name.clone(), driver: source.driver.clone()?, apply })
        };
        engine.deployment().sources.iter().filter_map(of).collect()
    })
}

/// The gate's options, with what learning is told and shows.
pub(super) fn attach(options: EngineOptions, learning: Option<&Arc<Learning>>) -> EngineOptions {
    let Some(learning) = learning else { return options };
    let telemetry = Arc::clone(learning) as Arc<dyn Telemetry>;
    let advisor = Some(learning.advisor());
    EngineOptions { telemetry: Some(telemetry), extensions: learning.extensions(), advisor, ..options }
}
