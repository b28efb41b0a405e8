//! The REST door through the real binary: an own stack over SQLite, and the vendor's recorded exchanges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

#[path = "rest/analytics.rs"]
mod analytics;
#[path = "rest/attacks.rs"]
mod attacks;
#[path = "rest/bodies/readings.rs"]
mod body_readings;
#[path = "rest/bodies/returns.rs"]
mod body_returns;
#[path = "rest/bounds.rs"]
mod bounds;
#[path = "rest/clocks.rs"]
mod clocks;
#[path = "rest/dataset_paths.rs"]
mod dataset_paths;
#[path = "rest/datasets.rs"]
mod datasets;
#[path = "rest/forms.rs"]
mod forms;
#[path = "rest/guide.rs"]
mod guide;
#[path = "rest/imports.rs"]
mod imports;
#[path = "rest/keys.rs"]
mod keys;
#[path = "rest/numbers.rs"]
mod numbers;
#[path = "rest/openapi.rs"]
mod openapi;
#[path = "rest/organizations.rs"]
mod organizations;
#[path = "rest/own.rs"]
mod own;
#[path = "rest/platform_records.rs"]
mod platform_records;
#[path = "rest/proxies.rs"]
mod proxies;
#[path = "rest/referred.rs"]
mod referred;
#[path = "rest/releases.rs"]
mod releases;
#[path = "rest/replay.rs"]
mod replay;
#[path = "rest/secrets.rs"]
mod secrets;
#[path = "rest/world.rs"]
mod world;
