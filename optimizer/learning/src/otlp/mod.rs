//! OpenTelemetry: spans and metrics of statements and of their fragments, sent to a collector.

mod encode;
mod metrics;
mod part;

pub(crate) use part::Export;
