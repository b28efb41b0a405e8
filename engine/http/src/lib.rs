//! The HTTP door: liveness, readiness, metrics. Knows no engine and no exporter: what it shows is handed in.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod door;
mod listener;
mod probes;

pub use door::{HttpConfig, HttpDoor};
pub use probes::{Probes, Readiness, SourceReadiness};
