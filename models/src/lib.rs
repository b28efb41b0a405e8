//! Numeric models that learn from telemetry: pure functions of data and seed. Knows no file, no clock, no source, no engine
//! and no thread: who uses it brings rows, times and randomness' seed.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod advisor;
pub mod anomaly;
pub mod cardinality;
pub mod conformal;
pub mod index;
pub mod latency;
pub mod matrix;
pub mod numeric;
pub mod rls;
pub mod rng;
pub mod saved;
pub mod sketch;
pub mod trees;
