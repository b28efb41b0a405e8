//! OpenTelemetry: spans and metrics of statements and of their fragments, sent to a collector.

mod metrics;
mod plugin;
mod spans;
mod transport;

pub(crate) use plugin::Export;
