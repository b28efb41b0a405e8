//! OpenTelemetry: spans and metrics of statements and of their fragments, sent to a collector.

mod encode;
mod metrics;
mod plugin;

pub(crate) use plugin::Export;
