//! Learns from what passes the gate: keeps telemetry, finds anomalies, advises indexes and plans. Knows no DataFusion, no door
//! and no policy; nothing here may fail, slow or change a statement.
//!
//! [`Learning`] is the whole: it takes records, and a thread of its own hands batches to each [`Plugin`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod anomaly;
#[cfg(test)]
mod guard_rails;
mod index;
mod layout;
mod learning;
mod learning_state;
mod numbers;
mod options;
mod otlp;
mod plans;
mod plugin;
mod ran;
mod report;
mod schema_watch;
#[cfg(test)]
mod summed_tests;
mod telemetry;
mod templates;
#[cfg(test)]
mod testing;
mod thread;
mod training;

pub use index::{AdvisedSource, AdvisedSources, IndexAdvisor, IndexOptions};
pub use layout::{LayoutSource, LayoutSources};
pub use learning::Learning;
pub use options::{LearningOptions, OtlpOptions, OtlpProtocol, WebhookOptions};
pub use plugin::Plugin;
pub use report::report;
pub use schema_watch::{SchemaChange, SchemaWatch};
pub use telemetry::{Moment, Store};
